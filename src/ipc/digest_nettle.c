/* SPDX-License-Identifier: MIT */
#include <nettle/hmac.h>
#include <nettle/memops.h>

#include "ipc/digest.h"

bool
mpr_digest_is_there(void)
{
	return true;
}

size_t
mpr_digest_len(enum mpr_digest digest)
{
	return digest == MPR_MD5 ? MD5_DIGEST_SIZE : SHA256_DIGEST_SIZE;
}

void
mpr_digest_hmac(enum mpr_digest digest, const void *key, size_t key_len,
		const void *message, size_t len,
		unsigned char ret[MPR_DIGEST_MAX])
{
	union {
		struct hmac_md5_ctx md5;
		struct hmac_sha256_ctx sha256;
	} ctx;

	if (digest == MPR_MD5) {
		hmac_md5_set_key(&ctx.md5, key_len, key);
		hmac_md5_update(&ctx.md5, len, message);
		hmac_md5_digest(&ctx.md5, MD5_DIGEST_SIZE, ret);
	} else {
		hmac_sha256_set_key(&ctx.sha256, key_len, key);
		hmac_sha256_update(&ctx.sha256, len, message);
		hmac_sha256_digest(&ctx.sha256, SHA256_DIGEST_SIZE, ret);
	}
}

bool
mpr_digest_equal(const void *a, const void *b, size_t len)
{
	return memeql_sec(a, b, len) == 1;
}
