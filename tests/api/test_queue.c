/* SPDX-License-Identifier: MIT */
/*
 * queue.h with one thread: what goes in comes out, and every documented error.
 * Several producers and consumers are in test_queue_many.c, waiting and the
 * end of a queue in test_queue_wait.c, deaths in test_queue_death.c.
 */
#include <stdio.h>

#include "common.h"

static mproc_queue *
new_queue(size_t capacity)
{
	mproc_queue *q = NULL;

	assert_int_equal(mproc_queue_create(
		&q, MPROC_OPTS(mproc_queue_opts, .capacity = capacity)), 0);
	assert_non_null(q);
	return q;
}

static int
put_text(mproc_queue *q, const char *text)
{
	return mproc_queue_put(q, text, strlen(text) + 1, MPROC_NOWAIT);
}

static void
expect_text(mproc_queue *q, const char *text)
{
	char buf[64] = "";
	size_t len = 0;

	assert_int_equal(mproc_queue_get(q, buf, sizeof(buf), &len,
					 MPROC_NOWAIT), 0);
	assert_int_equal(len, strlen(text) + 1);
	assert_string_equal(buf, text);
}

static void
what_is_put_is_got(void **state)
{
	mproc_queue *q = new_queue(0);

	(void)state;
	assert_true(mproc_is_shared(q));
	assert_int_equal(put_text(q, "hello"), 0);
	expect_text(q, "hello");
	mproc_queue_destroy(q);
}

static void
messages_come_in_the_order_in_which_they_were_put(void **state)
{
	mproc_queue *q = new_queue(4096);
	int value;

	(void)state;
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 200; i++)
			assert_int_equal(mproc_queue_put(q, &i, sizeof(i),
							 MPROC_NOWAIT), 0);
		for (int i = 0; i < 200; i++) {
			assert_int_equal(mproc_queue_get(q, &value,
							 sizeof(value), NULL,
							 MPROC_NOWAIT), 0);
			assert_int_equal(value, i);
		}
	}
	mproc_queue_destroy(q);
}

static void
the_length_counts_messages(void **state)
{
	mproc_queue *q = new_queue(0);

	(void)state;
	assert_int_equal(mproc_queue_len(q), 0);
	for (size_t i = 1; i <= 10; i++) {
		assert_int_equal(put_text(q, "x"), 0);
		assert_int_equal(mproc_queue_len(q), i);
	}
	for (size_t i = 9; i + 1; i--) {
		expect_text(q, "x");
		assert_int_equal(mproc_queue_len(q), i);
	}
	mproc_queue_destroy(q);
	assert_int_equal(mproc_queue_len(q), 0);
	assert_int_equal(mproc_queue_len(NULL), 0);
}

static void
an_empty_message_is_a_message(void **state)
{
	mproc_queue *q = new_queue(0);
	size_t len = 99;
	char c = 'c';

	(void)state;
	assert_int_equal(mproc_queue_put(q, NULL, 0, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_put(q, &c, 0, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_len(q), 2);
	assert_int_equal(mproc_queue_get(q, NULL, 0, &len, MPROC_NOWAIT), 0);
	assert_int_equal(len, 0);
	assert_int_equal(mproc_queue_get(q, &c, 1, NULL, MPROC_NOWAIT), 0);
	assert_int_equal(c, 'c');
	assert_int_equal(mproc_queue_get(q, &c, 1, NULL, MPROC_NOWAIT),
			 -EAGAIN);
	mproc_queue_destroy(q);
}

static void
messages_of_every_length_are_copied_exactly(void **state)
{
	static unsigned char msg[4096], buf[4096];
	mproc_queue *q = new_queue(4096);
	size_t len;

	(void)state;
	for (size_t i = 0; i <= 4088; i += i < 300 ? 1 : 97) {
		for (size_t k = 0; k < i; k++)
			msg[k] = (unsigned char)(i + k * 3);
		memset(buf, 0xee, sizeof(buf));
		/* A large one may have to wait for the end of the lane. */
		if (mproc_queue_put(q, msg, i, MPROC_NOWAIT) == -EAGAIN) {
			assert_int_equal(mproc_queue_get(q, buf, 1, NULL,
							 MPROC_NOWAIT),
					 -EAGAIN);
			assert_int_equal(mproc_queue_put(q, msg, i,
							 MPROC_NOWAIT), 0);
		}
		assert_int_equal(mproc_queue_get(q, buf, sizeof(buf), &len,
						 MPROC_NOWAIT), 0);
		assert_int_equal(len, i);
		assert_memory_equal(buf, msg, i);
		assert_int_equal(buf[i], 0xee);
	}
	mproc_queue_destroy(q);
}

static const size_t capacities[][2] = {
	{ 0, 65536 },	      { 4096, 4096 },	    { 4097, 8192 },
	{ 65536, 65536 },     { 65537, 131072 },    { 262145, 524288 },
	{ 512 * 1024, 524288 },	{ 524289, 1048576 },  { 1048577, 2097152 },
	{ 4 << 20, 4194304 },
};

#define LONGEST 9000000

/* In its lane or not. */
static void
a_message_of_any_length_passes(void **state)
{
	unsigned char *msg = malloc(LONGEST), *buf = malloc(LONGEST);
	size_t len;

	(void)state;
	for (size_t i = 0; i < LONGEST; i++)
		msg[i] = (unsigned char)(i * 7 + i / 4096);
	for (unsigned i = 0; i < sizeof(capacities) / sizeof(capacities[0]);
	     i++) {
		size_t c = capacities[i][1];
		size_t lengths[] = { 0, c / 2 - 8, c / 2 - 7, c - 8, c - 7,
				     2 * c, LONGEST };
		mproc_queue *q = new_queue(capacities[i][0]);

		for (unsigned j = 0; j < sizeof(lengths) / sizeof(lengths[0]);
		     j++) {
			assert_int_equal(mproc_queue_put(q, msg, lengths[j],
							 MPROC_NOWAIT), 0);
			assert_int_equal(mproc_queue_len(q), 1);
			memset(buf, 0x5a, lengths[j]);
			assert_int_equal(mproc_queue_get(q, buf, LONGEST, &len,
							 MPROC_NOWAIT), 0);
			assert_int_equal(len, lengths[j]);
			assert_memory_equal(buf, msg, lengths[j]);
		}
		mproc_queue_destroy(q);
	}
	free(msg);
	free(buf);
}

static void
a_message_that_no_arena_has_room_for_is_refused(void **state)
{
	mproc_queue *q = new_queue(0);
	char text[40];

	(void)state;
	assert_int_equal(mproc_queue_put(q, "", SIZE_MAX, MPROC_FOREVER),
			 -EMSGSIZE);
	/* Both sizes are told. */
	snprintf(text, sizeof(text), "%zu bytes", SIZE_MAX);
	assert_true(detail_has(text));
	assert_true(detail_has("at most"));
	assert_int_equal(mproc_queue_len(q), 0);
	mproc_queue_destroy(q);
}

static void
too_small_a_buffer_loses_nothing(void **state)
{
	mproc_queue *q = new_queue(0);
	char buf[64];
	size_t len;

	(void)state;
	assert_int_equal(put_text(q, "a message of 24 letters"), 0);
	assert_int_equal(put_text(q, "another"), 0);
	for (size_t size = 0; size < 24; size++) {
		len = 0;
		assert_int_equal(mproc_queue_get(q, size ? buf : NULL, size,
						 &len, MPROC_FOREVER),
				 -EMSGSIZE);
		assert_int_equal(len, 24);
		assert_int_equal(mproc_queue_len(q), 2);
	}
	assert_true(detail_has("24 bytes"));
	assert_true(detail_has("has 23"));
	assert_int_equal(mproc_queue_get(q, buf, 3, NULL, MPROC_NOWAIT),
			 -EMSGSIZE);
	expect_text(q, "a message of 24 letters");
	expect_text(q, "another");
	mproc_queue_destroy(q);
}

static void
a_full_queue_refuses_and_takes_again(void **state)
{
	mproc_queue *q = new_queue(4096);
	char msg[56] = "";
	unsigned n = 0;

	(void)state;
	/* A message takes its length plus 8, rounded up to 16. */
	while (mproc_queue_put(q, msg, sizeof(msg), MPROC_NOWAIT) == 0)
		n++;
	assert_int_equal(n, 4096 / 64);
	assert_int_equal(mproc_queue_put(q, msg, sizeof(msg), MPROC_NOWAIT),
			 -EAGAIN);
	assert_int_equal(mproc_queue_put(q, msg, sizeof(msg), mproc_ms(2)),
			 -ETIMEDOUT);
	assert_int_equal(mproc_queue_len(q), n);
	assert_int_equal(mproc_queue_get(q, msg, sizeof(msg), NULL,
					 MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_put(q, msg, sizeof(msg), MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_len(q), n);
	mproc_queue_destroy(q);
}

static void
create_refuses_what_makes_no_sense(void **state)
{
	static const size_t bad[] = { 1, 4095, (1 << 30) + 1, SIZE_MAX };
	struct newer {
		struct mproc_queue_opts o;
		uint64_t unknown;
	} newer = { { .struct_size = sizeof(newer) }, 1 };
	struct mproc_queue_opts o = { 0 };
	mproc_queue *q = (mproc_queue *)&o;
	struct mproc_arena_stat before = stat_now();

	(void)state;
	assert_int_equal(mproc_queue_create(NULL, NULL), -EINVAL);
	assert_true(detail_has("ret_q"));
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(mproc_queue_create(
			&q, MPROC_OPTS(mproc_queue_opts, .capacity = bad[i])),
			-EINVAL);
		assert_true(detail_has("capacity"));
	}
	assert_int_equal(mproc_queue_create(&q, &o), -EINVAL);
	assert_true(detail_has("struct_size"));
	assert_int_equal(mproc_queue_create(&q, &newer.o), -E2BIG);
	assert_ptr_equal(q, &o);
	expect_stat(&before);
	newer.unknown = 0;
	assert_int_equal(mproc_queue_create(&q, &newer.o), 0);
	mproc_queue_destroy(q);
}

/* All that can be done with a pointer. */
static void
expect_error(mproc_queue *q, int error)
{
	char c = 'c';

	assert_int_equal(mproc_queue_put(q, &c, 1, MPROC_NOWAIT), error);
	assert_int_equal(mproc_queue_put(q, &c, 1, MPROC_FOREVER), error);
	assert_int_not_equal(mproc_error_detail()[0], 0);
	assert_int_equal(mproc_queue_get(q, &c, 1, NULL, MPROC_NOWAIT), error);
	assert_int_equal(mproc_queue_get(q, &c, 1, NULL, MPROC_FOREVER), error);
	assert_int_equal(mproc_queue_shutdown(q, MPROC_DRAIN), error);
	assert_int_equal(mproc_queue_len(q), 0);
	mproc_queue_destroy(q);
}

static void
null_is_no_queue(void **state)
{
	(void)state;
	expect_error(NULL, -EINVAL);
}

static void
private_memory_is_no_queue(void **state)
{
	void *p = calloc(1, 1024);
	int local[256] = { 0 };

	(void)state;
	expect_error(p, -EFAULT);
	expect_error((mproc_queue *)local, -EFAULT);
	expect_error((mproc_queue *)(uintptr_t)8, -EFAULT);
	free(p);
}

static void
shared_memory_that_is_no_queue_is_told(void **state)
{
	unsigned char *p = mproc_alloc(1024), *freed = mproc_alloc(1024);
	mproc_queue *q = new_queue(0);

	(void)state;
	expect_error((mproc_queue *)p, -EINVAL);
	expect_error((mproc_queue *)(p + 64), -EINVAL);
	expect_error((mproc_queue *)((char *)q + 64), -EINVAL);
	mproc_free(freed);
	expect_error((mproc_queue *)freed, -EINVAL);
	mproc_queue_destroy(q);
	mproc_free(p);
}

static void
a_destroyed_queue_is_stale(void **state)
{
	mproc_queue *q = new_queue(0);

	(void)state;
	assert_int_equal(put_text(q, "lost"), 0);
	mproc_queue_destroy(q);
	expect_error(q, -ESTALE);
	expect_error(q, -ESTALE);
}

static void
missing_buffers_are_invalid(void **state)
{
	mproc_queue *q = new_queue(0);

	(void)state;
	assert_int_equal(mproc_queue_put(q, NULL, 1, MPROC_NOWAIT), -EINVAL);
	assert_true(detail_has("msg is NULL"));
	assert_int_equal(put_text(q, "x"), 0);
	assert_int_equal(mproc_queue_get(q, NULL, 1, NULL, MPROC_NOWAIT),
			 -EINVAL);
	assert_true(detail_has("buf is NULL"));
	expect_text(q, "x");
	mproc_queue_destroy(q);
}

static void
a_drained_queue_gives_the_rest(void **state)
{
	mproc_queue *q = new_queue(0);
	char c;

	(void)state;
	assert_int_equal(put_text(q, "one"), 0);
	assert_int_equal(put_text(q, "two"), 0);
	assert_int_equal(mproc_queue_shutdown(q, MPROC_DRAIN), 0);
	assert_int_equal(mproc_queue_shutdown(q, MPROC_DRAIN), 0);
	assert_int_equal(put_text(q, "three"), -ESHUTDOWN);
	assert_true(detail_has("shut down"));
	assert_int_equal(mproc_queue_put(q, "x", 1, MPROC_FOREVER),
			 -ESHUTDOWN);
	assert_int_equal(mproc_queue_len(q), 2);
	expect_text(q, "one");
	expect_text(q, "two");
	assert_int_equal(mproc_queue_get(q, &c, 1, NULL, MPROC_NOWAIT),
			 -ESHUTDOWN);
	assert_int_equal(mproc_queue_get(q, &c, 1, NULL, MPROC_FOREVER),
			 -ESHUTDOWN);
	assert_true(detail_has("shut down"));
	mproc_queue_destroy(q);
}

static void
an_immediate_shutdown_gives_nothing_more(void **state)
{
	mproc_queue *q = new_queue(0);
	char buf[8];

	(void)state;
	assert_int_equal(put_text(q, "one"), 0);
	assert_int_equal(mproc_queue_shutdown(q, MPROC_DRAIN), 0);
	assert_int_equal(mproc_queue_shutdown(q, MPROC_IMMEDIATE), 0);
	assert_int_equal(mproc_queue_get(q, buf, 8, NULL, MPROC_NOWAIT),
			 -ESHUTDOWN);
	assert_int_equal(put_text(q, "two"), -ESHUTDOWN);
	/* There is no way back. */
	assert_int_equal(mproc_queue_shutdown(q, MPROC_DRAIN), 0);
	assert_int_equal(mproc_queue_get(q, buf, 8, NULL, MPROC_NOWAIT),
			 -ESHUTDOWN);
	mproc_queue_destroy(q);
}

static void
unknown_ways_to_shut_down_are_invalid(void **state)
{
	static const unsigned bad[] = { 0, 3, 4, 0x80000000 };
	mproc_queue *q = new_queue(0);

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(mproc_queue_shutdown(q, bad[i]), -EINVAL);
	assert_int_equal(put_text(q, "still open"), 0);
	mproc_queue_destroy(q);
}

static void
nothing_is_left_of_a_destroyed_queue(void **state)
{
	struct mproc_arena_stat before = stat_now();
	uint64_t backed = 0;
	mproc_queue *q[10];

	(void)state;
	for (int i = 0; i < 10; i++) {
		q[i] = new_queue((size_t)4096 << i % 8);
		assert_int_equal(put_text(q[i], "x"), 0);
	}
	assert_int_equal(stat_now().queues, before.queues + 10);
	for (int i = 0; i < 10; i++)
		mproc_queue_destroy(q[i]);
	/* But the headers, which are used again: so once more. */
	before = stat_now();
	assert_int_equal(before.queues, 0);
	for (unsigned round = amount(30); round; round--) {
		for (int i = 0; i < 10; i++) {
			q[i] = new_queue(0);
			assert_int_equal(put_text(q[i], "x"), 0);
			expect_text(q[i], "x");
			assert_int_equal(put_text(q[i], "y"), 0);
		}
		for (int i = 9; i >= 0; i--)
			mproc_queue_destroy(q[i]);
		if (!backed)
			backed = stat_now().backed;
	}
	expect_stat(&before);
	assert_int_equal(stat_now().backed, backed);
}

static void
a_queue_at_the_address_of_an_old_one_is_new(void **state)
{
	mproc_queue *old, *q = new_queue(0);
	char c;

	(void)state;
	assert_int_equal(put_text(q, "old"), 0);
	assert_int_equal(mproc_queue_shutdown(q, MPROC_IMMEDIATE), 0);
	mproc_queue_destroy(q);
	old = q;
	q = new_queue(4096);
	assert_ptr_equal(q, old);
	assert_int_equal(mproc_queue_len(q), 0);
	assert_int_equal(mproc_queue_get(q, &c, 1, NULL, MPROC_NOWAIT),
			 -EAGAIN);
	assert_int_equal(put_text(q, "new"), 0);
	expect_text(q, "new");
	mproc_queue_destroy(q);
}

static void
a_single_consumer_queue_works_the_same(void **state)
{
	mproc_queue *q;
	int value;

	(void)state;
	assert_int_equal(mproc_queue_create(
		&q, MPROC_OPTS(mproc_queue_opts, .single_consumer = true,
			       .capacity = 4096)), 0);
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 100; i++)
			assert_int_equal(mproc_queue_put(q, &i, sizeof(i),
							 MPROC_NOWAIT), 0);
		for (int i = 0; i < 100; i++) {
			assert_int_equal(mproc_queue_get(q, &value, 1, NULL,
							 MPROC_NOWAIT),
					 -EMSGSIZE);
			assert_int_equal(mproc_queue_get(q, &value,
							 sizeof(value), NULL,
							 MPROC_NOWAIT), 0);
			assert_int_equal(value, i);
		}
	}
	assert_int_equal(mproc_queue_shutdown(q, MPROC_DRAIN), 0);
	assert_int_equal(mproc_queue_get(q, &value, sizeof(value), NULL,
					 MPROC_FOREVER), -ESHUTDOWN);
	mproc_queue_destroy(q);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(what_is_put_is_got),
		mpt_test(messages_come_in_the_order_in_which_they_were_put),
		mpt_test(the_length_counts_messages),
		mpt_test(an_empty_message_is_a_message),
		mpt_test(messages_of_every_length_are_copied_exactly),
		mpt_test(a_message_of_any_length_passes),
		mpt_test(a_message_that_no_arena_has_room_for_is_refused),
		mpt_test(too_small_a_buffer_loses_nothing),
		mpt_test(a_full_queue_refuses_and_takes_again),
		mpt_test(create_refuses_what_makes_no_sense),
		mpt_test(null_is_no_queue),
		mpt_test(private_memory_is_no_queue),
		mpt_test(shared_memory_that_is_no_queue_is_told),
		mpt_test(a_destroyed_queue_is_stale),
		mpt_test(missing_buffers_are_invalid),
		mpt_test(a_drained_queue_gives_the_rest),
		mpt_test(an_immediate_shutdown_gives_nothing_more),
		mpt_test(unknown_ways_to_shut_down_are_invalid),
		mpt_test(nothing_is_left_of_a_destroyed_queue),
		mpt_test(a_queue_at_the_address_of_an_old_one_is_new),
		mpt_test(a_single_consumer_queue_works_the_same),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
