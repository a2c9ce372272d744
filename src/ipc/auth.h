/* SPDX-License-Identifier: MIT */
/*
 * The handshake of Python's multiprocessing.connection, in which two sides show each
 * other that they have the same key: a machine that is fed with bytes and says what is
 * to be written. It calls neither the kernel nor malloc, so it can be left for other
 * things at any point, and costs the same whatever the other side sends.
 *
 * Each side in turn sends a challenge, gets its HMAC, and says whether it was right.
 * The listening side asks first, so who does not know the key gets nothing that was
 * made with it. Our challenges are those of Python 3.12 and later, which name sha256;
 * earlier ones take the name for a part of the challenge and answer with md5, and
 * their own challenges have no name. That is accepted if md5 is.
 */
#ifndef MPR_IPC_AUTH_H
#define MPR_IPC_AUTH_H

#include <stdbool.h>
#include <stddef.h>

#include "ipc/wire.h"

#define MPR_AUTH_RANDOM 40  /* bytes of each challenge that nobody can guess */
#define MPR_AUTH_MESSAGE 256 /* bytes of the longest message; Python's limit too */

struct mpr_auth {
	const unsigned char *key; /* the user's */
	size_t key_len;
	bool listens;
	bool md5;
	unsigned step;
	int result;
	unsigned char challenge[64];
	size_t challenge_len;
	struct mpr_wire_head head;
	uint64_t in_len;
	size_t in_have;
	bool in_message; /* its length is known */
	unsigned char in[MPR_AUTH_MESSAGE];
	size_t out_len, out_at;
	unsigned char out[MPR_WIRE_SHORT + MPR_AUTH_MESSAGE];
};

/* Whether a message is what one is asked by at first, of either kind. */
bool mpr_auth_is_challenge(const unsigned char *message, size_t len);

/* @key stays where it is. @listens: this side has accepted the connection. @md5: it
 * is good enough. */
void mpr_auth_begin(struct mpr_auth *auth, const void *key, size_t key_len,
		    bool listens, bool md5,
		    const unsigned char random[MPR_AUTH_RANDOM]);

/* How many bytes are to be written, from *@ret on; and that @n of them are. */
size_t mpr_auth_to_write(const struct mpr_auth *auth, const unsigned char **ret);
void mpr_auth_wrote(struct mpr_auth *auth, size_t n);

/* How many bytes can be read that belong to the handshake for sure. */
size_t mpr_auth_to_read(const struct mpr_auth *auth);

/* @n bytes came, not more than that. */
void mpr_auth_read(struct mpr_auth *auth, const unsigned char *from, size_t n);

/* Returns 1 if each side knows that the other one has the key; 0 if there is more to
 * read or to write; -EACCES, with a text, if it is over. Then there may be something
 * to be written still, for the other side to know. */
int mpr_auth_result(const struct mpr_auth *auth);

#endif
