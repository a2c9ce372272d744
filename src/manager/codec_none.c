/* SPDX-License-Identifier: MIT */
/*
 * Where the library was built without MessagePack: nobody gets past the first check.
 */
#include <errno.h>

#include "base/error.h"
#include "manager/codec.h"

int
mpr_codec_check(void)
{
	return mpr_fail(-ENOTSUP, "the library was built without managers, which "
			"take MessagePack");
}

int
mpr_codec_read(struct mpr_message *ret, const unsigned char *bytes, size_t len)
{
	(void)bytes;
	(void)len;
	ret->n = 0;
	return -EBADMSG;
}

int
mpr_codec_write(struct mpr_buffer *to, const struct mproc_any *values, unsigned n,
		size_t limit)
{
	(void)to;
	(void)values;
	(void)n;
	(void)limit;
	return -EINVAL;
}
