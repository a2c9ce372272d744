/* SPDX-License-Identifier: MIT */
/*
 * While both sides of a queue are busy no call enters the kernel. After a
 * warm-up the peers install a seccomp filter that kills them at any system
 * call but the ones they need to report and to end; then they go on.
 */
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>

#include "syscalls.h"

#define WARM_UP 1000

/* In the scratch bytes. */
struct job {
	mproc_queue *q;
	uint64_t n;
	bool in_place; /* by reserve and commit, peek and release */
	_Atomic unsigned ready;
};

struct message {
	uint64_t number;
	uint64_t fill[3];
};

static struct message
message(uint64_t number)
{
	return (struct message){
		number, { number * 3, ~number, number ^ 0x5555 }
	};
}

/* Both sides wait for each other without the kernel. */
static void
meet(struct job *job, unsigned peers)
{
	job->ready++;
	while (job->ready < peers)
		;
}

static int
put_one(struct job *job, const struct message *m)
{
	void *p;
	int r;

	if (!job->in_place)
		return mproc_queue_put(job->q, m, sizeof(*m), MPROC_NOWAIT);
	r = mproc_queue_reserve(job->q, sizeof(*m), &p, MPROC_NOWAIT);
	if (r < 0)
		return r;
	memcpy(p, m, sizeof(*m));
	return mproc_queue_commit(job->q, p, sizeof(*m));
}

static int
get_one(struct job *job, struct message *m, size_t *ret_len)
{
	const void *p;
	int r;

	if (!job->in_place)
		return mproc_queue_get(job->q, m, sizeof(*m), ret_len,
				       MPROC_NOWAIT);
	r = mproc_queue_peek(job->q, &p, ret_len, MPROC_NOWAIT);
	if (r < 0)
		return r;
	memcpy(m, p, sizeof(*m));
	return mproc_queue_release(job->q, p);
}

static void
put_all(struct mpt *t, struct job *job, uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i < to; i++) {
		struct message m = message(i);
		int r;

		do
			r = put_one(job, &m);
		while (r == -EAGAIN);
		mpt_check_int(t, r, 0);
	}
}

static int
produce(struct mpt *t, void *arg)
{
	struct job *job = arg;

	put_all(t, job, 0, WARM_UP);
	forbid_system_calls(t);
	meet(job, 2);
	put_all(t, job, WARM_UP, job->n);
	return 0;
}

static void
get_all(struct mpt *t, struct job *job, uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i < to; i++) {
		struct message m = { 0 }, good = message(i);
		size_t len = 0;
		int r;

		do
			r = get_one(job, &m, &len);
		while (r == -EAGAIN);
		mpt_check_int(t, r, 0);
		mpt_check_int(t, len, sizeof(m));
		mpt_check(t, memcmp(&m, &good, sizeof(m)) == 0);
	}
}

static int
consume(struct mpt *t, void *arg)
{
	struct job *job = arg;

	get_all(t, job, 0, WARM_UP);
	forbid_system_calls(t);
	meet(job, 2);
	get_all(t, job, WARM_UP, job->n);
	return 0;
}

static void
stream(struct mpt *t, bool single, bool in_place)
{
	struct job *job = mpt_scratch(t);

	job->in_place = in_place;
	job->n = WARM_UP + amount(1000000);
	assert_int_equal(mproc_queue_create(
		&job->q, MPROC_OPTS(mproc_queue_opts,
				    .single_consumer = single)), 0);
	mpt_spawn(t, "consumer", consume, job);
	mpt_spawn(t, "producer", produce, job);
	mpt_join_all(t);
	assert_int_equal(mproc_queue_len(job->q), 0);
	mproc_queue_destroy(job->q);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

static void
a_stream_to_the_only_consumer_makes_none(void **state)
{
	stream(*state, true, false);
}

static void
a_stream_to_one_of_several_consumers_makes_none(void **state)
{
	stream(*state, false, false);
}

static void
messages_in_place_for_the_only_consumer_make_none(void **state)
{
	stream(*state, true, true);
}

static void
messages_in_place_for_several_consumers_make_none(void **state)
{
	stream(*state, false, true);
}

#define BATCH 16

static void
put_batches(struct mpt *t, struct job *job, uint64_t from, uint64_t to)
{
	struct message m[BATCH];
	struct iovec msgs[BATCH], parts[2];
	int n, r;

	while (from < to) {
		for (n = 0; n < BATCH && from + (uint64_t)n < to; n++) {
			m[n] = message(from + (uint64_t)n);
			msgs[n] = (struct iovec){ &m[n], sizeof(m[n]) };
		}
		r = mproc_queue_put_many(job->q, msgs, n, MPROC_NOWAIT);
		if (r == -EAGAIN) {
			/* And one in parts, when there is room again. */
			parts[0] = (struct iovec){ m, 3 };
			parts[1] = (struct iovec){ (char *)m + 3,
						   sizeof(m[0]) - 3 };
			do
				r = mproc_queue_putv(job->q, parts, 2,
						     MPROC_NOWAIT);
			while (r == -EAGAIN);
			mpt_check_int(t, r, 0);
			r = 1;
		}
		mpt_check(t, r > 0);
		from += (uint64_t)r;
	}
}

static int
produce_batches(struct mpt *t, void *arg)
{
	struct job *job = arg;

	put_batches(t, job, 0, WARM_UP);
	forbid_system_calls(t);
	meet(job, 2);
	put_batches(t, job, WARM_UP, job->n);
	return 0;
}

static void
get_batches(struct mpt *t, struct job *job, uint64_t from, uint64_t to)
{
	struct message m[BATCH];
	struct iovec msgs[BATCH];
	int r;

	while (from < to) {
		uint64_t n = to - from < BATCH ? to - from : BATCH;

		do
			r = mproc_queue_get_many(job->q, m, sizeof(m), msgs,
						 (int)n, MPROC_NOWAIT);
		while (r == -EAGAIN);
		mpt_check(t, r > 0);
		for (int i = 0; i < r; i++, from++) {
			struct message good = message(from);

			mpt_check(t, memcmp(&m[i], &good, sizeof(good)) == 0);
		}
	}
}

static int
consume_batches(struct mpt *t, void *arg)
{
	struct job *job = arg;

	get_batches(t, job, 0, WARM_UP);
	forbid_system_calls(t);
	meet(job, 2);
	get_batches(t, job, WARM_UP, job->n);
	return 0;
}

static void
stream_batches(struct mpt *t, bool single)
{
	struct job *job = mpt_scratch(t);

	job->n = WARM_UP + amount(1000000);
	assert_int_equal(mproc_queue_create(
		&job->q, MPROC_OPTS(mproc_queue_opts,
				    .single_consumer = single)), 0);
	mpt_spawn(t, "consumer", consume_batches, job);
	mpt_spawn(t, "producer", produce_batches, job);
	mpt_join_all(t);
	assert_int_equal(mproc_queue_len(job->q), 0);
	mproc_queue_destroy(job->q);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

static void
batches_to_the_only_consumer_make_none(void **state)
{
	stream_batches(*state, true);
}

static void
batches_to_one_of_several_consumers_make_none(void **state)
{
	stream_batches(*state, false);
}

/* A large lane calls the kernel until its tail has gone round once. */
static int
put_and_get_around_a_large_lane(struct mpt *t, void *arg)
{
	struct job *job = arg;

	for (uint64_t i = 0; i < (1 << 20) / 48 + 16; i++) {
		put_all(t, job, i, i + 1);
		get_all(t, job, i, i + 1);
	}
	forbid_system_calls(t);
	for (uint64_t i = 0; i < job->n; i++) {
		put_batches(t, job, i, i + 1);
		get_batches(t, job, i, i + 1);
	}
	return 0;
}

static void
a_large_lane_makes_none_after_its_first_lap(void **state)
{
	struct mpt *t = *state;
	struct job *job = mpt_scratch(t);

	job->n = amount(300000);
	assert_int_equal(mproc_queue_create(
		&job->q, MPROC_OPTS(mproc_queue_opts,
				    .capacity = 1 << 20)), 0);
	mpt_expect_exit(t, mpt_spawn(t, "peer",
				     put_and_get_around_a_large_lane, job), 0);
	mproc_queue_destroy(job->q);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

static int
put_and_get_alone(struct mpt *t, void *arg)
{
	struct job *job = arg;
	struct message m;

	put_all(t, job, 0, 10);
	get_all(t, job, 0, 10);
	forbid_system_calls(t);
	for (uint64_t i = 0; i < job->n; i++) {
		struct message good = m = message(i);

		mpt_check_int(t, mproc_queue_put(job->q, &m, sizeof(m),
						 MPROC_FOREVER), 0);
		memset(&m, 0, sizeof(m));
		mpt_check_int(t, mproc_queue_get(job->q, &m, sizeof(m), NULL,
						 MPROC_FOREVER), 0);
		mpt_check(t, memcmp(&m, &good, sizeof(m)) == 0);
	}
	return 0;
}

static void
put_and_get_in_one_thread_make_none(void **state)
{
	struct mpt *t = *state;
	struct job *job = mpt_scratch(t);

	job->n = amount(1000000);
	for (int single = 0; single < 2; single++) {
		assert_int_equal(mproc_queue_create(
			&job->q, MPROC_OPTS(mproc_queue_opts,
					    .single_consumer = single)), 0);
		mpt_expect_exit(t, mpt_spawn(t, "peer", put_and_get_alone, job),
				0);
		mproc_queue_destroy(job->q);
		assert_true(mproc_arena_recover(NULL) >= 0);
	}
}

static int
use_many_queues(struct mpt *t, void *arg)
{
	mproc_queue **q = arg;
	unsigned value;

	for (unsigned i = 0; i < 12 * 200; i++) {
		if (i == 24)
			forbid_system_calls(t);
		mpt_check_int(t, mproc_queue_put(q[i % 12], &i, sizeof(i),
						 MPROC_FOREVER), 0);
		mpt_check_int(t, mproc_queue_get(q[i % 12], &value,
						 sizeof(value), NULL,
						 MPROC_FOREVER), 0);
		mpt_check_int(t, value, i);
	}
	return 0;
}

static void
changing_between_queues_makes_none(void **state)
{
	struct mpt *t = *state;
	mproc_queue *q[12];

	for (int i = 0; i < 12; i++)
		assert_int_equal(mproc_queue_create(&q[i], NULL), 0);
	mpt_expect_exit(t, mpt_spawn(t, "peer", use_many_queues, q), 0);
	for (int i = 0; i < 12; i++)
		mproc_queue_destroy(q[i]);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

/* Others may poll for the queue. Once their descriptors are readable nobody has
 * to be told of anything. */
static int
hold_a_descriptor(struct mpt *t, void *arg)
{
	struct job *job = arg;
	struct pollfd pfd = { .fd = mproc_queue_fd(job->q), .events = POLLIN };

	mpt_check(t, pfd.fd > 2);
	mpt_step(t, 0);
	mpt_check_int(t, poll(&pfd, 1, 20000), 1);
	mpt_step(t, 1);
	mpt_reach(t, 3);
	return 0;
}

static void
a_stream_beside_a_descriptor_that_is_readable_makes_none(void **state)
{
	struct mpt *t = *state;
	struct job *job = mpt_scratch(t);
	struct message m = message(0);
	int holder, consumer, producer;

	job->n = WARM_UP + amount(1000000);
	assert_int_equal(mproc_queue_create(&job->q, NULL), 0);
	holder = mpt_spawn(t, "holder", hold_a_descriptor, job);
	mpt_reach(t, 1);
	/* Makes it readable. */
	assert_int_equal(mproc_queue_put(job->q, &m, sizeof(m), MPROC_NOWAIT),
			 0);
	mpt_reach(t, 2);
	get_all(t, job, 0, 1);
	consumer = mpt_spawn(t, "consumer", consume, job);
	producer = mpt_spawn(t, "producer", produce, job);
	mpt_expect_exit(t, consumer, 0);
	mpt_expect_exit(t, producer, 0);
	mpt_step(t, 2);
	mpt_expect_exit(t, holder, 0);
	mproc_queue_destroy(job->q);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

/* What the filter is worth. */
static int
make_one(struct mpt *t, void *arg)
{
	(void)arg;
	forbid_system_calls(t);
	syscall(SYS_getppid);
	return 0;
}

static void
a_peer_that_makes_one_is_killed(void **state)
{
	struct mpt *t = *state;

	mpt_expect_signal(t, mpt_spawn(t, "culprit", make_one, NULL), SIGSYS);
}

static int
wait_for_a_message(struct mpt *t, void *arg)
{
	struct job *job = arg;
	char c;

	mpt_check_int(t, mproc_queue_get(job->q, &c, 1, NULL, MPROC_NOWAIT),
		      -EAGAIN);
	forbid_system_calls(t);
	return mproc_queue_get(job->q, &c, 1, NULL, MPROC_FOREVER);
}

static void
a_peer_that_must_sleep_makes_one(void **state)
{
	struct mpt *t = *state;
	struct job *job = mpt_scratch(t);

	assert_int_equal(mproc_queue_create(&job->q, NULL), 0);
	mpt_expect_signal(t, mpt_spawn(t, "sleeper", wait_for_a_message, job),
			  SIGSYS);
	mproc_queue_destroy(job->q);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_peer_that_makes_one_is_killed),
		mpt_test(a_peer_that_must_sleep_makes_one),
		mpt_test(a_stream_to_the_only_consumer_makes_none),
		mpt_test(a_stream_to_one_of_several_consumers_makes_none),
		mpt_test(messages_in_place_for_the_only_consumer_make_none),
		mpt_test(messages_in_place_for_several_consumers_make_none),
		mpt_test(batches_to_the_only_consumer_make_none),
		mpt_test(batches_to_one_of_several_consumers_make_none),
		mpt_test(a_large_lane_makes_none_after_its_first_lap),
		mpt_test(a_stream_beside_a_descriptor_that_is_readable_makes_none),
		mpt_test(put_and_get_in_one_thread_make_none),
		mpt_test(changing_between_queues_makes_none),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
