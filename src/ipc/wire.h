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

#define MPR_WIRE_SHORT 4	    /* bytes before most messages */
#define MPR_WIRE_LONG 12	    /* and before one of 2 GiB or more */
#define MPR_WIRE_SHORT_MAX 0x7fffffffu

/* A descriptor lies between messages beside one byte, which says how many there are,
 * as that of Python's multiprocessing.reduction.send_handle(). */
#define MPR_WIRE_FD 1

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
unsigned mpr_wire_missing(const struct mpr_wire_head *head);

/* @n more bytes of it, not more than are missing. Returns 1 if that was the last one
 * and @ret_len is set; 0 if some are still missing; -EBADMSG if it is no length. */
int mpr_wire_feed(struct mpr_wire_head *head, const unsigned char *from, size_t n,
		  uint64_t *ret_len);

#endif
