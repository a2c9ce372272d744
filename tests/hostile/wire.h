/* SPDX-License-Identifier: MIT */
/*
 * Bytes from a stranger, given to what reads them first: the handshake, on either
 * side, and what stands before messages. The first byte says how, the others come in
 * pieces of any size. Used by test_wire.c and, with libFuzzer, by fuzz_wire.c.
 */
#ifndef HOSTILE_WIRE_H
#define HOSTILE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "ipc/auth.h"
#include "ipc/digest.h"
#include "ipc/wire.h"

#define WIRE_KEY "a key that nobody can know"

enum {
	WIRE_LISTENS = 1,
	WIRE_MD5 = 2,
	WIRE_MESSAGES = 4,
	WIRE_PIECE = 3, /* bits from here on: the size of pieces, less one */
};

/* Whether it was let in, or something does not hold. */
static inline bool
wire_handshake(unsigned how, const uint8_t *bytes, size_t n)
{
	static const unsigned char random[MPR_AUTH_RANDOM] = "not known to them";
	unsigned char copy[MPR_AUTH_MESSAGE];
	const unsigned char *out;
	struct mpr_auth auth;
	size_t piece = (how >> WIRE_PIECE) + 1, wanted, steps = 0;

	mpr_auth_begin(&auth, WIRE_KEY, strlen(WIRE_KEY), how & WIRE_LISTENS,
		       how & WIRE_MD5, random);
	for (;;) {
		size_t written = mpr_auth_to_write(&auth, &out);

		if (written > sizeof(auth.out))
			return true;
		mpr_auth_wrote(&auth, written);
		wanted = mpr_auth_to_read(&auth);
		if (wanted > MPR_AUTH_MESSAGE)
			return true;
		if (wanted > piece)
			wanted = piece;
		if (wanted > n)
			wanted = n;
		if (!wanted)
			break;
		/* What lies behind it is not to be read. */
		memcpy(copy, bytes, wanted);
		mpr_auth_read(&auth, copy, wanted);
		bytes += wanted;
		n -= wanted;
		if (++steps > 4 * (MPR_WIRE_LONG + MPR_AUTH_MESSAGE))
			return true;
	}
	return mpr_auth_result(&auth) > 0;
}

static inline bool
wire_messages(unsigned how, const uint8_t *bytes, size_t n)
{
	size_t piece = (how >> WIRE_PIECE) + 1;
	struct mpr_wire_head head = { .have = 0 };
	uint64_t len;
	int r;

	while (n) {
		size_t wanted = mpr_wire_missing(&head);

		if (!wanted || wanted > MPR_WIRE_LONG)
			return true;
		if (wanted > piece)
			wanted = piece;
		if (wanted > n)
			wanted = n;
		r = mpr_wire_feed(&head, bytes, wanted, &len);
		bytes += wanted;
		n -= wanted;
		if (r < 0)
			return false;
		if (r == 0)
			continue;
		if (len > INT64_MAX)
			return true;
		/* The message itself. */
		bytes += len < n ? len : n;
		n -= len < n ? (size_t)len : n;
		head = (struct mpr_wire_head){ .have = 0 };
	}
	return false;
}

/* Returns whether something happened that must not. */
static inline bool
wire_one_input(const uint8_t *bytes, size_t n)
{
	if (mpr_digest_get_ready() < 0)
		return true;
	if (n == 0)
		return false;
	return bytes[0] & WIRE_MESSAGES ?
		       wire_messages(bytes[0], bytes + 1, n - 1) :
		       wire_handshake(bytes[0], bytes + 1, n - 1);
}

#endif
