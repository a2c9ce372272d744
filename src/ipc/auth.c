/* SPDX-License-Identifier: MIT */
/*
 * The four steps, in another order on each side. What is to be written is written
 * before the next message is read, so there is room for one message each way.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/macros.h"
#include "ipc/auth.h"
#include "ipc/digest.h"

#define CHALLENGE "#CHALLENGE#"
#define WELCOME "#WELCOME#"
#define FAILURE "#FAILURE#"
#define NAME_MD5 "{md5}"
#define NAME_SHA256 "{sha256}"
#define LEN(text) (sizeof(text) - 1)

/* Challenges without a name have this many bytes, and answers to them that many. */
#define OLD_CHALLENGE 20
#define OLD_ANSWER 16

static_assert(sizeof(((struct mpr_auth *)0)->challenge) >=
		      LEN(NAME_SHA256) + MPR_AUTH_RANDOM,
	      "a challenge has its place");

/* A challenge is sent as soon as its turn comes. */
enum step {
	JUDGE,	/* wait for the answer to ours, say what it is worth */
	ANSWER, /* wait for a challenge, answer it */
	HEAR,	/* wait for what that is worth */
	OVER,
};

static void
send_parts(struct mpr_auth *auth, const void *a, size_t a_len, const void *b,
	   size_t b_len)
{
	size_t at = mpr_wire_put(auth->out, a_len + b_len);

	memcpy(auth->out + at, a, a_len);
	memcpy(auth->out + at + a_len, b, b_len);
	auth->out_len = at + a_len + b_len;
	auth->out_at = 0;
}

static void
ask(struct mpr_auth *auth)
{
	send_parts(auth, CHALLENGE, LEN(CHALLENGE), auth->challenge,
		   auth->challenge_len);
	auth->step = JUDGE;
}

static void
go_on(struct mpr_auth *auth)
{
	switch (auth->step) {
	case JUDGE:
		auth->step = auth->listens ? ANSWER : OVER;
		break;
	case ANSWER:
		auth->step = HEAR;
		break;
	default:
		if (auth->listens)
			auth->step = OVER;
		else
			ask(auth);
	}
}

void
mpr_auth_begin(struct mpr_auth *auth, const void *key, size_t key_len,
	       bool listens, bool md5,
	       const unsigned char random[MPR_AUTH_RANDOM])
{
	*auth = (struct mpr_auth){
		.key = key,
		.key_len = key_len,
		.listens = listens,
		.md5 = md5,
		.step = ANSWER,
		.challenge_len = LEN(NAME_SHA256) + MPR_AUTH_RANDOM,
	};
	memcpy(auth->challenge, NAME_SHA256, LEN(NAME_SHA256));
	memcpy(auth->challenge + LEN(NAME_SHA256), random, MPR_AUTH_RANDOM);
	if (listens)
		ask(auth);
}

size_t
mpr_auth_to_write(const struct mpr_auth *auth, const unsigned char **ret)
{
	*ret = auth->out + auth->out_at;
	return auth->out_len - auth->out_at;
}

void
mpr_auth_wrote(struct mpr_auth *auth, size_t n)
{
	auth->out_at += n;
}

size_t
mpr_auth_to_read(const struct mpr_auth *auth)
{
	if (auth->result < 0 || auth->step == OVER ||
	    auth->out_at < auth->out_len)
		return 0;
	return auth->in_message ? (size_t)auth->in_len - auth->in_have :
				  mpr_wire_missing(&auth->head);
}

int
mpr_auth_result(const struct mpr_auth *auth)
{
	if (auth->result < 0)
		return auth->result;
	return auth->step == OVER && auth->out_at == auth->out_len;
}

static bool
begins_with(const unsigned char *text, size_t len, const char *what)
{
	return len >= strlen(what) && memcmp(text, what, strlen(what)) == 0;
}

bool
mpr_auth_is_challenge(const unsigned char *message, size_t len)
{
	return begins_with(message, len, CHALLENGE) &&
	       (len == LEN(CHALLENGE) + OLD_CHALLENGE ||
		(len == LEN(CHALLENGE) + LEN(NAME_SHA256) + MPR_AUTH_RANDOM &&
		 begins_with(message, len, CHALLENGE NAME_SHA256)));
}

/* Which digest a challenge or an answer names. Without a name it is one of old, by
 * its length. Returns how long the name is, or -EACCES. */
static int
read_name(const unsigned char *text, size_t len, size_t old,
	  enum mpr_digest *ret_digest)
{
	*ret_digest = MPR_MD5;
	if (len == old)
		return 0;
	if (begins_with(text, len, NAME_MD5))
		return (int)LEN(NAME_MD5);
	*ret_digest = MPR_SHA256;
	if (begins_with(text, len, NAME_SHA256))
		return (int)LEN(NAME_SHA256);
	return mpr_fail(-EACCES, "the other side has sent %zu bytes that are "
			"neither of md5 nor of sha256", len);
}

static int
check_allowed(const struct mpr_auth *auth, enum mpr_digest digest)
{
	if (digest != MPR_MD5 || auth->md5)
		return 0;
	return mpr_fail(-EACCES, "the other side speaks md5, as Python before "
			"3.12 does, which is not allowed here");
}

static int
check_answer(const struct mpr_auth *auth)
{
	unsigned char mac[MPR_DIGEST_MAX];
	size_t len = (size_t)auth->in_len;
	enum mpr_digest digest;
	int name, r;

	name = read_name(auth->in, len, OLD_ANSWER, &digest);
	if (name < 0)
		return name;
	r = check_allowed(auth, digest);
	if (r < 0)
		return r;
	mpr_digest_hmac(digest, auth->key, auth->key_len, auth->challenge,
			auth->challenge_len, mac);
	if (len - (size_t)name != mpr_digest_len(digest) ||
	    !mpr_digest_equal(mac, auth->in + name, len - (size_t)name))
		return mpr_fail(-EACCES, "the other side has another key");
	return 0;
}

static int
judge(struct mpr_auth *auth)
{
	int r = check_answer(auth);

	if (r < 0)
		send_parts(auth, FAILURE, LEN(FAILURE), "", 0);
	else
		send_parts(auth, WELCOME, LEN(WELCOME), "", 0);
	return r;
}

/* The HMAC is that of the whole challenge, name and all. */
static int
answer(struct mpr_auth *auth)
{
	const unsigned char *text = auth->in + LEN(CHALLENGE);
	size_t len = (size_t)auth->in_len;
	unsigned char mac[MPR_DIGEST_MAX];
	enum mpr_digest digest;
	int name, r;

	if (!begins_with(auth->in, len, CHALLENGE))
		return mpr_fail(-EACCES, "the other side asks for no key: it "
				"has sent %zu bytes that are no challenge", len);
	len -= LEN(CHALLENGE);
	if (len < OLD_CHALLENGE)
		return mpr_fail(-EACCES, "a challenge of %zu bytes only", len);
	name = read_name(text, len, OLD_CHALLENGE, &digest);
	if (name < 0)
		return name;
	r = check_allowed(auth, digest);
	if (r < 0)
		return r;
	mpr_digest_hmac(digest, auth->key, auth->key_len, text, len, mac);
	/* As it was named, or without a name. */
	send_parts(auth, text, (size_t)name, mac, mpr_digest_len(digest));
	return 0;
}

static int
hear(const struct mpr_auth *auth)
{
	if (auth->in_len == LEN(WELCOME) &&
	    begins_with(auth->in, LEN(WELCOME), WELCOME))
		return 0;
	return mpr_fail(-EACCES, "the other side says that our key is wrong");
}

static void
handle(struct mpr_auth *auth)
{
	int r;

	if (auth->step == JUDGE)
		r = judge(auth);
	else if (auth->step == ANSWER)
		r = answer(auth);
	else
		r = hear(auth);
	auth->head = (struct mpr_wire_head){ .have = 0 };
	auth->in_have = 0;
	auth->in_message = false;
	if (r < 0)
		auth->result = r;
	else
		go_on(auth);
}

/* A length. Returns 1 if it is complete. */
static int
read_head(struct mpr_auth *auth, const unsigned char *from, size_t n)
{
	int r = mpr_wire_feed(&auth->head, from, n, &auth->in_len);

	if (r < 0 || (r > 0 && auth->in_len > MPR_AUTH_MESSAGE))
		return mpr_fail(-EACCES, "the other side sends something else "
				"than a key, or asks for none");
	if (r > 0)
		auth->in_message = true;
	return r;
}

void
mpr_auth_read(struct mpr_auth *auth, const unsigned char *from, size_t n)
{
	int r = 0;

	if (!auth->in_message) {
		r = read_head(auth, from, n);
		/* An empty message is complete then. */
		n = 0;
	}
	if (r < 0) {
		auth->result = r;
		return;
	}
	memcpy(auth->in + auth->in_have, from, n);
	auth->in_have += n;
	if (auth->in_message && auth->in_have == auth->in_len)
		handle(auth);
}
