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

int
mpr_codec_count(const unsigned char *bytes, size_t len, size_t *ret_n)
{
	(void)bytes;
	(void)len;
	*ret_n = 0;
	return -EBADMSG;
}

int
mpr_codec_unpack(struct mproc_any *ret, size_t n, const unsigned char *bytes,
		 size_t len)
{
	(void)ret;
	(void)n;
	(void)bytes;
	(void)len;
	return -EBADMSG;
}

int
mpr_codec_pack(struct mpr_buffer *to, const struct mproc_any *values, size_t n,
	       size_t limit)
{
	(void)to;
	(void)values;
	(void)n;
	(void)limit;
	return -EINVAL;
}
