/* SPDX-License-Identifier: MIT */
/*
 * queue.h with one thread: batches, and messages in parts. Several producers
 * and consumers of batches are in test_queue_many.c, waiting in
 * test_queue_wait_many.c.
 */
#include <stdio.h>

#include "common.h"

#define MANY 64

static mproc_queue *
new_queue(size_t capacity)
{
	mproc_queue *q = NULL;

	assert_int_equal(mproc_queue_create(
		&q, MPROC_OPTS(mproc_queue_opts, .capacity = capacity)), 0);
	return q;
}

static mproc_queue *
new_queue_of(bool single_consumer)
{
	mproc_queue *q = NULL;

	assert_int_equal(mproc_queue_create(
		&q, MPROC_OPTS(mproc_queue_opts, .capacity = 4096,
			       .single_consumer = single_consumer)), 0);
	return q;
}

static uint64_t numbers[4096];

/* Messages that are numbers from @first on. */
static struct iovec *
make(uint64_t first, int n)
{
	static struct iovec msgs[4096];

	for (int i = 0; i < n; i++) {
		numbers[i] = first + (uint64_t)i;
		msgs[i] = (struct iovec){ &numbers[i], sizeof(numbers[i]) };
	}
	return msgs;
}

static int
put_numbers(mproc_queue *q, uint64_t first, int n)
{
	return mproc_queue_put_many(q, make(first, n), n, MPROC_NOWAIT);
}

/* Takes up to @n numbers, which must go on from @first. Returns how many. */
static int
get_numbers(mproc_queue *q, uint64_t first, int n)
{
	struct iovec msgs[MANY];
	uint64_t buf[MANY];
	int r = mproc_queue_get_many(q, buf, sizeof(buf), msgs, n,
				     MPROC_NOWAIT);

	for (int i = 0; i < r; i++) {
		assert_ptr_equal(msgs[i].iov_base, &buf[i]);
		assert_int_equal(msgs[i].iov_len, sizeof(buf[i]));
		assert_int_equal(buf[i], first + (uint64_t)i);
	}
	return r;
}

static void
a_batch_arrives_in_order(void **state)
{
	(void)state;
	for (int single = 0; single < 2; single++) {
		mproc_queue *q = new_queue_of(single);

		assert_int_equal(put_numbers(q, 0, 50), 50);
		assert_int_equal(mproc_queue_len(q), 50);
		assert_int_equal(get_numbers(q, 0, 20), 20);
		assert_int_equal(get_numbers(q, 20, MANY), 30);
		assert_int_equal(get_numbers(q, 0, MANY), -EAGAIN);
		mproc_queue_destroy(q);
	}
}

static void
batches_and_single_messages_mix(void **state)
{
	uint64_t value = 7;

	(void)state;
	for (int single = 0; single < 2; single++) {
		mproc_queue *q = new_queue_of(single);

		assert_int_equal(put_numbers(q, 0, 3), 3);
		value = 3;
		assert_int_equal(mproc_queue_put(q, &value, 8, MPROC_NOWAIT),
				 0);
		assert_int_equal(put_numbers(q, 4, 3), 3);
		assert_int_equal(mproc_queue_get(q, &value, 8, NULL,
						 MPROC_NOWAIT), 0);
		assert_int_equal(value, 0);
		assert_int_equal(get_numbers(q, 1, 4), 4);
		assert_int_equal(mproc_queue_get(q, &value, 8, NULL,
						 MPROC_NOWAIT), 0);
		assert_int_equal(value, 5);
		assert_int_equal(get_numbers(q, 6, 9), 1);
		mproc_queue_destroy(q);
	}
}

static void
as_many_are_put_as_there_is_room_for(void **state)
{
	mproc_queue *q = new_queue(4096);
	uint64_t got = 0;

	(void)state;
	/* 16 bytes each. */
	assert_int_equal(put_numbers(q, 0, 300), 256);
	assert_int_equal(put_numbers(q, 256, 300), -EAGAIN);
	assert_int_equal(mproc_queue_put_many(q, make(256, 300), 300,
					      mproc_ms(2)), -ETIMEDOUT);
	assert_int_equal(mproc_queue_len(q), 256);
	assert_int_equal(get_numbers(q, 0, 10), 10);
	/* A timeout is for the first one: the rest is not waited for. */
	assert_int_equal(mproc_queue_put_many(q, make(256, 300), 300,
					      MPROC_FOREVER), 10);
	for (int r; (r = get_numbers(q, 10 + got, MANY)) > 0;)
		got += (uint64_t)r;
	assert_int_equal(got, 256);
	mproc_queue_destroy(q);
}

static void
a_message_that_can_never_be_put_ends_the_batch(void **state)
{
	struct iovec *msgs;
	mproc_queue *q;

	(void)state;
	assert_int_equal(mproc_queue_create(
		&q, MPROC_OPTS(mproc_queue_opts, .max_message = 4088)), 0);
	msgs = make(0, 5);
	msgs[3].iov_len = 4089;
	assert_int_equal(mproc_queue_put_many(q, msgs, 5, MPROC_FOREVER), 3);
	assert_int_equal(mproc_queue_put_many(q, msgs + 3, 2, MPROC_FOREVER),
			 -EMSGSIZE);
	assert_true(detail_has("4089 bytes"));
	assert_true(detail_has("most 4088"));
	msgs[3].iov_len = SIZE_MAX;
	assert_int_equal(mproc_queue_put_many(q, msgs + 3, 2, MPROC_FOREVER),
			 -EMSGSIZE);
	assert_int_equal(get_numbers(q, 0, MANY), 3);

	msgs = make(3, 5);
	msgs[2].iov_base = NULL;
	assert_int_equal(mproc_queue_put_many(q, msgs, 5, MPROC_FOREVER), 2);
	assert_int_equal(mproc_queue_put_many(q, msgs + 2, 3, MPROC_FOREVER),
			 -EINVAL);
	assert_int_equal(get_numbers(q, 3, MANY), 2);
	assert_int_equal(mproc_queue_len(q), 0);
	mproc_queue_destroy(q);
}

static void
too_small_a_buffer_loses_nothing(void **state)
{
	static const char text[] = "a message of thirty-two letters";
	struct iovec in[3], out[3];
	char buf[96];

	(void)state;
	for (int single = 0; single < 2; single++) {
		mproc_queue *q = new_queue_of(single);

		for (int i = 0; i < 3; i++)
			in[i] = (struct iovec){ (void *)(uintptr_t)text, 32 };
		assert_int_equal(mproc_queue_put_many(q, in, 3, MPROC_NOWAIT),
				 3);
		for (size_t size = 0; size < 32; size++) {
			assert_int_equal(
				mproc_queue_get_many(q, size ? buf : NULL,
						     size, out, 3,
						     MPROC_FOREVER),
				-EMSGSIZE);
			assert_int_equal(out[0].iov_len, 32);
			assert_true(detail_has("32 bytes"));
		}
		snprintf(buf, sizeof(buf), "has %d", 31);
		assert_true(detail_has(buf));
		assert_int_equal(mproc_queue_len(q), 3);
		/* What does fit is taken. */
		assert_int_equal(mproc_queue_get_many(q, buf, 95, out, 3,
						      MPROC_FOREVER), 2);
		assert_ptr_equal(out[1].iov_base, buf + 32);
		assert_memory_equal(buf + 32, text, 32);
		assert_int_equal(mproc_queue_get_many(q, buf, 32, out, 3,
						      MPROC_FOREVER), 1);
		mproc_queue_destroy(q);
	}
}

static void
messages_are_packed_without_gaps(void **state)
{
	static const size_t len[] = { 1, 0, 7, 13, 8, 0, 3 };
	mproc_queue *q = new_queue(4096);
	unsigned char bytes[16], buf[64];
	struct iovec in[7], out[7];
	size_t at = 0;

	(void)state;
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 3 + 1);
	for (int i = 0; i < 7; i++)
		in[i] = (struct iovec){ bytes, len[i] };
	memset(buf, 0xee, sizeof(buf));
	assert_int_equal(mproc_queue_put_many(q, in, 7, MPROC_NOWAIT), 7);
	assert_int_equal(mproc_queue_get_many(q, buf, sizeof(buf), out, 7,
					      MPROC_NOWAIT), 7);
	for (int i = 0; i < 7; i++) {
		assert_ptr_equal(out[i].iov_base, buf + at);
		assert_int_equal(out[i].iov_len, len[i]);
		assert_memory_equal(buf + at, bytes, len[i]);
		at += len[i];
	}
	assert_int_equal(buf[at], 0xee);
	mproc_queue_destroy(q);
}

static void
empty_messages_need_no_buffer(void **state)
{
	mproc_queue *q = new_queue(4096);
	struct iovec in[4] = { 0 }, out[4];

	(void)state;
	assert_int_equal(mproc_queue_put_many(q, in, 4, MPROC_NOWAIT), 4);
	assert_int_equal(mproc_queue_get_many(q, NULL, 0, out, 4,
					      MPROC_NOWAIT), 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(out[i].iov_len, 0);
	mproc_queue_destroy(q);
}

/* Batches of all sizes, around the lane's end at every position. */
static void
batches_pass_around_the_end(void **state)
{
	mproc_queue *q = new_queue(4096);
	uint64_t put = 0, got = 0;

	(void)state;
	while (got < 20000) {
		int n = 1 + (int)(put % 61);
		int r = put_numbers(q, put, n);

		assert_true(r > 0 || r == -EAGAIN);
		put += r > 0 ? (uint64_t)r : 0;
		r = get_numbers(q, got, 1 + (int)(got % 37));
		assert_true(r > 0);
		got += (uint64_t)r;
	}
	mproc_queue_destroy(q);
}

static void
a_batch_is_of_one_producer(void **state)
{
	mproc_queue *q = new_queue(4096);
	struct mpt *t = *state;
	uint64_t first, buf[MANY];
	struct iovec msgs[MANY];
	unsigned seen = 0;
	int r;

	/* Each lane holds ten numbers, from different tens. */
	for (unsigned k = 0; k < 4; k++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(put_numbers(q, k * 10, 10) != 10);
		assert_int_equal(mpt_reap_orphans(t), 1);
	}
	while ((r = mproc_queue_get_many(q, buf, sizeof(buf), msgs, MANY,
					 MPROC_NOWAIT)) > 0) {
		first = buf[0];
		for (int i = 0; i < r; i++) {
			assert_int_equal(buf[i], first + (uint64_t)i);
			seen++;
		}
	}
	assert_int_equal(r, -EAGAIN);
	assert_int_equal(seen, 40);
	mproc_queue_destroy(q);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

/* One of two who are there at the same time. */
static int
fill_a_lane(struct mpt *t, void *arg)
{
	mproc_queue *q = *(mproc_queue **)mpt_scratch(t);
	unsigned me = (unsigned)(uintptr_t)arg;

	mpt_reach(t, me);
	mpt_check_int(t, put_numbers(q, me * 1000, 250), 250);
	mpt_step(t, me);
	mpt_reach(t, 2);
	return 0;
}

static void
other_producers_have_their_turn_between_batches(void **state)
{
	mproc_queue *q = new_queue(4096);
	struct mpt *t = *state;
	uint64_t buf[16], before = 0;
	struct iovec msgs[16];
	unsigned in_a_row = 0;

	*(mproc_queue **)mpt_scratch(t) = q;
	for (uintptr_t k = 0; k < 2; k++)
		mpt_spawn(t, "producer", fill_a_lane, (void *)k);
	mpt_join_all(t);
	for (int i = 0; i < 20; i++) {
		assert_true(mproc_queue_get_many(q, buf, sizeof(buf), msgs, 16,
						 MPROC_NOWAIT) > 0);
		in_a_row = buf[0] / 1000 == before ? in_a_row + 1 : 1;
		before = buf[0] / 1000;
		assert_in_range(in_a_row, 1, 5);
	}
	mproc_queue_destroy(q);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

static void
parts_become_one_message(void **state)
{
	mproc_queue *q = new_queue(4096);
	char head[] = "one ", middle[] = "message ", tail[] = "in parts";
	struct iovec parts[] = {
		{ head, 4 }, { NULL, 0 }, { middle, 8 }, { tail, 9 },
	};
	char buf[64];
	size_t len;

	(void)state;
	assert_int_equal(mproc_queue_putv(q, parts, 4, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_len(q), 1);
	assert_int_equal(mproc_queue_get(q, buf, sizeof(buf), &len,
					 MPROC_NOWAIT), 0);
	assert_int_equal(len, 21);
	assert_string_equal(buf, "one message in parts");
	/* No parts, and only empty ones, make an empty message. */
	assert_int_equal(mproc_queue_putv(q, NULL, 0, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_putv(q, parts + 1, 1, MPROC_NOWAIT), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(mproc_queue_get(q, buf, sizeof(buf), &len,
						 MPROC_NOWAIT), 0);
		assert_int_equal(len, 0);
	}
	mproc_queue_destroy(q);
}

static void
parts_of_every_length_fit_together(void **state)
{
	unsigned char bytes[300], buf[300];
	mproc_queue *q = new_queue(4096);
	struct iovec parts[40];
	size_t len, got;
	int n;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 7 + 1);
	for (size_t step = 1; step < 20; step++) {
		for (len = 0, n = 0; len < 280 && n < 40; n++) {
			size_t part = (size_t)n * step % 23;

			parts[n] = (struct iovec){ bytes + len, part };
			len += part;
		}
		assert_int_equal(mproc_queue_putv(q, parts, n, MPROC_NOWAIT),
				 0);
		memset(buf, 0, sizeof(buf));
		assert_int_equal(mproc_queue_get(q, buf, sizeof(buf), &got,
						 MPROC_NOWAIT), 0);
		assert_int_equal(got, len);
		assert_memory_equal(buf, bytes, len);
	}
	mproc_queue_destroy(q);
}

static void
parts_that_are_too_long_together_are_refused(void **state)
{
	static char bytes[4096];
	struct iovec parts[] = { { bytes, 4000 }, { bytes, 88 }, { bytes, 1 } };
	struct iovec huge[] = { { bytes, SIZE_MAX }, { bytes, SIZE_MAX } };
	mproc_queue *q;

	(void)state;
	assert_int_equal(mproc_queue_create(
		&q, MPROC_OPTS(mproc_queue_opts, .max_message = 4088)), 0);
	assert_int_equal(mproc_queue_putv(q, parts, 3, MPROC_FOREVER),
			 -EMSGSIZE);
	assert_true(detail_has("4089 bytes"));
	assert_int_equal(mproc_queue_putv(q, parts, 2, MPROC_FOREVER), 0);
	assert_int_equal(mproc_queue_putv(q, huge, 1, MPROC_FOREVER),
			 -EMSGSIZE);
	/* Their sum is no number of bytes any more. */
	assert_int_equal(mproc_queue_putv(q, huge, 2, MPROC_FOREVER),
			 -EMSGSIZE);
	assert_int_equal(mproc_queue_len(q), 1);
	mproc_queue_destroy(q);
}

static void
arguments_that_make_no_sense_are_refused(void **state)
{
	mproc_queue *q = new_queue(4096);
	struct iovec good[2] = { { numbers, 8 }, { numbers, 8 } };
	struct iovec bad[2] = { { numbers, 8 }, { NULL, 8 } };
	char buf[8];

	(void)state;
	assert_int_equal(mproc_queue_putv(q, NULL, 1, MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_queue_putv(q, good, -1, MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_queue_putv(q, bad, 2, MPROC_NOWAIT), -EINVAL);
	assert_true(detail_has("part 1 of 2"));
	assert_int_equal(mproc_queue_put_many(q, NULL, 1, MPROC_NOWAIT),
			 -EINVAL);
	assert_int_equal(mproc_queue_put_many(q, good, 0, MPROC_NOWAIT),
			 -EINVAL);
	assert_int_equal(mproc_queue_put_many(q, good, -1, MPROC_NOWAIT),
			 -EINVAL);
	assert_int_equal(mproc_queue_put_many(q, bad + 1, 1, MPROC_NOWAIT),
			 -EINVAL);
	assert_int_equal(mproc_queue_get_many(q, NULL, 8, good, 2,
					      MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_queue_get_many(q, buf, 8, NULL, 2,
					      MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_queue_get_many(q, buf, 8, good, 0,
					      MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_queue_get_many(q, buf, 8, good, -1,
					      MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_queue_len(q), 0);
	mproc_queue_destroy(q);
}

static void
expect_all(mproc_queue *q, int error)
{
	struct iovec msg = { numbers, 8 }, out;
	char buf[8];

	assert_int_equal(mproc_queue_putv(q, &msg, 1, MPROC_FOREVER), error);
	assert_int_equal(mproc_queue_put_many(q, &msg, 1, MPROC_FOREVER),
			 error);
	assert_int_equal(mproc_queue_get_many(q, buf, 8, &out, 1,
					      MPROC_FOREVER), error);
}

static void
a_queue_that_is_none_is_refused(void **state)
{
	mproc_queue *q = new_queue(4096);
	void *block = mproc_alloc(1000);

	(void)state;
	expect_all(NULL, -EINVAL);
	expect_all((mproc_queue *)(void *)numbers, -EFAULT);
	expect_all(block, -EINVAL);
	mproc_free(block);
	assert_int_equal(put_numbers(q, 0, 2), 2);
	assert_int_equal(mproc_queue_shutdown(q, MPROC_DRAIN), 0);
	/* What is there can be taken. */
	assert_int_equal(get_numbers(q, 0, 9), 2);
	expect_all(q, -ESHUTDOWN);
	mproc_queue_destroy(q);
	expect_all(q, -ESTALE);
}

static void
nothing_can_be_taken_after_an_immediate_shutdown(void **state)
{
	mproc_queue *q = new_queue(4096);

	(void)state;
	assert_int_equal(put_numbers(q, 0, 2), 2);
	assert_int_equal(mproc_queue_shutdown(q, MPROC_IMMEDIATE), 0);
	expect_all(q, -ESHUTDOWN);
	mproc_queue_destroy(q);
}

static int
get_as_another(struct mpt *t, void *arg)
{
	struct iovec msgs[4];
	char buf[32];

	mpt_check_int(t, mproc_queue_get_many(arg, buf, sizeof(buf), msgs, 4,
					      MPROC_NOWAIT), -EBUSY);
	return 0;
}

static void
a_second_consumer_of_a_single_consumer_queue_is_refused(void **state)
{
	mproc_queue *q = new_queue_of(true);
	struct mpt *t = *state;

	assert_int_equal(put_numbers(q, 0, 2), 2);
	assert_int_equal(get_numbers(q, 0, 1), 1);
	mpt_expect_exit(t, mpt_spawn(t, "another", get_as_another, q), 0);
	assert_int_equal(get_numbers(q, 1, 1), 1);
	mproc_queue_destroy(q);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_batch_arrives_in_order),
		mpt_test(batches_and_single_messages_mix),
		mpt_test(as_many_are_put_as_there_is_room_for),
		mpt_test(a_message_that_can_never_be_put_ends_the_batch),
		mpt_test(too_small_a_buffer_loses_nothing),
		mpt_test(messages_are_packed_without_gaps),
		mpt_test(empty_messages_need_no_buffer),
		mpt_test(batches_pass_around_the_end),
		mpt_test(a_batch_is_of_one_producer),
		mpt_test(other_producers_have_their_turn_between_batches),
		mpt_test(parts_become_one_message),
		mpt_test(parts_of_every_length_fit_together),
		mpt_test(parts_that_are_too_long_together_are_refused),
		mpt_test(arguments_that_make_no_sense_are_refused),
		mpt_test(a_queue_that_is_none_is_refused),
		mpt_test(nothing_can_be_taken_after_an_immediate_shutdown),
		mpt_test(
		   a_second_consumer_of_a_single_consumer_queue_is_refused),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
