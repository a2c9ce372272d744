/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "manager/buffer.h"

#define LEAST 512 /* bytes of memory */

static int
grow(struct mpr_buffer *b, size_t n)
{
	size_t len = mpr_buffer_len(b), size = b->size < LEAST ? LEAST : b->size;
	unsigned char *bytes;

	if (n > SIZE_MAX / 2 - len)
		return -ENOMEM;
	while (size < len + n)
		size *= 2;
	if (b->budget && size - b->size > b->budget->left)
		return -ENOMEM;
	bytes = mpr_realloc(b->bytes, size);
	if (!bytes)
		return -ENOMEM;
	if (b->budget)
		b->budget->left -= size - b->size;
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

	if (budget)
		budget->left += b->size;
	free(b->bytes);
	*b = (struct mpr_buffer){ .budget = budget };
}
