/* SPDX-License-Identifier: MIT */
/*
 * sync/condition.c: which of those notified by who has the lock are woken at once, and
 * which when the lock is theirs.
 */
#include <mproc/mproc.h>

#include "common.h"
#include "mpt.h"
#include "sync/wait.h"

#define MOST 8
#define AHEAD 3 /* as there */

/* In the scratch bytes. */
struct board {
	mproc_condition *condition;
	mproc_lock *lock;
	_Atomic unsigned served;
};

static unsigned
waiters(const void *object)
{
	int64_t since;

	return mpr_wait_count(the_arena(), object, &since);
}

static int
wait_once(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check_int(t, mproc_lock_acquire(b->lock, mproc_sec(20)), 0);
	mpt_check_int(t, mproc_condition_wait(b->condition, b->lock, mproc_sec(20)),
		      0);
	b->served++;
	mpt_check_int(t, mproc_lock_release(b->lock), 0);
	return 0;
}

/* So many wait, and do nothing about it until they are resumed. */
static void
begin(struct mpt *t, struct board *b, int *ids, unsigned n)
{
	assert_int_equal(mproc_lock_create(&b->lock), 0);
	assert_int_equal(mproc_condition_create(&b->condition), 0);
	b->served = 0;
	for (unsigned i = 0; i < n; i++) {
		ids[i] = mpt_spawn(t, "waiter", wait_once, NULL);
		mpt_until(t, waiters(b->condition) == i + 1 &&
				     mpt_task_state(mpt_pid(t, ids[i])) == 'S');
		mpt_pause(t, ids[i]);
	}
	assert_int_equal(mproc_lock_acquire(b->lock, mproc_sec(20)), 0);
}

/* All @n of them go on. */
static void
end(struct mpt *t, struct board *b, const int *ids, unsigned n)
{
	assert_int_equal(mproc_lock_release(b->lock), 0);
	for (unsigned i = 0; i < n; i++)
		mpt_resume(t, ids[i]);
	for (unsigned i = 0; i < n; i++)
		mpt_expect_exit(t, ids[i], 0);
	assert_int_equal(b->served, n);
	mproc_condition_destroy(b->condition);
	mproc_lock_destroy(b->lock);
}

/* @n wait, and @most are notified. */
static void
notify(struct mpt *t, unsigned n, unsigned most)
{
	struct board *b = mpt_scratch(t);
	unsigned notified = most < n ? most : n, ahead = notified - 1;
	int ids[MOST];

	if (ahead > AHEAD)
		ahead = AHEAD;
	begin(t, b, ids, n);
	assert_int_equal(most > n ? mproc_condition_notify_all(b->condition) :
				    mproc_condition_notify(b->condition, most),
			 notified);
	/* Who was woken has not seen it yet. */
	assert_int_equal(waiters(b->lock), notified - ahead);
	assert_int_equal(waiters(b->condition), n - notified + ahead);
	if (most < n)
		assert_int_equal(mproc_condition_notify_all(b->condition),
				 n - notified);
	end(t, b, ids, n);
}

static void
a_single_one_is_moved_to_the_lock(void **state)
{
	notify(*state, 1, 1);
	notify(*state, 1, MOST + 1);
}

static void
of_several_the_first_is_moved_and_a_few_are_woken(void **state)
{
	notify(*state, 2, MOST + 1);
	notify(*state, 4, MOST + 1);
	notify(*state, 5, 4);
}

static void
all_others_are_moved(void **state)
{
	notify(*state, MOST, MOST + 1);
	notify(*state, MOST, MOST - 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_single_one_is_moved_to_the_lock),
		mpt_test(of_several_the_first_is_moved_and_a_few_are_woken),
		mpt_test(all_others_are_moved),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
