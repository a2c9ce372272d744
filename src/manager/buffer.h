/* SPDX-License-Identifier: MIT */
/*
 * Bytes on their way between a socket and messages: [from, to) of a piece of private
 * memory, which grows as bytes come and not as somebody says that they will.
 */
#ifndef MPR_MANAGER_BUFFER_H
#define MPR_MANAGER_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

/* What several buffers may have together. */
struct mpr_budget {
	size_t left;
	struct mpr_budget *of; /* it is a part of that; or NULL */
};

/* Returns false, and takes nothing, if there is not as much left. */
bool mpr_budget_take(struct mpr_budget *budget, size_t n);
void mpr_budget_give(struct mpr_budget *budget, size_t n);

/* Zero bytes: an empty one. */
struct mpr_buffer {
	unsigned char *bytes;
	size_t size;
	size_t from, to;
	struct mpr_budget *budget; /* or NULL: as much as there is */
};

static inline size_t
mpr_buffer_len(const struct mpr_buffer *b)
{
	return b->to - b->from;
}

/* Makes room for @n bytes behind what is there. Returns 0; -ENOMEM, also if the
 * budget is spent. */
int mpr_buffer_room(struct mpr_buffer *b, size_t n);

/* Adds bytes; returns 0 or -ENOMEM. */
int mpr_buffer_add(struct mpr_buffer *b, const void *bytes, size_t n);

/* The first @n bytes are done. What is empty keeps no memory, unless @keep. */
void mpr_buffer_drop(struct mpr_buffer *b, size_t n, bool keep);

void mpr_buffer_end(struct mpr_buffer *b);

/* The memory of @from, which is empty, is @to's, which has none. Returns false if that
 * may not have as much. */
bool mpr_buffer_hand(struct mpr_buffer *from, struct mpr_buffer *to);

#endif
