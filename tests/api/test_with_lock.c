/* SPDX-License-Identifier: MIT */
/*
 * sync.h: mproc_with_lock() and mproc_with_lock_r(), in C.
 */
#include "common.h"
#include "with_lock.h"

static mproc_lock lock, other;

#define lock_check(f)                                                         \
	static void test_##f(void **state)                                    \
	{                                                                     \
		(void)state;                                                  \
		assert_int_equal(f(&lock), 0);                                \
	}

#define locks_check(f)                                                        \
	static void test_##f(void **state)                                    \
	{                                                                     \
		(void)state;                                                  \
		assert_int_equal(f(&lock, &other), 0);                        \
	}

lock_check(runs_once)
lock_check(return_releases)
lock_check(goto_releases)
lock_check(break_leaves_the_block_only)
lock_check(continue_leaves_the_block_only)
locks_check(blocks_nest)
lock_check(a_failed_acquire_runs_nothing)
locks_check(a_released_lock_stays_so)

static int
die_with_it(struct mpt *t, void *arg)
{
	mpt_check_int(t, mproc_lock_acquire(arg, MPROC_NOWAIT), 0);
	return 0;
}

static void
a_death_is_told(void **state)
{
	struct mpt *t = *state;
	mproc_lock *shared;
	int r = 7, n = 0;

	assert_int_equal(mproc_lock_create(&shared), 0);
	mpt_expect_exit(t, mpt_spawn(t, "holder", die_with_it, shared), 0);
	mproc_with_lock_r(shared, r)
		n += r == MPROC_OWNER_DIED;
	mproc_with_lock(shared)
		n += mproc_lock_consistent(shared) == 0;
	mproc_with_lock_r(shared, r)
		n += r == 0;
	assert_int_equal(n, 3);
	mproc_lock_destroy(shared);
	mproc_with_lock_r(shared, r)
		n = 0;
	assert_int_equal(r, -ESTALE);
	assert_int_equal(n, 3);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(test_runs_once),
		mpt_test(test_return_releases),
		mpt_test(test_goto_releases),
		mpt_test(test_break_leaves_the_block_only),
		mpt_test(test_continue_leaves_the_block_only),
		mpt_test(test_blocks_nest),
		mpt_test(test_a_failed_acquire_runs_nothing),
		mpt_test(test_a_released_lock_stays_so),
		mpt_test(a_death_is_told),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
