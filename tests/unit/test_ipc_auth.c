/* SPDX-License-Identifier: MIT */
/*
 * The handshake as a machine: with another of its kind, with one that speaks as
 * Python before 3.12 does, and with what sends anything else. With Python itself:
 * api/listener_python.
 */
#include <errno.h>
#include <stdio.h>

#include <mproc/core.h>

#include "base/fault.h"
#include "common.h"
#include "ipc/auth.h"
#include "ipc/digest.h"
#include "os/library.h"

#define KEY "correct horse"

static const unsigned char random_a[MPR_AUTH_RANDOM] =
	"one that nobody can guess, of 40 bytes.";
static const unsigned char random_b[MPR_AUTH_RANDOM] =
	"another one, and as long as the first..";

static void
hmacs_are_those_of_the_rfcs(void **state)
{
	/* RFC 2202, case 2, and RFC 4231, case 2. */
	static const char text[] = "what do ya want for nothing?";
	static const unsigned char md5[] = {
		0x75, 0x0c, 0x78, 0x3e, 0x6a, 0xb0, 0xb5, 0x03,
		0xea, 0xa8, 0x6e, 0x31, 0x0a, 0x5d, 0xb7, 0x38,
	};
	static const unsigned char sha256[] = {
		0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e,
		0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7,
		0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83,
		0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43,
	};
	unsigned char mac[MPR_DIGEST_MAX];

	(void)state;
	mpr_digest_hmac(MPR_MD5, "Jefe", 4, text, sizeof(text) - 1, mac);
	assert_int_equal(mpr_digest_len(MPR_MD5), sizeof(md5));
	assert_memory_equal(mac, md5, sizeof(md5));
	assert_true(mpr_digest_equal(mac, md5, sizeof(md5)));
	mac[15] ^= 1;
	assert_false(mpr_digest_equal(mac, md5, sizeof(md5)));
	mpr_digest_hmac(MPR_SHA256, "Jefe", 4, text, sizeof(text) - 1, mac);
	assert_int_equal(mpr_digest_len(MPR_SHA256), sizeof(sha256));
	assert_memory_equal(mac, sha256, sizeof(sha256));
}

/* Moves up to @piece bytes. Returns how many. */
static size_t
move(struct mpr_auth *from, struct mpr_auth *to, size_t piece)
{
	const unsigned char *bytes;
	size_t n = mpr_auth_to_write(from, &bytes);
	size_t wanted = mpr_auth_to_read(to);

	if (n > wanted)
		n = wanted;
	if (n > piece)
		n = piece;
	if (n) {
		mpr_auth_read(to, bytes, n);
		mpr_auth_wrote(from, n);
	}
	return n;
}

/* What was said as the last thing is read, too. */
static void
run(struct mpr_auth *a, struct mpr_auth *b, size_t piece)
{
	while (move(a, b, piece) + move(b, a, piece))
		;
}

static void
begin(struct mpr_auth *a, const char *key_a, struct mpr_auth *b,
      const char *key_b, bool md5)
{
	mpr_auth_begin(a, key_a, strlen(key_a), true, md5, random_a);
	mpr_auth_begin(b, key_b, strlen(key_b), false, md5, random_b);
}

static void
who_has_the_same_key_gets_through_in_any_pieces(void **state)
{
	struct mpr_auth a, b;

	(void)state;
	for (size_t piece = 1; piece < 80; piece++) {
		begin(&a, KEY, &b, KEY, piece & 1);
		assert_int_equal(mpr_auth_result(&a), 0);
		run(&a, &b, piece);
		assert_int_equal(mpr_auth_result(&a), 1);
		assert_int_equal(mpr_auth_result(&b), 1);
		/* Nothing that comes later belongs to it. */
		assert_int_equal(mpr_auth_to_read(&a), 0);
		assert_int_equal(mpr_auth_to_read(&b), 0);
	}
}

static void
who_has_another_key_is_told_and_does_not(void **state)
{
	static const char *const keys[] = { "", "correct horsf", "correct hors",
					    "correct horse " };
	struct mpr_auth a, b;

	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		begin(&a, KEY, &b, keys[i], false);
		run(&a, &b, 7);
		assert_int_equal(mpr_auth_result(&b), -EACCES);
		assert_non_null(strstr(mproc_error_detail(), "our key"));
		assert_int_equal(mpr_auth_result(&a), -EACCES);
		assert_int_equal(mpr_auth_to_read(&a), 0);
	}
}

static struct {
	unsigned char bytes[MPR_WIRE_LONG + MPR_AUTH_MESSAGE];
	size_t len;
} said; /* the last message that the machine sent, without its length */

/* The next message of the machine. */
static void
hear(struct mpr_auth *auth)
{
	const unsigned char *bytes;

	said.len = mpr_auth_to_write(auth, &bytes);
	assert_true(said.len >= MPR_WIRE_SHORT);
	said.len -= MPR_WIRE_SHORT;
	assert_int_equal(bytes[3], said.len);
	memcpy(said.bytes, bytes + MPR_WIRE_SHORT, said.len);
	mpr_auth_wrote(auth, said.len + MPR_WIRE_SHORT);
}

static bool
heard(const char *text)
{
	return said.len == strlen(text) && memcmp(said.bytes, text, said.len) == 0;
}

/* Sends it one, as far as it wants it. */
static void
say(struct mpr_auth *auth, const void *text, size_t len)
{
	unsigned char bytes[MPR_WIRE_LONG + 2 * MPR_AUTH_MESSAGE];
	size_t at = 0, n = mpr_wire_put(bytes, len);

	memcpy(bytes + n, text, len);
	n += len;
	while (at < n && mpr_auth_to_read(auth)) {
		size_t wanted = mpr_auth_to_read(auth);

		assert_true(wanted <= n - at);
		mpr_auth_read(auth, bytes + at, wanted);
		at += wanted;
	}
}

/* As Python before 3.12: the HMAC of all that follows "#CHALLENGE#", by md5. */
static void
answer_as_of_old(struct mpr_auth *auth)
{
	unsigned char mac[MPR_DIGEST_MAX];

	hear(auth);
	assert_memory_equal(said.bytes, "#CHALLENGE#", 11);
	mpr_digest_hmac(MPR_MD5, KEY, strlen(KEY), said.bytes + 11,
			said.len - 11, mac);
	say(auth, mac, 16);
	if (mpr_auth_result(auth) == 0)
		hear(auth);
}

static void
ask_as_of_old(struct mpr_auth *auth)
{
	static const char text[] = "#CHALLENGE#twenty bytes, chosen";
	unsigned char mac[MPR_DIGEST_MAX];

	say(auth, text, 31);
	if (mpr_auth_result(auth) < 0)
		return;
	hear(auth);
	mpr_digest_hmac(MPR_MD5, KEY, strlen(KEY), text + 11, 20, mac);
	assert_int_equal(said.len, 16);
	assert_memory_equal(said.bytes, mac, 16);
	say(auth, "#WELCOME#", 9);
}

static void
who_speaks_md5_gets_through_if_that_is_allowed(void **state)
{
	struct mpr_auth auth;

	(void)state;
	mpr_auth_begin(&auth, KEY, strlen(KEY), true, true, random_a);
	answer_as_of_old(&auth);
	assert_true(heard("#WELCOME#"));
	ask_as_of_old(&auth);
	assert_int_equal(mpr_auth_result(&auth), 1);

	mpr_auth_begin(&auth, KEY, strlen(KEY), false, true, random_a);
	ask_as_of_old(&auth);
	answer_as_of_old(&auth);
	assert_true(heard("#WELCOME#"));
	assert_int_equal(mpr_auth_result(&auth), 1);
}

static void
who_speaks_md5_is_refused_otherwise(void **state)
{
	const unsigned char *bytes;
	struct mpr_auth auth;

	(void)state;
	mpr_auth_begin(&auth, KEY, strlen(KEY), true, false, random_a);
	answer_as_of_old(&auth);
	assert_int_equal(mpr_auth_result(&auth), -EACCES);
	assert_non_null(strstr(mproc_error_detail(), "md5"));
	hear(&auth);
	assert_true(heard("#FAILURE#"));

	mpr_auth_begin(&auth, KEY, strlen(KEY), false, false, random_a);
	ask_as_of_old(&auth);
	assert_int_equal(mpr_auth_result(&auth), -EACCES);
	assert_non_null(strstr(mproc_error_detail(), "md5"));
	/* And nothing was made with the key. */
	assert_int_equal(mpr_auth_to_write(&auth, &bytes), 0);
}

static void
the_name_of_a_digest_counts(void **state)
{
	unsigned char text[80];
	struct mpr_auth auth;

	(void)state;
	for (int md5 = 0; md5 < 2; md5++) {
		mpr_auth_begin(&auth, KEY, strlen(KEY), true, md5, random_a);
		hear(&auth);
		memcpy(text, "{md5}", 5);
		mpr_digest_hmac(MPR_MD5, KEY, strlen(KEY), said.bytes + 11,
				said.len - 11, text + 5);
		say(&auth, text, 21);
		assert_int_equal(mpr_auth_result(&auth), md5 ? 0 : -EACCES);
		hear(&auth);
		assert_true(heard(md5 ? "#WELCOME#" : "#FAILURE#"));
	}
	/* What an answer has behind it, or lacks, makes it another one. */
	for (size_t len = 39; len <= 41; len++) {
		mpr_auth_begin(&auth, KEY, strlen(KEY), true, true, random_a);
		hear(&auth);
		memcpy(text, "{sha256}", 8);
		mpr_digest_hmac(MPR_SHA256, KEY, strlen(KEY), said.bytes + 11,
				said.len - 11, text + 8);
		text[40] = 0;
		say(&auth, text, len);
		assert_int_equal(mpr_auth_result(&auth),
				 len == 40 ? 0 : -EACCES);
	}
	mpr_auth_begin(&auth, KEY, strlen(KEY), false, true, random_a);
	say(&auth, "#CHALLENGE#{sha999}0123456789012345678901234567890123456789",
	    59);
	assert_int_equal(mpr_auth_result(&auth), -EACCES);
	assert_non_null(strstr(mproc_error_detail(), "48 bytes"));
}

/* Anything else, in each place: over, and in the end no key was shown. */
static void
what_is_no_handshake_ends_it(void **state)
{
	static const struct {
		const char *text;
		size_t len;
	} wrong[] = {
		{ "", 0 },
		{ "hello", 5 },
		{ "#WELCOME#", 9 },
		{ "#CHALLENGE#", 11 },
		{ "#CHALLENGE#nineteen bytes only.", 30 },
		{ "{sha256}", 8 },
		{ "{md5}", 5 },
		{ "0123456789abcdef", 16 },
	};
	static const unsigned char negative[] = { 255, 255, 255, 0 };
	static const unsigned char large[] = { 0, 0, 1, 1 };
	static const unsigned char long_form[] = { 255, 255, 255, 255, 255, 0 };
	struct mpr_auth auth;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		for (int listens = 0; listens < 2; listens++) {
			mpr_auth_begin(&auth, KEY, strlen(KEY), listens, true,
				       random_a);
			if (listens)
				hear(&auth);
			say(&auth, wrong[i].text, wrong[i].len);
			assert_int_equal(mpr_auth_result(&auth), -EACCES);
			assert_int_equal(mpr_auth_to_read(&auth), 0);
		}
	}
	for (int kind = 0; kind < 3; kind++) {
		mpr_auth_begin(&auth, KEY, strlen(KEY), false, true, random_a);
		mpr_auth_read(&auth, kind == 0 ? negative :
				     kind == 1 ? large : long_form, 4);
		if (kind == 2) {
			assert_int_equal(mpr_auth_to_read(&auth), 8);
			mpr_auth_read(&auth, (const unsigned char *)"\0\0\0\0\0\0\1\1", 8);
		}
		assert_int_equal(mpr_auth_result(&auth), -EACCES);
	}
	/* Its own challenge, sent back to it. */
	mpr_auth_begin(&auth, KEY, strlen(KEY), true, true, random_a);
	hear(&auth);
	say(&auth, said.bytes, said.len);
	assert_int_equal(mpr_auth_result(&auth), -EACCES);
}

static void
what_is_not_welcome_is_refused(void **state)
{
	static const char *const texts[] = { "#FAILURE#", "#WELCOME", "#WELCOME#!",
					     "" };
	unsigned char text[59] = "#CHALLENGE#{sha256}";
	struct mpr_auth auth;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		mpr_auth_begin(&auth, KEY, strlen(KEY), false, true, random_a);
		say(&auth, text, sizeof(text));
		hear(&auth);
		assert_int_equal(said.len, 40);
		say(&auth, texts[i], strlen(texts[i]));
		assert_int_equal(mpr_auth_result(&auth), -EACCES);
	}
}

static int
get_ready(void **state)
{
	(void)state;
	return mpr_digest_get_ready();
}

/* A library that is not there is an error each time, until it is. */
static int
load_later(struct mpt *t, void *arg)
{
	mpr_library_fn *fn;

	(void)arg;
	mpr_fault_set("open:1");
	mpt_check_int(t, mpr_library_load("libc.so.6", (const char *[]){ "abs" },
					  1, &fn), -ENOTSUP);
	mpt_check(t, strstr(mproc_error_detail(), "libc.so.6"));
	mpt_check_int(t, mpr_library_load("libc.so.6", (const char *[]){ "abs" },
					  1, &fn), 0);
	mpr_fault_set(NULL);
	mpt_check_int(t, ((int (*)(int))fn)(-3), 3);
	mpt_check_int(t, mpr_library_load("libc.so.6",
		(const char *[]){ "there_is_no_such_function" }, 1, &fn),
		-ENOTSUP);
	mpt_check(t, strstr(mproc_error_detail(), "there_is_no_such"));
	mpt_check_int(t, mpr_library_load("libnothing.so.9", NULL, 0, NULL),
		      -ENOTSUP);
	return 0;
}

static void
libraries_are_loaded_when_they_are_needed(void **state)
{
	mpt_expect_exit(*state, mpt_fork(*state, "loader", load_later, NULL), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(libraries_are_loaded_when_they_are_needed),
		mpt_test(hmacs_are_those_of_the_rfcs),
		mpt_test(who_has_the_same_key_gets_through_in_any_pieces),
		mpt_test(who_has_another_key_is_told_and_does_not),
		mpt_test(who_speaks_md5_gets_through_if_that_is_allowed),
		mpt_test(who_speaks_md5_is_refused_otherwise),
		mpt_test(the_name_of_a_digest_counts),
		mpt_test(what_is_no_handshake_ends_it),
		mpt_test(what_is_not_welcome_is_refused),
	};

	return cmocka_run_group_tests(tests, get_ready, NULL);
}
