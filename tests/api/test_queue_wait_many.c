/* SPDX-License-Identifier: MIT */
/*
 * queue.h: batches that have to wait, for room or for messages, and what ends
 * that. The same for single messages is in test_queue_wait.c.
 */
#include <stdatomic.h>

#include "common.h"
#include "mpt_times.h"

#define CAPACITY 4096
#define FULL (CAPACITY / 32) /* messages of 24 bytes */
#define BATCH 16

/* In the scratch bytes. */
struct job {
	mproc_queue *q;
	mproc_timeout timeout;
	int n;		   /* to put, or to take at most */
	_Atomic int r[8];  /* what each role's call returned */
	_Atomic unsigned next_role;
	_Atomic unsigned taken;
};

static mproc_queue *
new_queue(struct mpt *t, bool single)
{
	mproc_queue *q = NULL;

	mpt_check_int(t, mproc_queue_create(&q, MPROC_OPTS(
		mproc_queue_opts, .capacity = CAPACITY,
		.single_consumer = single)), 0);
	return q;
}

static int
put_batch(mproc_queue *q, int n, mproc_timeout timeout)
{
	static char bytes[24];
	struct iovec msgs[FULL];

	for (int i = 0; i < n; i++)
		msgs[i] = (struct iovec){ bytes, sizeof(bytes) };
	return mproc_queue_put_many(q, msgs, n, timeout);
}

static int
get_batch(mproc_queue *q, int n, mproc_timeout timeout)
{
	char bytes[24 * FULL];
	struct iovec msgs[FULL];

	return mproc_queue_get_many(q, bytes, sizeof(bytes), msgs, n, timeout);
}

static void
fill(struct mpt *t, mproc_queue *q)
{
	mpt_check_int(t, put_batch(q, FULL, MPROC_NOWAIT), FULL);
	mpt_check_int(t, put_batch(q, 1, MPROC_NOWAIT), -EAGAIN);
}

/* One call each, whose result is noted. */

static int
put_role(struct mpt *t, void *arg)
{
	struct job *job = arg;
	unsigned me = job->next_role++;

	fill(t, job->q);
	mpt_step(t, me);
	job->r[me] = put_batch(job->q, job->n, job->timeout);
	return 0;
}

static int
get_role(struct mpt *t, void *arg)
{
	struct job *job = arg;
	unsigned me = job->next_role++;

	mpt_check_int(t, get_batch(job->q, 1, MPROC_NOWAIT), -EAGAIN);
	mpt_step(t, me);
	job->r[me] = get_batch(job->q, job->n, job->timeout);
	return 0;
}

/* A role that is asleep in its call. */
static int
asleep(struct mpt *t, struct job *job, mpt_fn *fn, unsigned n)
{
	struct mproc_queue_stat st;
	int id = mpt_spawn(t, "sleeper", fn, job);

	mpt_reach(t, n + 1);
	do
		mpt_check_int(t, mproc_queue_stat(job->q, &st), 0);
	while (st.sleeping_consumers + st.sleeping_producers <= n);
	return id;
}

static struct job *
begin(struct mpt *t, bool threads, bool single, int n)
{
	struct job *job = mpt_scratch(t);

	memset(job, 0, sizeof(*job));
	mpt_use_threads(t, threads);
	job->q = new_queue(t, single);
	job->n = n;
	job->timeout = mproc_sec(15);
	return job;
}

static void
end(struct job *job)
{
	mproc_queue_destroy(job->q);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

static void
room_that_is_made(struct mpt *t, bool threads)
{
	struct job *job = begin(t, threads, false, BATCH);
	int id = asleep(t, job, put_role, 0);

	assert_int_equal(get_batch(job->q, FULL / 2, MPROC_NOWAIT), FULL / 2);
	mpt_expect_exit(t, id, 0);
	/* With room to spare, all of it goes in. */
	assert_int_equal(job->r[0], BATCH);
	assert_int_equal(mproc_queue_len(job->q), FULL / 2 + BATCH);
	end(job);
}

static void
a_batch_waits_for_room_as_a_process(void **state)
{
	room_that_is_made(*state, false);
}

static void
a_batch_waits_for_room_as_a_thread(void **state)
{
	room_that_is_made(*state, true);
}

static void
messages_that_come(struct mpt *t, bool threads, bool single)
{
	struct job *job = begin(t, threads, single, FULL);
	int id = asleep(t, job, get_role, 0);

	assert_int_equal(put_batch(job->q, BATCH, MPROC_NOWAIT), BATCH);
	mpt_expect_exit(t, id, 0);
	assert_int_equal(job->r[0], BATCH);
	assert_int_equal(mproc_queue_len(job->q), 0);
	end(job);
}

static void
a_batch_is_waited_for_by_a_process(void **state)
{
	messages_that_come(*state, false, false);
}

static void
a_batch_is_waited_for_by_a_thread(void **state)
{
	messages_that_come(*state, true, false);
}

static void
a_batch_is_waited_for_by_the_only_consumer(void **state)
{
	messages_that_come(*state, false, true);
}

/* Takes one in each round, and does not come back before the others have taken
 * theirs. */
static int
take_one_a_round(struct mpt *t, void *arg)
{
	struct job *job = arg;
	unsigned taken;

	while (get_batch(job->q, 1, mproc_sec(15)) == 1) {
		taken = ++job->taken;
		mpt_until(t, job->taken >= (taken + 3) / 4 * 4);
	}
	return 0;
}

static void
a_batch_wakes_as_many_as_it_has_messages_for(void **state)
{
	struct mpt *t = *state;
	struct job *job = begin(t, false, false, 1);
	unsigned rounds = amount(100) + 10;
	struct mproc_queue_stat st;
	struct mpt_times spent = { 0 };
	int64_t began;

	for (int i = 0; i < 4; i++)
		mpt_spawn(t, "consumer", take_one_a_round, job);
	for (unsigned round = 0; round < rounds; round++) {
		do
			mpt_check_int(t, mproc_queue_stat(job->q, &st), 0);
		while (st.sleeping_consumers < 4);
		began = mproc_now();
		assert_int_equal(put_batch(job->q, 4, MPROC_NOWAIT), 4);
		mpt_until(t, job->taken == 4 * (round + 1));
		mpt_times_add(&spent, mproc_now() - began);
	}
	assert_int_equal(mproc_queue_shutdown(job->q, MPROC_IMMEDIATE), 0);
	mpt_join_all(t);
	end(job);
	/* Who is not woken sleeps until its slice ends, 50 ms at least. */
	assert_true(mpt_times_median(&spent) < 40 * MS);
}

static void
a_timeout_ends_both_waits(void **state)
{
	struct mpt *t = *state;
	struct job *job = begin(t, false, false, BATCH);
	int64_t began = mproc_now();

	assert_int_equal(get_batch(job->q, BATCH, mproc_ms(5)), -ETIMEDOUT);
	fill(t, job->q);
	assert_int_equal(put_batch(job->q, BATCH, mproc_ms(5)), -ETIMEDOUT);
	assert_true(mproc_now() - began >= 10 * MS);
	assert_int_equal(mproc_queue_len(job->q), FULL);
	end(job);
}

typedef void end_fn(mproc_queue *q);

static void
destroy(mproc_queue *q)
{
	mproc_queue_destroy(q);
}

static void
drain(mproc_queue *q)
{
	assert_int_equal(mproc_queue_shutdown(q, MPROC_DRAIN), 0);
}

static void
close_at_once(mproc_queue *q)
{
	assert_int_equal(mproc_queue_shutdown(q, MPROC_IMMEDIATE), 0);
}

static void
ends_waits(struct mpt *t, end_fn *how, mpt_fn *role, bool threads)
{
	struct job *job = begin(t, threads, false, BATCH);
	int id[2];

	for (unsigned i = 0; i < 2; i++)
		id[i] = asleep(t, job, role, i);
	how(job->q);
	for (unsigned i = 0; i < 2; i++) {
		mpt_expect_exit(t, id[i], 0);
		assert_int_equal(job->r[i], -ESHUTDOWN);
	}
	end(job);
}

#define ends(name, how, role)                       \
	static void name(void **state)              \
	{                                           \
		ends_waits(*state, how, role, false); \
	}                                           \
	static void name##_of_threads(void **state) \
	{                                           \
		ends_waits(*state, how, role, true);  \
	}

ends(destroy_ends_puts_of_batches, destroy, put_role)
ends(destroy_ends_gets_of_batches, destroy, get_role)
ends(drain_ends_puts_of_batches, drain, put_role)
ends(drain_ends_gets_of_batches, drain, get_role)
ends(shutdown_ends_puts_of_batches, close_at_once, put_role)
ends(shutdown_ends_gets_of_batches, close_at_once, get_role)

static int
interrupted(struct mpt *t, void *arg)
{
	struct job *job = arg;

	fill(t, job->q);
	mproc_interrupt();
	mpt_check_int(t, put_batch(job->q, BATCH, MPROC_FOREVER), -EINTR);
	while (get_batch(job->q, FULL, MPROC_NOWAIT) > 0)
		;
	mproc_interrupt();
	mpt_check_int(t, get_batch(job->q, BATCH, MPROC_FOREVER), -EINTR);
	return 0;
}

static void
an_interrupt_ends_both_waits(void **state)
{
	struct mpt *t = *state;
	struct job *job = begin(t, false, false, BATCH);

	mpt_expect_exit(t, mpt_spawn(t, "interrupted", interrupted, job), 0);
	end(job);
}

/* The consumer that the batch had woken is killed with its share of it. */
static void
a_killed_sleeper_takes_nobodys_wake_up_with_it(void **state)
{
	struct mpt *t = *state;
	struct job *job = begin(t, false, false, 1);
	int id[2];

	for (unsigned i = 0; i < 2; i++)
		id[i] = asleep(t, job, get_role, i);
	mpt_pause(t, id[0]);
	assert_int_equal(put_batch(job->q, 1, MPROC_NOWAIT), 1);
	mpt_kill(t, id[0]);
	assert_true(mproc_arena_recover(NULL) >= 0);
	mpt_expect_exit(t, id[1], 0);
	assert_int_equal(job->r[1], 1);
	end(job);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_batch_waits_for_room_as_a_process),
		mpt_test(a_batch_waits_for_room_as_a_thread),
		mpt_test(a_batch_is_waited_for_by_a_process),
		mpt_test(a_batch_is_waited_for_by_a_thread),
		mpt_test(a_batch_is_waited_for_by_the_only_consumer),
		mpt_test(a_batch_wakes_as_many_as_it_has_messages_for),
		mpt_test(a_timeout_ends_both_waits),
		mpt_test(destroy_ends_puts_of_batches),
		mpt_test(destroy_ends_puts_of_batches_of_threads),
		mpt_test(destroy_ends_gets_of_batches),
		mpt_test(destroy_ends_gets_of_batches_of_threads),
		mpt_test(drain_ends_puts_of_batches),
		mpt_test(drain_ends_puts_of_batches_of_threads),
		mpt_test(drain_ends_gets_of_batches),
		mpt_test(drain_ends_gets_of_batches_of_threads),
		mpt_test(shutdown_ends_puts_of_batches),
		mpt_test(shutdown_ends_puts_of_batches_of_threads),
		mpt_test(shutdown_ends_gets_of_batches),
		mpt_test(shutdown_ends_gets_of_batches_of_threads),
		mpt_test(an_interrupt_ends_both_waits),
		mpt_test(a_killed_sleeper_takes_nobodys_wake_up_with_it),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
