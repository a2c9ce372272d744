/* SPDX-License-Identifier: MIT */
/*
 * feed.c - makes tasks of what the walk finds.
 *
 * How much is left is not known before the walk has ended. Tasks begin small,
 * so that a small tree gives all workers something to do, and grow with what
 * has been found, so that in a large one few words come in more tasks than
 * they must.
 */
#include "feed.h"

#include <string.h>

static const uint64_t SMALLEST = 64 * 1024, LARGEST = 4 * 1024 * 1024;

/* Steps of the walk in one call: what a task may have, and not for long. */
enum {
	STEPS = 2 * TASK_PARTS
};

void
feed_start(struct feed *f, char *const *paths, size_t n_paths, unsigned workers,
	   uint64_t batch)
{
	memset(f, 0, sizeof(*f));
	walk_start(&f->walk, paths, n_paths);
	f->workers = workers;
	f->batch = batch;
	task_init(&f->task);
}

static uint64_t
batch_size(const struct feed *f)
{
	uint64_t size = f->bytes / (4 * f->workers);

	if (f->batch)
		return f->batch;
	return size < SMALLEST ? SMALLEST : size > LARGEST ? LARGEST : size;
}

/* Adds the next part of the file. Returns false if the task has no room. */
static bool
cut(struct feed *f, uint64_t batch)
{
	uint64_t left = f->file.size - f->offset, len = left;
	/* Rather a last part that is a quarter longer than a tiny one behind
	 * it; and the last one is open, for the file may have grown. */
	bool last = left - left / 5 <= batch;

	if (!last)
		len = batch;
	if (!task_add(&f->task, f->file.path, f->file.follow, f->offset,
		      last ? UINT64_MAX : len))
		return false;
	if (!f->offset)
		f->task_files++;
	f->task_bytes += len;
	f->offset += len;
	f->has_file = !last;
	return true;
}

enum feed_step
feed_next(struct feed *f)
{
	uint64_t batch = batch_size(f);
	enum walk_step step;
	int i;

	if (f->task_ready) {
		task_init(&f->task);
		f->task_ready = false;
		f->task_bytes = 0;
		f->task_files = 0;
	}
	for (i = 0; f->task_bytes < batch && !f->ended; i++) {
		if (i == STEPS)
			return FEED_BUSY;
		if (f->has_file) {
			if (!cut(f, batch))
				break;
			continue;
		}
		step = walk_next(&f->walk, &f->file);
		f->has_file = step == WALK_FILE;
		f->ended = step == WALK_END;
		f->offset = 0;
	}
	if (!f->task.n_parts)
		return FEED_END;
	f->task_ready = true;
	f->bytes += f->task_bytes;
	f->files += f->task_files;
	return FEED_TASK;
}

void
feed_end(struct feed *f)
{
	walk_end(&f->walk);
}
