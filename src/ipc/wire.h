/* SPDX-License-Identifier: MIT */
/*
 * How messages lie in a stream of bytes: that of Python's
 * multiprocessing.connection. Before each message stands its length, 4 bytes with
 * the highest first, signed; -1 says that 8 bytes follow with a length that does not
 * fit. Nothing here calls the kernel or allocates, whatever the bytes say.
 */
#ifndef MPR_IPC_WIRE_H
#define MPR_IPC_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/macros.h"

#define MPR_WIRE_SHORT 4	    /* bytes before most messages */
#define MPR_WIRE_LONG 12	    /* and before one of 2 GiB or more */
#define MPR_WIRE_SHORT_MAX 0x7fffffffu
#define MPR_WIRE_FOLLOWS UINT32_MAX /* -1 as it is sent */

/* A descriptor lies between messages beside one byte, which says how many there are,
 * as that of Python's multiprocessing.reduction.send_handle(). */
#define MPR_WIRE_FD 1

/* Written out, as compilers make one load of it, and of a loop none. */
static inline uint32_t
mpr_wire_get_short(const unsigned char *from)
{
	return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 |
	       (uint32_t)from[2] << 8 | (uint32_t)from[3];
}

/* How many bytes stand before a message of @len. */
static inline size_t
mpr_wire_size(uint64_t len)
{
	return len <= MPR_WIRE_SHORT_MAX ? MPR_WIRE_SHORT : MPR_WIRE_LONG;
}

/* Writes what stands before a message of @len bytes. Returns how many bytes of @to
 * that took. */
size_t mpr_wire_put(unsigned char to[MPR_WIRE_LONG], uint64_t len);

/* Reads what stands before a message, in as many pieces as it comes. Zero bytes: no
 * piece of it has come yet. */
struct mpr_wire_head {
	unsigned char bytes[MPR_WIRE_LONG];
	unsigned have;
};

/* How many bytes are missing for sure: none belongs to what follows. */
static inline unsigned
mpr_wire_missing(const struct mpr_wire_head *head)
{
	if (mpr_likely(head->have < MPR_WIRE_SHORT))
		return MPR_WIRE_SHORT - head->have;
	return mpr_wire_get_short(head->bytes) == MPR_WIRE_FOLLOWS ?
		       MPR_WIRE_LONG - head->have : 0;
}

/* As mpr_wire_feed(), for what is less frequent. */
int mpr_wire_feed_piece(struct mpr_wire_head *head, const unsigned char *from,
			size_t n, uint64_t *ret_len);

/* @n more bytes of it, not more than are missing. Returns 1 if that was the last one
 * and @ret_len is set; 0 if some are still missing; -EBADMSG if it is no length. */
static inline int
mpr_wire_feed(struct mpr_wire_head *head, const unsigned char *from, size_t n,
	      uint64_t *ret_len)
{
	uint32_t len;

	if (mpr_unlikely(n != MPR_WIRE_SHORT || head->have))
		return mpr_wire_feed_piece(head, from, n, ret_len);
	len = mpr_wire_get_short(from);
	if (mpr_unlikely(len > MPR_WIRE_SHORT_MAX))
		return mpr_wire_feed_piece(head, from, n, ret_len);
	memcpy(head->bytes, from, MPR_WIRE_SHORT);
	head->have = MPR_WIRE_SHORT;
	*ret_len = len;
	return 1;
}

#endif
