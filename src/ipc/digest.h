/* SPDX-License-Identifier: MIT */
/*
 * Message authentication codes, from a library that is made for that, and a
 * comparison whose time says nothing. digest_nettle.c, or digest_none.c where there is
 * no such library: then nothing here is called but the first.
 */
#ifndef MPR_IPC_DIGEST_H
#define MPR_IPC_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

enum mpr_digest {
	MPR_MD5,
	MPR_SHA256,
};

#define MPR_DIGEST_MAX 32 /* bytes */

/* Before the others. Returns 0, or -ENOTSUP with a text. */
int mpr_digest_get_ready(void);

/* How many bytes it has. */
size_t mpr_digest_len(enum mpr_digest digest);

/* The HMAC of @message under @key. */
void mpr_digest_hmac(enum mpr_digest digest, const void *key, size_t key_len,
		     const void *message, size_t len,
		     unsigned char ret[MPR_DIGEST_MAX]);

bool mpr_digest_equal(const void *a, const void *b, size_t len);

#endif
