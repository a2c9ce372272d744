/* SPDX-License-Identifier: MIT */
/*
 * result.c - what a worker sends back for a task.
 */
#include "result.h"

#include <string.h>

void
result_begin(struct result *r, mproc_queue *queue, uint32_t sender,
	     uint64_t task)
{
	memset(&r->head, 0, sizeof(r->head));
	r->head.sender = sender;
	r->head.task = task;
	r->queue = queue;
	r->error = 0;
	r->used = 0;
}

/* The parent takes results whatever else it does, so this may wait for ever;
 * if it died, we would too. */
static void
flush(struct result *r)
{
	if (!r->error)
		r->error = mproc_queue_put(r->queue, &r->head,
					   sizeof(r->head) + r->used,
					   MPROC_FOREVER);
	r->head.sequence++;
	r->used = 0;
}

static void
add(struct result *r, const void *bytes, size_t len)
{
	const char *from = bytes;
	size_t n;

	while (len) {
		if (r->used == sizeof(r->bytes))
			flush(r);
		n = sizeof(r->bytes) - r->used;
		if (n > len)
			n = len;
		memcpy(r->bytes + r->used, from, n);
		r->used += n;
		from += n;
		len -= n;
	}
}

void
result_add_failure(struct result *r, uint32_t part, int error)
{
	const struct result_failure failure = { part, error };

	add(r, &failure, sizeof(failure));
	r->head.n_failures++;
}

void
result_add_words(struct result *r, const struct words *words)
{
	const struct word *word, *end = words->slots + words->n_slots;

	for (word = words->slots; word < end; word++) {
		if (word->count)
			add(r, word, sizeof(*word));
	}
	for (word = words->slots; word < end; word++) {
		if (word->count && word->size == WORD_FAR)
			add(r, word->far.bytes, word->far.len);
	}
	r->head.n_words = words->n_words;
}

int
result_end(struct result *r)
{
	r->head.last = 1;
	flush(r);
	return r->error;
}
