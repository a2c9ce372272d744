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

/* The lane whose owner waits for a block since @since, or NULL. */
static struct mpr_lane *
lane_that_awaits(mproc_queue *q, uint64_t since)
{
	const _Atomic uint64_t *link = &q->lanes;
	struct mpr_lane *lane;
	bool bad = false;

	while ((lane = mpr_queue_lane(the_arena(), q, link, q->capacity,
				      &bad)) && lane->awaits != since)
		link = &lane->next;
	return lane;
}

static int
put_waiting(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	unsigned value = (unsigned)(uintptr_t)arg;

	mpt_check_int(t, mproc_queue_put(b->q, &value, sizeof(value),
					 mproc_sec(20)), 0);
	return 0;
}

/* A producer that sleeps for a block, as number @since of all. */
static int
sleeper(struct mpt *t, struct board *b, unsigned since)
{
	int id = mpt_spawn(t, "producer", put_waiting,
			   (void *)(uintptr_t)since);

	mpt_until(t, lane_that_awaits(b->q, since));
	mpt_until(t, mpt_task_state(mpt_pid(t, id)) == 'S');
	return id;
}

/* It was woken by recovery, and looks again from time to time. */
static void
stop_while_it_waits(struct mpt *t, struct board *b, pid_t pid, uint64_t since)
{
	for (;;) {
		mpt_until(t, lane_that_awaits(b->q, since));
		mpt_check_int(t, kill(pid, SIGSTOP), 0);
		mpt_until(t, mpt_task_state(pid) == 'T');
		if (lane_that_awaits(b->q, since))
			return;
		mpt_check_int(t, kill(pid, SIGCONT), 0);
	}
}

static void
put_ten(struct mpt *t, void *arg)
{
	struct board *b = arg;

	puppet_halt();
	put(t, b->q, 10);
}

/* A producer that waited for a block was killed. Its lane's next owner stood
 * between taking the lane and clearing its words, when a block was offered to
 * who waited longest. */
static void
what_is_offered_to_the_dead_is_passed_on(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	struct mpr_lane *lane;
	int victim, other;
	pid_t heir;

	assert_true(mproc_arena_recover(NULL) >= 0);
	assert_int_equal(mproc_queue_create(
		&b->q, MPROC_OPTS(mproc_queue_opts, .joinable = true,
				  .max_items = 1)), 0);
	put(t, b->q, 0);
	take(t, b->q, 0);
	victim = sleeper(t, b, 1);
	lane = lane_that_awaits(b->q, 1);
	other = sleeper(t, b, 2);
	/* Not while it looks. */
	stop_while_it_waits(t, b, mpt_pid(t, victim), 1);
	mpt_kill(t, victim);
	while (mpr_owner_state(lane->owner) != MPR_LANE_FREE)
		assert_true(mproc_arena_recover(NULL) >= 0);
	stop_while_it_waits(t, b, mpt_pid(t, other), 2);

	heir = puppet_start(t, put_ten, b);
	puppet_move_until(t, heir, mpr_owner_state(lane->owner) ==
					   MPR_LANE_ACTIVE);
	assert_int_equal(lane->awaits, 1);
	assert_int_equal(mproc_queue_task_done(b->q), 0);
	assert_int_equal(lane->awaits, 0);
	assert_non_null(lane_that_awaits(b->q, 2));
	puppet_run(t, heir);
	assert_null(lane_that_awaits(b->q, 2));

	mpt_check_int(t, kill(mpt_pid(t, other), SIGCONT), 0);
	take(t, b->q, 10);
	assert_int_equal(mproc_queue_task_done(b->q), 0);
	mpt_expect_exit(t, other, 0);
	take(t, b->q, 2);
	assert_int_equal(mproc_queue_task_done(b->q), 0);
	mproc_queue_destroy(b->q);
}

static mproc_queue *
queue_with(struct mpt *t, unsigned value)
{
	mproc_queue *q;

	assert_int_equal(mproc_queue_create(
		&q, MPROC_OPTS(mproc_queue_opts, .joinable = true)), 0);
	put(t, q, value);
	return q;
}

/* The words that name a queue's groups, each in turn. */
static _Atomic uint64_t *
group_link(mproc_queue *q, unsigned i)
{
	struct mpr_message_group *group =
		mpr_arena_at(the_arena(), q->blocks);

	return i == 0 ? &q->blocks : &group->next;
}

/* Has no attachment: it has to find the groups. */
static int
use_anew(struct mpt *t, void *arg)
{
	struct board *b = arg;
	unsigned value = 10, got;

	mpt_check_int(t, mproc_queue_put(b->q, &value, sizeof(value),
					 MPROC_NOWAIT), -EBADMSG);
	mpt_check_int(t, mproc_queue_get(b->q, &got, sizeof(got), NULL,
					 MPROC_NOWAIT), -EBADMSG);
	return 0;
}

/* Of a queue, the word that names its blocks was overwritten with the place of
 * another one's. Who used it used those, and they were freed with it. */
static void
a_queue_leaves_the_blocks_of_others_alone(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);

	for (unsigned i = 0; i < 2; i++) {
		mproc_queue *other = queue_with(t, 1);
		_Atomic uint64_t *link;
		uint64_t good;

		b->q = queue_with(t, 0);
		link = group_link(b->q, i);
		good = *link;
		/* It has come back: a get looks for it in all blocks. */
		take(t, other, 1);
		assert_int_equal(mproc_queue_requeue(other), 0);
		take(t, b->q, 0);
		assert_int_equal(mproc_queue_requeue(b->q), 0);

		*link = other->blocks;
		mpt_expect_exit(t, mpt_spawn(t, "user", use_anew, b), 0);
		*link = good;
		assert_int_equal(mproc_queue_len(other), 1);
		*link = other->blocks;
		mproc_queue_destroy(b->q);
		/* What is lost by that. */
		mpt_rebase(t);
		take(t, other, 1);
		assert_int_equal(mproc_queue_task_done(other), 0);
		put(t, other, 2);
		take(t, other, 2);
		assert_int_equal(mproc_queue_task_done(other), 0);
		mproc_queue_destroy(other);
	}
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
		mpt_test(what_is_offered_to_the_dead_is_passed_on),
		mpt_test(a_queue_leaves_the_blocks_of_others_alone),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
