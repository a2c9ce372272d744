/* SPDX-License-Identifier: MIT */
/*
 * testing.h: checks that fail, wherever that is, and who is told.
 */
#include <pthread.h>
#include <sys/wait.h>

#include "testing.h"

static int
fail_at_once(void *arg)
{
	(void)arg;
	mproc_test_check(1 + 1 == 2);
	mproc_test_check(1 + 1 == 3);
	return 0;
}

static int
fail_in_order(void *arg)
{
	(void)arg;
	/* What it was about to print is not lost. */
	printf("before");
	return fail_at_once(NULL);
}

static void *
fail_in_a_thread(void *arg)
{
	fail_at_once(arg);
	return NULL;
}

static int
start_a_thread(void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, fail_in_a_thread, arg) != 0)
		return 1;
	pthread_join(thread, NULL);
	return 2;
}

static int
start_a_child(void *arg)
{
	mproc_process *p;
	int code;

	(void)arg;
	if (mproc_process_start(&p, start_a_thread, NULL,
				MPROC_OPTS(mproc_process_opts,
					   .name = "grandchild")) < 0 ||
	    mproc_process_join(p, MPROC_FOREVER) < 0 ||
	    mproc_process_exitcode(p, &code) < 0)
		return 1;
	mproc_process_close(p);
	return code == MPROC_TEST_FAILED ? 0 : 2;
}

static int
fork_a_child(void *arg)
{
	int status;
	pid_t pid = fork();

	(void)arg;
	if (pid == 0) {
		fail_at_once(NULL);
		_exit(0);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
			       WEXITSTATUS(status) == MPROC_TEST_FAILED ?
		       0 : 1;
}

static const struct {
	mproc_entry *fn;
	const char *process;
	int code;
} cases[] = {
	{ fail_at_once, "tested", MPROC_TEST_FAILED },
	{ fail_in_order, "tested", MPROC_TEST_FAILED },
	{ start_a_thread, "tested", MPROC_TEST_FAILED },
	{ start_a_child, "grandchild", 0 },
	{ fork_a_child, "main", 0 },
};

static const struct mproc_process_opts *
as_tested(void)
{
	static struct mproc_process_opts o = { .struct_size = sizeof(o),
					       .name = "tested" };

	return &o;
}

static void
expect_failure(const struct mproc_test_result *r, int i)
{
	const struct mproc_test_failure *f = &r->failures[0];
	char line[200];

	assert_int_equal(r->exit.code, cases[i].code);
	assert_int_equal(r->n_failures, 1);
	assert_string_equal(f->text, "1 + 1 == 3");
	assert_string_equal(f->file, __FILE__);
	assert_int_equal(f->line, 15);
	assert_string_equal(f->process, cases[i].process);
	assert_true(f->pid > 0 && f->pid != getpid());
	snprintf(line, sizeof(line), "failed in process \"%s\", %s:15: "
		 "1 + 1 == 3", cases[i].process, __FILE__);
	assert_string_equal(r->problems, line);
	/* And it has said so itself. */
	assert_non_null(strstr(r->err, "1 + 1 == 3"));
	assert_non_null(strstr(r->err, cases[i].process));
	assert_string_equal(r->out, i == 1 ? "before" : "");
}

static void
a_check_fails_the_run_wherever_it_is(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++) {
		struct mproc_test_result r =
			run_with(cases[i].fn, NULL,
				 MPROC_OPTS(mproc_test_opts,
					    .process = as_tested()));

		expect_failure(&r, i);
		mproc_test_result_free(&r);
	}
}

static void
a_framework_is_told_of_it(void **state)
{
	struct told told;

	(void)state;
	hook(&told);
	for (int i = 0; i < 5; i++) {
		struct mproc_test_result r =
			run_with(cases[i].fn, NULL,
				 MPROC_OPTS(mproc_test_opts,
					    .process = as_tested()));

		/* As it has come back, which those with a jump do not. */
		assert_int_equal(told.n, i + 1);
		assert_string_equal(told.text, "1 + 1 == 3");
		assert_string_equal(told.process, cases[i].process);
		assert_int_equal(told.line, 15);
		assert_null(r.memory);
	}
	for (int i = 0; i < 5; i++) {
		struct mproc_test_result r =
			run_with(cases[i].fn, NULL,
				 MPROC_OPTS(mproc_test_opts,
					    .process = as_tested(),
					    .keep_failures = true));

		expect_failure(&r, i);
		mproc_test_result_free(&r);
	}
	assert_int_equal(told.n, 5);
	assert_int_equal(mproc_test_hook(NULL), 0);
}

/* A process starts the next one by the first of the methods in @arg, two bits each,
 * with the others; the last one fails. */
static int
start_a_chain(void *arg)
{
	uintptr_t methods = (uintptr_t)arg;
	mproc_process *p;
	int code;

	if (!methods)
		return fail_at_once(NULL);
	if (mproc_process_start(&p, start_a_chain, (void *)(methods >> 2),
				MPROC_OPTS(mproc_process_opts,
					   .name = methods >> 2 ? "middle" :
								  "last",
					   .n_keep_fds = -1,
					   .method = methods & 3)) < 0 ||
	    mproc_process_join(p, MPROC_FOREVER) < 0 ||
	    mproc_process_exitcode(p, &code) < 0)
		return 1;
	mproc_process_close(p);
	return code;
}

#define CHAIN(a, b, c)                                                        \
	(void *)((uintptr_t)(a) | (uintptr_t)(b) << 2 | (uintptr_t)(c) << 4)

/* Each change from one method to another; nobody between has a descriptor of it. */
static void *const chains[] = {
	CHAIN(MPROC_FORK, MPROC_SPAWN, MPROC_FORK),
	CHAIN(MPROC_FORKSERVER, MPROC_FORK, MPROC_FORKSERVER),
	CHAIN(MPROC_SPAWN, MPROC_SPAWN, MPROC_FORKSERVER),
	CHAIN(MPROC_FORKSERVER, MPROC_FORKSERVER, MPROC_SPAWN),
};

static void
methods_in_between_hinder_no_failure(void **state)
{
	struct mproc_test_result r;
	mproc_process *p;
	struct told told;

	(void)state;
	hook(&told);
	for (int i = 0; i < 4; i++) {
		r = run_with(start_a_chain, chains[i],
			     MPROC_OPTS(mproc_test_opts,
					.keep_failures = true));
		assert_int_equal(r.exit.code, MPROC_TEST_FAILED);
		assert_int_equal(r.n_failures, 1);
		assert_string_equal(r.failures[0].process, "last");
		assert_int_equal(r.failures[0].line, 15);
		mproc_test_result_free(&r);
		assert_int_equal(mproc_test_collect(), 0);
		/* And without a run. */
		assert_int_equal(mproc_process_start(&p, start_a_chain,
						     chains[i], NULL), 0);
		assert_int_equal(mproc_process_join(p, mproc_sec(10)), 0);
		mproc_process_close(p);
		assert_int_equal(mproc_test_collect(), 1);
		assert_string_equal(told.process, "last");
	}
	assert_int_equal(told.n, 4);
	assert_int_equal(mproc_test_hook(NULL), 0);
}

/* Not run by mproc_test_run(). */
static void
start_and_join(mproc_entry *fn)
{
	struct mproc_process_opts o = *as_tested();
	mproc_process *p;

	/* What they say about it is for somebody who reads it. */
	o.stdout_.kind = MPROC_STDIO_NULL;
	o.stderr_.kind = MPROC_STDIO_NULL;
	assert_int_equal(mproc_process_start(&p, fn, NULL, &o), 0);
	assert_int_equal(mproc_process_join(p, mproc_sec(10)), 0);
	mproc_process_close(p);
}

static void
other_processes_are_collected(void **state)
{
	struct told told;

	(void)state;
	hook(&told);
	for (int i = 0; i < 5; i++) {
		start_and_join(cases[i].fn);
		assert_int_equal(told.n, i);
		assert_int_equal(mproc_test_collect(), 1);
		assert_int_equal(told.n, i + 1);
		assert_string_equal(told.process, cases[i].process);
		assert_int_equal(mproc_test_collect(), 0);
	}
	/* More than a board has room for, twice. */
	for (int i = 0; i < 2; i++) {
		for (int k = 0; k < MPROC_TEST_LISTED + 6; k++)
			start_and_join(fail_at_once);
		assert_int_equal(mproc_test_collect(), MPROC_TEST_LISTED + 6);
		assert_string_equal(told.text, "1 + 1 == 3");
		told.text[0] = '\0';
	}
	assert_int_equal(told.n, 7);
	assert_int_equal(mproc_test_hook(NULL), 0);
}

static void *
fail_here(void *arg)
{
	bool *came_back = arg;

	*came_back = !mproc_test_check(*came_back);
	return NULL;
}

static void
in_the_test_itself_it_is_told_at_once_or_by_another_thread_later(void **state)
{
	bool came_back = false;
	pthread_t thread;
	struct told told;

	(void)state;
	hook(&told);
	assert_true(mproc_test_check(told.n == 0));
	assert_false(mproc_test_check(told.n == 1));
	assert_int_equal(told.n, 1);
	assert_string_equal(told.text, "told.n == 1");
	assert_string_equal(told.process, "main");
	/* Its jump would land in another stack. */
	assert_int_equal(pthread_create(&thread, NULL, fail_here, &came_back),
			 0);
	pthread_join(thread, NULL);
	assert_true(came_back);
	assert_int_equal(told.n, 1);
	assert_int_equal(mproc_test_collect(), 1);
	assert_int_equal(told.n, 2);
	assert_string_equal(told.text, "*came_back");
	assert_int_equal(mproc_test_hook(NULL), 0);
}

static int
test_without_a_framework(struct mpt *t, void *arg)
{
	mproc_process *p;
	int code;

	(void)arg;
	mpt_check_int(t, mproc_test_collect(), 0);
	mpt_check(t, !mproc_test_check_at(false, "this", "file", 7));
	mpt_check(t, !mproc_test_check(false));
	mpt_check_int(t, mproc_test_collect(), 2);
	mpt_check_int(t, mproc_test_collect(), 0);
	/* Who was started ends, and has nobody else to tell. */
	mpt_check_int(t, mproc_process_start(&p, fail_at_once, NULL, NULL), 0);
	mpt_check_int(t, mproc_process_join(p, mproc_sec(10)), 0);
	mpt_check_int(t, mproc_process_exitcode(p, &code), 0);
	mpt_check_int(t, code, MPROC_TEST_FAILED);
	mproc_process_close(p);
	mpt_check_int(t, mproc_test_collect(), 0);
	/* That is the calling process's. */
	mproc_test_begin_assert("anything", "file", 1);
	mproc_test_end_assert();
	return 0;
}

static void
without_a_framework_it_prints_and_counts(void **state)
{
	struct mpt *t = *state;

	/* Not one that was started, whose checks end it. */
	mpt_expect_exit(t, mpt_fork(t, "program", test_without_a_framework,
				    NULL), 0);
}

/* What a process tests itself is in its own result, and nowhere else. */
static int
test_another(void *arg)
{
	struct mproc_test_result r;
	int n;

	(void)arg;
	if (mproc_test_run(fail_at_once, NULL, NULL, &r) < 0)
		return 1;
	n = r.n_failures;
	mproc_test_result_free(&r);
	return n == 1 ? 0 : 2;
}

static void
a_run_in_a_run_has_its_own_failures(void **state)
{
	struct mproc_test_result r;
	struct told told;

	(void)state;
	hook(&told);
	r = run(test_another, NULL);
	assert_null(r.problems);
	assert_int_equal(told.n, 0);
	mproc_test_result_free(&r);
	assert_int_equal(mproc_test_hook(NULL), 0);
}

static int
fail_in_long_words(void *arg)
{
	char text[1000];

	(void)arg;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	mproc_test_check_at(false, text, text, -1);
	return 0;
}

static int
fail_without_words(void *arg)
{
	(void)arg;
	mproc_test_check_at(false, NULL, NULL, 0);
	return 0;
}

static void
texts_are_cut_and_may_be_missing(void **state)
{
	struct mproc_test_result r = run(fail_in_long_words, NULL);

	(void)state;
	assert_int_equal(r.n_failures, 1);
	assert_true(strlen(r.failures[0].text) > 100);
	assert_true(strlen(r.failures[0].file) > 100);
	assert_int_equal(r.failures[0].line, -1);
	mproc_test_result_free(&r);
	r = run(fail_without_words, NULL);
	assert_int_equal(r.n_failures, 1);
	assert_string_equal(r.failures[0].text, "");
	mproc_test_result_free(&r);
}

static int
abort_in_an_assertion(void *arg)
{
	mproc_test_begin_assert("fine", "some.c", 1);
	mproc_test_end_assert();
	if (!mproc_test_begin_assert("an assertion", "some.c", 12))
		return 1;
	if (arg)
		mproc_test_end_assert();
	dump_no_core();
	abort();
}

/* A forked child is not in the assertion of its parent. */
static int
fork_in_an_assertion(void *arg)
{
	int status;
	pid_t pid;

	(void)arg;
	dump_no_core();
	mproc_test_begin_assert("an assertion", "some.c", 12);
	pid = fork();
	if (pid == 0)
		abort();
	mproc_test_end_assert();
	return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) ? 0 : 1;
}

/* One inline does not take away what the process itself needs. */
static int
assert_inline_and_here(void *arg)
{
	mproc_process *p;

	mproc_test_inline(true);
	if (mproc_process_start(&p, fork_in_an_assertion, NULL, NULL) < 0 ||
	    mproc_process_join(p, MPROC_FOREVER) < 0)
		return 1;
	mproc_process_close(p);
	mproc_test_begin_assert("another one", "some.c", 13);
	dump_no_core();
	abort();
	return arg != NULL;
}

static void
abort_in_an_assertion_is_a_failed_check_and_elsewhere_a_crash(void **state)
{
	struct mproc_test_result r;
	struct told told;

	(void)state;
	hook(&told);
	r = run(abort_in_an_assertion, NULL);
	assert_int_equal(told.n, 1);
	assert_string_equal(told.text, "an assertion");
	assert_int_equal(told.line, 12);
	r = run(assert_inline_and_here, NULL);
	assert_int_equal(told.n, 2);
	assert_string_equal(told.text, "another one");
	r = run(fork_in_an_assertion, NULL);
	assert_null(r.problems);
	mproc_test_result_free(&r);
	r = run(abort_in_an_assertion, A_NUMBER);
	assert_int_equal(told.n, 2);
	assert_int_equal(r.exit.signal, SIGABRT);
	assert_non_null(r.exit.report);
	mproc_test_result_free(&r);
	assert_int_equal(mproc_test_hook(NULL), 0);
}

static void
a_framework_has_to_be_one(void **state)
{
	struct {
		struct mproc_test_framework f;
		int more;
	} larger = { .f.struct_size = sizeof(larger),
		     .f.failed = note_failure,
		     .more = 1 };
	char name[65] = { 0 };
	int hooked;

	(void)state;
	assert_int_equal(mproc_test_hook(MPROC_OPTS(mproc_test_framework,
						    .ctx = state)), -EINVAL);
	assert_int_equal(mproc_test_hook(&larger.f), -E2BIG);
	memset(name, 'x', sizeof(name) - 1);
	assert_int_equal(mproc_test_hook(MPROC_OPTS(mproc_test_framework,
						    .failed = note_failure,
						    .abort_env = name)),
			 -EINVAL);
	assert_true(detail_has("64 bytes"));
	assert_int_equal(mproc_test_fault("memfd:1=EMFILE"), 0);
	hooked = mproc_test_hook(MPROC_OPTS(mproc_test_framework,
					    .failed = note_failure));
	assert_int_equal(mproc_test_fault(NULL), 0);
	assert_int_equal(hooked, -EMFILE);
	assert_int_equal(mproc_test_hook(NULL), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_check_fails_the_run_wherever_it_is),
		mpt_test(a_framework_is_told_of_it),
		mpt_test(methods_in_between_hinder_no_failure),
		mpt_test(other_processes_are_collected),
		mpt_test(in_the_test_itself_it_is_told_at_once_or_by_another_thread_later),
		mpt_test(without_a_framework_it_prints_and_counts),
		mpt_test(a_run_in_a_run_has_its_own_failures),
		mpt_test(texts_are_cut_and_may_be_missing),
		mpt_test(abort_in_an_assertion_is_a_failed_check_and_elsewhere_a_crash),
		mpt_test(a_framework_has_to_be_one),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
