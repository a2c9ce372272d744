/* SPDX-License-Identifier: MIT */
/*
 * outbox.c - ids of tasks that wait for room in the queue, first in first out.
 */
#include "outbox.h"

#include <stdlib.h>
#include <string.h>

#include "memory.h"

void
outbox_add(struct outbox *b, uint64_t id)
{
	if (b->end == b->room && b->first > b->room / 2) {
		b->end -= b->first;
		memmove(b->ids, b->ids + b->first, b->end * sizeof(*b->ids));
		b->first = 0;
	}
	if (b->end == b->room) {
		b->room = 2 * b->room + 64;
		b->ids = memory_resize(b->ids, b->room, sizeof(*b->ids));
	}
	b->ids[b->end++] = id;
}

size_t
outbox_len(const struct outbox *b)
{
	return b->end - b->first;
}

uint64_t
outbox_first(const struct outbox *b)
{
	return b->ids[b->first];
}

void
outbox_drop_first(struct outbox *b)
{
	b->first++;
}

void
outbox_free(struct outbox *b)
{
	free(b->ids);
	memset(b, 0, sizeof(*b));
}
