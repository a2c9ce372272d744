/* SPDX-License-Identifier: MIT */
/*
 * feed.h - makes tasks of what the walk finds.
 */
#ifndef WORDCOUNT_FEED_H
#define WORDCOUNT_FEED_H

#include <stdbool.h>
#include <stdint.h>

#include "task.h"
#include "walk.h"

/* What feed_next() came to: FEED_BUSY means that there is no task yet, but
 * enough was done for one call. */
enum feed_step {
	FEED_END,
	FEED_TASK,
	FEED_BUSY
};

/**
 * struct feed - tasks to come
 * @walk:       where files come from
 * @workers:    how many share the tasks
 * @batch:      bytes of text in a task, or 0: as many as suits
 * @file:       the file being cut up, if @has_file
 * @offset:     where its next part begins
 * @ended:      there are no more files
 * @task:       the task that is being made
 * @task_ready: it is made, and the next one is to be begun
 * @task_bytes: length of what it is about
 * @task_files: how many files begin in it
 * @bytes:      length of all that went into tasks
 * @files:      how many files that were
 */
struct feed {
	struct walk walk;
	unsigned workers;
	uint64_t batch;
	struct walk_file file;
	bool has_file;
	uint64_t offset;
	bool ended;
	struct task task;
	bool task_ready;
	uint64_t task_bytes;
	uint64_t task_files;
	uint64_t bytes;
	uint64_t files;
};

void feed_start(struct feed *f, char *const *paths, size_t n_paths,
		unsigned workers, uint64_t batch);

/* Goes on making a task. It stays in @task until the next call. */
enum feed_step feed_next(struct feed *f);

void feed_end(struct feed *f);

#endif
