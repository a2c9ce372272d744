/* SPDX-License-Identifier: MIT */
/*
 * What the tests of families share: a queue with a single consumer, so that
 * whoever uses it holds all that a thread can hold.
 */
#ifndef API_FAMILY_H
#define API_FAMILY_H

#include <pthread.h>
#include <stdatomic.h>

#include "common.h"

/* How often others look for the dead where there are none. */
#define LOOKS 100

/* In the scratch bytes. */
struct board {
	mproc_queue *q; /* with a single consumer */
	void *block;
	_Atomic unsigned ready;
	_Atomic unsigned got;
	_Atomic bool refused;
	struct mproc_arena_stat before;
	uint64_t blocks; /* when the one in question held what it held */
};

static inline void
begin(struct mpt *t)
{
	struct board *b = mpt_scratch(t);

	assert_true(mproc_arena_recover(NULL) >= 0);
	b->before = stat_now();
	assert_int_equal(mproc_queue_create(
		&b->q, MPROC_OPTS(mproc_queue_opts, .single_consumer = true,
				  .capacity = 4096)), 0);
}

static inline void
put_value(struct mpt *t, unsigned value)
{
	struct board *b = mpt_scratch(t);

	mpt_check_int(t, mproc_queue_put(b->q, &value, sizeof(value),
					 MPROC_NOWAIT), 0);
}

static inline void
take_value(struct mpt *t, unsigned value)
{
	struct board *b = mpt_scratch(t);
	unsigned got = ~value;

	mpt_check_int(t, mproc_queue_get(b->q, &got, sizeof(got), NULL,
					 MPROC_NOWAIT), 0);
	mpt_check_int(t, got, value);
}

/* Takes all that a thread can hold: a participant's slot, and of the queue a
 * seat, a lane and the part of the consumer. */
static inline void
hold_all(struct mpt *t)
{
	struct board *b = mpt_scratch(t);

	put_value(t, 1);
	take_value(t, 1);
	b->blocks = stat_now().blocks;
	b->ready++;
}

/* Ends the scenario, in which all was given back: the test gets the part of
 * the consumer, a lane that is there, and at the end the queue's memory. */
static inline void
expect_all_given_back(struct mpt *t)
{
	struct board *b = mpt_scratch(t);

	put_value(t, 2);
	take_value(t, 2);
	assert_int_equal(stat_now().blocks, b->blocks);
	mproc_queue_destroy(b->q);
	assert_int_equal(stat_now().queues, b->before.queues);
	expect_stat(&b->before);
}

static inline void
expect_nobody_dead(struct mpt *t)
{
	uint64_t participants = stat_now().participants;

	for (int i = 0; i < LOOKS; i++)
		mpt_check_int(t, mproc_arena_recover(NULL), 0);
	mpt_check_int(t, stat_now().participants, participants);
}

static inline void
expect_the_part_taken(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	char c;

	mpt_check_int(t, mproc_queue_get(b->q, &c, 1, NULL, mproc_ms(1)),
		      -EBUSY);
}

static inline void
start_thread(struct mpt *t, void *(*fn)(void *arg))
{
	pthread_t thread;

	mpt_check_int(t, pthread_create(&thread, NULL, fn, t), 0);
	pthread_detach(thread);
}

static inline void
run_thread(struct mpt *t, void *(*fn)(void *arg))
{
	pthread_t thread;

	mpt_check_int(t, pthread_create(&thread, NULL, fn, t), 0);
	mpt_check_int(t, pthread_join(thread, NULL), 0);
}

/* Group setup for those that have a second queue for a while: its header
 * stays. */
static inline int
with_headers(void **state)
{
	mproc_queue *q;

	if (mproc_queue_create(&q, NULL) < 0 || with_arena(state) < 0)
		return -1;
	mproc_queue_destroy(q);
	return 0;
}

#endif
