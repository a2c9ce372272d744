/* SPDX-License-Identifier: MIT */
/*
 * Sleeping on a word, the hook at a thread's end, and the heavy fence: the
 * smallest wrappers of the kernel.
 */
#include <errno.h>
#include <stdatomic.h>

#include "common.h"
#include "os/clock.h"
#include "os/fence.h"
#include "os/futex.h"
#include "os/thread.h"

static void
a_word_that_differs_is_not_slept_on(void **state)
{
	_Atomic uint32_t word = 5;

	(void)state;
	assert_int_equal(mpr_futex_wait(&word, 4, MPR_NEVER), 0);
}

static void
a_sleep_ends_at_its_deadline_and_not_before(void **state)
{
	int64_t until = mproc_now() + 20000000;
	_Atomic uint32_t word = 5;

	(void)state;
	assert_int_equal(mpr_futex_wait(&word, 5, until), -ETIMEDOUT);
	assert_true(mproc_now() >= until);
	assert_int_equal(mpr_futex_wait(&word, 5, 1), -ETIMEDOUT);
}

static int
sleep_on_it(struct mpt *t, void *arg)
{
	_Atomic uint32_t *word = arg;

	mpt_step(t, 0);
	while (*word == 0)
		mpt_check_int(t, mpr_futex_wait(word, 0, MPR_NEVER), 0);
	return 0;
}

static void
a_sleeper_is_woken(struct mpt *t)
{
	_Atomic uint32_t *word = mpt_scratch(t);
	int id = mpt_spawn(t, "sleeper", sleep_on_it, word);

	mpt_reach(t, 1);
	mpt_until(t, mpt_task_state(mpt_pid(t, id)) == 'S');
	*word = 1;
	errno = EXDEV;
	mpr_futex_wake(word, 1);
	assert_int_equal(errno, EXDEV);
	mpt_expect_exit(t, id, 0);
}

static void
a_sleeper_in_another_process_is_woken(void **state)
{
	a_sleeper_is_woken(*state);
}

static void
a_sleeper_in_another_thread_is_woken(void **state)
{
	mpt_use_threads(*state, true);
	a_sleeper_is_woken(*state);
}

static _Atomic int hooks_run;

static void
count_hook(void *arg)
{
	hooks_run += *(int *)arg;
}

static int
set_hook(struct mpt *t, void *arg)
{
	mpt_check_int(t, mpr_thread_at_exit(count_hook, arg), 0);
	/* Again: still once at the end. */
	mpt_check_int(t, mpr_thread_at_exit(count_hook, arg), 0);
	mpt_check_int(t, hooks_run, 0);
	return 0;
}

static void
the_hook_runs_once_when_its_thread_ends(void **state)
{
	struct mpt *t = *state;
	int three = 3;

	mpt_use_threads(t, true);
	mpt_expect_exit(t, mpt_spawn(t, "thread", set_hook, &three), 0);
	assert_int_equal(hooks_run, 3);
}

static int
fence_without_registering(struct mpt *t, void *arg)
{
	(void)arg;
	mpt_check(t, mpr_fence_heavy());
	return 0;
}

static void
a_heavy_fence_reaches_registered_processes(void **state)
{
	struct mpt *t = *state;

	errno = EXDEV;
	assert_true(mpr_fence_register());
	assert_true(mpr_fence_heavy());
	assert_int_equal(errno, EXDEV);
	mpt_expect_exit(t, mpt_spawn(t, "child", fence_without_registering,
				     NULL), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_word_that_differs_is_not_slept_on),
		mpt_test(a_sleep_ends_at_its_deadline_and_not_before),
		mpt_test(a_sleeper_in_another_process_is_woken),
		mpt_test(a_sleeper_in_another_thread_is_woken),
		mpt_test(the_hook_runs_once_when_its_thread_ends),
		mpt_test(a_heavy_fence_reaches_registered_processes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
