/* SPDX-License-Identifier: MIT */
/*
 * worker.c - a process that does tasks.
 *
 * It may be killed anywhere. The task in its hand is noted where the parent
 * can read it, and a result counts as a whole or not at all, so there is
 * nothing here to put right afterwards.
 */
#include "worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "descriptors.h"
#include "interrupt.h"
#include "memory.h"
#include "result.h"
#include "task.h"

/* What a worker works with. */
struct bench {
	struct task task;
	struct text text;
	struct words words;
	struct result result;
};

static int
do_task(struct bench *b, const struct worker *w)
{
	const struct task_part *part = NULL;
	struct result *result = &b->result;
	uint64_t bytes;
	uint32_t i;
	int r;

	result_begin(result, w->results, w->number, b->task.id);
	for (i = 0; i < b->task.n_parts; i++) {
		part = task_part(&b->task, part);
		r = task_part_count(part, &b->text, &b->words, &bytes);
		if (r < 0)
			result_add_failure(result, i, r);
		else if (!part->from)
			result->head.files++;
		result->head.bytes += bytes;
	}
	result_add_words(result, &b->words);
	words_clear(&b->words);
	return result_end(result);
}

int
worker_main(void *arg)
{
	const struct worker *w = arg;
	struct bench *b;
	int r;

	interrupt_leave_to_parent();
	descriptors_allow_all_but(0);
	b = memory_resize(NULL, 1, sizeof(*b));
	b->text = (struct text){ 0 };
	b->words = (struct words){ 0 };
	do {
		r = mproc_queue_get(w->tasks, &b->task, sizeof(b->task), NULL,
				    MPROC_FOREVER);
		if (r < 0)
			break;
		atomic_store(w->hand, b->task.id);
		r = do_task(b, w);
	} while (r == 0);
	words_free(&b->words);
	text_free(&b->text);
	free(b);
	if (r == -ESHUTDOWN || r == -ESTALE)
		return 0;
	fprintf(stderr, "wordcount: a worker gives up: %s (%s)\n",
		mproc_strerror(r), mproc_error_detail());
	return WORKER_UNABLE;
}
