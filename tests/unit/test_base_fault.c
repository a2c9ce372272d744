/* SPDX-License-Identifier: MIT */
/*
 * Calls that fail on demand.
 */
#include <errno.h>
#include <stdio.h>

#include <mproc/core.h>

#include "base/error.h"
#include "base/fault.h"
#include "common.h"

static void
nothing_fails_and_nothing_is_counted_unless_asked_for(void **state)
{
	(void)state;
	assert_int_equal(mpr_fault_set("fork:2"), 0);
	assert_int_equal(mpr_fault_set(NULL), 0);
	errno = 17;
	for (int i = 0; i < 3; i++)
		assert_false(mpr_fault(MPR_FAULT_FORK));
	assert_int_equal(errno, 17);
	assert_int_equal(mpr_fault_hits(MPR_FAULT_FORK), 0);
}

static void
the_nth_call_fails_once(void **state)
{
	(void)state;
	assert_int_equal(mpr_fault_set("fork:3"), 0);
	for (int i = 1; i <= 6; i++) {
		errno = 0;
		assert_int_equal(mpr_fault(MPR_FAULT_FORK), i == 3);
		assert_int_equal(errno, i == 3 ? EAGAIN : 0);
		assert_false(mpr_fault(MPR_FAULT_MMAP));
	}
	/* Beyond the last call is how a test knows that it has tried all. */
	assert_int_equal(mpr_fault_hits(MPR_FAULT_FORK), 6);
	assert_int_equal(mpr_fault_hits(MPR_FAULT_MMAP), 6);
	assert_int_equal(mpr_fault_hits(MPR_FAULT_MEMFD), 0);
	mpr_fault_set("");
	assert_false(mpr_fault(MPR_FAULT_FORK));
	assert_int_equal(mpr_fault_hits(MPR_FAULT_FORK), 6);
}

static void
the_nth_call_and_all_later_ones_fail(void **state)
{
	(void)state;
	assert_int_equal(mpr_fault_set("fallocate:2+"), 0);
	assert_false(mpr_fault(MPR_FAULT_FALLOCATE));
	for (int i = 0; i < 5; i++) {
		errno = 0;
		assert_true(mpr_fault(MPR_FAULT_FALLOCATE));
		assert_int_equal(errno, ENOSPC);
	}
	mpr_fault_set(NULL);
}

static void
several_points_fail_with_the_errno_asked_for(void **state)
{
	(void)state;
	assert_int_equal(mpr_fault_set("memfd:1=EPERM,fork:1+=ENOMEM,kill:2"),
			 0);
	assert_true(mpr_fault(MPR_FAULT_MEMFD) && errno == EPERM);
	assert_true(mpr_fault(MPR_FAULT_FORK) && errno == ENOMEM);
	assert_true(mpr_fault(MPR_FAULT_FORK) && errno == ENOMEM);
	assert_false(mpr_fault(MPR_FAULT_KILL));
	assert_true(mpr_fault(MPR_FAULT_KILL) && errno == EPERM);
	assert_false(mpr_fault(MPR_FAULT_MEMFD));
	mpr_fault_set(NULL);
}

static void
each_point_has_a_name_and_an_errno(void **state)
{
	char spec[64];

	(void)state;
	for (unsigned i = 0; i < MPR_FAULTS; i++) {
		snprintf(spec, sizeof(spec), "%s:1", mpr_fault_name(i));
		assert_int_equal(mpr_fault_set(spec), 0);
		for (unsigned k = 0; k < MPR_FAULTS; k++) {
			errno = 0;
			assert_int_equal(mpr_fault(k), k == i);
			assert_int_equal(errno > 0, k == i);
		}
	}
	mpr_fault_set(NULL);
}

static void
each_errno_of_the_choice_is_the_one_it_names(void **state)
{
	static const struct {
		const char *name;
		int error;
	} all[] = {
		{ "ENOSYS", ENOSYS }, { "EPERM", EPERM },
		{ "ENOMEM", ENOMEM }, { "EAGAIN", EAGAIN },
		{ "EMFILE", EMFILE }, { "ENFILE", ENFILE },
		{ "ENOSPC", ENOSPC }, { "EINTR", EINTR },
		{ "EACCES", EACCES }, { "EBADF", EBADF },
		{ "ECHILD", ECHILD }, { "EINVAL", EINVAL },
		{ "ENOLCK", ENOLCK }, { "ESRCH", ESRCH },
		{ "EOPNOTSUPP", EOPNOTSUPP },
	};
	char spec[64];

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		snprintf(spec, sizeof(spec), "poll:1=%s", all[i].name);
		assert_int_equal(mpr_fault_set(spec), 0);
		assert_true(mpr_fault(MPR_FAULT_POLL));
		assert_int_equal(errno, all[i].error);
	}
	mpr_fault_set(NULL);
}

static void
a_spec_that_makes_no_sense_changes_nothing(void **state)
{
	static const char *const bad[] = {
		"fork",		 "fork:",	  "fork:0",
		"fork:-1",	 "fork:x",	  "fork: 1",
		"fork:4294967296", "fork:99999999999999999999",
		"nonsense:1",	 ":1",		  ",",
		"fork:1,",	 ",fork:1",	  "fork:1 kill:1",
		"fork:1,fork:2", "fork:1=",	  "fork:1=ENONSENSE",
		"fork:1=EPER",	 "fork:1=EPERMX", "fork:1=EPERM+",
		"fork:1++",	 "FORK:1",	  "forks:1",
		"for:1",	 "kill:1,nonsense:1",
	};

	(void)state;
	assert_int_equal(mpr_fault_set("fork:2"), 0);
	assert_false(mpr_fault(MPR_FAULT_FORK));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		mpr_fail(0, "%s", "");
		if (mpr_fault_set(bad[i]) != -EINVAL)
			fail_msg("\"%s\" was accepted", bad[i]);
		assert_true(strlen(mproc_error_detail()) > 0);
	}
	/* The count goes on, too. */
	assert_false(mpr_fault(MPR_FAULT_KILL));
	assert_true(mpr_fault(MPR_FAULT_FORK));
	assert_int_equal(mpr_fault_set("fork:4294967295"), 0);
	mpr_fault_set(NULL);
}

/* Who has mistyped a name is told all of them, in the end of a long text too. */
static void
an_unknown_name_is_answered_with_those_that_there_are(void **state)
{
	char spec[400];

	(void)state;
	assert_int_equal(mpr_fault_set("fork:1,nonsense:1"), -EINVAL);
	for (unsigned i = 0; i < MPR_FAULTS; i++)
		assert_non_null(strstr(mproc_error_detail(),
				       mpr_fault_name(i)));
	assert_non_null(strstr(mproc_error_detail(), "\"nonsense:1\""));
	snprintf(spec, sizeof(spec), "%0399d", 1);
	assert_int_equal(mpr_fault_set(spec), -EINVAL);
	assert_non_null(strstr(mproc_error_detail(),
			       mpr_fault_name(MPR_FAULTS - 1)));
}

static void
a_pause_neither_fails_nor_counts(void **state)
{
	bool was;

	(void)state;
	assert_int_equal(mpr_fault_set("fork:2"), 0);
	assert_false(mpr_fault(MPR_FAULT_FORK));
	was = mpr_fault_pause();
	assert_true(was);
	assert_false(mpr_fault(MPR_FAULT_FORK));
	/* One in another. */
	assert_false(mpr_fault_pause());
	mpr_fault_resume(false);
	assert_false(mpr_fault(MPR_FAULT_FORK));
	mpr_fault_resume(was);
	assert_true(mpr_fault(MPR_FAULT_FORK));
	assert_int_equal(mpr_fault_hits(MPR_FAULT_FORK), 2);
	mpr_fault_set(NULL);
}

static int
go_on_counting(struct mpt *t, void *arg)
{
	(void)arg;
	mpt_check_int(t, mpr_fault_hits(MPR_FAULT_FORK), 1);
	mpt_check(t, !mpr_fault(MPR_FAULT_FORK));
	mpt_check(t, mpr_fault(MPR_FAULT_FORK));
	mpt_check(t, !mpr_fault(MPR_FAULT_FORK));
	return 0;
}

static void
a_forked_child_inherits_it_and_counts_for_itself(void **state)
{
	struct mpt *t = *state;

	assert_int_equal(mpr_fault_set("fork:3"), 0);
	assert_false(mpr_fault(MPR_FAULT_FORK));
	mpt_expect_exit(t, mpt_spawn(t, "child", go_on_counting, NULL), 0);
	assert_int_equal(mpr_fault_hits(MPR_FAULT_FORK), 1);
	mpr_fault_set(NULL);
}

#define THREADS 4

static void *
call_often(void *arg)
{
	unsigned failed = 0;

	(void)arg;
	for (int i = 0; i < 10000; i++)
		failed += mpr_fault(MPR_FAULT_WAIT);
	return (void *)(uintptr_t)failed;
}

static void
one_thread_of_many_meets_the_failure(void **state)
{
	pthread_t threads[THREADS];
	uintptr_t failed = 0;
	void *result;

	(void)state;
	assert_int_equal(mpr_fault_set("wait:20000"), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, call_often,
						NULL), 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &result);
		failed += (uintptr_t)result;
	}
	assert_int_equal(failed, 1);
	assert_int_equal(mpr_fault_hits(MPR_FAULT_WAIT), THREADS * 10000);
	mpr_fault_set(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			nothing_fails_and_nothing_is_counted_unless_asked_for),
		cmocka_unit_test(the_nth_call_fails_once),
		cmocka_unit_test(the_nth_call_and_all_later_ones_fail),
		cmocka_unit_test(several_points_fail_with_the_errno_asked_for),
		cmocka_unit_test(each_point_has_a_name_and_an_errno),
		cmocka_unit_test(each_errno_of_the_choice_is_the_one_it_names),
		cmocka_unit_test(a_spec_that_makes_no_sense_changes_nothing),
		cmocka_unit_test(
			an_unknown_name_is_answered_with_those_that_there_are),
		cmocka_unit_test(a_pause_neither_fails_nor_counts),
		mpt_test(a_forked_child_inherits_it_and_counts_for_itself),
		cmocka_unit_test(one_thread_of_many_meets_the_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
