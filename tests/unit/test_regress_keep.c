/* SPDX-License-Identifier: MIT */
/*
 * Defects that queues once had which keep their messages. Each test brings about
 * by force what needed bad luck then: a thread that stands between two certain
 * instructions.
 */
#include <mproc/mproc.h>

#include "common.h"
#include "ipc/message_block.h"
#include "ipc/queue_shm.h"
#include "puppet.h"

/* In the scratch bytes. */
struct board {
	mproc_queue *q;
	_Atomic bool joined;
};

static struct board *
new_board(struct mpt *t)
{
	struct board *b = mpt_scratch(t);

	assert_true(mproc_arena_recover(NULL) >= 0);
	assert_int_equal(mproc_queue_create(
		&b->q, MPROC_OPTS(mproc_queue_opts, .joinable = true)), 0);
	return b;
}

static void
put(struct mpt *t, mproc_queue *q, unsigned value)
{
	mpt_check_int(t, mproc_queue_put(q, &value, sizeof(value),
					 MPROC_NOWAIT), 0);
}

static void
take(struct mpt *t, mproc_queue *q, unsigned value)
{
	unsigned got = ~value;

	mpt_check_int(t, mproc_queue_get(q, &got, sizeof(got), NULL,
					 MPROC_NOWAIT), 0);
	mpt_check_int(t, got, value);
}

/* What producers have counted, in all lanes. */
static uint64_t
counted(mproc_queue *q)
{
	const _Atomic uint64_t *link = &q->lanes;
	struct mpr_lane *lane;
	bool bad = false;
	uint64_t n = 0;

	while ((lane = mpr_queue_lane(the_arena(), q, link, q->capacity,
				      &bad))) {
		n += lane->count;
		link = &lane->next;
	}
	return n;
}

static bool
is_watched(mproc_queue *q, unsigned block)
{
	const struct mpr_message_group *group =
		mpr_arena_at(the_arena(), q->blocks);

	return group->watched >> block & 1;
}

/* Has the second block, and puts into the first one before it is done. */
static void
put_and_do(struct mpt *t, void *arg)
{
	struct board *b = arg;

	take(t, b->q, 0);
	mpt_check_int(t, mproc_queue_task_done(b->q), 0);
	take(t, b->q, 1);
	puppet_halt();
	put(t, b->q, 2);
	mpt_check_int(t, mproc_queue_task_done(b->q), 0);
}

static int
join(struct mpt *t, void *arg)
{
	struct board *b = arg;

	mpt_check_int(t, mproc_queue_join(b->q, mproc_sec(20)), 0);
	b->joined = true;
	return 0;
}

/* A producer stood between its stores of count and tail. The joiner had seen its
 * count, but not its message. */
static void
a_join_sees_what_was_counted_before_it_was_put(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	pid_t worker;
	int joiner;

	put(t, b->q, 0);
	put(t, b->q, 1);
	worker = puppet_start(t, put_and_do, b);
	puppet_move_until(t, worker, counted(b->q) == 3);
	assert_int_equal(mproc_queue_len(b->q), 0);
	joiner = mpt_spawn(t, "joiner", join, b);
	mpt_until(t, is_watched(b->q, 1));
	puppet_run(t, worker);
	mpt_until(t, b->joined || is_watched(b->q, 0));
	assert_false(b->joined);
	take(t, b->q, 2);
	assert_int_equal(mproc_queue_task_done(b->q), 0);
	mpt_expect_exit(t, joiner, 0);
	mproc_queue_destroy(b->q);
}

static int
setup(void **state)
{
	mproc_queue *q;

	(void)state;
	if (mproc_queue_create(&q, NULL) < 0)
		return -1;
	mproc_queue_destroy(q);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_join_sees_what_was_counted_before_it_was_put),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
