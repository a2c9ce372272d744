/* SPDX-License-Identifier: MIT */
/*
 * testing.h: how an entry under test has ended, and what it is given.
 */
#include <fcntl.h>
#include <sys/syscall.h>
#include <time.h>

#include "mpt_refuse.h"
#include "testing.h"

static int
do_nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void
an_entry_that_does_nothing_has_no_problems(void **state)
{
	struct mproc_test_result r = run(do_nothing, NULL);

	(void)state;
	assert_null(r.problems);
	assert_int_equal(r.exit.code, 0);
	assert_int_equal(r.exit.signal, 0);
	assert_true(r.exit.pid > 0 && r.exit.pid != getpid());
	assert_int_equal(strncmp(r.exit.name, "process-", 8), 0);
	assert_true(r.exit.max_rss > 0);
	assert_true(r.wall_ns > 0 && r.wall_ns < 10000 * MS);
	assert_false(r.timed_out);
	assert_true(r.looked);
	assert_null(r.exit.report);
	assert_string_equal(r.out, "");
	assert_string_equal(r.err, "");
	assert_int_equal(r.out_len + r.err_len + r.out_lost + r.err_lost, 0);
	assert_int_equal(r.n_failures, 0);
	assert_int_equal(r.n_fds, 0);
	assert_int_equal(r.n_locks, 0);
	assert_int_equal(r.n_messages, 0);
	assert_int_equal(r.n_processes, 0);
	assert_int_equal(r.n_blocks, 0);
	assert_int_equal(r.block_bytes, 0);
	assert_int_equal(r.n_faults, 0);
	mproc_test_result_free(&r);
	assert_null(r.memory);
	/* Twice, and none. */
	mproc_test_result_free(&r);
	mproc_test_result_free(NULL);
}

static int
end_by_code(void *arg)
{
	const int *how = arg;

	if (how[1] == 'x')
		exit(how[0]);
	if (how[1] == '_')
		_exit(how[0]);
	return how[0];
}

static void
a_code_is_told_however_it_comes_about(void **state)
{
	static int all[][2] = { { 3, 'r' }, { 137, 'x' }, { 70, 'x' },
				{ 4, '_' }, { 0x105, 'r' } };
	char text[40];

	(void)state;
	for (int i = 0; i < 5; i++) {
		struct mproc_test_result r =
			run_copy(end_by_code, all[i], sizeof(all[i]),
				 NULL);

		assert_int_equal(r.exit.code, all[i][0] & 255);
		assert_int_equal(r.exit.signal, 0);
		snprintf(text, sizeof(text), "exited with code %d",
			 all[i][0] & 255);
		assert_string_equal(r.problems, text);
		/* _exit() leaves no time for a look. */
		assert_int_equal(r.looked, all[i][1] != '_');
		mproc_test_result_free(&r);
	}
}

static int
end_by_signal(void *arg)
{
	volatile uintptr_t nowhere = 16;

	dump_no_core();
	if (*(int *)arg == SIGSEGV)
		*(volatile int *)nowhere = 1;
	if (*(int *)arg == SIGABRT)
		abort();
	raise(*(int *)arg);
	return 0;
}

static void
a_signal_is_told_with_the_report_of_a_crash(void **state)
{
	static int all[] = { SIGSEGV, SIGABRT, SIGTERM, SIGKILL };
	static const char *names[] = { "SIGSEGV", "SIGABRT", "SIGTERM",
				       "SIGKILL" };
	struct told told;
	char text[40];

	(void)state;
	/* Whose handlers the child does not keep. */
	hook(&told);
	for (int i = 0; i < 4; i++) {
		struct mproc_test_result r =
			run_copy(end_by_signal, &all[i], sizeof(all[i]),
				 NULL);

		assert_int_equal(r.exit.signal, all[i]);
		assert_int_equal(r.exit.code, -1);
		assert_false(r.looked);
		snprintf(text, sizeof(text), "was ended by %s", names[i]);
		assert_string_equal(r.problems, text);
		assert_int_equal(r.exit.report != NULL, i < 2);
		if (i < 2)
			assert_non_null(strstr(r.exit.report, names[i]));
		mproc_test_result_free(&r);
	}
	assert_int_equal(told.n, 0);
	assert_int_equal(mproc_test_hook(NULL), 0);
}

static int
never_end(void *arg)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	printf("begun\n");
	fflush(stdout);
	while (true)
		if (arg)
			pause();
	return 0;
}

/* On a busy machine it takes its time to begin. */
static struct mproc_test_result
run_until_it_speaks(void *arg, int64_t *ret_ms)
{
	struct mproc_test_result r;
	int64_t ms;

	for (ms = 100;; ms *= 2) {
		r = run_with(never_end, arg,
			     MPROC_OPTS(mproc_test_opts,
					.timeout = mproc_ms(ms)));
		if (r.out_len || ms > 5000)
			break;
		mproc_test_result_free(&r);
	}
	*ret_ms = ms;
	return r;
}

static void
one_that_does_not_end_is_killed_in_time(void **state)
{
	char text[80];
	int64_t ms;

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct mproc_test_result r =
			run_until_it_speaks(i ? A_NUMBER : NULL, &ms);

		assert_true(r.timed_out);
		assert_int_equal(r.exit.signal, SIGKILL);
		assert_true(r.wall_ns >= ms * MS);
		snprintf(text, sizeof(text), "did not end within %d ms, and "
			 "was killed", (int)ms);
		assert_string_equal(r.problems, text);
		/* What it had said until then is there. */
		assert_string_equal(r.out, "begun\n");
		if (!i)
			assert_true(r.exit.user_ns + r.exit.system_ns > 0);
		mproc_test_result_free(&r);
	}
}

static int
work(void *arg)
{
	struct timespec t;
	size_t size = 32u << 20;
	volatile char *memory = malloc(size);

	(void)arg;
	if (!memory)
		return 1;
	for (size_t i = 0; i < size; i += 4096)
		memory[i] = 1;
	do {
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	} while (t.tv_sec == 0 && t.tv_nsec < 20 * MS);
	return memory[0] - 1;
}

static void
time_and_size_are_told(void **state)
{
	struct mproc_test_result r = run(work, NULL);

	(void)state;
	assert_null(r.problems);
	assert_true(r.exit.user_ns + r.exit.system_ns >= 20 * MS);
	assert_true(r.wall_ns >= 20 * MS);
	assert_true(r.exit.max_rss >= 32 << 20);
	mproc_test_result_free(&r);
}

static int
look_around(void *arg)
{
	char cwd[64];

	if (strcmp(mproc_self_name(), "tested") != 0)
		return 1;
	if (!getcwd(cwd, sizeof(cwd)) || strcmp(cwd, "/") != 0)
		return 2;
	*(int *)arg += 1;
	return *(int *)arg == 8 ? 0 : 3;
}

static void
options_of_the_process_are_kept(void **state)
{
	const struct mproc_process_opts *o =
		MPROC_OPTS(mproc_process_opts, .name = "tested", .cwd = "/",
			   .arg_size = sizeof(int));
	int *shared = mproc_value(int, 7);
	struct mproc_test_result r = run_with(look_around, shared,
					      MPROC_OPTS(mproc_test_opts,
							 .process = o));

	(void)state;
	assert_null(r.problems);
	assert_string_equal(r.exit.name, "tested");
	/* Its copy was changed. */
	assert_int_equal(*shared, 7);
	mproc_test_result_free(&r);
	mproc_free(shared);
}

static int told; /* which a new image has as the program has it */

static int
tell(void *arg)
{
	(void)arg;
	return told;
}

static void
expect_told(struct mpt *t, int method, int code)
{
	struct mproc_process_opts p = { .struct_size = sizeof(p),
					.method = method };
	struct mproc_test_opts o = { .struct_size = sizeof(o), .process = &p };
	struct mproc_test_result r;

	mpt_check_int(t, mproc_test_run(tell, NULL, &o, &r), 0);
	mpt_check_int(t, r.exit.signal, 0);
	mpt_check_int(t, r.exit.code, code);
	mpt_check(t, r.looked);
	mproc_test_result_free(&r);
}

/* In a role, whose usual method is nobody else's. */
static int
use_methods(struct mpt *t, void *arg)
{
	(void)arg;
	told = 7;
	expect_told(t, MPROC_FORK, 7);
	expect_told(t, MPROC_SPAWN, 0);
	expect_told(t, MPROC_FORKSERVER, 0);
	mpt_check_int(t, mproc_set_start_method(MPROC_SPAWN), 0);
	expect_told(t, 0, 0);
	mpt_check_int(t, mproc_set_start_method(MPROC_FORK), 0);
	expect_told(t, 0, 7);
	mpt_check_int(t, mproc_forkserver_stop(), 0);
	return 0;
}

static void
it_is_started_by_the_method_that_is_named_or_usual(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "user", use_methods, NULL), 0);
}

/* What is open in others cannot be opened, as in a sandbox. */
static int
run_what_finds_nothing(struct mpt *t, void *arg)
{
	const struct mproc_process_opts *o =
		MPROC_OPTS(mproc_process_opts, .method = MPROC_SPAWN);
	struct mproc_test_result r;
	struct told none = { 0 };
	mproc_process *p;
	int code;

	(void)arg;
	mpt_refuse_bits(EACCES, SYS_openat, 2, O_PATH);
	mpt_check_int(t, mproc_test_run(do_nothing, NULL,
					MPROC_OPTS(mproc_test_opts,
						   .process = o), &r), -EACCES);
	mpt_check(t, detail_has("/proc"));
	/* Others run: what they are for does not depend on a test. */
	mpt_check_int(t, mproc_test_hook(MPROC_OPTS(mproc_test_framework,
						    .failed = note_failure,
						    .ctx = &none)), 0);
	mpt_check_int(t, mproc_process_start(&p, do_nothing, NULL, o), 0);
	mpt_check_int(t, mproc_process_join(p, mproc_sec(10)), 0);
	mpt_check_int(t, mproc_process_exitcode(p, &code), 0);
	mpt_check_int(t, code, 0);
	mproc_process_close(p);
	return mproc_test_hook(NULL);
}

static void
who_could_tell_of_no_failure_is_not_run(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "user", run_what_finds_nothing,
				     NULL), 0);
}

/* As any start would be. */
static void
what_a_new_image_would_not_have_is_refused(void **state)
{
	const struct mproc_process_opts *p =
		MPROC_OPTS(mproc_process_opts, .method = MPROC_SPAWN);
	struct mproc_test_result r;

	assert_int_equal(mproc_test_run(do_nothing, &r,
					MPROC_OPTS(mproc_test_opts,
						   .process = p), &r),
			 -EFAULT);
	assert_true(detail_has("arg_size"));
	(void)state;
}

static void
what_makes_no_sense_is_refused(void **state)
{
	struct mproc_test_result r;
	const struct mproc_process_opts *bad =
		MPROC_OPTS(mproc_process_opts, .daemon = true,
			   .outlive_parent = true);
	const struct mproc_process_opts *method =
		MPROC_OPTS(mproc_process_opts, .method = 99);
	const struct mproc_process_opts *nowhere =
		MPROC_OPTS(mproc_process_opts, .cwd = "/nowhere");
	const struct mproc_process_opts *no_arg =
		MPROC_OPTS(mproc_process_opts, .arg_size = 4);
	struct {
		struct mproc_test_opts opts;
		int more;
	} larger = { .opts.struct_size = sizeof(larger), .more = 1 };
	char fault[1100] = { 0 };

	(void)state;
	assert_int_equal(mproc_test_run(NULL, NULL, NULL, &r), -EINVAL);
	assert_int_equal(mproc_test_run(do_nothing, NULL, NULL, NULL), -EINVAL);
	assert_int_equal(mproc_test_run(do_nothing, NULL, &larger.opts, &r),
			 -E2BIG);
	assert_int_equal(mproc_test_run(do_nothing, NULL,
					MPROC_OPTS(mproc_test_opts,
						   .process = bad), &r),
			 -EINVAL);
	assert_int_equal(mproc_test_run(do_nothing, NULL,
					MPROC_OPTS(mproc_test_opts,
						   .process = method), &r),
			 -EINVAL);
	assert_true(detail_has("99"));
	assert_int_equal(mproc_test_run(do_nothing, NULL,
					MPROC_OPTS(mproc_test_opts,
						   .process = nowhere), &r),
			 -ENOENT);
	assert_int_equal(mproc_test_run(do_nothing, NULL,
					MPROC_OPTS(mproc_test_opts,
						   .process = no_arg), &r),
			 -EINVAL);
	assert_int_equal(mproc_test_run(do_nothing, NULL,
					MPROC_OPTS(mproc_test_opts,
						   .timeout = mproc_until(1)),
					&r), -EINVAL);
	assert_int_equal(mproc_test_run(do_nothing, NULL,
					MPROC_OPTS(mproc_test_opts,
						   .fault = "nonsense:1"), &r),
			 -EINVAL);
	assert_true(detail_has("malloc"));
	memset(fault, '0', sizeof(fault) - 1);
	memcpy(fault, "fork:", 5);
	fault[sizeof(fault) - 2] = '1';
	assert_int_equal(mproc_test_run(do_nothing, NULL,
					MPROC_OPTS(mproc_test_opts,
						   .fault = fault), &r),
			 -EINVAL);
	assert_true(detail_has("1099 bytes"));
}

static void
interrupt(int signal)
{
	(void)signal;
	mproc_interrupt();
}

static int
interrupt_parent(void *arg)
{
	kill(getppid(), SIGUSR1);
	return never_end(arg);
}

static void
an_interrupt_ends_the_run_and_the_child(void **state)
{
	struct sigaction action = { .sa_handler = interrupt };
	struct mproc_test_result r;

	(void)state;
	sigaction(SIGUSR1, &action, NULL);
	assert_int_equal(mproc_test_run(interrupt_parent, A_NUMBER, NULL, &r),
			 -EINTR);
	/* It was the only one. */
	r = run(do_nothing, NULL);
	assert_null(r.problems);
	mproc_test_result_free(&r);
	signal(SIGUSR1, SIG_DFL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(an_entry_that_does_nothing_has_no_problems),
		mpt_test(a_code_is_told_however_it_comes_about),
		mpt_test(a_signal_is_told_with_the_report_of_a_crash),
		mpt_test(one_that_does_not_end_is_killed_in_time),
		mpt_test(time_and_size_are_told),
		mpt_test(options_of_the_process_are_kept),
		mpt_test(it_is_started_by_the_method_that_is_named_or_usual),
		mpt_test(who_could_tell_of_no_failure_is_not_run),
		mpt_test(what_a_new_image_would_not_have_is_refused),
		mpt_test(what_makes_no_sense_is_refused),
		mpt_test(an_interrupt_ends_the_run_and_the_child),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
