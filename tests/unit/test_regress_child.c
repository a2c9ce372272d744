/* SPDX-License-Identifier: MIT */
/*
 * Defects that the processes around a start once had: what a child writes was
 * believed, and what a child has not got was closed. Each test brings about by
 * force what needed malice or bad luck then.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>

#include <mproc/mproc.h>

#include "base/fault.h"
#include "common.h"
#include "process/handle.h"

#define CODE 7

static int
return_a_code(void *arg)
{
	(void)arg;
	return CODE;
}

static int
wait_for_a_signal(void *arg)
{
	(void)arg;
	while (pause() < 0)
		;
	return 0;
}

static int
note_and_wait(void *t)
{
	mpt_step(t, 0);
	return wait_for_a_signal(NULL);
}

static int
hold_one(mproc_process **ret_p, mproc_entry *fn, void *arg)
{
	struct mpr_call call = mpr_call_entry(fn, arg, 0);
	struct mproc_process_opts o = { 0 };

	return mpr_process_hold(ret_p, &call, &o);
}

static mproc_process *
start(struct mpt *t, mproc_entry *fn, void *arg)
{
	mproc_process *p = NULL;

	mpt_check_int(t, mproc_process_start(&p, fn, arg, NULL), 0);
	return p;
}

static struct mproc_exit
end_of(struct mpt *t, mproc_process *p)
{
	struct mproc_exit exit = { 0 };

	mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
	mpt_check_int(t, mproc_process_exit_info(p, &exit), 0);
	return exit;
}

static int
note_nonsense(struct mpt *t, void *arg)
{
	static const uint32_t words[] = { 257, INT32_MAX, 1u << 31,
					  UINT32_MAX };
	int code;

	(void)arg;
	signal(SIGCHLD, SIG_IGN);
	for (unsigned i = 0; i < MPR_ARRAY_LEN(words); i++) {
		mproc_process *p = start(t, wait_for_a_signal, NULL);
		struct mproc_exit exit;

		atomic_store(&p->record->ended, words[i]);
		mpt_check_int(t, mproc_process_kill(p), 0);
		exit = end_of(t, p);
		mpt_check(t, exit.reaped_elsewhere);
		mpt_check_int(t, exit.code, -1);
		mpt_check_int(t, mproc_process_exitcode(p, &code), -ENODATA);
		mproc_process_close(p);
	}
	return 0;
}

static void
a_code_that_a_child_makes_up_is_none(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "parent", note_nonsense, NULL), 0);
}

static void
who_does_not_crash_has_no_report(void **state)
{
	struct mpt *t = *state;
	mproc_process *p = start(t, return_a_code, NULL);
	struct mproc_exit exit;

	atomic_store(&p->record->reported, 5);
	exit = end_of(t, p);
	assert_int_equal(exit.code, CODE);
	assert_null(exit.report);
	mproc_process_close(p);
}

static void
who_is_abandoned_ends_whatever_its_record_says(void **state)
{
	struct mpt *t = *state;
	mproc_process *p;

	mpt_watchdog(t, 5);
	assert_int_equal(hold_one(&p, note_and_wait, t), 0);
	mpr_process_let_go(p); /* as another child could write it */
	mpt_reach(t, 1);
	mpr_process_abandon(p);
	assert_int_equal(mproc_children(NULL, 0), 0);
}

static void
who_is_abandoned_ends_while_it_is_stopped(void **state)
{
	struct mpt *t = *state;
	mproc_process *p;

	mpt_watchdog(t, 5);
	assert_int_equal(hold_one(&p, wait_for_a_signal, NULL),
			 0);
	assert_int_equal(kill(mproc_process_pid(p), SIGSTOP), 0);
	mpt_until(t, mpt_task_state(mproc_process_pid(p)) == 'T');
	mpr_process_abandon(p);
	assert_int_equal(mproc_children(NULL, 0), 0);
}

/* A supervisor's descriptor, whose number is the program's by now. */
static int
close_a_copy(void *arg)
{
	int fds[64], left = 0;

	for (int i = 0; i < 64; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC);
	mproc_supervisor_close(arg);
	for (int i = 0; i < 64; i++)
		left += fcntl(fds[i], F_GETFD) >= 0;
	return left;
}

static void
a_child_that_kept_no_descriptors_closes_none(void **state)
{
	struct mpt *t = *state;
	mproc_supervisor *s = NULL;
	mproc_process *p = NULL;

	assert_int_equal(mproc_supervisor_create(&s, NULL), 0);
	assert_int_equal(mproc_process_start(
		&p, close_a_copy, s, MPROC_OPTS(mproc_process_opts,
						.n_keep_fds = -1)), 0);
	assert_int_equal(end_of(t, p).code, 64);
	mproc_process_close(p);
	mproc_supervisor_close(s);
}

static int
start_without_stdio(struct mpt *t, void *arg)
{
	mproc_supervisor *s = NULL;
	mproc_process *p;

	(void)arg;
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	p = start(t, return_a_code, NULL);
	mpt_check(t, mproc_process_fd(p) > 2);
	mpt_check_int(t, mproc_supervisor_create(&s, NULL), 0);
	for (int fd = 0; fd < 3; fd++)
		mpt_check_int(t, fcntl(fd, F_GETFD), -1);
	mpt_check_int(t, end_of(t, p).code, CODE);
	mproc_process_close(p);
	mproc_supervisor_close(s);
	return 0;
}

static void
the_standard_streams_are_nobody_elses(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "parent", start_without_stdio, NULL),
			0);
}

/* What is left to say how a child ended is wait4(2). */
static int
reap_with_wait4_alone(struct mpt *t, void *arg)
{
	mproc_process *p;

	(void)arg;
	mpt_check_int(t, mpr_fault_set("waitid:1+=EPERM,pidfd:1+=ENOSYS,"
				       "open:1+=EACCES"), 0);
	p = start(t, wait_for_a_signal, NULL);
	mpt_check(t, mproc_process_is_alive(p));
	mpt_check_int(t, mproc_process_kill(p), 0);
	mpt_check_int(t, end_of(t, p).signal, SIGKILL);
	mproc_process_close(p);
	return 0;
}

static void
one_way_to_reap_is_enough(void **state)
{
	struct mpt *t = *state;

	mpt_watchdog(t, 5);
	mpt_expect_exit(t, mpt_spawn(t, "parent", reap_with_wait4_alone, NULL),
			0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_code_that_a_child_makes_up_is_none),
		mpt_test(who_does_not_crash_has_no_report),
		mpt_test(who_is_abandoned_ends_whatever_its_record_says),
		mpt_test(who_is_abandoned_ends_while_it_is_stopped),
		mpt_test(a_child_that_kept_no_descriptors_closes_none),
		mpt_test(the_standard_streams_are_nobody_elses),
		mpt_test(one_way_to_reap_is_enough),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
