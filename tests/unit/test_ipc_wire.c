/* SPDX-License-Identifier: MIT */
/*
 * What stands before each message in a stream: as Python's struct.pack("!i") and
 * ("!iQ") have it, in as many pieces as it may come.
 */
#include <errno.h>

#include <mproc/core.h>

#include "common.h"
#include "ipc/wire.h"

static const struct {
	uint64_t len;
	unsigned n;
	unsigned char bytes[MPR_WIRE_LONG];
} heads[] = {
	{ 0, 4, { 0, 0, 0, 0 } },
	{ 1, 4, { 0, 0, 0, 1 } },
	{ 255, 4, { 0, 0, 0, 255 } },
	{ 0x01020304, 4, { 1, 2, 3, 4 } },
	{ 0x7fffffff, 4, { 0x7f, 0xff, 0xff, 0xff } },
	{ 0x80000000, 12, { 255, 255, 255, 255, 0, 0, 0, 0, 0x80, 0, 0, 0 } },
	{ 0x0102030405060708, 12,
	  { 255, 255, 255, 255, 1, 2, 3, 4, 5, 6, 7, 8 } },
	{ INT64_MAX, 12,
	  { 255, 255, 255, 255, 127, 255, 255, 255, 255, 255, 255, 255 } },
};

#define N (sizeof(heads) / sizeof(heads[0]))

static void
lengths_are_written_as_python_writes_them(void **state)
{
	unsigned char bytes[MPR_WIRE_LONG];

	(void)state;
	for (size_t i = 0; i < N; i++) {
		assert_int_equal(mpr_wire_put(bytes, heads[i].len), heads[i].n);
		assert_memory_equal(bytes, heads[i].bytes, heads[i].n);
	}
}

/* Feeds it in pieces of up to @piece bytes. */
static int
feed(const unsigned char *bytes, unsigned piece, uint64_t *ret_len,
     unsigned *ret_used)
{
	struct mpr_wire_head head = { .have = 0 };
	int r = 0;

	*ret_used = 0;
	while (r == 0) {
		unsigned n = mpr_wire_missing(&head);

		assert_true(n > 0);
		if (n > piece)
			n = piece;
		r = mpr_wire_feed(&head, bytes + *ret_used, n, ret_len);
		*ret_used += n;
	}
	return r;
}

static void
lengths_are_read_in_any_pieces(void **state)
{
	uint64_t len;
	unsigned used;

	(void)state;
	for (size_t i = 0; i < N; i++) {
		for (unsigned piece = 1; piece <= MPR_WIRE_LONG; piece++) {
			len = 99;
			assert_int_equal(feed(heads[i].bytes, piece, &len,
					      &used), 1);
			assert_true(len == heads[i].len);
			/* And no byte of the message itself. */
			assert_int_equal(used, heads[i].n);
		}
	}
}

static void
a_short_length_in_the_long_form_is_one_too(void **state)
{
	static const unsigned char bytes[] = { 255, 255, 255, 255, 0, 0, 0, 0,
					       0, 0, 0, 5 };
	uint64_t len = 0;
	unsigned used;

	(void)state;
	assert_int_equal(feed(bytes, 12, &len, &used), 1);
	assert_int_equal(len, 5);
}

static void
what_is_no_length_is_refused(void **state)
{
	static const unsigned char negative[] = { 255, 255, 255, 254 };
	static const unsigned char lowest[] = { 128, 0, 0, 0 };
	static const unsigned char large[] = { 255, 255, 255, 255, 128, 0, 0, 0,
					       0, 0, 0, 0 };
	uint64_t len = 7;
	unsigned used;

	(void)state;
	assert_int_equal(feed(negative, 4, &len, &used), -EBADMSG);
	assert_non_null(strstr(mproc_error_detail(), "-2 bytes"));
	assert_int_equal(feed(lowest, 1, &len, &used), -EBADMSG);
	assert_int_equal(feed(large, 12, &len, &used), -EBADMSG);
	assert_int_equal(used, 12);
	assert_int_equal(len, 7);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(lengths_are_written_as_python_writes_them),
		mpt_test(lengths_are_read_in_any_pieces),
		mpt_test(a_short_length_in_the_long_form_is_one_too),
		mpt_test(what_is_no_length_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
