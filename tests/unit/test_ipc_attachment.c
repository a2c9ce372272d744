/* SPDX-License-Identifier: MIT */
/*
 * Attachments: found by the queue's address, given back at a thread's end, at
 * a fork, and when the queue is gone or is another one by now.
 */
#include <errno.h>

#include <mproc/mproc.h>

#include "arena/recover.h"
#include "base/fault.h"
#include "common.h"
#include "ipc/attachment.h"
#include "sync/seats.h"

#define QUEUES 70 /* more than the cache holds at once, or can be looked through */

static mproc_queue *
new_queue(void)
{
	mproc_queue *q = NULL;

	assert_int_equal(mproc_queue_create(
		&q, MPROC_OPTS(mproc_queue_opts, .capacity = 4096)), 0);
	return q;
}

static struct mpr_attachment *
attach(mproc_queue *q)
{
	struct mpr_attachment *at = NULL;

	return mpr_attachment_get(q, &at) == 0 ? at : NULL;
}

static unsigned
taken_seats(mproc_queue *q)
{
	struct mpr_seat_walk walk = { 0 };
	_Atomic uint64_t *seat;
	unsigned n = 0;

	while ((seat = mpr_seat_next(the_arena(), &q->seats, &walk)))
		n += mpr_owner_state(*seat) != MPR_SEAT_FREE;
	return n;
}

static void
one_thread_has_one_attachment_for_each_queue(void **state)
{
	struct mpr_attachment *at[QUEUES];
	mproc_queue *q[QUEUES];

	(void)state;
	for (int i = 0; i < QUEUES; i++) {
		q[i] = new_queue();
		at[i] = attach(q[i]);
		assert_non_null(at[i]);
		assert_ptr_equal(at[i]->q, q[i]);
	}
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < QUEUES; i++)
			assert_ptr_equal(attach(q[i * 7 % QUEUES]),
					 at[i * 7 % QUEUES]);
	for (int i = 0; i < QUEUES; i++)
		assert_int_equal(taken_seats(q[i]), 1);
	for (int i = 0; i < QUEUES; i++)
		mproc_queue_destroy(q[i]);
}

static void
messages_of_many_queues_do_not_mix(void **state)
{
	mproc_queue *q[QUEUES];
	int value;

	(void)state;
	for (int i = 0; i < QUEUES; i++)
		q[i] = new_queue();
	for (int round = 0; round < 5; round++)
		for (int i = 0; i < QUEUES; i++) {
			value = round * QUEUES + i;
			assert_int_equal(mproc_queue_put(q[i], &value,
							 sizeof(value),
							 MPROC_NOWAIT), 0);
		}
	for (int round = 0; round < 5; round++)
		for (int i = 0; i < QUEUES; i++) {
			assert_int_equal(mproc_queue_get(q[i], &value,
							 sizeof(value), NULL,
							 MPROC_NOWAIT), 0);
			assert_int_equal(value, round * QUEUES + i);
		}
	for (int i = 0; i < QUEUES; i++)
		mproc_queue_destroy(q[i]);
}

static int
attach_in_child(struct mpt *t, void *arg)
{
	mproc_queue *q = arg;
	struct mpr_attachment *at;
	int value = 2;

	mpt_check_int(t, taken_seats(q), 1);
	at = attach(q);
	mpt_check(t, at);
	mpt_check_int(t, taken_seats(q), 2);
	mpt_check(t, !at->producer.lane);
	mpt_check_int(t, at->self->shared->pid, getpid());
	mpt_check_int(t, mproc_queue_put(q, &value, sizeof(value),
					 MPROC_NOWAIT), 0);
	return 0;
}

static void
a_forked_child_makes_its_own(void **state)
{
	struct mpt *t = *state;
	mproc_queue *q = new_queue();
	struct mpr_attachment *at = attach(q);
	struct mpr_lane *lane;
	int value = 1;

	assert_int_equal(mproc_queue_put(q, &value, sizeof(value),
					 MPROC_NOWAIT), 0);
	lane = at->producer.lane;
	mpt_expect_exit(t, mpt_spawn(t, "child", attach_in_child, q), 0);
	mpr_recover_all(the_arena(), true);
	/* Ours is untouched, and the child's message came in its own lane. */
	assert_ptr_equal(attach(q), at);
	assert_ptr_equal(at->producer.lane, lane);
	assert_int_equal(taken_seats(q), 1);
	assert_int_equal(mpr_lane_len(lane, 4096), 1);
	assert_int_equal(mproc_queue_len(q), 2);
	mproc_queue_destroy(q);
}

static int
use_queue(struct mpt *t, void *arg)
{
	int value = 1;

	mpt_check_int(t, mproc_queue_put(arg, &value, sizeof(value),
					 MPROC_NOWAIT), 0);
	mpt_check_int(t, mproc_queue_get(arg, &value, sizeof(value), NULL,
					 MPROC_NOWAIT), 0);
	return 0;
}

static void
a_thread_that_ends_gives_back_seat_and_lane(void **state)
{
	struct mpt *t = *state;
	mproc_queue *q = new_queue();
	struct mproc_arena_stat first, last;

	mpt_use_threads(t, true);
	mpt_expect_exit(t, mpt_spawn(t, "thread", use_queue, q), 0);
	assert_int_equal(taken_seats(q), 0);
	assert_int_equal(mproc_arena_stat(NULL, &first), 0);
	for (int i = 0; i < 10; i++)
		mpt_expect_exit(t, mpt_spawn(t, "thread", use_queue, q), 0);
	assert_int_equal(mproc_arena_stat(NULL, &last), 0);
	assert_int_equal(last.blocks, first.blocks);
	assert_int_equal(taken_seats(q), 0);
	mproc_queue_destroy(q);
}

static void
another_queue_at_the_same_address_is_another_queue(void **state)
{
	struct mpr_attachment *old;
	mproc_queue *q = new_queue(), *again;
	uint64_t open;
	int value = 1;

	(void)state;
	old = attach(q);
	open = old->open;
	assert_int_equal(mproc_queue_put(q, &value, sizeof(value),
					 MPROC_NOWAIT), 0);
	mproc_queue_destroy(q);
	assert_null(attach(q));
	again = new_queue();
	assert_ptr_equal(again, q);
	assert_int_not_equal(attach(again)->open, open);
	assert_int_equal(mproc_queue_len(again), 0);
	assert_int_equal(mproc_queue_get(again, &value, sizeof(value), NULL,
					 MPROC_NOWAIT), -EAGAIN);
	mproc_queue_destroy(again);
}

static int
destroy_it(struct mpt *t, void *arg)
{
	(void)t;
	mproc_queue_destroy(arg);
	return 0;
}

static void
a_queue_that_another_process_destroyed_is_noticed(void **state)
{
	struct mpt *t = *state;
	mproc_queue *q = new_queue(), *other;
	struct mproc_arena_stat before, after;
	int value = 1;

	assert_int_equal(mproc_arena_stat(NULL, &before), 0);
	assert_int_equal(mproc_queue_put(q, &value, sizeof(value),
					 MPROC_NOWAIT), 0);
	mpt_expect_exit(t, mpt_spawn(t, "other", destroy_it, q), 0);
	mpr_recover_all(the_arena(), true);
	/* We have a seat, so it is not reused yet. */
	other = new_queue();
	assert_ptr_not_equal(other, q);
	assert_int_equal(taken_seats(q), 1);
	assert_int_equal(mproc_queue_put(q, &value, sizeof(value),
					 MPROC_NOWAIT), -ESTALE);
	assert_int_equal(taken_seats(q), 0);
	assert_int_equal(mproc_queue_put(q, &value, sizeof(value),
					 MPROC_NOWAIT), -ESTALE);
	mproc_queue_destroy(other);
	assert_int_equal(mproc_arena_stat(NULL, &after), 0);
	assert_int_equal(after.queues, before.queues - 1);
}

static int
put_two(struct mpt *t, void *arg)
{
	int value = 1;

	mpt_check_int(t, mproc_queue_put(arg, &value, sizeof(value),
					 MPROC_NOWAIT), 0);
	mpt_check_int(t, mproc_queue_put(arg, &value, sizeof(value),
					 MPROC_NOWAIT), 0);
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

static void
an_empty_lane_is_taken_over_before_one_with_messages(void **state)
{
	struct mpt *t = *state;
	mproc_queue *q = new_queue();
	struct mpr_lane *lane;
	int id, value = 2;

	mpt_use_threads(t, true);
	mpt_expect_exit(t, mpt_spawn(t, "thread", use_queue, q), 0);
	mpt_use_threads(t, false);
	/* Takes over the thread's lane, and leaves two messages there. */
	id = mpt_spawn(t, "victim", put_two, q);
	mpt_reach(t, 1);
	lane = mpr_arena_at(the_arena(), q->lanes);
	assert_int_equal(lane->next, 0);
	mpt_kill(t, id);
	mpr_recover_all(the_arena(), true);
	assert_int_equal(mpr_owner_state(lane->owner), MPR_LANE_FREE);
	/* There is no empty one: ours is behind its messages, not a new one. */
	assert_int_equal(mproc_queue_put(q, &value, sizeof(value),
					 MPROC_NOWAIT), 0);
	assert_ptr_equal(attach(q)->producer.lane, lane);
	assert_int_equal(mproc_queue_len(q), 3);
	mproc_queue_destroy(q);
}

static void
a_corrupt_queue_is_reported(void **state)
{
	mproc_queue *q = new_queue();
	struct mpr_attachment *at;
	int value = 1;

	(void)state;
	mproc_queue_destroy(q);
	q = new_queue();
	q->capacity = 5000;
	assert_int_equal(mpr_attachment_get(q, &at), -EBADMSG);
	q->capacity = (uint64_t)1 << 40;
	assert_int_equal(mpr_attachment_get(q, &at), -EBADMSG);
	q->capacity = 4096;
	q->lanes = 12345;
	assert_int_equal(mproc_queue_put(q, &value, sizeof(value),
					 MPROC_NOWAIT), -EBADMSG);
	assert_int_equal(mproc_queue_get(q, &value, sizeof(value), NULL,
					 MPROC_NOWAIT), -EBADMSG);
	assert_int_equal(mproc_queue_len(q), 0);
	q->lanes = 0;
	assert_int_equal(mproc_queue_put(q, &value, sizeof(value),
					 MPROC_NOWAIT), 0);
	q->magic ^= 1;
	mproc_queue_destroy(q);
	q->magic ^= 1;
	mproc_queue_destroy(q);
}

static int
setup(void **state)
{
	if (with_arena(state) < 0)
		return -1;
	mproc_queue_destroy(new_queue());
	return 0;
}

/* A lane grows by as much as it has. Where there is too little for that, the
 * message that needs room gets it all the same. */
static void
a_lane_grows_by_less_where_memory_is_short(void **state)
{
	static const char message[1000];
	struct mpr_attachment *at;
	mproc_queue *q = NULL;
	uint64_t had;

	(void)state;
	assert_int_equal(mproc_queue_create(
		&q, MPROC_OPTS(mproc_queue_opts, .capacity = 1 << 20)), 0);
	at = attach(q);
	assert_non_null(at);
	do {
		had = at->producer.memory - at->producer.first;
		assert_int_equal(mproc_queue_put(q, message, sizeof(message),
						 MPROC_NOWAIT), 0);
	} while (had < 4 * MPR_QUEUE_CAPACITY_DEFAULT);
	/* The next time, a quarter as much is there as it would like. */
	assert_int_equal(mpr_fault_set("fallocate:1=ENOSPC"), 0);
	while (mpr_fault_hits(MPR_FAULT_FALLOCATE) == 0)
		assert_int_equal(mproc_queue_put(q, message, sizeof(message),
						 MPROC_NOWAIT), 0);
	assert_int_equal(mpr_fault_set(NULL), 0);
	assert_true(at->producer.memory - at->producer.first ==
		    had + MPR_QUEUE_CAPACITY_DEFAULT);
	mproc_queue_destroy(q);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(one_thread_has_one_attachment_for_each_queue),
		mpt_test(messages_of_many_queues_do_not_mix),
		mpt_test(a_forked_child_makes_its_own),
		mpt_test(a_thread_that_ends_gives_back_seat_and_lane),
		mpt_test(another_queue_at_the_same_address_is_another_queue),
		mpt_test(a_queue_that_another_process_destroyed_is_noticed),
		mpt_test(an_empty_lane_is_taken_over_before_one_with_messages),
		mpt_test(a_corrupt_queue_is_reported),
		mpt_test(a_lane_grows_by_less_where_memory_is_short),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
