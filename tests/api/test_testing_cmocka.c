/* SPDX-License-Identifier: MIT */
/*
 * mproc_cmocka.h: cmocka's assertions in processes under test. Tests that must
 * fail are in a group of their own, which this program runs as another program,
 * one by one, to read what that says.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>

#include "common.h"

#include <mproc/mproc_cmocka.h>

/* Lines that are looked for in the output. */
static int
assert_equal(void *arg)
{
	(void)arg;
	assert_true(1);
	assert_non_null(&assert_equal);
	assert_int_equal(1, 2); /* line 23 */
	return 0;
}

static int
check(void *arg)
{
	(void)arg;
	mproc_test_check(0 > 1); /* line 31 */
	return 0;
}

static void *
assert_string(void *arg)
{
	assert_string_equal("one", "other"); /* line 38 */
	return arg;
}

static int
start_thread(void *arg)
{
	pthread_t thread;

	pthread_create(&thread, NULL, assert_string, arg);
	pthread_join(thread, NULL);
	return 0;
}

static int
start_child(void *arg)
{
	mproc_process *p;

	if (mproc_process_start(&p, assert_equal, arg,
				MPROC_OPTS(mproc_process_opts,
					   .name = "grandchild")) < 0 ||
	    mproc_process_join(p, MPROC_FOREVER) < 0)
		return 1;
	mproc_process_close(p);
	return 0;
}

static int
fork_child(void *arg)
{
	(void)arg;
	if (fork() == 0)
		fail(); /* line 71 */
	wait(NULL);
	return 0;
}

static int
call_skip(void *arg)
{
	(void)arg;
	skip(); /* line 80 */
	return 0;
}

static int
crash(void *arg)
{
	volatile uintptr_t nowhere = 16;

	(void)arg;
	*(volatile int *)nowhere = 1;
	return 0;
}

static int
use_mock(void *arg)
{
	(void)arg;
	return (int)mock(); /* line 98 */
}

static int
assert_much(void *arg)
{
	const char text[] = "abc";
	LargestIntegralType set[] = { 1, 2, 3 };

	(void)arg;
	assert_true(1);
	assert_false(0);
	assert_null(NULL);
	assert_non_null(text);
	assert_ptr_equal(text, text);
	assert_int_not_equal(1, 2);
	assert_float_equal(1.0f, 1.0f, 0.1f);
	assert_string_equal(text, "abc");
	assert_string_not_equal(text, "abd");
	assert_memory_equal(text, "abc", 3);
	assert_memory_not_equal(text, "abd", 3);
	assert_in_range(2, 1, 3);
	assert_not_in_range(4, 1, 3);
	assert_in_set(2, set, 3);
	assert_not_in_set(4, set, 3);
	assert_return_code(0, 0);
	return 0;
}

/* How a user would do it. */
static void
run(mproc_entry *fn)
{
	struct mproc_test_result r;

	assert_int_equal(mproc_test_run(fn, NULL, NULL, &r), 0);
	if (r.problems)
		fail_msg("%s", r.problems);
	mproc_test_result_free(&r);
}

static void
start(mproc_entry *fn)
{
	mproc_process *p;

	assert_int_equal(mproc_process_start(&p, fn, NULL, NULL), 0);
	assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
	mproc_process_close(p);
}

#define in_a_run(fn)                                                          \
	static void must_fail_##fn(void **state)                              \
	{                                                                     \
		(void)state;                                                  \
		run(fn);                                                      \
	}

in_a_run(assert_equal)
in_a_run(check)
in_a_run(start_thread)
in_a_run(start_child)
in_a_run(fork_child)
in_a_run(call_skip)
in_a_run(crash)
in_a_run(use_mock)

static void
must_fail_started(void **state)
{
	(void)state;
	start(assert_equal);
	assert_true(1);
}

/* Nobody looks, so the group fails. An assertion would look, even if it comes before
 * the process is waited for: that may have failed by then. */
static void
late(void **state)
{
	mproc_process *p;

	(void)state;
	if (mproc_process_start(&p, check, NULL, NULL) < 0 ||
	    mproc_process_join(p, MPROC_FOREVER) < 0)
		return;
	mproc_process_close(p);
}

static void
must_fail_inline(void **state)
{
	(void)state;
	mproc_test_inline(true);
	run(assert_equal);
}

static void
must_fail_itself(void **state)
{
	(void)state;
	assert_true(false);
}

/* A child that went on in its copy of the runner would run this. */
static void
zz_next(void **state)
{
	(void)state;
	fprintf(stderr, "the next test runs in %d\n", (int)getpid());
}

static int
be_one_that_fails(const char *filter)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(must_fail_assert_equal),
		cmocka_unit_test(must_fail_check),
		cmocka_unit_test(must_fail_start_thread),
		cmocka_unit_test(must_fail_start_child),
		cmocka_unit_test(must_fail_fork_child),
		cmocka_unit_test(must_fail_call_skip),
		cmocka_unit_test(must_fail_crash),
		cmocka_unit_test(must_fail_use_mock),
		cmocka_unit_test(must_fail_started),
		cmocka_unit_test(must_fail_itself),
		cmocka_unit_test(late),
		cmocka_unit_test(must_fail_inline),
		cmocka_unit_test(zz_next),
	};

	cmocka_set_test_filter(filter);
	return cmocka_run_group_tests_name("failing", tests, NULL, NULL);
}

/* What the program says, with its own program's name for a filter. */
static int
ask(const char *filter, char *said, size_t size)
{
	char command[300], self[200] = { 0 };
	size_t n = 0;
	FILE *f;
	int c;

	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	/* A test that fails leaks what it has not freed. */
	snprintf(command, sizeof(command),
		 "ASAN_OPTIONS=detect_leaks=0 '%s' '%s' 2>&1", self, filter);
	f = popen(command, "r");
	assert_non_null(f);
	while ((c = getc(f)) != EOF)
		if (n + 1 < size)
			said[n++] = (char)c;
	said[n] = '\0';
	return pclose(f);
}

static int
count(const char *text, const char *part)
{
	int n = 0;

	while ((text = strstr(text, part))) {
		n++;
		text++;
	}
	return n;
}

static void
what_must_fail_fails_with_file_line_and_process(void **state)
{
	static const struct {
		const char *test;
		const char *process;
		int line;
	} cases[] = {
		{ "must_fail_assert_equal", "process-", 23 },
		{ "must_fail_check", "process-", 31 },
		{ "must_fail_start_thread", "process-", 38 },
		{ "must_fail_start_child", "grandchild", 23 },
		{ "must_fail_fork_child", "main", 71 },
		{ "must_fail_call_skip", "process-", 80 },
		{ "must_fail_use_mock", "process-", 98 },
		{ "must_fail_started", "process-", 23 },
		{ "must_fail_inline", "process-", 23 },
	};
	char said[16384], text[200];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int status = ask(cases[i].test, said, sizeof(said));

		if (!WIFEXITED(status) || WEXITSTATUS(status) != 1)
			fail_msg("%s: status %d: %s", cases[i].test, status,
				 said);
		/* By the test program, as its own failure. */
		snprintf(text, sizeof(text), "%s:%d: error: Failure!",
			 __FILE__, cases[i].line);
		/* In a new image cmocka has nothing to look in for values. */
		if (getenv("MPT_METHOD") &&
		    strcmp(cases[i].test, "must_fail_use_mock") == 0) {
			assert_non_null(strstr(said, "was ended by SIGSEGV"));
			continue;
		}
		if (!strstr(said, text))
			fail_msg("no \"%s\" in: %s", text, said);
		snprintf(text, sizeof(text), "%s:%d: failed in process \"%s",
			 __FILE__, cases[i].line, cases[i].process);
		if (!strstr(said, text))
			fail_msg("no \"%s\" in: %s", text, said);
	}
}

static void
what_must_fail_of_itself_and_a_crash_are_told_too(void **state)
{
	char said[16384];
	int status;

	(void)state;
	status = ask("must_fail_itself", said, sizeof(said));
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	/* cmocka's handler would have gone on in the child. */
	status = ask("must_fail_crash", said, sizeof(said));
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	assert_non_null(strstr(said, "was ended by SIGSEGV"));
	/* No test failed, and the group does. */
	status = ask("late", said, sizeof(said));
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	assert_non_null(strstr(said, "test_testing_cmocka.c:31: failed in"));
}

static void
no_child_goes_on_with_the_next_test(void **state)
{
	char said[65536];
	int status = ask("*", said, sizeof(said));

	(void)state;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 11)
		fail_msg("status %d: %s", status, said);
	assert_int_equal(count(said, "the next test runs in"), 1);
}

static void
assertions_that_hold_disturb_nobody(void **state)
{
	(void)state;
	run(assert_much);
	assert_int_equal(assert_much(NULL), 0);
	mproc_test_inline(true);
	run(assert_much);
	mproc_test_inline(false);
	assert_null(getenv("CMOCKA_TEST_ABORT"));
	start(assert_much);
}

static int
return_mocked(void *arg)
{
	(void)arg;
	return (int)mock();
}

static void
mocked_values_are_there(void **state)
{
	(void)state;
	will_return(return_mocked, 7);
	assert_int_equal(return_mocked(NULL), 7);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_must_fail_fails_with_file_line_and_process),
		cmocka_unit_test(what_must_fail_of_itself_and_a_crash_are_told_too),
		cmocka_unit_test(no_child_goes_on_with_the_next_test),
		cmocka_unit_test(assertions_that_hold_disturb_nobody),
		cmocka_unit_test(mocked_values_are_there),
	};
	const char *method = getenv("MPT_METHOD");

	/* As other tests are told, which use more of the support library. */
	if (method)
		mproc_set_start_method(strcmp(method, "spawn") == 0 ?
					       MPROC_SPAWN : MPROC_FORKSERVER);
	if (argc > 1)
		return be_one_that_fails(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
