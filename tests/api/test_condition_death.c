/* SPDX-License-Identifier: MIT */
/*
 * sync.h: conditions whose sleepers, holders or notifiers die, and ones that are
 * destroyed.
 */
#include "condition.h"
#include "mpt_times.h"

static int
hold(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	lock(t, b);
	b->done = 1;
	wait_to_be_killed(t);
	return 0;
}

static int
time_out_at_a_dead_ones(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	lock(t, b);
	b->sleeping++;
	mpt_check_int(t, mproc_condition_wait(b->c, b->lock, mproc_ms(100)),
		      MPROC_OWNER_DIED);
	mpt_check(t, holds(b));
	mpt_check(t, detail_has("ended while it held lock"));
	/* Nobody has repaired anything. */
	mpt_check_int(t, mproc_condition_wait_for(b->c, b->lock, is_four, b,
						  mproc_ms(1)),
		      MPROC_OWNER_DIED);
	mpt_check_int(t, mproc_lock_consistent(b->lock), 0);
	mpt_check_int(t, mproc_condition_wait_for(b->c, b->lock, is_four, b,
						  mproc_ms(1)), -ETIMEDOUT);
	unlock(t, b);
	return 0;
}

static void
who_waits_is_told_of_a_dead_holder(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	int waiter, holder;

	waiter = mpt_spawn(t, "waiter", time_out_at_a_dead_ones, NULL);
	mpt_until(t, look(t, b, &b->sleeping));
	holder = mpt_spawn(t, "holder", hold, NULL);
	mpt_until(t, b->done);
	mpt_kill(t, holder);
	mpt_expect_exit(t, waiter, 0);
	end(t, b);
}

/* Three are killed as they sleep: nobody waits for them, CPython's #75158. */
static void
killed_sleepers_take_nothing_along(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	int victims[3], id;

	for (int i = 0; i < 3; i++)
		victims[i] = mpt_spawn(t, "victim", wait_once, NULL);
	mpt_until(t, look(t, b, &b->sleeping) == 3);
	id = mpt_spawn(t, "survivor", wait_once, NULL);
	mpt_until(t, look(t, b, &b->sleeping) == 4);
	/* Who sees one of them dead has all others notified, as it may have been told. */
	mpt_pause(t, id);
	for (int i = 0; i < 3; i++)
		mpt_pause(t, victims[i]);
	for (int i = 0; i < 3; i++)
		mpt_kill(t, victims[i]);
	lock(t, b);
	assert_int_equal(mproc_condition_notify(b->c, 1), 1);
	unlock(t, b);
	mpt_resume(t, id);
	mpt_expect_exit(t, id, 0);
	end(t, b);
}

/* The one that was chosen is killed before it knows it, as it is stopped. */
static void
what_the_killed_were_told_is_told_to_others(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	unsigned rounds = amount(20);
	int64_t began;
	struct mpt_times spent = { 0 };
	int victim, id;

	for (unsigned i = 0; i < rounds; i++) {
		b->sleeping = 0;
		victim = mpt_spawn(t, "victim", wait_once, NULL);
		mpt_until(t, look(t, b, &b->sleeping) == 1);
		mpt_pause(t, victim);
		id = mpt_spawn(t, "survivor", wait_once, NULL);
		mpt_until(t, look(t, b, &b->sleeping) == 2);
		lock(t, b);
		assert_int_equal(mproc_condition_notify(b->c, 1), 1);
		unlock(t, b);
		began = mproc_now();
		mpt_kill(t, victim);
		mpt_expect_exit(t, id, 0);
		mpt_times_add(&spent, mproc_now() - began);
	}
	/* A slice or two; without recovery they would sleep for 20 s. */
	assert_true(mpt_times_median(&spent) < 1000 * MS);
	end(t, b);
}

static int
notify_and_hold(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	lock(t, b);
	mpt_check_int(t, mproc_condition_notify_all(b->c), 3);
	b->done = 1;
	wait_to_be_killed(t);
	return 0;
}

/* They sleep on, as it has the lock that they want. */
static void
a_notifier_dies_with_the_lock(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	int64_t began;
	int id;

	for (int i = 0; i < 3; i++)
		mpt_spawn(t, "waiter", wait_once,
			  (void *)(intptr_t)MPROC_OWNER_DIED);
	mpt_until(t, look(t, b, &b->sleeping) == 3);
	id = mpt_spawn(t, "notifier", notify_and_hold, NULL);
	mpt_until(t, b->done);
	mpt_until(t, waiters(b->lock) == 3);
	began = mproc_now();
	mpt_kill(t, id);
	mpt_join_all(t);
	assert_true(mproc_now() - began < 5000 * MS);
	assert_int_equal(b->woken, 3);
	end(t, b);
}

static void
destroy_wakes_those_who_wait(struct mpt *t)
{
	struct board *b = new_board(t);
	mproc_condition *next;

	for (int i = 0; i < 3; i++)
		mpt_spawn(t, "waiter", wait_once,
			  (void *)(intptr_t)-ESHUTDOWN);
	mpt_until(t, look(t, b, &b->sleeping) == 3);
	mproc_condition_destroy(b->c);
	lock(t, b);
	assert_int_equal(mproc_condition_wait(b->c, b->lock, mproc_sec(20)),
			 -ESTALE);
	assert_int_equal(mproc_condition_wait_for(b->c, b->lock, is_four, b,
						  mproc_sec(20)), -ESTALE);
	assert_true(holds(b));
	unlock(t, b);
	assert_int_equal(mproc_condition_notify(b->c, 1), -ESTALE);
	assert_int_equal(mproc_condition_notify_all(b->c), -ESTALE);
	mpt_join_all(t);
	/* Its place is for another one. */
	assert_int_equal(mproc_condition_create(&next), 0);
	b->c = next;
	end(t, b);
}

static int
lose_the_lock(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	lock(t, b);
	b->sleeping++;
	mpt_check_int(t, mproc_condition_wait(b->c, b->lock, mproc_sec(20)),
		      -ESTALE);
	mpt_check_int(t, mproc_lock_release(b->lock), -ESTALE);
	return 0;
}

static void
a_destroyed_lock_is_not_held(struct mpt *t)
{
	struct board *b = new_board(t);

	mpt_spawn(t, "waiter", lose_the_lock, NULL);
	mpt_until(t, look(t, b, &b->sleeping) == 1);
	lock(t, b);
	assert_int_equal(mproc_condition_notify(b->c, 1), 1);
	mpt_until(t, waiters(b->lock) == 1);
	mproc_lock_destroy(b->lock);
	assert_int_equal(mproc_condition_wait(b->c, b->lock, mproc_sec(20)),
			 -ESTALE);
	end(t, b);
}

both(destroy_wakes_those_who_wait)
both(a_destroyed_lock_is_not_held)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(who_waits_is_told_of_a_dead_holder),
		mpt_test(killed_sleepers_take_nothing_along),
		mpt_test(what_the_killed_were_told_is_told_to_others),
		mpt_test(a_notifier_dies_with_the_lock),
		both_tests(destroy_wakes_those_who_wait),
		both_tests(a_destroyed_lock_is_not_held),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
