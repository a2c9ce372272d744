/* SPDX-License-Identifier: MIT */
/*
 * queue.h: producers and consumers that are killed or end, who takes their
 * place, and that nothing is left of them.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "common.h"

/* In the scratch bytes. */
struct board {
	mproc_queue *q;
	_Atomic unsigned ready;
	_Atomic pid_t tid;
	_Atomic unsigned joined;
	_Atomic unsigned refused;
};

static struct board *
new_board(struct mpt *t, bool single)
{
	struct board *b = mpt_scratch(t);

	assert_true(mproc_arena_recover(NULL) >= 0);
	assert_int_equal(mproc_queue_create(
		&b->q, MPROC_OPTS(mproc_queue_opts, .single_consumer = single,
				  .capacity = 4096)), 0);
	return b;
}

static void
put_value(struct mpt *t, mproc_queue *q, unsigned value)
{
	mpt_check_int(t, mproc_queue_put(q, &value, sizeof(value),
					 MPROC_NOWAIT), 0);
}

static void
take_value(struct mpt *t, mproc_queue *q, unsigned value)
{
	unsigned got = ~value;

	mpt_check_int(t, mproc_queue_get(q, &got, sizeof(got), NULL,
					 MPROC_NOWAIT), 0);
	mpt_check_int(t, got, value);
}

static int
put_and_wait(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	for (unsigned i = 0; i < (uintptr_t)arg; i++)
		put_value(t, b->q, i);
	b->ready++;
	wait_to_be_killed(t);
	return 0;
}

static void
what_a_killed_producer_had_put_is_delivered(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, false);
	int id = mpt_spawn(t, "victim", put_and_wait, (void *)50);

	mpt_until(t, b->ready == 1);
	mpt_kill(t, id);
	assert_int_equal(mproc_queue_len(b->q), 50);
	for (unsigned i = 0; i < 25; i++)
		take_value(t, b->q, i);
	assert_int_equal(mproc_arena_recover(NULL), 1);
	assert_int_equal(mproc_queue_len(b->q), 25);
	for (unsigned i = 25; i < 50; i++)
		take_value(t, b->q, i);
	assert_int_equal(mproc_queue_get(b->q, NULL, 0, NULL, MPROC_NOWAIT),
			 -EAGAIN);
	mproc_queue_destroy(b->q);
}

static int
put_for_ever(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	b->tid = gettid();
	for (unsigned i = 0;; i++)
		mpt_check_int(t, mproc_queue_put(b->q, &i, sizeof(i),
						 MPROC_FOREVER), 0);
	(void)arg;
	return 0;
}

static void
a_producer_killed_while_it_waits_leaves_whole_messages(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, false);
	unsigned n = 0, value;
	int id = mpt_spawn(t, "victim", put_for_ever, NULL);

	mpt_until(t, b->tid && mpt_task_state(b->tid) == 'S');
	mpt_kill(t, id);
	while (mproc_queue_get(b->q, &value, sizeof(value), NULL,
			       MPROC_NOWAIT) == 0)
		assert_int_equal(value, n++);
	assert_int_equal(n, 4096 / 16);
	mproc_queue_destroy(b->q);
}

static void
the_next_producer_follows_a_killed_one_in_its_lane(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, false);
	uint64_t used = 0;

	/* Its messages come first, as they were there first. */
	for (unsigned round = 0; round < 5; round++) {
		int id = mpt_spawn(t, "victim", put_and_wait, (void *)10);

		mpt_until(t, b->ready == round + 1);
		mpt_kill(t, id);
		assert_int_equal(mproc_arena_recover(NULL), 1);
		if (round == 0)
			used = stat_now().used;
	}
	assert_int_equal(stat_now().used, used);
	assert_int_equal(mproc_queue_len(b->q), 50);
	for (unsigned i = 0; i < 50; i++)
		take_value(t, b->q, i % 10);
	mproc_queue_destroy(b->q);
}

static int
put_one_and_end(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	put_value(t, b->q, (unsigned)(uintptr_t)arg);
	return 0;
}

static void
many_short_lived_producers_need_one_lane(struct mpt *t, unsigned n)
{
	struct board *b = new_board(t, false);
	struct mproc_arena_stat first = { 0 };

	for (uintptr_t i = 0; i < n; i++) {
		mpt_expect_exit(t, mpt_spawn(t, "producer", put_one_and_end,
					     (void *)i), 0);
		take_value(t, b->q, (unsigned)i);
		/* A process that just ends is found dead by the next that
		 * cannot do without what it held, or by whoever waits. */
		assert_true(mproc_arena_recover(NULL) >= 0);
		if (i == 2)
			first = stat_now();
	}
	assert_int_equal(stat_now().used, first.used);
	assert_int_equal(stat_now().backed, first.backed);
	assert_int_equal(stat_now().participants, first.participants);
	mproc_queue_destroy(b->q);
}

static void
many_short_lived_processes_need_one_lane(void **state)
{
	many_short_lived_producers_need_one_lane(*state, amount(300));
}

static void
many_short_lived_threads_need_one_lane(void **state)
{
	mpt_use_threads(*state, true);
	many_short_lived_producers_need_one_lane(*state, amount(300));
}

static int
put_in_entry(void *arg)
{
	unsigned value = 4711;

	return mproc_queue_put(arg, &value, sizeof(value), MPROC_NOWAIT) != 0;
}

static void
many_started_processes_need_one_lane(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, false);
	struct mproc_arena_stat first = { 0 };
	mproc_process *p;

	for (unsigned i = 0; i < amount(300); i++) {
		assert_int_equal(mproc_process_start(&p, put_in_entry, b->q,
						     NULL), 0);
		assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
		mproc_process_close(p);
		take_value(t, b->q, 4711);
		if (i == 2)
			first = stat_now();
	}
	assert_int_equal(stat_now().used, first.used);
	assert_int_equal(stat_now().backed, first.backed);
	mproc_queue_destroy(b->q);
}

static int
get_for_ever(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	unsigned value;

	(void)arg;
	b->tid = gettid();
	b->ready++;
	for (;;)
		mpt_check_int(t, mproc_queue_get(b->q, &value, sizeof(value),
						 NULL, MPROC_FOREVER), 0);
	return 0;
}

static void
consumers_that_are_killed_asleep_disturb_nobody(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, false);
	int ids[3];

	/* Who needs no lane does not look for the dead. */
	put_value(t, b->q, 0);
	take_value(t, b->q, 0);
	for (unsigned i = 0; i < 3; i++) {
		ids[i] = mpt_spawn(t, "victim", get_for_ever, NULL);
		mpt_until(t, b->ready == i + 1 &&
				     mpt_task_state(b->tid) == 'S');
	}
	/* Or one of them recovers from another. */
	for (int i = 0; i < 3; i++)
		mpt_pause(t, ids[i]);
	for (int i = 0; i < 3; i++)
		mpt_kill(t, ids[i]);
	for (unsigned i = 0; i < 10; i++)
		put_value(t, b->q, i);
	for (unsigned i = 0; i < 10; i++)
		take_value(t, b->q, i);
	assert_int_equal(mproc_arena_recover(NULL), 3);
	mproc_queue_destroy(b->q);
}

static int
get_one(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	unsigned value;

	b->tid = gettid();
	b->ready++;
	mpt_check_int(t, mproc_queue_get(b->q, &value, sizeof(value), NULL,
					 MPROC_FOREVER), 0);
	mpt_check_int(t, value, (uintptr_t)arg);
	return 0;
}

static void
a_message_whose_wake_up_went_to_a_dead_one_is_not_stuck(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, false);
	int victim = mpt_spawn(t, "victim", get_for_ever, NULL), other;

	/* The first to wait is the first to be woken; and it cannot. */
	mpt_until(t, b->ready == 1 && mpt_task_state(b->tid) == 'S');
	other = mpt_spawn(t, "other", get_one, (void *)77);
	mpt_until(t, b->ready == 2 && mpt_task_state(b->tid) == 'S');
	mpt_pause(t, victim);
	put_value(t, b->q, 77);
	mpt_kill(t, victim);
	mpt_expect_exit(t, other, 0);
	mproc_queue_destroy(b->q);
}

static int
hold_the_role(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	take_value(t, b->q, 0);
	b->ready++;
	if (!arg)
		wait_to_be_killed(t);
	mpt_reach(t, 1);
	return 0;
}

static int
expect_busy(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	char c;

	(void)arg;
	mpt_check_int(t, mproc_queue_get(b->q, &c, 1, NULL, MPROC_NOWAIT),
		      -EBUSY);
	mpt_check(t, detail_has("consumer"));
	mpt_check_int(t, mproc_queue_get(b->q, &c, 1, NULL, MPROC_FOREVER),
		      -EBUSY);
	return 0;
}

static void
a_second_consumer_is_refused_while_the_first_lives(struct mpt *t)
{
	struct board *b = new_board(t, true);
	int id;

	for (unsigned i = 0; i < 3; i++)
		put_value(t, b->q, i);
	id = mpt_spawn(t, "first", hold_the_role, b);
	mpt_until(t, b->ready == 1);
	expect_busy(t, NULL);
	mpt_expect_exit(t, mpt_spawn(t, "third", expect_busy, NULL), 0);
	/* It may put, though. */
	put_value(t, b->q, 3);
	mpt_step(t, 0);
	mpt_expect_exit(t, id, 0);
	/* The first one has ended: we take over where it stopped. */
	for (unsigned i = 1; i < 4; i++)
		take_value(t, b->q, i);
	mpt_expect_exit(t, mpt_spawn(t, "third", expect_busy, NULL), 0);
	mproc_queue_destroy(b->q);
}

static void
one_consumer_at_a_time_among_processes(void **state)
{
	a_second_consumer_is_refused_while_the_first_lives(*state);
}

static void
one_consumer_at_a_time_among_threads(void **state)
{
	mpt_use_threads(*state, true);
	a_second_consumer_is_refused_while_the_first_lives(*state);
}

static void
a_killed_consumer_is_succeeded(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, true);
	int id;

	for (unsigned round = 0; round < 5; round++) {
		put_value(t, b->q, 0);
		put_value(t, b->q, 1);
		id = mpt_spawn(t, "victim", hold_the_role, NULL);
		mpt_until(t, b->ready == round + 1);
		mpt_kill(t, id);
		if (round == 4)
			break;
		id = mpt_spawn(t, "successor", get_one, (void *)1);
		mpt_expect_exit(t, id, 0);
		b->ready--;
	}
	take_value(t, b->q, 1);
	mproc_queue_destroy(b->q);
}

static void
a_stopped_consumer_is_not_succeeded(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, true);
	int id;

	put_value(t, b->q, 0);
	id = mpt_spawn(t, "first", hold_the_role, NULL);
	mpt_until(t, b->ready == 1);
	mpt_pause(t, id);
	expect_busy(t, NULL);
	mpt_resume(t, id);
	mpt_kill(t, id);
	put_value(t, b->q, 1);
	take_value(t, b->q, 1);
	mproc_queue_destroy(b->q);
}

static void
a_drained_queue_of_a_killed_producer_ends(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, false);
	int id = mpt_spawn(t, "victim", put_and_wait, (void *)3);
	unsigned value;

	mpt_until(t, b->ready == 1);
	mpt_kill_unreaped(t, id);
	assert_int_equal(mproc_queue_shutdown(b->q, MPROC_DRAIN), 0);
	for (unsigned i = 0; i < 3; i++)
		take_value(t, b->q, i);
	assert_int_equal(mproc_queue_get(b->q, &value, sizeof(value), NULL,
					 MPROC_FOREVER), -ESHUTDOWN);
	mproc_queue_destroy(b->q);
}

static int
use_and_wait(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	char c = 'c';

	(void)arg;
	mpt_check_int(t, mproc_queue_put(b->q, &c, 1, MPROC_NOWAIT), 0);
	mpt_check_int(t, mproc_queue_get(b->q, &c, 1, NULL, MPROC_NOWAIT), 0);
	b->ready++;
	wait_to_be_killed(t);
	return 0;
}

static void
a_destroyed_queue_goes_when_its_last_user_is_killed(void **state)
{
	struct mpt *t = *state;
	struct mproc_arena_stat before;
	struct board *b;
	int ids[3];

	assert_true(mproc_arena_recover(NULL) >= 0);
	before = stat_now();
	b = new_board(t, false);
	for (int i = 0; i < 3; i++)
		ids[i] = mpt_spawn(t, "victim", use_and_wait, NULL);
	mpt_until(t, b->ready == 3);
	mproc_queue_destroy(b->q);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(stat_now().queues, before.queues + 1);
		mpt_kill(t, ids[i]);
		assert_int_equal(mproc_arena_recover(NULL), 1);
	}
	expect_stat(&before);
}

static int
create_and_die(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check_int(t, mproc_queue_create(&b->q, NULL), 0);
	put_value(t, b->q, 5);
	b->ready++;
	wait_to_be_killed(t);
	return 0;
}

static void
a_queue_outlives_the_death_of_its_maker(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	int id = mpt_spawn(t, "maker", create_and_die, NULL);

	mpt_until(t, b->ready == 1);
	mpt_kill(t, id);
	assert_int_equal(mproc_arena_recover(NULL), 1);
	take_value(t, b->q, 5);
	put_value(t, b->q, 6);
	take_value(t, b->q, 6);
	mproc_queue_destroy(b->q);
}

/* Threads that make the family's table of participants full. */
static void *
participate(void *t)
{
	struct board *b = mpt_scratch(t);
	void *p = mproc_alloc(1);

	if (p)
		b->joined++;
	else if (errno == EAGAIN)
		b->refused++;
	mproc_free(p);
	wait_to_be_killed(t);
	return NULL;
}

static int
fill_the_family(struct mpt *t, void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 * 1024);
	for (unsigned i = 0; i < (uintptr_t)arg; i++)
		mpt_check_int(t, pthread_create(&thread, &attr, participate, t),
			      0);
	wait_to_be_killed(t);
	return 0;
}

static int
be_one_too_many(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	mproc_queue *q;
	char c = 'c';

	(void)arg;
	mpt_check_int(t, mproc_queue_put(b->q, &c, 1, MPROC_FOREVER), -EAGAIN);
	mpt_check_int(t, mproc_queue_get(b->q, &c, 1, NULL, MPROC_FOREVER),
		      -EAGAIN);
	mpt_check_int(t, mproc_queue_create(&q, NULL), -EAGAIN);
	mpt_check_int(t, mproc_queue_shutdown(b->q, MPROC_DRAIN), -EAGAIN);
	mpt_check(t, !mproc_alloc(10) && errno == EAGAIN);
	mpt_check(t, detail_has("1024"));
	return 0;
}

static void
a_full_family_refuses_until_some_have_died(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, false);
	uintptr_t room;
	int id;

	mpt_watchdog(t, 60);
	room = 1024 - (uintptr_t)stat_now().participants;
	id = mpt_spawn(t, "crowd", fill_the_family, (void *)room);
	mpt_until(t, b->joined + b->refused == room);
	assert_int_equal(b->joined, room);
	mpt_expect_exit(t, mpt_spawn(t, "late", be_one_too_many, NULL), 0);
	/* Who was there before is not concerned. */
	put_value(t, b->q, 1);
	take_value(t, b->q, 1);
	mpt_kill(t, id);
	mpt_expect_exit(t, mpt_spawn(t, "later", put_one_and_end, (void *)2),
			0);
	take_value(t, b->q, 2);
	mproc_queue_destroy(b->q);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(what_a_killed_producer_had_put_is_delivered),
		mpt_test(a_producer_killed_while_it_waits_leaves_whole_messages),
		mpt_test(the_next_producer_follows_a_killed_one_in_its_lane),
		mpt_test(many_short_lived_processes_need_one_lane),
		mpt_test(many_short_lived_threads_need_one_lane),
		mpt_test(many_started_processes_need_one_lane),
		mpt_test(consumers_that_are_killed_asleep_disturb_nobody),
		mpt_test(a_message_whose_wake_up_went_to_a_dead_one_is_not_stuck),
		mpt_test(one_consumer_at_a_time_among_processes),
		mpt_test(one_consumer_at_a_time_among_threads),
		mpt_test(a_killed_consumer_is_succeeded),
		mpt_test(a_stopped_consumer_is_not_succeeded),
		mpt_test(a_drained_queue_of_a_killed_producer_ends),
		mpt_test(a_destroyed_queue_goes_when_its_last_user_is_killed),
		mpt_test(a_queue_outlives_the_death_of_its_maker),
		mpt_test(a_full_family_refuses_until_some_have_died),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
