/* SPDX-License-Identifier: MIT */
/*
 * What tests of queues that keep their messages share.
 */
#ifndef API_KEEP_H
#define API_KEEP_H

#include <signal.h>
#include <stdatomic.h>

#include "common.h"

enum { MESSAGES = 400, WORKERS = 3 };

/* In the scratch bytes. */
struct board {
	mproc_queue *q;
	mproc_queue *dlq;
	_Atomic unsigned ready;
	_Atomic unsigned done;
	_Atomic pid_t tid;
	_Atomic unsigned busy[MESSAGES];
};

static inline struct board *
new_board(struct mpt *t, const struct mproc_queue_opts *opts)
{
	struct board *b = mpt_scratch(t);

	assert_true(mproc_arena_recover(NULL) >= 0);
	assert_int_equal(mproc_queue_create(&b->q, opts), 0);
	if (opts->ack || opts->joinable)
		assert_int_equal(mproc_queue_dead_letters(b->q, &b->dlq), 0);
	return b;
}

static inline void
put_value(struct mpt *t, mproc_queue *q, unsigned value)
{
	mpt_check_int(t, mproc_queue_put(q, &value, sizeof(value),
					 MPROC_NOWAIT), 0);
}

static inline void
take_value(struct mpt *t, mproc_queue *q, unsigned value)
{
	unsigned got = ~value;
	size_t len = 0;

	mpt_check_int(t, mproc_queue_get(q, &got, sizeof(got), &len,
					 MPROC_NOWAIT), 0);
	mpt_check_int(t, len, sizeof(got));
	mpt_check_int(t, got, value);
}

static inline void
is_empty(struct mpt *t, mproc_queue *q)
{
	unsigned got;

	mpt_check_int(t, mproc_queue_get(q, &got, sizeof(got), NULL,
					 MPROC_NOWAIT), -EAGAIN);
	mpt_check_int(t, mproc_queue_len(q), 0);
}

static inline struct mproc_queue_stat
look(mproc_queue *q)
{
	struct mproc_queue_stat st;

	assert_int_equal(mproc_queue_stat(q, &st), 0);
	return st;
}

static inline struct mproc_arena_stat
cleaned_up(void)
{
	assert_true(mproc_arena_recover(NULL) >= 0);
	return stat_now();
}

/* Nothing is left in the arena but what @before says. */
static inline void
end(struct mpt *t, struct board *b, const struct mproc_arena_stat *before)
{
	struct mproc_arena_stat now;

	mpt_join_all(t);
	mproc_queue_destroy(b->q);
	now = cleaned_up();
	assert_int_equal(now.queues, before->queues);
	/* But for headers, which stay. */
	assert_in_range(now.blocks, before->blocks, before->blocks + 2);
}

static inline const struct mproc_queue_opts *
with_ack(void)
{
	static struct mproc_queue_opts o = {
		.struct_size = sizeof(o),
		.ack = true,
	};

	return &o;
}

static inline const struct mproc_queue_opts *
joinable(void)
{
	static struct mproc_queue_opts o = {
		.struct_size = sizeof(o),
		.joinable = true,
	};

	return &o;
}

static inline int
take_and_wait(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	unsigned value;

	mpt_check_int(t, mproc_queue_get(b->q, &value, sizeof(value), NULL,
					 mproc_sec(10)), 0);
	mpt_check_int(t, value, (uintptr_t)arg);
	b->ready++;
	wait_to_be_killed(t);
	return 0;
}

static inline pid_t
kill_a_taker(struct mpt *t, struct board *b, unsigned value)
{
	unsigned ready = b->ready;
	int id = mpt_spawn(t, "taker", take_and_wait,
			   (void *)(uintptr_t)value);
	pid_t pid = mpt_pid(t, id);

	mpt_until(t, b->ready == ready + 1);
	mpt_kill(t, id);
	assert_true(mproc_arena_recover(NULL) >= 0);
	return pid;
}

static inline int
make_the_arena(void **state)
{
	mproc_queue *q;

	(void)state;
	if (mproc_queue_create(&q, with_ack()) < 0)
		return -1;
	mproc_queue_destroy(q);
	return 0;
}

#endif
