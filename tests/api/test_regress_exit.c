/* SPDX-License-Identifier: MIT */
/*
 * Defects that the end of a process once had: exit() that is called again while
 * it is at work, or where it was not expected. See exit.h.
 */
#include <fcntl.h>
#include <pthread.h>

#include "exit.h"

#define LAST_CODE 5

static void
exit_again(void *arg)
{
	note('e');
	exit((int)(intptr_t)arg);
}

static void
exit_in_handler(int sig)
{
	(void)sig;
	note('h');
	board->go = true;
	exit(LAST_CODE);
}

static void
be_interrupted(void *arg)
{
	(void)arg;
	raise(SIGUSR1);
}

static void
note_x(void)
{
	note('x');
}

/* Ways to call exit() a second time. */

static void
in_a_function(void)
{
	at_exit('A');
	mpt_check_int(scenario, mproc_at_exit(exit_again,
					      (void *)LAST_CODE), 0);
	at_exit('B');
	mpt_check_int(scenario, mproc_at_exit(exit_again, (void *)4), 0);
	the_daemon_of(OPEN);
}

static void
in_a_handler_during_a_function(void)
{
	signal(SIGUSR1, exit_in_handler);
	at_exit('A');
	mpt_check_int(scenario, mproc_at_exit(be_interrupted, NULL), 0);
	at_exit('B');
	the_daemon_of(OPEN);
}

static int
signal_the_parent_that_waits(void *t)
{
	sigset_t mask;
	int sig;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	board->ready++;
	mpt_check_int(t, sigwait(&mask, &sig), 0);
	mpt_until(t, mpt_task_state(getppid()) == 'S');
	kill(getppid(), SIGUSR1);
	mpt_until(t, board->go);
	note('T');
	return 0;
}

static int
work_until_the_daemon_has_ended(void *t)
{
	mpt_until(t, strchr(board->log, 'T'));
	note('w');
	return 0;
}

static void
in_a_handler_during_the_rules(void)
{
	signal(SIGUSR1, exit_in_handler);
	at_exit('A');
	start(work_until_the_daemon_has_ended, OPEN);
	start_ready(signal_the_parent_that_waits, DAEMON);
}

static const struct way {
	void (*prepare)(void);
	const char *log;
} ways[] = {
	{ in_a_function, "eBeAT" },
	{ in_a_handler_during_a_function, "BhAT" },
	{ in_a_handler_during_the_rules, "AhTw" },
};

#define WAYS (sizeof(ways) / sizeof(ways[0]))

static int
exit_twice(struct mpt *t, void *arg)
{
	const struct way *way = &ways[(uintptr_t)arg];

	(void)t;
	mpt_check_int(scenario, atexit(note_x), 0);
	way->prepare();
	leave(3);
}

static int
exit_when_started(void *arg)
{
	const struct way *way = &ways[(uintptr_t)arg];

	way->prepare();
	exit(3);
}

static int
start_one_that_exits_twice(struct mpt *t, void *arg)
{
	mproc_process *p;

	mpt_check_int(t, atexit(note_x), 0);
	mpt_check_int(t, mproc_process_start(&p, exit_when_started, arg, NULL),
		      0);
	mpt_check_int(t, end_of(p), LAST_CODE);
	note('|');
	leave(0);
}

static void
a_second_exit_goes_on_where_the_first_was(void **state)
{
	struct board *b = begin(state);
	char log[16];

	mpt_watchdog(*state, 10);
	for (size_t i = 0; i < WAYS; i++) {
		b->go = false;
		snprintf(log, sizeof(log), "%sx", ways[i].log);
		expect_end(*state, exit_twice, i, LAST_CODE, log);
	}
}

static void
a_second_exit_of_a_started_one_leaves_its_parents_functions_alone(void **state)
{
	struct board *b = begin(state);
	char log[16];

	mpt_watchdog(*state, 10);
	for (size_t i = 0; i < WAYS; i++) {
		b->go = false;
		snprintf(log, sizeof(log), "%s|x", ways[i].log);
		expect_end(*state, start_one_that_exits_twice, i, 0, log);
	}
}

/* While the last steps of the end are taken. */
static int
exit_with_a_full_pipe(void *arg)
{
	const int *fds = arg;
	char bytes[4096] = "";

	signal(SIGUSR1, exit_in_handler);
	signal(SIGUSR2, exit_in_handler);
	fcntl(fds[1], F_SETFL, O_NONBLOCK);
	while (write(fds[1], bytes, sizeof(bytes)) > 0)
		;
	fcntl(fds[1], F_SETFL, 0);
	dup2(fds[1], STDOUT_FILENO);
	setvbuf(stdout, NULL, _IOFBF, BUFSIZ);
	printf("more");
	board->ready++;
	exit(3);
}

static void
signal_when_it_sleeps(struct mpt *t, mproc_process *p, int sig)
{
	mpt_until(t, mpt_task_state(mproc_process_pid(p)) == 'S');
	board->go = false;
	mpt_check_int(t, mproc_process_signal(p, sig), 0);
	mpt_until(t, board->go);
}

static int
interrupt_the_last_flush(struct mpt *t, void *arg)
{
	static char bytes[1 << 20];
	mproc_process *p;
	int fds[2];

	(void)arg;
	mpt_check_int(t, atexit(note_x), 0);
	mpt_check_int(t, pipe(fds), 0);
	mpt_check_int(t, mproc_process_start(
		&p, exit_with_a_full_pipe, fds,
		MPROC_OPTS(mproc_process_opts, .arg_size = sizeof(fds),
			   .keep_fds = fds, .n_keep_fds = 2)), 0);
	mpt_until(t, board->ready);
	signal_when_it_sleeps(t, p, SIGUSR1);
	signal_when_it_sleeps(t, p, SIGUSR2);
	mpt_check(t, read(fds[0], bytes, sizeof(bytes)) > 0);
	mpt_check_int(t, end_of(p), LAST_CODE);
	note('|');
	leave(0);
}

static void
nor_does_one_in_its_last_flush_run_them(void **state)
{
	begin(state);
	mpt_watchdog(*state, 10);
	expect_end(*state, interrupt_the_last_flush, 0, 0, "hh|x");
}

static void
have_a_helper(void *arg)
{
	(void)arg;
	mpt_check_int(scenario, end_of(start(call_exit, OPEN)), 3);
	note('c');
}

static int
have_a_helper_at_the_end(struct mpt *t, void *arg)
{
	(void)arg;
	mpt_check_int(t, atexit(note_x), 0);
	mpt_check_int(t, mproc_at_exit(have_a_helper, NULL), 0);
	leave(0);
}

static void
who_is_started_at_the_end_leaves_its_parents_functions_alone(void **state)
{
	begin(state);
	expect_end(*state, have_a_helper_at_the_end, 0, 0, "cx");
}

static void *
wait_beside(void *t)
{
	wait_to_be_killed(t);
	return NULL;
}

static void
exit_with_a_cancel_pending(struct mpt *t)
{
	pthread_t thread;

	/* Or else the end of this thread would be that of the process. */
	mpt_check_int(t, pthread_create(&thread, NULL, wait_beside, t), 0);
	at_exit('A');
	start(end_soon, OPEN);
	pthread_cancel(pthread_self());
	exit(LAST_CODE);
}

static int
exit_a_cancelled_root(struct mpt *t, void *arg)
{
	(void)arg;
	exit_with_a_cancel_pending(t);
	return 0;
}

static int
exit_a_cancelled_started_one(void *t)
{
	int before;

	/* An entry runs with cancellation disabled; this one wants it. */
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &before);
	exit_with_a_cancel_pending(t);
	return 0;
}

static int
start_a_cancelled_one(struct mpt *t, void *arg)
{
	(void)arg;
	mpt_check_int(t, end_of(start(exit_a_cancelled_started_one, OPEN)),
		      LAST_CODE);
	leave(0);
}

static void
a_cancelled_thread_finishes_its_exit(void **state)
{
	mpt_watchdog(*state, 10);
	begin(state);
	expect_end(*state, exit_a_cancelled_root, 0, LAST_CODE, "Aw");
	expect_end(*state, start_a_cancelled_one, 0, 0, "Aw");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_second_exit_goes_on_where_the_first_was),
		mpt_test(
	  a_second_exit_of_a_started_one_leaves_its_parents_functions_alone),
		mpt_test(nor_does_one_in_its_last_flush_run_them),
		mpt_test(
	       who_is_started_at_the_end_leaves_its_parents_functions_alone),
		mpt_test(a_cancelled_thread_finishes_its_exit),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
