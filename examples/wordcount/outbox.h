/* SPDX-License-Identifier: MIT */
/*
 * outbox.h - ids of tasks that wait for room in the queue, first in first out.
 */
#ifndef WORDCOUNT_OUTBOX_H
#define WORDCOUNT_OUTBOX_H

#include <stddef.h>
#include <stdint.h>

/* All zero is empty. */
struct outbox {
	uint64_t *ids;
	size_t first;
	size_t end;
	size_t room;
};

void outbox_add(struct outbox *b, uint64_t id);

/* How many there are. */
size_t outbox_len(const struct outbox *b);

/* The first one, of which there must be one. */
uint64_t outbox_first(const struct outbox *b);

void outbox_drop_first(struct outbox *b);

void outbox_free(struct outbox *b);

#endif
