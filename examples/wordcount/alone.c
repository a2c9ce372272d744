/* SPDX-License-Identifier: MIT */
/*
 * alone.c - the whole count by this process, without workers and queues.
 */
#include "alone.h"

#include <mproc/mproc.h>
#include <stdlib.h>
#include <string.h>

#include "feed.h"
#include "interrupt.h"
#include "memory.h"
#include "problems.h"
#include "progress.h"
#include "task.h"

static void
do_task(const struct task *task, struct text *text, struct words *words,
	struct answer *a)
{
	const struct task_part *part = NULL;
	uint64_t bytes;
	uint32_t i;
	int r;

	for (i = 0; i < task->n_parts; i++) {
		part = task_part(task, part);
		r = task_part_count(part, text, words, &bytes);
		if (r < 0)
			problems_report(part->path, strerror(-r));
		else if (!part->from)
			a->files++;
		a->bytes += bytes;
	}
}

void
alone_run(const struct options *o, uint64_t bytes, struct answer *ret_answer)
{
	struct feed *feed = memory_resize(NULL, 1, sizeof(*feed));
	struct text text = { 0 };
	struct words words = { 0 };
	struct progress progress;
	enum feed_step step;

	memset(ret_answer, 0, sizeof(*ret_answer));
	ret_answer->workers = 1;
	progress_start(&progress);
	progress.total_bytes = bytes;
	progress.total_known = true;
	feed_start(feed, o->paths, o->n_paths, o->workers, o->batch);
	do {
		step = feed_next(feed);
		if (step == FEED_TASK) {
			do_task(&feed->task, &text, &words, ret_answer);
			words_merge(&ret_answer->words, words.slots,
				    words.n_slots, words.n_words);
			words_clear(&words);
		}
		progress.files = ret_answer->files;
		progress.bytes = ret_answer->bytes;
		progress_show(&progress);
	} while (step != FEED_END && !interrupt_signal());
	ret_answer->seconds = (double)(mproc_now() - progress.began) / 1e9;
	progress_end(&progress);
	feed_end(feed);
	free(feed);
	text_free(&text);
	words_free(&words);
}
