/* SPDX-License-Identifier: MIT */
/*
 * A lane (ring/lane*.c) between threads and between processes: a stream of
 * messages of changing length, each verified where it arrives.
 */
#include <errno.h>
#include <sched.h>

#include "base/owner.h"
#include "common.h"
#include "mpt_rand.h"
#include "ring/lane.h"

#define CAPACITY 4096
#define CONSUMERS 2

#define BATCH 16

/* In the scratch bytes, which threads and processes share. */
struct stream {
	unsigned n;		  /* messages in all */
	_Atomic unsigned taken;	  /* by all consumers together */
	_Atomic uint64_t sum;	  /* of the numbers taken */
	_Alignas(MPR_APART) unsigned char lane[640 + CAPACITY];
};

static struct mpr_lane *
lane_of(struct stream *s)
{
	return (struct mpr_lane *)(void *)s->lane;
}

static size_t
length_of(uint64_t number)
{
	struct mpt_rand r;

	mpt_rand_init(&r, number);
	return 8 + (size_t)mpt_rand_below(&r, 500);
}

static unsigned char
byte_of(uint64_t number, size_t i)
{
	return (unsigned char)(number * 13 + i);
}

static int
produce(struct mpt *t, void *arg)
{
	struct stream *s = arg;
	struct mpr_producer p;
	unsigned char msg[600];

	mpt_check_int(t, mpr_producer_begin(&p, lane_of(s), CAPACITY), 0);
	for (uint64_t number = 0; number < s->n; number++) {
		size_t len = length_of(number);
		int r;

		memcpy(msg, &number, 8);
		for (size_t i = 8; i < len; i++)
			msg[i] = byte_of(number, i);
		while ((r = mpr_producer_put(&p, msg, len)) == -EAGAIN)
			sched_yield();
		mpt_check_int(t, r, 0);
	}
	return 0;
}

/* Verifies one message, whose number must be above @last. */
static uint64_t
verify(struct mpt *t, const unsigned char *msg, size_t len, int64_t last)
{
	uint64_t number;

	mpt_check(t, len >= 8);
	memcpy(&number, msg, 8);
	mpt_check(t, (int64_t)number > last);
	mpt_check_int(t, len, length_of(number));
	for (size_t i = 8; i < len; i++)
		mpt_check_int(t, msg[i], byte_of(number, i));
	return number;
}

static int
consume_alone(struct mpt *t, void *arg)
{
	struct stream *s = arg;
	struct mpr_consumer c;
	unsigned char msg[600];
	size_t len;
	int r;

	mpr_consumer_begin(&c, lane_of(s), CAPACITY);
	for (uint64_t number = 0; number < s->n; number++) {
		while ((r = mpr_consumer_get(&c, msg, sizeof(msg), &len)) ==
		       -EAGAIN)
			sched_yield();
		mpt_check_int(t, r, 0);
		mpt_check_int(t, verify(t, msg, len, -1), number);
	}
	return 0;
}

static int
consume_with_others(struct mpt *t, void *arg)
{
	struct stream *s = arg;
	struct mpr_consumer c;
	unsigned char msg[600];
	int64_t last = -1;
	size_t len;
	int r;

	mpr_consumer_begin(&c, lane_of(s), CAPACITY);
	while (s->taken < s->n) {
		/* Sometimes too small a buffer, which must change nothing. */
		r = mpr_consumer_get_shared(&c, msg, last % 16 ? sizeof(msg) : 4,
					    &len);
		if (r == -EMSGSIZE)
			r = mpr_consumer_get_shared(&c, msg, sizeof(msg), &len);
		if (r == -EAGAIN) {
			sched_yield();
			continue;
		}
		mpt_check_int(t, r, 0);
		last = (int64_t)verify(t, msg, len, last);
		s->sum += (uint64_t)last;
		s->taken++;
	}
	return 0;
}

/* Batches of changing size. */
static int
produce_batches(struct mpt *t, void *arg)
{
	struct stream *s = arg;
	static MPR_THREAD_LOCAL unsigned char bytes[BATCH][600];
	struct iovec msgs[BATCH];
	struct mpr_producer p;
	uint64_t number = 0;

	mpt_check_int(t, mpr_producer_begin(&p, lane_of(s), CAPACITY), 0);
	while (number < s->n) {
		int n = 1 + (int)(number * 7 % BATCH), r;

		if ((uint64_t)n > s->n - number)
			n = (int)(s->n - number);
		for (int k = 0; k < n; k++) {
			uint64_t it = number + (uint64_t)k;

			msgs[k].iov_base = bytes[k];
			msgs[k].iov_len = length_of(it);
			memcpy(bytes[k], &it, 8);
			for (size_t i = 8; i < msgs[k].iov_len; i++)
				bytes[k][i] = byte_of(it, i);
		}
		while ((r = mpr_producer_put_many(&p, msgs, n)) == -EAGAIN)
			sched_yield();
		mpt_check(t, r > 0 && r <= n);
		number += (uint64_t)r;
	}
	return 0;
}

static int
consume_batches_alone(struct mpt *t, void *arg)
{
	static MPR_THREAD_LOCAL unsigned char buf[CAPACITY];
	struct stream *s = arg;
	struct iovec msgs[BATCH];
	struct mpr_consumer c;
	uint64_t number = 0;
	size_t len;
	int r;

	mpr_consumer_begin(&c, lane_of(s), CAPACITY);
	while (number < s->n) {
		while ((r = mpr_consumer_get_many(&c, buf, sizeof(buf), msgs,
						  BATCH, &len)) == -EAGAIN)
			sched_yield();
		mpt_check(t, r > 0);
		for (int i = 0; i < r; i++)
			mpt_check_int(t, verify(t, msgs[i].iov_base,
						msgs[i].iov_len, -1),
				      number++);
	}
	return 0;
}

static int
consume_batches_with_others(struct mpt *t, void *arg)
{
	static MPR_THREAD_LOCAL unsigned char buf[CAPACITY];
	struct stream *s = arg;
	struct iovec msgs[BATCH];
	struct mpr_consumer c;
	int64_t last = -1;
	size_t len;

	mpr_consumer_begin(&c, lane_of(s), CAPACITY);
	while (s->taken < s->n) {
		/* Sometimes too small a buffer, which must change nothing. */
		int r = mpr_consumer_get_many_shared(
			&c, buf, last % 16 ? sizeof(buf) : 4, msgs, BATCH,
			&len);

		if (r == -EMSGSIZE)
			r = mpr_consumer_get_many_shared(&c, buf, sizeof(buf),
							 msgs, BATCH, &len);
		if (r == -EAGAIN) {
			sched_yield();
			continue;
		}
		mpt_check(t, r > 0);
		for (int i = 0; i < r; i++) {
			last = (int64_t)verify(t, msgs[i].iov_base,
					       msgs[i].iov_len, last);
			s->sum += (uint64_t)last;
			s->taken++;
		}
	}
	return 0;
}

static void
run_streams(struct mpt *t, bool threads, mpt_fn *producer, mpt_fn *consumer,
	    int consumers)
{
	struct stream *s = mpt_scratch(t);
	uint64_t n = amount(100000);

	s->n = (unsigned)n;
	mpr_lane_init(lane_of(s), mpr_owner(1, 0, MPR_LANE_ACTIVE));
	mpt_use_threads(t, threads);
	for (int i = 0; i < consumers; i++)
		mpt_spawn(t, "consumer", consumer, s);
	mpt_spawn(t, "producer", producer, s);
	mpt_join_all(t);
	assert_true(mpr_lane_is_empty(lane_of(s)));
	if (consumers > 1) {
		assert_int_equal(s->taken, n);
		assert_int_equal(s->sum, n * (n - 1) / 2);
	}
}

static void
run_stream(struct mpt *t, bool threads, mpt_fn *consumer, int consumers)
{
	run_streams(t, threads, produce, consumer, consumers);
}

static void
a_stream_arrives_whole_at_the_only_consumer(void **state)
{
	run_stream(*state, true, consume_alone, 1);
}

static void
a_stream_arrives_whole_in_another_process(void **state)
{
	run_stream(*state, false, consume_alone, 1);
}

static void
each_message_goes_to_one_of_several_threads(void **state)
{
	run_stream(*state, true, consume_with_others, CONSUMERS);
}

static void
each_message_goes_to_one_of_several_processes(void **state)
{
	run_stream(*state, false, consume_with_others, CONSUMERS);
}

static void
batches_arrive_whole_at_the_only_consumer(void **state)
{
	run_streams(*state, true, produce_batches, consume_batches_alone, 1);
}

static void
batches_arrive_whole_in_another_process(void **state)
{
	run_streams(*state, false, produce_batches, consume_batches_alone, 1);
}

static void
batches_go_to_several_threads(void **state)
{
	run_streams(*state, true, produce_batches, consume_batches_with_others,
		    CONSUMERS);
}

static void
batches_go_to_several_processes(void **state)
{
	run_streams(*state, false, produce_batches, consume_batches_with_others,
		    CONSUMERS);
}

static void
batches_go_to_threads_that_take_single_messages(void **state)
{
	run_streams(*state, true, produce_batches, consume_with_others,
		    CONSUMERS);
}

static int
watch_length(struct mpt *t, void *arg)
{
	struct stream *s = arg;

	while (s->taken < s->n) {
		size_t len = mpr_lane_len(lane_of(s), CAPACITY);

		mpt_check(t, len <= CAPACITY / MPR_FRAME_ALIGN);
		sched_yield();
	}
	return 0;
}

static void
the_length_stays_in_bounds_while_messages_pass(void **state)
{
	struct mpt *t = *state;
	struct stream *s = mpt_scratch(t);

	s->n = amount(30000);
	mpr_lane_init(lane_of(s), mpr_owner(1, 0, MPR_LANE_ACTIVE));
	mpt_use_threads(t, true);
	mpt_spawn(t, "watcher", watch_length, s);
	mpt_spawn(t, "consumer", consume_with_others, s);
	mpt_spawn(t, "producer", produce, s);
	mpt_join_all(t);
	assert_int_equal(mpr_lane_len(lane_of(s), CAPACITY), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_stream_arrives_whole_at_the_only_consumer),
		mpt_test(a_stream_arrives_whole_in_another_process),
		mpt_test(each_message_goes_to_one_of_several_threads),
		mpt_test(each_message_goes_to_one_of_several_processes),
		mpt_test(batches_arrive_whole_at_the_only_consumer),
		mpt_test(batches_arrive_whole_in_another_process),
		mpt_test(batches_go_to_several_threads),
		mpt_test(batches_go_to_several_processes),
		mpt_test(batches_go_to_threads_that_take_single_messages),
		mpt_test(the_length_stays_in_bounds_while_messages_pass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
