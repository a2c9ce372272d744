/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "manager/codec.h"
#include "manager/row.h"

int
mpr_row_take(const struct mproc_any *from, struct mproc_any *to)
{
	char *copy;

	if (to != from)
		*to = *from;
	if (from->kind != MPROC_STR && from->kind != MPROC_BYTES)
		return 0;
	copy = mpr_malloc(from->len + 1);
	if (!copy) {
		*to = mproc_nil();
		return -ENOMEM;
	}
	if (from->len)
		memcpy(copy, from->ptr, from->len);
	copy[from->len] = '\0';
	to->ptr = copy;
	to->owned = 1;
	return 0;
}

int
mpr_row_pack(struct mpr_remote_call *call, struct mpr_buffer *row, size_t limit)
{
	int r;

	if (!call->many)
		return 0;
	r = mpr_codec_pack(row, call->many, call->n_many, limit);
	if (r == 0)
		call->args[call->n_args++] = mproc_bytes(row->bytes + row->from,
							 mpr_buffer_len(row));
	else
		mpr_buffer_end(row);
	return r;
}

/* Each one is the user's then, or none is. */
static int
take_all(struct mproc_any *values, size_t n)
{
	size_t taken = 0;
	int r = 0;

	for (; taken < n && r == 0; taken++)
		r = mpr_row_take(&values[taken], &values[taken]);
	while (r < 0 && taken)
		mproc_any_clear(&values[--taken]);
	return r < 0 ? mpr_fail(r, "no memory for an answer") : 0;
}

int
mpr_row_unpack(struct mpr_remote_call *call)
{
	struct mproc_any *row;
	size_t n = 0;
	int r = -EBADMSG;

	call->n_ret_many = 0;
	if (!call->ret_many)
		return 0;
	row = &call->rets[call->n_rets - 1];
	if (row->kind == MPROC_NIL)
		return 0;
	if (row->kind == MPROC_BYTES &&
	    mpr_codec_count(row->ptr, row->len, &n) == 0 && n <= call->size_many)
		r = mpr_codec_unpack(call->ret_many, n, row->ptr, row->len);
	if (r < 0)
		mpr_fail(r, "what came are no values");
	else
		r = take_all(call->ret_many, n);
	if (r == 0)
		call->n_ret_many = n;
	mproc_any_clear(row);
	return r;
}
