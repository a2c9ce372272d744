/* SPDX-License-Identifier: MIT */
/*
 * The heavy fence.
 */
#include <errno.h>

#include "common.h"
#include "os/fence.h"

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
		mpt_test(a_heavy_fence_reaches_registered_processes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
