/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "ipc/wire.h"

static uint64_t
get_long(const unsigned char *from)
{
	return (uint64_t)mpr_wire_get_short(from) << 32 |
	       mpr_wire_get_short(from + 4);
}

/* As mpr_wire_get_short(). */
static void
put_short(unsigned char *to, uint32_t x)
{
	to[0] = (unsigned char)(x >> 24);
	to[1] = (unsigned char)(x >> 16);
	to[2] = (unsigned char)(x >> 8);
	to[3] = (unsigned char)x;
}

size_t
mpr_wire_put(unsigned char to[MPR_WIRE_LONG], uint64_t len)
{
	if (len <= MPR_WIRE_SHORT_MAX) {
		put_short(to, (uint32_t)len);
		return MPR_WIRE_SHORT;
	}
	put_short(to, MPR_WIRE_FOLLOWS);
	put_short(to + MPR_WIRE_SHORT, (uint32_t)(len >> 32));
	put_short(to + MPR_WIRE_SHORT + 4, (uint32_t)len);
	return MPR_WIRE_LONG;
}

static int
get_length(const struct mpr_wire_head *head, uint64_t *ret_len)
{
	uint64_t len = mpr_wire_get_short(head->bytes);

	if (len == MPR_WIRE_FOLLOWS)
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
mpr_wire_feed_piece(struct mpr_wire_head *head, const unsigned char *from, size_t n,
		    uint64_t *ret_len)
{
	memcpy(head->bytes + head->have, from, n);
	head->have += (unsigned)n;
	return mpr_wire_missing(head) ? 0 : get_length(head, ret_len);
}
