/* SPDX-License-Identifier: MIT */
/*
 * wordcount-pool - the same answer by a pool of workers.
 *
 * What wordcount does by itself, a pool does here: it gives out the tasks, has those done
 * again whose workers are killed, and takes each result once. So there is no crew, no
 * supply and no ledger; what stays is where tasks come from (walk, feed), what is done with
 * one (task, text, words), and the answer.
 *
 *	wordcount-pool [PATH...]
 */
#include <errno.h>
#include <mproc/mproc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "feed.h"
#include "memory.h"
#include "problems.h"

#define RETRIES 100

/* A result: this, failures, words as they lie in the table, and the bytes of those that
 * do not fit into their slots; and a few more, which the table may read. */
struct head {
	uint64_t n_failures;
	uint64_t n_words;
	uint64_t files;
	uint64_t bytes;
};

struct failure {
	uint32_t error;
	uint32_t len; /* of the path, which follows, with its zero: a multiple of 8 */
};

struct buffer {
	char *bytes;
	size_t used;
	size_t room;
};

static void
add(struct buffer *b, const void *bytes, size_t len)
{
	if (b->room - b->used < len) {
		b->room = 2 * b->room + len;
		b->bytes = memory_resize(b->bytes, 1, b->room);
	}
	memcpy(b->bytes + b->used, bytes, len);
	b->used += len;
}

static void
add_failure(struct buffer *b, const struct task_part *part, int error)
{
	const struct failure f = {
		.error = (uint32_t)-error,
		/* With what stands behind it in the part, too: zeros. */
		.len = part->size - (uint32_t)sizeof(*part),
	};

	add(b, &f, sizeof(f));
	add(b, part->path, f.len);
}

static void
add_words(struct buffer *b, const struct words *words)
{
	static const char slack[WORD_SLACK];
	const struct word *word, *end = words->slots + words->n_slots;

	for (word = words->slots; word < end; word++)
		if (word->count)
			add(b, word, sizeof(*word));
	for (word = words->slots; word < end; word++)
		if (word->count && word->size == WORD_FAR)
			add(b, word->far.bytes, word->far.len);
	add(b, slack, sizeof(slack));
}

/* The task. What it needs is kept for the worker's next one. */
static int
count(const void *in, size_t len, struct mproc_result *out)
{
	static struct text text;
	static struct words words;
	static struct buffer result;
	const struct task_part *part = NULL;
	const struct task *task = in;
	struct head head = { 0 };
	uint64_t bytes;

	(void)len;
	result.used = 0;
	add(&result, &head, sizeof(head));
	for (uint32_t i = 0; i < task->n_parts; i++) {
		int r;

		part = task_part(task, part);
		r = task_part_count(part, &text, &words, &bytes);
		if (r < 0) {
			add_failure(&result, part, r);
			head.n_failures++;
		} else if (!part->from) {
			head.files++;
		}
		head.bytes += bytes;
	}
	head.n_words = words.n_words;
	add_words(&result, &words);
	words_clear(&words);
	memcpy(result.bytes, &head, sizeof(head));
	return mproc_result_set(out, result.bytes, result.used);
}

static int
next_task(void *src, const void **ret_in, size_t *ret_len)
{
	struct feed *feed = src;
	enum feed_step step;

	while ((step = feed_next(feed)) == FEED_BUSY)
		;
	*ret_in = &feed->task;
	*ret_len = feed->task.size;
	return step == FEED_END ? -ENODATA : 0;
}

static void
merge(struct answer *a, char *at)
{
	const struct head *head = (const void *)at;
	struct word *words;
	char *far;

	at += sizeof(*head);
	for (uint64_t i = 0; i < head->n_failures; i++) {
		const struct failure *f = (const void *)at;

		at += sizeof(*f);
		problems_report(at, strerror((int)f->error));
		at += f->len;
	}
	words = (void *)at;
	far = at + head->n_words * sizeof(*words);
	for (uint64_t i = 0; i < head->n_words; i++) {
		if (words[i].size != WORD_FAR)
			continue;
		words[i].far.bytes = far;
		far += words[i].far.len;
	}
	words_merge(&a->words, words, head->n_words, head->n_words);
	a->files += head->files;
	a->bytes += head->bytes;
}

/* Takes results as they come, until there are no more. */
static int
take_all(mproc_iter *it, struct answer *a)
{
	struct buffer b = { 0 };
	size_t len;
	int r;

	do {
		r = mproc_iter_next(it, b.bytes, b.room, &len, MPROC_FOREVER);
		if (r == -EMSGSIZE) {
			b.room = len;
			b.bytes = memory_resize(b.bytes, 1, len);
		} else if (r == MPROC_TASK_FAILED) {
			problems_report("some files", "not counted: each worker "
						      "that tried to died");
		} else if (r == 0) {
			merge(a, b.bytes);
		}
	} while (r >= 0 || r == -EMSGSIZE);
	free(b.bytes);
	return r == -ENODATA ? 0 : r;
}

static int
run(char *const *paths, size_t n_paths, struct answer *a)
{
	struct feed *feed = memory_resize(NULL, 1, sizeof(*feed));
	int64_t began = mproc_now();
	mproc_pool *pool = NULL;
	mproc_iter *it = NULL;
	int r;

	feed_start(feed, paths, n_paths, a->workers, 0);
	r = mproc_pool_create(&pool, MPROC_OPTS(mproc_pool_opts,
						.workers = (int)a->workers,
						.retries = RETRIES));
	if (r == 0)
		r = mproc_pool_imap(pool, count, next_task, feed,
				    MPROC_OPTS(mproc_imap_opts,
					       .unordered = true), &it);
	if (r == 0)
		r = take_all(it, a);
	if (r < 0)
		fprintf(stderr, "wordcount-pool: %s (%s)\n", mproc_strerror(r),
			mproc_error_detail());
	mproc_iter_close(it);
	mproc_pool_free(pool);
	a->seconds = (double)(mproc_now() - began) / 1e9;
	feed_end(feed);
	free(feed);
	return r;
}

int
main(int argc, char **argv)
{
	static char here[] = ".";
	static char *const default_paths[] = { here };
	struct answer a = { .workers = (unsigned)mproc_cpu_count() };
	int r;

	r = argc > 1 ? run(argv + 1, (size_t)argc - 1, &a) :
		       run(default_paths, 1, &a);
	if (r == 0)
		r = answer_print(&a, SIZE_MAX);
	if (r == 0)
		answer_print_totals(&a);
	answer_free(&a);
	return r < 0 || problems_found();
}
