/* SPDX-License-Identifier: MIT */
/*
 * process.h: how supervisors are stopped, left and closed, by whom, and whose
 * they are.
 */
#include <pthread.h>
#include <sys/syscall.h>

#include "mpt_refuse.h"
#include "mpt_times.h"
#include "supervisor.h"

struct runner {
	mproc_supervisor *s;
	_Atomic pid_t tid;
};

static int
run_in_a_thread(struct mpt *t, void *arg)
{
	struct runner *r = arg;

	r->tid = gettid();
	mpt_check_int(t, mproc_supervisor_run(r->s, MPROC_FOREVER), 0);
	return 0;
}

/* Starts a thread that runs it, and waits until that sleeps. */
static int
let_run(struct mpt *t, struct runner *r)
{
	int id;

	mpt_use_threads(t, true);
	id = mpt_spawn(t, "runner", run_in_a_thread, r);
	mpt_until(t, r->tid && mpt_task_state(r->tid) == 'S');
	mpt_use_threads(t, false);
	return id;
}

static void
another_thread_may_stop_it_and_do_nothing_else(void **state)
{
	struct mpt *t = *state;
	int64_t began;
	struct mpt_times spent = { 0 };

	/* Not with the slices of a second in which a wait looks around. */
	for (int i = 0; i < 5; i++) {
		struct board *b = new_board(t);
		struct runner r = { new_supervisor(b, 0, 0), 0 };
		int id;

		add(r.s, b, STAY, 0, 0);
		add(r.s, b, STAY, 0, 0);
		run_until_begun(r.s, b, 0, 1);
		run_until_begun(r.s, b, 1, 1);
		id = let_run(t, &r);
		assert_int_equal(mproc_supervisor_run(r.s, MPROC_NOWAIT),
				 -EBUSY);
		assert_int_equal(mproc_supervisor_add(r.s, be_a_child, NULL,
						      NULL), -EBUSY);
		began = mproc_now();
		assert_int_equal(mproc_supervisor_stop(r.s), 0);
		assert_int_equal(mproc_supervisor_stop(r.s), 0);
		mpt_expect_exit(t, id, 0);
		mpt_times_add(&spent, mproc_now() - began);
		expect_journal(b, "ba");
		assert_int_equal(mproc_supervisor_run(r.s, MPROC_FOREVER),
				 -ESHUTDOWN);
		mproc_supervisor_close(r.s);
	}
	assert_true(mpt_times_median(&spent) < 800 * MS);
}

static void
it_is_stopped_while_it_waits_for_a_restart(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	struct runner r = { NULL, 0 };
	int id;

	assert_int_equal(mproc_supervisor_create(
		&r.s, MPROC_OPTS(mproc_supervisor_opts,
				 .backoff = mproc_sec(3600),
				 .backoff_max = mproc_sec(3600))), 0);
	add(r.s, b, EXIT, 1, 0);
	id = let_run(t, &r);
	mpt_until(t, b->seat[0].begun == 1);
	assert_int_equal(mproc_supervisor_stop(r.s), 0);
	mpt_expect_exit(t, id, 0);
	assert_int_equal(b->seat[0].begun, 1);
	mproc_supervisor_close(r.s);
}

static mproc_supervisor *to_stop;

static void
stop_in_handler(int signal)
{
	(void)signal;
	(void)mproc_supervisor_stop(to_stop);
}

static void
a_signal_handler_may_stop_it(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	struct runner r = { new_supervisor(b, 0, 0), 0 };
	int id;

	to_stop = r.s;
	signal(SIGUSR1, stop_in_handler);
	add(r.s, b, STAY, 0, 0);
	run_until_begun(r.s, b, 0, 1);
	id = let_run(t, &r);
	assert_int_equal(tgkill(getpid(), r.tid, SIGUSR1), 0);
	mpt_expect_exit(t, id, 0);
	signal(SIGUSR1, SIG_DFL);
	mproc_supervisor_close(r.s);
}

static void
stopped_before_it_runs_it_starts_nobody(void **state)
{
	struct board *b = new_board(*state);
	mproc_supervisor *s = new_supervisor(b, 0, 0);

	add(s, b, STAY, 0, 0);
	assert_int_equal(mproc_supervisor_stop(s), 0);
	assert_int_equal(mproc_supervisor_add(s, be_a_child, NULL, NULL),
			 -ESHUTDOWN);
	assert_int_equal(mproc_supervisor_run(s, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_supervisor_run(s, MPROC_NOWAIT), -ESHUTDOWN);
	assert_int_equal(mproc_supervisor_stop(s), 0);
	assert_int_equal(b->seat[0].begun, 0);
	mproc_supervisor_close(s);
}

static void
one_that_ignores_the_request_is_killed_before_the_next_is_asked(void **state)
{
	static const unsigned once[] = { 1, 1, 1 };
	struct board *b = new_board(*state);
	mproc_supervisor *s = new_supervisor(b, 0, 0);

	add(s, b, STAY, 0, 0);
	add(s, b, IGNORE, 0, 0);
	add(s, b, STAY, 0, 0);
	run_until_all_begun(s, b, once);
	stop_and_close(s);
	expect_journal(b, "ca");
	assert_true(b->asked_at[1] - b->asked_at[0] >= 60 * MS);
}

static void
one_that_is_killed_while_it_is_stopped_holds_nobody_up(void **state)
{
	struct board *b = new_board(*state);
	mproc_supervisor *s = new_supervisor(b, 0, 0);
	struct child c = { b, 1 };

	add(s, b, STAY, 0, 0);
	b->seat[1].act = IGNORE;
	b->n = 2;
	assert_int_equal(mproc_supervisor_add(
		s, be_a_child, &c,
		MPROC_OPTS(mproc_child_opts, .grace = MPROC_FOREVER,
			   .process = MPROC_OPTS(mproc_process_opts,
						 .arg_size = sizeof(c)))), 1);
	run_until_begun(s, b, 0, 1);
	run_until_begun(s, b, 1, 1);
	assert_int_equal(mproc_supervisor_stop(s), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(mproc_supervisor_run(s, mproc_ms(5)),
				 -ETIMEDOUT);
	expect_journal(b, "");
	kill_child(b, 1);
	assert_int_equal(mproc_supervisor_run(s, MPROC_FOREVER), 0);
	expect_journal(b, "a");
	mproc_supervisor_close(s);
}

static void
a_run_comes_back_in_time_whatever_it_does(void **state)
{
	static const unsigned once[] = { 1, 1 };
	struct board *b = new_board(*state);
	mproc_supervisor *s = new_supervisor(b, 0, 0);
	int64_t began;
	int r;

	add(s, b, STAY, 0, 0);
	add(s, b, IGNORE, 0, 0);
	run_until_all_begun(s, b, once);
	began = mproc_now();
	assert_int_equal(mproc_supervisor_run(s, mproc_ms(15)), -ETIMEDOUT);
	assert_true(mproc_now() - began >= 15 * MS);
	assert_int_equal(mproc_supervisor_run(s, MPROC_NOWAIT), -EAGAIN);
	/* While it stops them, too; the next one goes on. */
	assert_int_equal(mproc_supervisor_stop(s), 0);
	assert_int_equal(mproc_supervisor_run(s, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(mproc_supervisor_run(s, mproc_us(1)), -ETIMEDOUT);
	while ((r = mproc_supervisor_run(s, mproc_us(1))) == -ETIMEDOUT)
		;
	assert_int_equal(r, 0);
	expect_journal(b, "a");
	mproc_supervisor_close(s);
}

static void
an_interrupt_ends_a_run_which_may_be_repeated(void **state)
{
	struct board *b = new_board(*state);
	mproc_supervisor *s = new_supervisor(b, 0, 0);

	add(s, b, STAY, 0, 0);
	mproc_interrupt();
	assert_int_equal(mproc_supervisor_run(s, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(mproc_supervisor_run(s, MPROC_FOREVER), -EINTR);
	run_until_begun(s, b, 0, 1);
	kill_child(b, 0);
	run_until_begun(s, b, 0, 2);
	assert_int_equal(mproc_supervisor_stop(s), 0);
	mproc_interrupt();
	assert_int_equal(mproc_supervisor_run(s, MPROC_FOREVER), -EINTR);
	assert_int_equal(mproc_supervisor_run(s, MPROC_FOREVER), 0);
	mproc_supervisor_close(s);
}

static void
ends_between_two_runs_are_seen_by_the_next(void **state)
{
	struct board *b = new_board(*state);
	mproc_supervisor *s = new_supervisor(b, 0, 0);

	add(s, b, STAY, 0, 0);
	run_until_begun(s, b, 0, 1);
	kill_child(b, 0);
	await_zombie(b->t, b->seat[0].pid);
	run_until_begun(s, b, 0, 2);
	stop_and_close(s);
}

static void
many_restarts_leave_nothing(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_supervisor *s = new_supervisor(b, MPROC_ONE_FOR_ALL, 1000000);
	unsigned fds = 0, n = amount(500);

	mpt_watchdog(t, 20 + amount(40));
	add(s, b, STAY, 0, 0);
	add(s, b, STAY, 0, 0);
	for (unsigned i = 0; i < n; i++) {
		run_until_begun(s, b, 0, 1);
		run_until_begun(s, b, 1, 1);
		if (i == 0)
			fds = mpt_fd_count();
		assert_int_equal(mpt_fd_count(), fds);
		assert_int_equal(mproc_children(NULL, 0), 2);
		b->seat[0].begun = 0;
		b->seat[1].begun = 0;
		b->asked = 0;
		kill_child(b, i % 2);
	}
	stop_and_close(s);
}

static void
children_of_a_closed_one_go_on(void **state)
{
	static const unsigned once[] = { 1, 1 };
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_supervisor *s = new_supervisor(b, 0, 0);
	mproc_process *p;

	add(s, b, STAY, 0, 0);
	add(s, b, STAY, 0, 0);
	run_until_all_begun(s, b, once);
	mproc_supervisor_close(s);
	assert_int_equal(mproc_children(NULL, 0), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(kill(b->seat[i].pid, SIGTERM), 0);
		await_zombie(t, b->seat[i].pid);
	}
	assert_int_equal(b->asked, 2);
	/* Reaped like any process that was closed. */
	assert_int_equal(mproc_process_start(
		&p, be_a_child, &(struct child){ b, 2 },
		MPROC_OPTS(mproc_process_opts,
			   .arg_size = sizeof(struct child))), 0);
	assert_int_equal(mproc_process_stop(p, MPROC_NOWAIT), 0);
	mproc_process_close(p);
}

static int
supervise(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	mproc_supervisor *s = new_supervisor(b, 0, 100);

	(void)arg;
	for (int i = 0; i < 4; i++)
		add(s, b, i == 2 ? IGNORE : STAY, 0, 0);
	return mproc_supervisor_run(s, MPROC_FOREVER);
}

static void
all_children_end_when_the_supervising_process_is_killed(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	int id = mpt_spawn(t, "supervisor", supervise, NULL);

	for (int i = 0; i < 4; i++)
		mpt_until(t, b->seat[i].begun == 1);
	kill_child(b, 1);
	mpt_until(t, b->seat[1].begun == 2);
	mpt_kill(t, id);
	assert_int_equal(mpt_reap_orphans(t), 4);
}

static int
use_anothers(struct mpt *t, mproc_supervisor *s)
{
	mpt_check_int(t, mproc_supervisor_add(s, be_a_child, NULL, NULL),
		      -ECHILD);
	mpt_check_int(t, mproc_supervisor_run(s, MPROC_NOWAIT), -ECHILD);
	mpt_check_int(t, mproc_supervisor_run(s, MPROC_FOREVER), -ECHILD);
	mpt_check_int(t, mproc_supervisor_stop(s), -ECHILD);
	mpt_check(t, detail_has("another process"));
	mproc_supervisor_close(s);
	return 0;
}

static void
a_supervisor_is_of_no_use_in_a_forked_child(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_supervisor *s = new_supervisor(b, 0, 0);
	int status;
	pid_t pid;

	add(s, b, STAY, 0, 0);
	run_until_begun(s, b, 0, 1);
	pid = fork();
	if (pid == 0)
		_exit(use_anothers(t, s));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	/* Nothing has happened to it. */
	assert_int_equal(mproc_supervisor_run(s, MPROC_NOWAIT), -EAGAIN);
	expect_journal(b, "");
	stop_and_close(s);
}

static struct board *forking;

static void
fork_in_handler(int signal)
{
	pid_t pid = fork();

	(void)signal;
	if (pid)
		forking->forked = pid;
}

static int
run_and_fork(struct mpt *t, void *arg)
{
	mproc_supervisor *s = new_supervisor(arg, 0, 0);
	pid_t pid = getpid();
	int r, status;

	forking = arg;
	signal(SIGUSR1, fork_in_handler);
	add(s, arg, FALL, 0, MPROC_RESTART_ON_FAILURE);
	r = mproc_supervisor_run(s, MPROC_FOREVER);
	if (getpid() != pid) {
		mpt_check_int(t, r, -ECHILD);
		mpt_check(t, detail_has("another process"));
		_exit(5);
	}
	mpt_check_int(t, r, 0);
	mpt_check_int(t, waitpid(forking->forked, &status, 0),
		      forking->forked);
	mpt_check(t, WIFEXITED(status) && WEXITSTATUS(status) == 5);
	mproc_supervisor_close(s);
	return 0;
}

static void
a_handler_that_forks_within_a_run_leaves_it_to_the_parent(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	int id = mpt_spawn(t, "runner", run_and_fork, b);

	mpt_until(t, b->seat[0].begun == 1 &&
		     mpt_task_state(mpt_pid(t, id)) == 'S');
	assert_int_equal(kill(mpt_pid(t, id), SIGUSR1), 0);
	mpt_until(t, b->forked && mpt_task_state(b->forked) == 'Z');
	b->seat[0].fall = true;
	mpt_expect_exit(t, id, 0);
}

static int
host_with_sigchld_ignored(struct mpt *t, void *arg)
{
	struct board *b = arg;
	mproc_supervisor *s = new_supervisor(b, 0, 1);

	signal(SIGCHLD, SIG_IGN);
	add(s, b, STAY, 0, MPROC_RESTART_ON_FAILURE);
	run_until_begun(s, b, 0, 1);
	kill_child(b, 0);
	run_until_begun(s, b, 0, 2);
	kill_child(b, 0);
	mpt_check_int(t, mproc_supervisor_run(s, MPROC_FOREVER),
		      MPROC_SUPERVISOR_GAVE_UP);
	mpt_check(t, detail_has("left no code"));
	mproc_supervisor_close(s);
	return 0;
}

static void
a_host_that_ignores_sigchld_is_no_trouble(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "host", host_with_sigchld_ignored,
				     new_board(t)), 0);
}

static int
refuse_to_start(struct mpt *t, void *arg)
{
	static const long forks[] = { SYS_clone, SYS_clone3, SYS_fork };
	struct board *b = arg;
	mproc_supervisor *s = new_supervisor(b, 0, 2), *fresh;

	mpt_check_int(t, mproc_set_start_method(MPROC_FORK), 0);
	fresh = new_supervisor(b, 0, 5);
	add(s, b, STAY, 0, 0);
	add(s, b, FALL, 1, 0);
	run_until_begun(s, b, 0, 1);
	run_until_begun(s, b, 1, 1);
	mpt_refuse(EAGAIN, forks, 3);
	/* The end of a child, and a restart that fails twice. */
	b->seat[1].fall = true;
	mpt_check_int(t, mproc_supervisor_run(s, MPROC_FOREVER),
		      MPROC_SUPERVISOR_GAVE_UP);
	mpt_check(t, detail_has("child 1"));
	mpt_check(t, detail_has("\"child-1\" cannot be started: fork"));
	mpt_check(t, detail_has("the limit is 2 restarts"));
	expect_journal(b, "a");
	mproc_supervisor_close(s);
	/* The first time once is enough. */
	b->n = 0;
	add(fresh, b, STAY, 0, 0);
	mpt_check_int(t, mproc_supervisor_run(fresh, MPROC_FOREVER),
		      MPROC_SUPERVISOR_GAVE_UP);
	mpt_check(t, detail_has("cannot be started: fork"));
	mpt_check(t, !detail_has("the limit is"));
	mproc_supervisor_close(fresh);
	return 0;
}

static void
starts_that_fail_make_it_give_up(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "host", refuse_to_start,
				     new_board(t)), 0);
}

/* Where leak checkers find it. */
static mproc_supervisor *at_exit;

static void *
run_for_ever(void *arg)
{
	(void)arg;
	/* It does not always come back. */
	(void)mproc_supervisor_run(at_exit, MPROC_FOREVER);
	return NULL;
}

static int
run_and_exit(struct mpt *t, void *arg)
{
	struct board *b = arg;
	struct child c = { b, 2 };
	pthread_t thread;

	at_exit = new_supervisor(b, 0, 1);
	add(at_exit, b, STAY, 0, 0);
	add(at_exit, b, STAY, 0, 0);
	mpt_check_int(t, mproc_supervisor_add(
		at_exit, be_a_child, &c,
		MPROC_OPTS(mproc_child_opts, .restart = MPROC_RESTART_NEVER,
			   .process = MPROC_OPTS(mproc_process_opts,
						 .arg_size = sizeof(c),
						 .daemon = true))), 2);
	mpt_check_int(t, pthread_create(&thread, NULL, run_for_ever, NULL), 0);
	pthread_detach(thread);
	for (int i = 0; i < 3; i++)
		mpt_until(t, b->seat[i].begun);
	exit(0);
}

static void
nobody_is_restarted_when_the_process_ends(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	int id = mpt_spawn(t, "host", run_and_exit, b);
	int64_t began;

	/* Its daemon has been asked to end, as it is ending. */
	mpt_until(t, strcmp(b->journal, "c") == 0);
	kill_child(b, 0);
	mpt_until(t, mpt_task_state(b->seat[0].pid) == 0);
	began = mproc_now();
	mpt_until(t, mproc_now() - began > 30 * MS);
	/* That the first one is not restarted is no reason to give up: the
	 * other one is waited for. */
	expect_journal(b, "c");
	assert_int_equal(b->seat[0].begun, 1);
	kill_child(b, 1);
	mpt_expect_exit(t, id, 0);
	assert_int_equal(b->seat[1].begun, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		/* Before any interrupt: see interrupt.h about new threads. */
		mpt_test(another_thread_may_stop_it_and_do_nothing_else),
		mpt_test(it_is_stopped_while_it_waits_for_a_restart),
		mpt_test(a_signal_handler_may_stop_it),
		mpt_test(stopped_before_it_runs_it_starts_nobody),
		mpt_test(one_that_ignores_the_request_is_killed_before_the_next_is_asked),
		mpt_test(one_that_is_killed_while_it_is_stopped_holds_nobody_up),
		mpt_test(a_run_comes_back_in_time_whatever_it_does),
		mpt_test(an_interrupt_ends_a_run_which_may_be_repeated),
		mpt_test(ends_between_two_runs_are_seen_by_the_next),
		mpt_test(many_restarts_leave_nothing),
		mpt_test(children_of_a_closed_one_go_on),
		mpt_test(all_children_end_when_the_supervising_process_is_killed),
		mpt_test(a_supervisor_is_of_no_use_in_a_forked_child),
		mpt_test(a_handler_that_forks_within_a_run_leaves_it_to_the_parent),
		mpt_test(a_host_that_ignores_sigchld_is_no_trouble),
		mpt_test(starts_that_fail_make_it_give_up),
		mpt_test(nobody_is_restarted_when_the_process_ends),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
