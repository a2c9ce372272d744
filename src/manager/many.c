/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "manager/codec.h"
#include "manager/many.h"

int
mpr_many_allocate(struct mpr_many *many, size_t n,
		  const struct mpr_serve_limits *limits)
{
	many->n = n;
	many->values = n < limits->memory / sizeof(*many->values) ?
			       mpr_malloc((n + 1) * sizeof(*many->values)) : NULL;
	return many->values ? 0 : mpr_fail(-ENOMEM, "the manager has no memory for "
					   "%zu values", n);
}

int
mpr_many_read(struct mpr_many *many, const struct mproc_any *row,
	      const struct mpr_serve_limits *limits)
{
	size_t n;
	int r = row->kind == MPROC_BYTES ?
			mpr_codec_count(row->ptr, row->len, &n) : -EBADMSG;

	many->values = NULL;
	if (r < 0)
		return mpr_fail(-EINVAL, "a row of values is wanted");
	r = mpr_many_allocate(many, n, limits);
	if (r == 0 && mpr_codec_unpack(many->values, n, row->ptr, row->len) < 0)
		r = mpr_fail(-EINVAL, "a row of values is none");
	return r;
}
