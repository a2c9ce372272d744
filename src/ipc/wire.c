/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "ipc/wire.h"

#define FOLLOWS UINT32_MAX /* -1 as it is sent */

static void
put_number(unsigned char *to, uint64_t x, unsigned bytes)
{
	for (unsigned i = bytes; i-- > 0; x >>= 8)
		to[i] = (unsigned char)(x & 0xff);
}

static uint64_t
get_number(const unsigned char *from, unsigned bytes)
{
	uint64_t x = 0;

	for (unsigned i = 0; i < bytes; i++)
		x = x << 8 | from[i];
	return x;
}

size_t
mpr_wire_put(unsigned char to[MPR_WIRE_LONG], uint64_t len)
{
	if (len <= MPR_WIRE_SHORT_MAX) {
		put_number(to, len, MPR_WIRE_SHORT);
		return MPR_WIRE_SHORT;
	}
	put_number(to, FOLLOWS, MPR_WIRE_SHORT);
	put_number(to + MPR_WIRE_SHORT, len, MPR_WIRE_LONG - MPR_WIRE_SHORT);
	return MPR_WIRE_LONG;
}

unsigned
mpr_wire_missing(const struct mpr_wire_head *head)
{
	if (head->have < MPR_WIRE_SHORT)
		return MPR_WIRE_SHORT - head->have;
	return get_number(head->bytes, MPR_WIRE_SHORT) == FOLLOWS ?
		       MPR_WIRE_LONG - head->have : 0;
}

static int
get_length(const struct mpr_wire_head *head, uint64_t *ret_len)
{
	uint64_t len = get_number(head->bytes, MPR_WIRE_SHORT);

	if (len == FOLLOWS)
		len = get_number(head->bytes + MPR_WIRE_SHORT,
				 MPR_WIRE_LONG - MPR_WIRE_SHORT);
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
	memcpy(head->bytes + head->have, from, n);
	head->have += (unsigned)n;
	return mpr_wire_missing(head) ? 0 : get_length(head, ret_len);
}
