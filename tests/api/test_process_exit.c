/* SPDX-License-Identifier: MIT */
/*
 * process.h: what a process that ends in order does for its children. See
 * exit.h. The functions that it runs are in test_at_exit.c.
 */
#include <pthread.h>

#include "exit.h"

/* Works until step 1 is taken. */
static int
work(void *t)
{
	mpt_reach(t, 2);
	note('w');
	return 0;
}

static int
with_a_daemon(struct mpt *t, void *arg)
{
	(void)t;
	the_daemon_of((unsigned)(uintptr_t)arg);
	leave(3);
}

static void
a_daemon_is_asked_to_end(void **state)
{
	begin(state);
	expect_end(*state, with_a_daemon, OPEN, 3, "T");
	expect_end(*state, with_a_daemon, CLOSED, 3, "T");
}

static volatile sig_atomic_t asked;

static void
note_the_request(int sig)
{
	(void)sig;
	note('T');
	asked = 1;
}

static int
clean_up_when_asked(void *t)
{
	at_exit('a');
	signal(SIGTERM, note_the_request);
	board->ready++;
	mpt_until(t, asked);
	let_pass(t, 50 * MS);
	note('c');
	return 0;
}

static int
with_a_tidy_daemon(struct mpt *t, void *arg)
{
	(void)t;
	start_ready(clean_up_when_asked, DAEMON | (unsigned)(uintptr_t)arg);
	leave(0);
}

static void
a_daemon_has_time_to_end_in_its_own_way(void **state)
{
	begin(state);
	expect_end(*state, with_a_tidy_daemon, OPEN, 0, "Tca");
	expect_end(*state, with_a_tidy_daemon, CLOSED, 0, "Tca");
}

/* Some that ignore the request, and one that stands still. */
static int
with_stubborn_daemons(struct mpt *t, void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < CHILDREN; i++)
		start_ready(be_stubborn, DAEMON | (i % 2 ? CLOSED : OPEN));
	kill(board->child[0], SIGSTOP);
	mpt_until(t, mpt_task_state(board->child[0]) == 'T');
	leave(0);
}

static void
daemons_that_do_not_end_are_killed_a_second_later(void **state)
{
	struct mpt *t = *state;
	struct board *b = begin(state);
	int64_t took;

	mpt_expect_exit(t, mpt_fork(t, "root", with_stubborn_daemons, NULL),
			0);
	took = mproc_now() - b->exit_at;
	/* Gone, not only about to end. */
	for (int i = 0; i < CHILDREN; i++)
		assert_int_equal(mpt_task_state(b->child[i]), 0);
	assert_true(took >= SECOND);
	assert_true(took < 10 * SECOND);
}

static int
with_a_worker(struct mpt *t, void *arg)
{
	start(work, (unsigned)(uintptr_t)arg);
	mpt_step(t, 0);
	leave(4);
}

static bool
has_ended(pid_t pid)
{
	siginfo_t info = { 0 };

	assert_int_equal(waitid(P_PID, (id_t)pid, &info,
				WEXITED | WNOHANG | WNOWAIT), 0);
	return info.si_pid == pid;
}

/* A root that waits for its worker, while something is done to it. */
static void
expect_wait(struct mpt *t, mpt_fn *root, unsigned flags, const char *log,
	    int sig)
{
	int id = mpt_fork(t, "root", root, (void *)(uintptr_t)flags);

	mpt_reach(t, 1);
	for (int i = 0; i < 5; i++) {
		let_pass(t, 10 * MS);
		mpt_until(t, mpt_task_state(mpt_pid(t, id)) == 'S');
		if (sig)
			assert_int_equal(kill(mpt_pid(t, id), sig), 0);
	}
	let_pass(t, 30 * MS);
	assert_false(has_ended(mpt_pid(t, id)));
	mpt_step(t, 1);
	mpt_expect_exit(t, id, 4);
	assert_string_equal(board->log, log);
	assert_int_equal(mpt_reap_orphans(t), 0);
}

static void
others_are_waited_for(void **state)
{
	begin(state);
	expect_wait(*state, with_a_worker, OPEN, "w", 0);
}

static void
others_are_waited_for_when_their_handles_are_closed(void **state)
{
	begin(state);
	expect_wait(*state, with_a_worker, CLOSED, "w", 0);
}

static void
interrupt(int sig)
{
	(void)sig;
	mproc_interrupt();
}

static int
with_a_worker_and_interrupts(struct mpt *t, void *arg)
{
	signal(SIGUSR1, interrupt);
	mproc_interrupt();
	return with_a_worker(t, arg);
}

static void
an_interrupt_does_not_end_the_wait_for_others(void **state)
{
	begin(state);
	expect_wait(*state, with_a_worker_and_interrupts, OPEN, "w", SIGUSR1);
}

static int
with_both(struct mpt *t, void *arg)
{
	(void)t;
	(void)arg;
	start(work_until_a_daemon_has_ended, OPEN);
	the_daemon_of(OPEN);
	leave(0);
}

static void
daemons_end_before_others_are_waited_for(void **state)
{
	begin(state);
	expect_end(*state, with_both, 0, 0, "Tw");
}

static int
with_children_that_have_ended(struct mpt *t, void *arg)
{
	pid_t pid[8];

	(void)arg;
	for (unsigned i = 0; i < 8; i++) {
		mproc_process *p = start(return_at_once,
					 i % 2 ? DAEMON : OPEN);

		pid[i] = mproc_process_pid(p);
		if (i < 4)
			mproc_process_close(p);
	}
	/* Some of them are reaped by the calls above, the others here. */
	for (unsigned i = 0; i < 8; i++)
		mpt_until(t, mpt_task_state(pid[i]) == 0 ||
				     mpt_task_state(pid[i]) == 'Z');
	leave(0);
}

static void
children_that_have_ended_are_no_trouble(void **state)
{
	begin(state);
	expect_end(*state, with_children_that_have_ended, 0, 0, "");
}

/* Exit limits. */

enum limit { SHORT, ABSOLUTE, NOT_AT_ALL, LONG };

static void
set_limit(enum limit limit)
{
	switch (limit) {
	case SHORT:
		mproc_set_exit_limit(mproc_ms(60));
		break;
	case ABSOLUTE:
		mproc_set_exit_limit(mproc_until(mproc_now() + 60 * MS));
		break;
	case NOT_AT_ALL:
		mproc_set_exit_limit(MPROC_NOWAIT);
		break;
	case LONG:
		mproc_set_exit_limit(mproc_sec(3600));
		break;
	}
}

static int
with_a_limit(struct mpt *t, void *arg)
{
	(void)t;
	start_ready(be_polite, OPEN);
	start_ready(be_polite, CLOSED);
	set_limit((enum limit)(uintptr_t)arg);
	leave(0);
}

static void
after_the_limit_others_are_asked_to_end(void **state)
{
	struct board *b = begin(state);

	expect_end(*state, with_a_limit, SHORT, 0, "TT");
	assert_true(mproc_now() - b->exit_at >= 60 * MS);
	expect_end(*state, with_a_limit, ABSOLUTE, 0, "TT");
}

static void
without_time_others_are_asked_at_once(void **state)
{
	begin(state);
	expect_end(*state, with_a_limit, NOT_AT_ALL, 0, "TT");
}

static int
with_a_stubborn_child(struct mpt *t, void *arg)
{
	(void)t;
	start_ready(be_stubborn, OPEN);
	set_limit((enum limit)(uintptr_t)arg);
	leave(0);
}

static void
after_the_limit_they_are_killed_a_second_later(void **state)
{
	struct mpt *t = *state;
	struct board *b = begin(state);
	int64_t took;

	mpt_expect_exit(t, mpt_fork(t, "root", with_a_stubborn_child,
				     (void *)(uintptr_t)SHORT), 0);
	took = mproc_now() - b->exit_at;
	assert_int_equal(mpt_task_state(b->child[0]), 0);
	assert_true(took >= SECOND + 60 * MS);
	assert_true(took < 10 * SECOND);
}

static int
within_the_limit(struct mpt *t, void *arg)
{
	(void)t;
	(void)arg;
	start(end_soon, OPEN);
	set_limit(LONG);
	leave(0);
}

static void
who_ends_within_the_limit_is_not_asked(void **state)
{
	begin(state);
	expect_end(*state, within_the_limit, 0, 0, "w");
}

/* A started process with a child that would not end by itself. */
static int
return_with_a_child(void *arg)
{
	(void)arg;
	start_ready(be_polite, OPEN);
	return 5;
}

static int
hand_down_the_limit(struct mpt *t, void *arg)
{
	(void)arg;
	set_limit(NOT_AT_ALL);
	mpt_check_int(t, end_of(start(return_with_a_child, OPEN)), 5);
	leave(0);
}

static void
the_limit_is_inherited(void **state)
{
	begin(state);
	expect_end(*state, hand_down_the_limit, 0, 0, "T");
}

/* A started process, between the root and its own children. */
static int
be_in_between(void *t)
{
	start(work, CLOSED);
	the_daemon_of(CLOSED);
	mpt_step(t, 0);
	return 5;
}

static int
be_in_between_and_exit(void *t)
{
	exit(be_in_between(t));
}

static int
with_one_in_between(struct mpt *t, void *arg)
{
	mproc_process *p = start(arg ? be_in_between_and_exit : be_in_between,
				 OPEN);

	mpt_reach(t, 1);
	let_pass(t, 30 * MS);
	mpt_check_int(t, mproc_process_join(p, MPROC_NOWAIT), -EAGAIN);
	mpt_step(t, 1);
	mpt_check_int(t, end_of(p), 5);
	leave(0);
}

static void
a_started_process_keeps_the_rules_when_it_returns(void **state)
{
	begin(state);
	expect_end(*state, with_one_in_between, 0, 0, "Tw");
}

static void
a_started_process_keeps_the_rules_when_it_exits(void **state)
{
	begin(state);
	expect_end(*state, with_one_in_between, 1, 0, "Tw");
}

static int
exit_with(void *arg)
{
	at_exit('A');
	exit((int)(intptr_t)arg);
}

static int
fork_and_return(void *arg)
{
	/* As it was when a fork server began. */
	signal(SIGCHLD, SIG_DFL);
	expect_forked(call_exit);
	return (int)(intptr_t)arg;
}

static int
ignore_sigchld(struct mpt *t, void *arg)
{
	mproc_entry *const entries[] = { exit_with, exit_with, fork_and_return };
	static const int codes[] = { 0, 256 + 77, 200 };
	struct mproc_exit end;
	mproc_process *p;

	for (int i = 0; i < 3; i++) {
		/* The last one waits for a child of its own. */
		signal(SIGCHLD, arg && i < 2 ? SIG_IGN : SIG_DFL);
		mpt_check_int(t, mproc_process_start(
			&p, entries[i], (void *)(intptr_t)codes[i], NULL), 0);
		mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
		mpt_check_int(t, mproc_process_exit_info(p, &end), 0);
		mpt_check_int(t, end.reaped_elsewhere, arg && i < 2);
		mpt_check_int(t, end.code, codes[i] & 0xff);
		mpt_check_int(t, end.signal, 0);
		mproc_process_close(p);
	}
	leave(0);
}

static void
the_code_of_exit_comes_through(void **state)
{
	begin(state);
	expect_end(*state, ignore_sigchld, 0, 0, "AA");
	expect_end(*state, ignore_sigchld, 1, 0, "AA");
}

/* Warnings. */

static void
keep_the_warning(void *ctx, int level, const char *text)
{
	(void)ctx;
	if (level == MPROC_LOG_WARNING)
		snprintf(board->warning, sizeof(board->warning), "%s", text);
}

/* The warning comes after ten seconds, which only full runs wait for. */
static bool
has_patience(void)
{
	return amount(1) == 10;
}

/* Starts another one for each that has ended, until it is told not to. */
static void *
replace(void *arg)
{
	mproc_process *p;
	int r;

	while ((r = mproc_process_start(&p, return_at_once, NULL, NULL)) == 0) {
		board->waiting++;
		mpt_check_int(scenario, mproc_process_join(p, MPROC_FOREVER),
			      0);
		mproc_process_close(p);
	}
	mpt_check_int(scenario, r, -ESHUTDOWN);
	mpt_check(scenario, strstr(mproc_error_detail(), "ending"));
	return arg;
}

static int
return_while_threads_replace(struct mpt *t, void *arg)
{
	pthread_t thread;

	(void)arg;
	for (int i = 0; i < THREADS; i++)
		mpt_check_int(t, pthread_create(&thread, NULL, replace, NULL),
			      0);
	mpt_until(t, board->waiting > 10);
	leave(0);
}

static void
threads_that_replace_children_do_not_hold_up_the_end(void **state)
{
	struct mpt *t = *state;

	begin(state);
	mpt_expect_exit(t, mpt_fork(t, "root", return_while_threads_replace,
				     NULL), 0);
	/* A thread may have been in the middle of a start. */
	(void)mpt_reap_orphans(t);
}

static int
work_slowly(void *t)
{
	if (has_patience())
		mpt_until(t, board->warning[0]);
	else
		let_pass(t, 50 * MS);
	return 0;
}

static int
wait_for_the_slow_one(struct mpt *t, void *arg)
{
	mproc_process *p;

	(void)arg;
	mproc_log_set(MPROC_LOG_WARNING, keep_the_warning, NULL);
	mpt_check_int(t, mproc_process_start(
		&p, work_slowly, t, MPROC_OPTS(mproc_process_opts,
					       .name = "slow one")), 0);
	leave(0);
}

static void
who_waits_for_ten_seconds_says_for_whom(void **state)
{
	struct board *b = begin(state);

	mpt_watchdog(*state, 60);
	expect_end(*state, wait_for_the_slow_one, 0, 0, "");
	if (has_patience()) {
		assert_true(mproc_now() - b->exit_at >= 10 * SECOND);
		assert_non_null(strstr(b->warning, "\"slow one\""));
	} else {
		assert_string_equal(b->warning, "");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_daemon_is_asked_to_end),
		mpt_test(a_daemon_has_time_to_end_in_its_own_way),
		mpt_test(daemons_that_do_not_end_are_killed_a_second_later),
		mpt_test(others_are_waited_for),
		mpt_test(others_are_waited_for_when_their_handles_are_closed),
		mpt_test(an_interrupt_does_not_end_the_wait_for_others),
		mpt_test(daemons_end_before_others_are_waited_for),
		mpt_test(children_that_have_ended_are_no_trouble),
		mpt_test(after_the_limit_others_are_asked_to_end),
		mpt_test(without_time_others_are_asked_at_once),
		mpt_test(after_the_limit_they_are_killed_a_second_later),
		mpt_test(who_ends_within_the_limit_is_not_asked),
		mpt_test(the_limit_is_inherited),
		mpt_test(a_started_process_keeps_the_rules_when_it_returns),
		mpt_test(a_started_process_keeps_the_rules_when_it_exits),
		mpt_test(the_code_of_exit_comes_through),
		mpt_test(threads_that_replace_children_do_not_hold_up_the_end),
		mpt_test(who_waits_for_ten_seconds_says_for_whom),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
