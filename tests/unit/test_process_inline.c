/* SPDX-License-Identifier: MIT */
/*
 * Entries that run in the caller: what they see, and what their handles say.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mproc/group.h>
#include <mproc/process.h>

#include "base/fault.h"
#include "common.h"
#include "process/handle.h"
#include "process/inline.h"

/* What entries have noted, in this process's own memory. */
static struct {
	pid_t pid;
	char name[64];
	int calls;
	int at_exit;
	char order[16];
} seen;

static int
setup(void **state)
{
	memset(&seen, 0, sizeof(seen));
	atomic_store(&mpr_inline_on, true);
	return mpt_setup(state);
}

static int
teardown(void **state)
{
	atomic_store(&mpr_inline_on, false);
	return mpt_teardown(state);
}

static int
note(void *arg)
{
	seen.pid = getpid();
	seen.calls++;
	snprintf(seen.name, sizeof(seen.name), "%s", mproc_self_name());
	return *(int *)arg;
}

static void
expect_code(mproc_process *p, int code)
{
	struct mproc_exit e;

	assert_int_equal(mproc_process_join(p, mproc_sec(10)), 0);
	assert_int_equal(mproc_process_exit_info(p, &e), 0);
	assert_int_equal(e.code, code);
	assert_int_equal(e.signal, 0);
}

static void
an_entry_runs_here_and_its_handle_is_like_any(void **state)
{
	mproc_process *p;
	int code = 7;

	(void)state;
	assert_int_equal(mproc_process_start(&p, note, &code,
					     MPROC_OPTS(mproc_process_opts,
							.name = "here")), 0);
	/* Before any join. */
	assert_int_equal(seen.calls, 1);
	assert_int_equal(seen.pid, getpid());
	assert_string_equal(seen.name, "here");
	assert_string_equal(mproc_self_name(), "main");
	assert_null(mpr_inline_process());
	expect_code(p, 7);
	assert_string_equal(mproc_process_name(p), "here");
	assert_true(mproc_process_pid(p) != getpid());
	assert_false(mproc_process_is_alive(p));
	assert_int_equal(mproc_process_kill(p), 0);
	mproc_process_close(p);
}

/* Its copy may be written to. */
static int
change(void *arg)
{
	seen.calls += *(int *)arg;
	*(int *)arg = 0;
	return 0;
}

static void
a_copied_argument_is_a_copy(void **state)
{
	mproc_process *p;
	int arg = 3;

	(void)state;
	assert_int_equal(mproc_process_start(&p, change, &arg,
					     MPROC_OPTS(mproc_process_opts,
							.arg_size =
								sizeof(arg))),
			 0);
	assert_int_equal(arg, 3);
	assert_int_equal(seen.calls, 3);
	expect_code(p, 0);
	mproc_process_close(p);
}

static void
count(void *arg)
{
	(void)arg;
	seen.at_exit++;
}

static int
register_and_leave(void *arg)
{
	if (mproc_at_exit(count, NULL) < 0)
		return 1;
	if (arg)
		mpr_inline_leave(44);
	return 5;
}

static void
functions_at_exit_run_when_the_entry_has_ended(void **state)
{
	mproc_process *p;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(mproc_process_start(&p, register_and_leave,
						     i ? &seen : NULL, NULL),
				 0);
		assert_int_equal(seen.at_exit, i + 1);
		expect_code(p, i ? 44 : 5);
		mproc_process_close(p);
	}
}

static void
leave_late(void *arg)
{
	(void)arg;
	/* We are in the process still. */
	if (strcmp(mproc_self_name(), "late") == 0)
		mpr_inline_leave(45);
}

static int
register_leaver(void *arg)
{
	(void)arg;
	return mproc_at_exit(leave_late, NULL) < 0;
}

static void
a_function_at_exit_may_end_it_too(void **state)
{
	mproc_process *p;

	(void)state;
	assert_int_equal(mproc_process_start(&p, register_leaver, NULL,
					     MPROC_OPTS(mproc_process_opts,
							.name = "late")), 0);
	assert_null(mpr_inline_process());
	expect_code(p, 45);
	mproc_process_close(p);
}

static int
start_another(void *arg)
{
	mproc_process *p;
	int code = 1;

	(void)arg;
	if (mproc_process_start(&p, note, &code,
				MPROC_OPTS(mproc_process_opts,
					   .name = "inner")) < 0)
		return 100;
	if (strcmp(seen.name, "inner") != 0 ||
	    strcmp(mproc_self_name(), "outer") != 0)
		return 101;
	if (mproc_process_join(p, mproc_sec(10)) < 0 ||
	    mproc_process_exitcode(p, &code) < 0)
		return 102;
	mproc_process_close(p);
	return 10 + code;
}

static void
an_entry_may_start_others(void **state)
{
	mproc_process *p;

	(void)state;
	assert_int_equal(mproc_process_start(&p, start_another, NULL,
					     MPROC_OPTS(mproc_process_opts,
							.name = "outer")), 0);
	expect_code(p, 11);
	mproc_process_close(p);
}

static int
take_turns(int index, void *arg)
{
	size_t n = strlen(seen.order);

	seen.order[n] = (char)('0' + index);
	return index == *(int *)arg ? 9 : 0;
}

static void
members_of_a_group_run_in_order(void **state)
{
	struct mproc_exit e;
	mproc_group *g;
	int bad = 2;

	(void)state;
	assert_int_equal(mproc_group_start(&g, take_turns, &bad, 4, NULL), 0);
	assert_string_equal(seen.order, "0123");
	assert_int_equal(mproc_group_join(g, mproc_sec(10)),
			 MPROC_GROUP_FAILED);
	assert_int_equal(mproc_group_failure(g, &e), 2);
	assert_int_equal(e.code, 9);
	mproc_group_close(g);
}

static void
what_cannot_be_started_does_not_run(void **state)
{
	struct mproc_process_opts o = { .struct_size = sizeof(o) };
	struct mpr_call call;
	mproc_process *p;
	int code = 0;

	(void)state;
	assert_int_equal(mpr_fault_set("fork:1"), 0);
	assert_int_equal(mproc_process_start(&p, note, &code, NULL), -EAGAIN);
	mpr_fault_set(NULL);
	assert_int_equal(mproc_process_start(&p, note, &code,
					     MPROC_OPTS(mproc_process_opts,
							.cwd = "/nowhere")),
			 -ENOENT);
	call = mpr_call_entry(note, &code, 0);
	assert_int_equal(mpr_process_hold(&p, &call, &o), 0);
	mpr_process_abandon(p);
	assert_int_equal(seen.calls, 0);
}

static int
end_it_all(void *arg)
{
	(void)arg;
	exit(23);
}

/* With the exit rules: a child that waits for us is not waited for. */
static int
call_exit(struct mpt *t, void *arg)
{
	mproc_process *p;

	(void)arg;
	mpt_check_int(t, mproc_process_start(&p, end_it_all, NULL, NULL), 0);
	return 0;
}

static void
exit_in_an_entry_ends_the_program(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "program", call_exit, NULL), 23);
}

static int
fork_in_it(void *arg)
{
	pid_t pid = fork();
	int status;

	(void)arg;
	if (pid == 0)
		_exit(mpr_inline_process() ? 1 : 0);
	return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : 1;
}

static void
a_forked_child_of_an_entry_is_not_in_it(void **state)
{
	mproc_process *p;

	(void)state;
	assert_int_equal(mproc_process_start(&p, fork_in_it, NULL, NULL), 0);
	expect_code(p, 0);
	mproc_process_close(p);
}

#define test(f) { #f, f, setup, teardown, (void *)(uintptr_t)#f }

int
main(void)
{
	const struct CMUnitTest tests[] = {
		test(an_entry_runs_here_and_its_handle_is_like_any),
		test(a_copied_argument_is_a_copy),
		test(functions_at_exit_run_when_the_entry_has_ended),
		test(a_function_at_exit_may_end_it_too),
		test(an_entry_may_start_others),
		test(members_of_a_group_run_in_order),
		test(what_cannot_be_started_does_not_run),
		test(exit_in_an_entry_ends_the_program),
		test(a_forked_child_of_an_entry_is_not_in_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
