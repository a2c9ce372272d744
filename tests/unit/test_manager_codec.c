/* SPDX-License-Identifier: MIT */
/*
 * Messages of managers: what is written is read, and nothing else.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "manager/codec.h"
#include "mpt.h"

#define LIMIT 100000

static void
expect_same(const struct mproc_any *a, const struct mproc_any *b)
{
	assert_int_equal(a->kind, b->kind);
	if (a->kind == MPROC_STR || a->kind == MPROC_BYTES) {
		assert_int_equal(a->len, b->len);
		if (a->len)
			assert_memory_equal(a->ptr, b->ptr, a->len);
	} else if (a->kind == MPROC_BOOL) {
		assert_int_equal(a->b, b->b);
	} else if (a->kind == MPROC_INT || a->kind == MPROC_FLOAT) {
		assert_int_equal(a->i64, b->i64);
	}
}

/* There and back, alone and after another one. */
static void
expect_whole(const struct mproc_any *values, unsigned n)
{
	struct mpr_buffer b = { .bytes = NULL };
	struct mpr_message m;
	struct mpr_frame f;

	for (int i = 0; i < 2; i++)
		assert_int_equal(mpr_codec_write(&b, values, n, LIMIT), 0);
	for (int i = 0; i < 2; i++) {
		size_t len = mpr_buffer_len(&b);

		/* Not before it is whole. */
		assert_int_equal(mpr_codec_next(&f, b.bytes + b.from, 3, LIMIT), 0);
		assert_int_equal(f.whole, 0);
		assert_int_equal(mpr_codec_next(&f, b.bytes + b.from, len, LIMIT),
				 1);
		assert_int_equal(mpr_codec_next(&f, b.bytes + b.from, f.whole - 1,
						LIMIT), 0);
		assert_int_equal(mpr_codec_read(&m, f.message, f.len), 0);
		assert_int_equal(m.n, n);
		for (unsigned v = 0; v < n; v++)
			expect_same(&m.values[v], &values[v]);
		/* Neither less nor more. */
		assert_int_equal(mpr_codec_read(&m, f.message, f.len - 1),
				 -EBADMSG);
		mpr_buffer_drop(&b, f.whole, false);
	}
	assert_null(b.bytes);
}

static void
what_is_written_is_read(void **state)
{
	static const int64_t ints[] = {
		0, 1, 31, 32, 127, 128, 255, 256, 65535, 65536, UINT32_MAX,
		(int64_t)UINT32_MAX + 1, INT64_MAX, -1, -32, -33, -128, -129,
		-32768, -32769, INT32_MIN, (int64_t)INT32_MIN - 1, INT64_MIN,
	};
	static const size_t lens[] = { 0, 1, 31, 32, 255, 256, 65535, 65536 };
	char *text = malloc(LIMIT);
	struct mproc_any all[MPR_MESSAGE_VALUES], one;

	(void)state;
	memset(text, 't', LIMIT);
	for (size_t i = 0; i < sizeof(ints) / sizeof(ints[0]); i++) {
		one = mproc_int(ints[i]);
		expect_whole(&one, 1);
	}
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		one = mproc_bytes(text, lens[i]);
		expect_whole(&one, 1);
		one.kind = MPROC_STR;
		expect_whole(&one, 1);
	}
	one = mproc_float(NAN);
	expect_whole(&one, 1);
	one = mproc_ref(text);
	expect_whole(&one, 1);
	for (unsigned i = 0; i < MPR_MESSAGE_VALUES; i++)
		all[i] = i % 2 ? mproc_bool(i % 4 == 1) : mproc_nil();
	expect_whole(all, MPR_MESSAGE_VALUES);
	free(text);
}

static void
many_are_a_row_of_their_own(void **state)
{
	enum { N = 70000 };
	struct mproc_any *in = malloc(N * sizeof(*in)), *out = malloc(N * sizeof(*out));
	static const size_t lens[] = { 0, 1, 15, 16, 65535, 65536, N };
	size_t n;

	(void)state;
	for (int i = 0; i < N; i++)
		in[i] = i % 3 ? mproc_int(i * 100) : mproc_bytes("abc", 3);
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		struct mpr_buffer b = { .bytes = NULL };
		size_t len;

		assert_int_equal(mpr_codec_pack(&b, in, lens[i], 10 * N), 0);
		len = mpr_buffer_len(&b);
		assert_int_equal(mpr_codec_count(b.bytes, len, &n), 0);
		assert_int_equal(n, lens[i]);
		assert_int_equal(mpr_codec_unpack(out, n, b.bytes, len), 0);
		for (size_t k = 0; k < n; k++)
			expect_same(&in[k], &out[k]);
		/* Neither less nor more. */
		assert_int_equal(mpr_codec_unpack(out, n + 1, b.bytes, len),
				 -EBADMSG);
		assert_int_equal(mpr_codec_unpack(out, n, b.bytes, len - 1),
				 -EBADMSG);
		if (n)
			assert_int_equal(mpr_codec_unpack(out, n - 1, b.bytes,
							  len), -EBADMSG);
		/* Behind something, and too long for that. */
		assert_int_equal(mpr_codec_pack(&b, in, lens[i], len), 0);
		assert_int_equal(mpr_buffer_len(&b), 2 * len);
		assert_int_equal(mpr_codec_pack(&b, in, lens[i], len - 1),
				 -EMSGSIZE);
		assert_int_equal(mpr_buffer_len(&b), 2 * len);
		mpr_buffer_end(&b);
	}
	/* More than there are bytes. */
	assert_int_equal(mpr_codec_count((const unsigned char *)"\222\1", 2, &n),
			 -EBADMSG);
	assert_int_equal(mpr_codec_count((const unsigned char *)"\1", 1, &n),
			 -EBADMSG);
	assert_int_equal(mpr_codec_count(NULL, 0, &n), -EBADMSG);
	free(in);
	free(out);
}

static void
what_is_too_long_is_not_written(void **state)
{
	struct mpr_budget budget = { .left = 4096 };
	struct mpr_buffer b = { .budget = &budget };
	char text[5000] = "";
	struct mproc_any values[2] = { mproc_int(1), mproc_bytes(text, 100) };

	(void)state;
	assert_int_equal(mpr_codec_write(&b, values, 2, 103), -EMSGSIZE);
	assert_int_equal(mpr_buffer_len(&b), 0);
	assert_int_equal(mpr_codec_write(&b, values, 2, 104), 0);
	assert_int_equal(mpr_buffer_len(&b), 108);
	/* More memory than there may be: what was there stays. */
	values[1].len = sizeof(text);
	assert_int_equal(mpr_codec_write(&b, values, 2, LIMIT), -ENOMEM);
	assert_int_equal(mpr_buffer_len(&b), 108);
	memset(&values[0].kind, 0x7f, sizeof(values[0].kind));
	assert_int_equal(mpr_codec_write(&b, values, 1, LIMIT), -EINVAL);
	assert_int_equal(mpr_buffer_len(&b), 108);
	mpr_buffer_end(&b);
	assert_int_equal(budget.left, 4096);
}

static void
what_is_no_message_is_not_read(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} all[] = {
		{ "", 0 },
		{ "\1", 1 },			   /* in no row */
		{ "\221", 1 },			   /* nothing in it */
		{ "\221\1\1", 3 },		   /* something behind it */
		{ "\221\221\1", 3 },		   /* a row in it */
		{ "\221\200", 2 },		   /* a map in it */
		{ "\200", 1 },			   /* a map */
		{ "\231\1\1\1\1\1\1\1\1\1", 10 },  /* too many */
		{ "\335\377\377\377\377", 5 },	   /* far too many */
		{ "\221\333\377\377\377\377", 6 }, /* a text that is not there */
		{ "\221\311\377\377\377\377\1", 7 }, /* and what is of no type */
		{ "\221\307\0\2", 4 },		   /* not of our type */
		{ "\221\324\1\1", 4 },		   /* with a byte */
		{ "\221\317\200\0\0\0\0\0\0\0", 10 }, /* too large */
		{ "\221\301", 2 },		   /* never used */
	};
	struct mpr_message m;
	struct mpr_frame f;

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		/* Of that size exactly. */
		unsigned char *copy = malloc(all[i].n + 1);

		memcpy(copy, all[i].bytes, all[i].n);
		assert_int_equal(mpr_codec_read(&m, copy, all[i].n), -EBADMSG);
		free(copy);
	}
	assert_int_equal(mpr_codec_read(&m, (const unsigned char *)"\220", 1), 0);
	assert_int_equal(m.n, 0);
	assert_int_equal(mpr_codec_next(&f, (const unsigned char *)"\0\0\1\1", 4,
					256), -EMSGSIZE);
	assert_int_equal(mpr_codec_next(&f, (const unsigned char *)
					"\377\377\377\377", 4, 256), -EMSGSIZE);
	assert_int_equal(mpr_codec_next(&f, (const unsigned char *)
					"\200\0\0\0", 4, 256), -EBADMSG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(what_is_written_is_read),
		mpt_test(many_are_a_row_of_their_own),
		mpt_test(what_is_too_long_is_not_written),
		mpt_test(what_is_no_message_is_not_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
