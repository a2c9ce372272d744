/* SPDX-License-Identifier: MIT */
/*
 * Nettle is loaded with the first key. Its types are known from its headers, so the
 * library has to be of their version: the soname stands in src/meson.build.
 */
#include <assert.h>
#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <stdatomic.h>

#include "ipc/digest.h"
#include "os/generation.h"
#include "os/library.h"

typedef void set_md5_key(struct hmac_md5_ctx *, size_t, const uint8_t *);
typedef void update_md5(struct hmac_md5_ctx *, size_t, const uint8_t *);
typedef void digest_md5(struct hmac_md5_ctx *, size_t, uint8_t *);
typedef void set_sha256_key(struct hmac_sha256_ctx *, size_t, const uint8_t *);
typedef void update_sha256(struct hmac_sha256_ctx *, size_t, const uint8_t *);
typedef void digest_sha256(struct hmac_sha256_ctx *, size_t, uint8_t *);
typedef int compare(const void *, const void *, size_t);

enum {
	SET_MD5_KEY,
	UPDATE_MD5,
	DIGEST_MD5,
	SET_SHA256_KEY,
	UPDATE_SHA256,
	DIGEST_SHA256,
	COMPARE,
	FUNCTIONS
};

static const char *const names[FUNCTIONS] = {
	[SET_MD5_KEY] = "nettle_hmac_md5_set_key",
	[UPDATE_MD5] = "nettle_hmac_md5_update",
	[DIGEST_MD5] = "nettle_hmac_md5_digest",
	[SET_SHA256_KEY] = "nettle_hmac_sha256_set_key",
	[UPDATE_SHA256] = "nettle_hmac_sha256_update",
	[DIGEST_SHA256] = "nettle_hmac_sha256_digest",
	[COMPARE] = "nettle_memeql_sec",
};

static mpr_library_fn *functions[FUNCTIONS];
static _Atomic bool loaded;

/* The headers declare them so. */
#define IS(type, function)                                                    \
	static_assert(_Generic(&(function), type *: 1, default: 0),           \
		      "not the function that it was")

IS(set_md5_key, hmac_md5_set_key);
IS(update_md5, hmac_md5_update);
IS(digest_md5, hmac_md5_digest);
IS(set_sha256_key, hmac_sha256_set_key);
IS(update_sha256, hmac_sha256_update);
IS(digest_sha256, hmac_sha256_digest);
IS(compare, memeql_sec);

#define CALL(type, function) ((type *)functions[function])

int
mpr_digest_get_ready(void)
{
	int r = 0;

	/* Acquire: who sees that sees the functions. */
	if (atomic_load_explicit(&loaded, memory_order_acquire))
		return 0;
	mpr_process_lock();
	if (!atomic_load_explicit(&loaded, memory_order_relaxed))
		r = mpr_library_load(NETTLE_SONAME, names, FUNCTIONS, functions);
	if (r == 0)
		atomic_store_explicit(&loaded, true, memory_order_release);
	mpr_process_unlock();
	return r;
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
		CALL(set_md5_key, SET_MD5_KEY)(&ctx.md5, key_len, key);
		CALL(update_md5, UPDATE_MD5)(&ctx.md5, len, message);
		CALL(digest_md5, DIGEST_MD5)(&ctx.md5, MD5_DIGEST_SIZE, ret);
	} else {
		CALL(set_sha256_key, SET_SHA256_KEY)(&ctx.sha256, key_len, key);
		CALL(update_sha256, UPDATE_SHA256)(&ctx.sha256, len, message);
		CALL(digest_sha256, DIGEST_SHA256)(&ctx.sha256,
						   SHA256_DIGEST_SIZE, ret);
	}
}

bool
mpr_digest_equal(const void *a, const void *b, size_t len)
{
	return CALL(compare, COMPARE)(a, b, len) == 1;
}
