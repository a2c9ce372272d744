/* SPDX-License-Identifier: MIT */
/*
 * Without a library for it there is no authentication: keys are refused before
 * anything here is called. If it were, nothing would be equal.
 */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "ipc/digest.h"

int
mpr_digest_get_ready(void)
{
	return mpr_fail(-ENOTSUP, "this libmproc was built without keys: its option "
			"auth takes nettle");
}

size_t
mpr_digest_len(enum mpr_digest digest)
{
	(void)digest;
	return MPR_DIGEST_MAX;
}

void
mpr_digest_hmac(enum mpr_digest digest, const void *key, size_t key_len,
		const void *message, size_t len,
		unsigned char ret[MPR_DIGEST_MAX])
{
	(void)digest;
	(void)key;
	(void)key_len;
	(void)message;
	(void)len;
	memset(ret, 0, MPR_DIGEST_MAX);
}

bool
mpr_digest_equal(const void *a, const void *b, size_t len)
{
	(void)a;
	(void)b;
	(void)len;
	return false;
}
