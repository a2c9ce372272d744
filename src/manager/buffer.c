/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "manager/buffer.h"

#define LEAST 512 /* bytes of memory */

bool
mpr_budget_take(struct mpr_budget *budget, size_t n)
{
	for (const struct mpr_budget *b = budget; b; b = b->of)
		if (b->left < n)
			return false;
	for (; budget; budget = budget->of)
		budget->left -= n;
	return true;
}

void
mpr_budget_give(struct mpr_budget *budget, size_t n)
{
	for (; budget; budget = budget->of)
		budget->left += n;
}

static int
grow(struct mpr_buffer *b, size_t n)
{
	size_t len = mpr_buffer_len(b), size = b->size < LEAST ? LEAST : b->size;
	unsigned char *bytes;

	if (n > SIZE_MAX / 2 - len)
		return -ENOMEM;
	while (size < len + n)
		size *= 2;
	if (!mpr_budget_take(b->budget, size - b->size))
		return -ENOMEM;
	bytes = mpr_realloc(b->bytes, size);
	if (!bytes) {
		mpr_budget_give(b->budget, size - b->size);
		return -ENOMEM;
	}
	b->bytes = bytes;
	b->size = size;
	return 0;
}

int
mpr_buffer_room(struct mpr_buffer *b, size_t n)
{
	size_t len = mpr_buffer_len(b);

	if (b->size - b->to >= n)
		return 0;
	/* What is done lies in front. */
	if (b->from) {
		memmove(b->bytes, b->bytes + b->from, len);
		b->from = 0;
		b->to = len;
	}
	return b->size - b->to >= n ? 0 : grow(b, n);
}

int
mpr_buffer_add(struct mpr_buffer *b, const void *bytes, size_t n)
{
	int r = mpr_buffer_room(b, n);

	if (r < 0 || !n)
		return r;
	memcpy(b->bytes + b->to, bytes, n);
	b->to += n;
	return 0;
}

void
mpr_buffer_drop(struct mpr_buffer *b, size_t n, bool keep)
{
	b->from += n;
	if (b->from != b->to)
		return;
	b->from = b->to = 0;
	if (!keep)
		mpr_buffer_end(b);
}

void
mpr_buffer_end(struct mpr_buffer *b)
{
	struct mpr_budget *budget = b->budget;

	mpr_budget_give(budget, b->size);
	free(b->bytes);
	*b = (struct mpr_buffer){ .budget = budget };
}

bool
mpr_buffer_hand(struct mpr_buffer *from, struct mpr_buffer *to)
{
	struct mpr_budget *theirs = to->budget, *ours = from->budget;

	mpr_budget_give(ours, from->size);
	if (!mpr_budget_take(theirs, from->size)) {
		(void)mpr_budget_take(ours, from->size);
		return false;
	}
	*to = *from;
	to->budget = theirs;
	*from = (struct mpr_buffer){ .budget = ours };
	return true;
}
