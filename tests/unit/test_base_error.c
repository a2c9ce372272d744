/* SPDX-License-Identifier: MIT */
/*
 * The detail text of a thread's last failure.
 */
#include <errno.h>

#include <mproc/core.h>

#include "base/error.h"
#include "common.h"

static void
nothing_has_failed_yet_in_a_fresh_thread(void **state)
{
	(void)state;
	assert_string_equal(mproc_error_detail(), "");
}

static void
a_failure_returns_its_error_and_leaves_errno_alone(void **state)
{
	(void)state;
	errno = EXDEV;
	assert_int_equal(mpr_fail(-EMSGSIZE, "%d of %s", 42, "them"),
			 -EMSGSIZE);
	assert_int_equal(errno, EXDEV);
	assert_string_equal(mproc_error_detail(), "42 of them");
}

static void
the_next_failure_replaces_the_text(void **state)
{
	(void)state;
	mpr_fail(-EINVAL, "a rather long first text");
	mpr_fail(-EINVAL, "short");
	assert_string_equal(mproc_error_detail(), "short");
}

static void
too_long_a_text_is_cut_and_still_a_string(void **state)
{
	char text[1000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	mpr_fail(-EINVAL, "%s", text);
	assert_int_equal(strlen(mproc_error_detail()), 511);
	assert_memory_equal(mproc_error_detail(), text, 255);
}

static int
fail_elsewhere(struct mpt *t, void *arg)
{
	(void)arg;
	mpt_check(t, strcmp(mproc_error_detail(), "") == 0);
	mpr_fail(-EINVAL, "of the other thread");
	mpt_step(t, 0);
	mpt_reach(t, 2);
	mpt_check(t, strcmp(mproc_error_detail(), "of the other thread") == 0);
	return 0;
}

static void
each_thread_has_its_own_text(void **state)
{
	struct mpt *t = *state;
	int id;

	mpr_fail(-EINVAL, "of this thread");
	mpt_use_threads(t, true);
	id = mpt_spawn(t, "other", fail_elsewhere, NULL);
	mpt_reach(t, 1);
	assert_string_equal(mproc_error_detail(), "of this thread");
	mpr_fail(-EINVAL, "of this thread again");
	mpt_step(t, 1);
	mpt_expect_exit(t, id, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_has_failed_yet_in_a_fresh_thread),
		cmocka_unit_test(
			a_failure_returns_its_error_and_leaves_errno_alone),
		cmocka_unit_test(the_next_failure_replaces_the_text),
		cmocka_unit_test(too_long_a_text_is_cut_and_still_a_string),
		mpt_test(each_thread_has_its_own_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
