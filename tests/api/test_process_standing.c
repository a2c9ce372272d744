/* SPDX-License-Identifier: MIT */
/*
 * process.h: options about what a process is to the system: nice, limits, process
 * group. With each start method.
 */
#include <limits.h>
#include <stdio.h>
#include <sys/resource.h>

#include "options.h"

static int method;

#define WITH(...) MPROC_OPTS(mproc_process_opts, .method = method, __VA_ARGS__)

#define each(f)                                                               \
	static void f##_by_each(void **state)                                 \
	{                                                                     \
		for (method = MPROC_FORK; method <= MPROC_FORKSERVER;         \
		     method++)                                                \
			f(state);                                             \
		assert_int_equal(mproc_forkserver_stop(), 0);                 \
	}

/* In the arena. */
struct board {
	int nice;
	struct rlimit files, core, before;
	pid_t group, pid;
};

static int
look(void *arg)
{
	struct board *b = arg;

	b->nice = getpriority(PRIO_PROCESS, 0);
	getrlimit(RLIMIT_NOFILE, &b->files);
	getrlimit(RLIMIT_CORE, &b->core);
	b->group = getpgrp();
	b->pid = getpid();
	return 0;
}

static void
nothing_changes_unless_asked(void **state)
{
	struct board *b = mproc_alloc(sizeof(*b));
	struct rlimit files;

	(void)state;
	assert_non_null(b);
	run_with(look, b, WITH(.name = NULL));
	assert_int_equal(b->nice, getpriority(PRIO_PROCESS, 0));
	assert_int_equal(b->group, getpgrp());
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	assert_int_equal(b->files.rlim_cur, files.rlim_cur);
	mproc_free(b);
}

each(nothing_changes_unless_asked)

static void
a_process_is_as_nice_as_it_is_told(void **state)
{
	struct board *b = mproc_alloc(sizeof(*b));

	(void)state;
	assert_non_null(b);
	run_with(look, b, WITH(.nice = 7));
	assert_int_equal(b->nice, 7);
	run_with(look, b, WITH(.nice = 19));
	assert_int_equal(b->nice, 19);
	mproc_free(b);
}

each(a_process_is_as_nice_as_it_is_told)

static void
limits_hold_for_it_alone(void **state)
{
	struct board *b = mproc_alloc(sizeof(*b));
	struct rlimit before, after;
	const struct mproc_limit limits[] = {
		{ RLIMIT_NOFILE, 33, 44 },
		{ RLIMIT_CORE, 0, 0 },
	};

	(void)state;
	assert_non_null(b);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	run_with(look, b, WITH(.limits = limits, .n_limits = 2));
	assert_int_equal(b->files.rlim_cur, 33);
	assert_int_equal(b->files.rlim_max, 44);
	assert_int_equal(b->core.rlim_max, 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &after), 0);
	assert_int_equal(after.rlim_cur, before.rlim_cur);
	mproc_free(b);
}

each(limits_hold_for_it_alone)

static int
write_two_bytes(void *arg)
{
	int fd = fileno(tmpfile());

	(void)arg;
	return write(fd, "ab", 2) == 1 && write(fd, "b", 1) == 1 ? 0 : 1;
}

static void
a_limit_ends_what_exceeds_it(void **state)
{
	const struct mproc_limit one_byte = { RLIMIT_FSIZE, 1, UINT64_MAX };
	mproc_process *p;

	(void)state;
	method = MPROC_FORK;
	p = start_with(write_two_bytes, NULL, WITH(.limits = &one_byte,
						   .n_limits = 1));
	assert_int_equal(end_of(p), -SIGXFSZ);
	mproc_process_close(p);
}

static void
a_process_group_is_new_or_another_ones(void **state)
{
	struct board *b = mproc_alloc(sizeof(*b));
	mproc_process *leader;

	assert_non_null(b);
	run_with(look, b, WITH(.process_group = -1));
	assert_int_equal(b->group, b->pid);
	leader = start_with(wait_for_ever, *state,
			    MPROC_OPTS(mproc_process_opts,
				       .method = MPROC_FORK,
				       .process_group = -1));
	run_with(look, b, WITH(.process_group = mproc_process_pid(leader)));
	assert_int_equal(b->group, mproc_process_pid(leader));
	kill_and_close(leader);
	mproc_free(b);
}

each(a_process_group_is_new_or_another_ones)

static void
refusals_say_what_cannot_be(void **state)
{
	const struct mproc_limit upside_down = { RLIMIT_NOFILE, 5, 4 };
	const struct mproc_limit unknown = { 999, 5, 5 };

	for (method = MPROC_FORK; method <= MPROC_SPAWN; method++) {
		expect_refused(*state, -EINVAL, "nice", WITH(.nice = 20));
		expect_refused(*state, -EINVAL, "nice", WITH(.nice = -21));
		expect_refused(*state, -EINVAL, "limits[0]",
			       WITH(.limits = &upside_down, .n_limits = 1));
		expect_refused(*state, -EINVAL, "n_limits",
			       WITH(.limits = &unknown));
		expect_refused(*state, -EINVAL, "n_limits", WITH(.n_limits = 1));
		expect_refused(*state, -EINVAL, "n_limits",
			       WITH(.limits = &unknown, .n_limits = -1));
		expect_refused(*state, -EINVAL, "resource 999",
			       WITH(.limits = &unknown, .n_limits = 1));
		expect_refused(*state, -EINVAL, "process_group",
			       WITH(.process_group = -2));
		/* There is none with that number. */
		expect_refused(*state, -EPERM, "process_group",
			       WITH(.process_group = INT_MAX));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(nothing_changes_unless_asked_by_each),
		mpt_test(a_process_is_as_nice_as_it_is_told_by_each),
		mpt_test(limits_hold_for_it_alone_by_each),
		mpt_test(a_limit_ends_what_exceeds_it),
		mpt_test(a_process_group_is_new_or_another_ones_by_each),
		mpt_test(refusals_say_what_cannot_be),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
