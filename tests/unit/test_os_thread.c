/* SPDX-License-Identifier: MIT */
/*
 * The hook at a thread's end.
 */
#include "common.h"
#include "os/thread.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(the_hook_runs_once_when_its_thread_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
