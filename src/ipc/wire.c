/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/macros.h"
#include "ipc/wire.h"

#define FOLLOWS UINT32_MAX /* -1 as it is sent */

/* Written out, as compilers make one load or store of these, and of a loop none. */

static void
put_short(unsigned char *to, uint32_t x)
{
	to[0] = (unsigned char)(x >> 24);
	to[1] = (unsigned char)(x >> 16);
	to[2] = (unsigned char)(x >> 8);
	to[3] = (unsigned char)x;
}

static uint32_t
get_short(const unsigned char *from)
{
	return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 |
	       (uint32_t)from[2] << 8 | (uint32_t)from[3];
}

static uint64_t
get_long(const unsigned char *from)
{
	return (uint64_t)get_short(from) << 32 | get_short(from + 4);
}

size_t
mpr_wire_put(unsigned char to[MPR_WIRE_LONG], uint64_t len)
{
	if (len <= MPR_WIRE_SHORT_MAX) {
		put_short(to, (uint32_t)len);
		return MPR_WIRE_SHORT;
	}
	put_short(to, FOLLOWS);
	put_short(to + MPR_WIRE_SHORT, (uint32_t)(len >> 32));
	put_short(to + MPR_WIRE_SHORT + 4, (uint32_t)len);
	return MPR_WIRE_LONG;
}

unsigned
mpr_wire_missing(const struct mpr_wire_head *head)
{
	if (head->have < MPR_WIRE_SHORT)
		return MPR_WIRE_SHORT - head->have;
	return get_short(head->bytes) == FOLLOWS ?
		       MPR_WIRE_LONG - head->have : 0;
}

static int
get_length(const struct mpr_wire_head *head, uint64_t *ret_len)
{
	uint64_t len = get_short(head->bytes);

	if (len == FOLLOWS)
		len = get_long(head->bytes + MPR_WIRE_SHORT);
	else if (len > MPR_WIRE_SHORT_MAX)
		return mpr_fail(-EBADMSG, "a message of %ld bytes",
				(long)(int32_t)(uint32_t)len);
	if (len > INT64_MAX)
		return mpr_fail(-EBADMSG, "a message of %llu bytes",
				(unsigned long long)len);
	*ret_len = len;
	return 1;
}

int
mpr_wire_feed(struct mpr_wire_head *head, const unsigned char *from, size_t n,
	      uint64_t *ret_len)
{
	/* The frequent case, which is one load and one store. */
	if (mpr_likely(n == MPR_WIRE_SHORT && !head->have))
		memcpy(head->bytes, from, MPR_WIRE_SHORT);
	else
		memcpy(head->bytes + head->have, from, n);
	head->have += (unsigned)n;
	return mpr_wire_missing(head) ? 0 : get_length(head, ret_len);
}
