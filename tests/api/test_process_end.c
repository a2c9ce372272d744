/* SPDX-License-Identifier: MIT */
/*
 * process.h: how processes are made to end, who reaps them, and what becomes
 * of them when their parent ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "process.h"

/* Whether a child can be reaped, or was. The state in /proc is that of its
 * first thread only. */
static bool
has_ended(pid_t pid)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) <
		       0 ||
	       info.si_pid == pid;
}

static void
terminate_ends_a_process(void **state)
{
	mproc_process *p = start(wait_for_ever, *state);

	assert_int_equal(mproc_process_terminate(p), 0);
	assert_int_equal(end_of(p), -SIGTERM);
	/* It has ended: no error. */
	assert_int_equal(mproc_process_terminate(p), 0);
	assert_int_equal(mproc_process_kill(p), 0);
	mproc_process_close(p);
}

static void
kill_ends_a_stopped_process(void **state)
{
	mproc_process *p = start(wait_for_ever, *state);

	assert_int_equal(kill(mproc_process_pid(p), SIGSTOP), 0);
	mpt_until(*state, mpt_task_state(mproc_process_pid(p)) == 'T');
	assert_true(mproc_process_is_alive(p));
	assert_int_equal(mproc_process_kill(p), 0);
	assert_int_equal(end_of(p), -SIGKILL);
	mproc_process_close(p);
}

static void
signals_to_a_zombie_are_no_error(void **state)
{
	mproc_process *p = start(return_it, (void *)3);

	mpt_until(*state, has_ended(mproc_process_pid(p)));
	assert_int_equal(mpt_task_state(mproc_process_pid(p)), 'Z');
	assert_int_equal(mproc_process_terminate(p), 0);
	assert_int_equal(mproc_process_kill(p), 0);
	assert_int_equal(mproc_process_stop(p, MPROC_NOWAIT), 0);
	assert_int_equal(end_of(p), 3);
	mproc_process_close(p);
}

static int
ignore_sigterm(void *t)
{
	signal(SIGTERM, SIG_IGN);
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

static void
stop_kills_one_that_ignores_the_request(void **state)
{
	struct mpt *t = *state;
	mproc_process *p = start(ignore_sigterm, t);
	int64_t began;

	mpt_reach(t, 1);
	began = mproc_now();
	assert_int_equal(mproc_process_stop(p, mproc_ms(30)), 0);
	assert_true(mproc_now() - began >= 30 * MS);
	assert_false(mproc_process_is_alive(p));
	assert_int_equal(end_of(p), -SIGKILL);
	assert_int_equal(mproc_process_stop(p, mproc_ms(30)), 0);
	mproc_process_close(p);
}

static void
stop_without_grace_kills_at_once(void **state)
{
	struct mpt *t = *state;
	mproc_process *p = start(ignore_sigterm, t);

	mpt_reach(t, 1);
	assert_int_equal(mproc_process_stop(p, MPROC_NOWAIT), 0);
	assert_int_equal(end_of(p), -SIGKILL);
	mproc_process_close(p);
}

static void
exit_21(int sig)
{
	(void)sig;
	_exit(21);
}

static int
end_on_sigterm(void *t)
{
	signal(SIGTERM, exit_21);
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

static void
stop_lets_one_end_in_its_own_way(void **state)
{
	struct mpt *t = *state;
	mproc_process *p = start(end_on_sigterm, t);

	mpt_reach(t, 1);
	assert_int_equal(mproc_process_stop(p, MPROC_FOREVER), 0);
	assert_int_equal(end_of(p), 21);
	mproc_process_close(p);
}

static void
closed_while_running_it_is_reaped_later(void **state)
{
	struct mpt *t = *state;
	unsigned fds = mpt_fd_count();
	mproc_process *p = start(wait_for_ever, t);
	pid_t pid = mproc_process_pid(p);

	mproc_process_close(p);
	assert_int_equal(kill(pid, 0), 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	mpt_until(t, has_ended(pid));
	/* Another call of the module takes it away. */
	p = start(return_it, NULL);
	assert_int_equal(mpt_task_state(pid), 0);
	assert_int_equal(end_of(p), 0);
	mproc_process_close(p);
	assert_int_equal(mpt_fd_count(), fds);
}

static void
close_takes_away_what_was_closed_before(void **state)
{
	struct mpt *t = *state;
	mproc_process *p = start(return_it, NULL), *q = start(return_it, NULL);
	pid_t pid = mproc_process_pid(p);

	mproc_process_close(p);
	assert_int_equal(end_of(q), 0);
	mpt_until(t, has_ended(pid));
	mproc_process_close(q);
	assert_int_equal(mpt_task_state(pid), 0);
}

static int
be_in_the_arena(void *t)
{
	void *p = mproc_alloc(100);

	mpt_check(t, p);
	mproc_free(p);
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

static void
what_it_held_is_given_back_before_join_returns(void **state)
{
	struct mpt *t = *state;
	struct mproc_arena_stat before = stat_now();
	mproc_process *p = start(be_in_the_arena, t);

	mpt_reach(t, 1);
	assert_int_equal(stat_now().participants, before.participants + 1);
	assert_int_equal(mproc_process_kill(p), 0);
	assert_int_equal(end_of(p), -SIGKILL);
	assert_int_equal(stat_now().participants, before.participants);
	mproc_process_close(p);
}

static int
live_with_sigchld_ignored(struct mpt *t, void *arg)
{
	mproc_process *p, *q, *r;
	struct mproc_exit end;
	int code;

	(void)arg;
	signal(SIGCHLD, SIG_IGN);
	mpt_check_int(t, mproc_process_start(&p, return_it, (void *)42, NULL),
		      0);
	mpt_check_int(t, mproc_process_start(&q, wait_for_ever, t, NULL), 0);
	mpt_check_int(t, mproc_process_start(&r, wait_for_ever, t, NULL), 0);
	mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
	mpt_check_int(t, mproc_process_exit_info(p, &end), 0);
	mpt_check(t, end.reaped_elsewhere);
	mpt_check_int(t, end.code, 42);
	mpt_check_int(t, end.signal, 0);
	mpt_check_int(t, end.user_ns + end.system_ns + end.max_rss, 0);
	mpt_check_int(t, mproc_process_exitcode(p, &code), 0);
	mpt_check_int(t, code, 42);
	mpt_check(t, mproc_process_is_alive(q));
	mpt_check_int(t, mproc_process_join(q, mproc_ms(1)), -ETIMEDOUT);
	/* A killed one leaves no code. */
	mpt_check_int(t, mproc_process_kill(q), 0);
	mpt_check_int(t, mproc_process_join(q, MPROC_FOREVER), 0);
	mpt_check(t, !mproc_process_is_alive(q));
	mpt_check_int(t, mproc_process_exit_info(q, &end), 0);
	mpt_check(t, end.reaped_elsewhere);
	mpt_check_int(t, end.code, -1);
	mpt_check_int(t, end.signal, 0);
	mpt_check_int(t, mproc_process_exitcode(q, &code), -ENODATA);
	mpt_check_int(t, mproc_process_stop(r, MPROC_NOWAIT), 0);
	mpt_check_int(t, mproc_process_kill(r), 0);
	mproc_process_close(p);
	mproc_process_close(q);
	mproc_process_close(r);
	return 0;
}

static void
with_sigchld_ignored_the_code_is_known(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "host", live_with_sigchld_ignored,
				     NULL), 0);
}

static int
reap_everything(struct mpt *t, void *arg)
{
	struct mproc_exit end;
	mproc_process *p;
	int status;

	(void)arg;
	mpt_check_int(t, mproc_process_start(&p, return_it, (void *)255, NULL),
		      0);
	mpt_check_int(t, waitpid(-1, &status, 0), mproc_process_pid(p));
	mpt_check(t, WIFEXITED(status) && WEXITSTATUS(status) == 255);
	mpt_check(t, !mproc_process_is_alive(p));
	mpt_check_int(t, mproc_process_join(p, MPROC_NOWAIT), 0);
	mpt_check_int(t, mproc_process_exit_info(p, &end), 0);
	mpt_check(t, end.reaped_elsewhere);
	mpt_check_int(t, end.code, 255);
	mpt_check_int(t, mproc_process_kill(p), 0);
	mproc_process_close(p);
	return 0;
}

static void
a_host_that_reaps_all_its_children_is_no_trouble(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "host", reap_everything, NULL), 0);
}

/* In the scratch bytes. */
struct board {
	_Atomic pid_t child;
	_Atomic pid_t grandchild;
};

static int
be_a_grandchild(void *t)
{
	struct board *b = mpt_scratch(t);

	b->grandchild = getpid();
	wait_to_be_killed(t);
	return 0;
}

static int
be_a_child(void *t)
{
	struct board *b = mpt_scratch(t);
	mproc_process *p;

	mpt_check_int(t, mproc_process_start(&p, be_a_grandchild, t, NULL), 0);
	b->child = getpid();
	wait_to_be_killed(t);
	return 0;
}

static int
be_a_parent(struct mpt *t, void *arg)
{
	mproc_process *p;

	(void)arg;
	mpt_check_int(t, mproc_process_start(&p, be_a_child, t, NULL), 0);
	wait_to_be_killed(t);
	return 0;
}

static void
all_descendants_end_when_the_parent_is_killed(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	int id = mpt_spawn(t, "parent", be_a_parent, NULL);

	mpt_until(t, b->child && b->grandchild);
	mpt_kill(t, id);
	assert_int_equal(mpt_reap_orphans(t), 2);
}

static int
start_and_end(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	mproc_process *p;

	(void)arg;
	mpt_check_int(t, mproc_process_start(&p, be_a_grandchild, t, NULL), 0);
	mpt_until(t, b->grandchild);
	return 0;
}

static void
a_child_ends_when_its_parent_returns(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "parent", start_and_end, NULL), 0);
	assert_int_equal(mpt_reap_orphans(t), 1);
}

static void *
start_in_a_thread(void *t)
{
	struct board *b = mpt_scratch(t);
	mproc_process *p = NULL;

	if (mproc_process_start(&p, be_a_grandchild, t, NULL) < 0)
		return NULL;
	/* Only a running one is told that its starter has gone. */
	mpt_until(t, b->grandchild);
	return p;
}

static void
a_child_outlives_the_thread_that_started_it(void **state)
{
	struct mpt *t = *state;
	pthread_t thread;
	void *p = NULL;

	assert_int_equal(pthread_create(&thread, NULL, start_in_a_thread, t),
			 0);
	pthread_join(thread, &p);
	assert_non_null(p);
	assert_int_equal(mproc_process_join(p, mproc_ms(30)), -ETIMEDOUT);
	assert_true(mproc_process_is_alive(p));
	assert_int_equal(mproc_process_stop(p, mproc_sec(5)), 0);
	assert_int_equal(end_of(p), -SIGTERM);
	mproc_process_close(p);
}

static int
check_mask_and_handlers(void *t)
{
	struct sigaction action;
	sigset_t mask;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	mpt_check_int(t, sigismember(&mask, SIGUSR2), 1);
	mpt_check_int(t, sigismember(&mask, SIGUSR1), 0);
	mpt_check_int(t, sigismember(&mask, SIGTERM), 0);
	sigaction(SIGUSR1, NULL, &action);
	mpt_check(t, action.sa_handler == exit_21);
	return 0;
}

static void
the_parents_signals_are_untouched_and_inherited(void **state)
{
	struct sigaction before[64] = { 0 }, after;
	sigset_t mask, now, old;
	mproc_process *p;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	sigprocmask(SIG_SETMASK, &mask, &old);
	signal(SIGUSR1, exit_21);
	for (int sig = 1; sig < 64; sig++)
		sigaction(sig, NULL, &before[sig]);
	p = start_forked(check_mask_and_handlers, *state);
	assert_int_equal(end_of(p), 0);
	mproc_process_close(p);
	for (int sig = 1; sig < 64; sig++) {
		/* Some are the C library's own. */
		if (sigaction(sig, NULL, &after) < 0)
			continue;
		assert_true(after.sa_handler == before[sig].sa_handler);
	}
	sigprocmask(SIG_SETMASK, &old, &now);
	for (int sig = 1; sig < 64; sig++)
		assert_int_equal(sigismember(&now, sig), sig == SIGUSR2);
	signal(SIGUSR1, SIG_DFL);
}

static void
note_exit_handler(void)
{
	_exit(55);
}

static int
register_and_start(struct mpt *t, void *arg)
{
	mproc_process *p;
	int code;

	(void)arg;
	atexit(note_exit_handler);
	mpt_check_int(t, mproc_process_start(&p, return_it, (void *)4, NULL),
		      0);
	mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
	mpt_check_int(t, mproc_process_exitcode(p, &code), 0);
	mpt_check_int(t, code, 4);
	return 0;
}

static void
the_parents_exit_functions_do_not_run_in_the_child(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "parent", register_and_start, NULL), 0);
}

static int
print_child(void *arg)
{
	(void)arg;
	fputs("child;", stdout);
	fputs("error;", stderr);
	return 0;
}

static int
print_all(struct mpt *t, void *arg)
{
	int *fds = arg;
	mproc_process *p;

	dup2(fds[1], STDOUT_FILENO);
	setvbuf(stdout, NULL, _IOFBF, 4096);
	fputs("before;", stdout);
	for (int i = 0; i < 2; i++) {
		mpt_check_int(t, mproc_process_start(&p, print_child, NULL,
						     NULL), 0);
		mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
		mproc_process_close(p);
	}
	fputs("after;", stdout);
	return 0;
}

static void
what_was_printed_appears_once_and_in_order(void **state)
{
	struct mpt *t = *state;
	char text[256] = "";
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	mpt_expect_exit(t, mpt_spawn(t, "printer", print_all, fds), 0);
	close(fds[1]);
	assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
	assert_string_equal(text, "before;child;child;after;");
	close(fds[0]);
}

static void
nothing_happens(int sig)
{
	(void)sig;
}

struct joiner {
	mproc_process *p;
	_Atomic pid_t tid;
};

static int
join_it(struct mpt *t, void *arg)
{
	struct joiner *j = arg;

	j->tid = gettid();
	mpt_check_int(t, mproc_process_join(j->p, MPROC_FOREVER), 0);
	return 0;
}

static void
a_join_goes_on_after_a_signal_handler(void **state)
{
	struct sigaction action = { .sa_handler = nothing_happens }, old;
	struct mpt *t = *state;
	struct joiner j = { start(wait_for_ever, t), 0 };
	int id;

	sigaction(SIGUSR1, &action, &old);
	mpt_use_threads(t, true);
	id = mpt_spawn(t, "joiner", join_it, &j);
	for (int i = 0; i < 5; i++) {
		mpt_until(t, j.tid && mpt_task_state(j.tid) == 'S');
		tgkill(getpid(), j.tid, SIGUSR1);
	}
	assert_int_equal(mproc_process_kill(j.p), 0);
	mpt_expect_exit(t, id, 0);
	mproc_process_close(j.p);
	sigaction(SIGUSR1, &old, NULL);
}

static pid_t joined_pid, forked_pid = -1;

/* The child goes on once the parent has joined. */
static void
fork_and_end_it(int sig)
{
	int saved = errno;

	(void)sig;
	forked_pid = fork();
	if (forked_pid == 0) {
		kill(joined_pid, SIGKILL);
		while (kill(joined_pid, 0) == 0)
			sched_yield();
	}
	errno = saved;
}

/* It is in the middle of its parent's join then, of a process that has ended. */
static void
a_child_that_a_handler_forks_in_a_join_has_no_process_to_join(void **state)
{
	struct sigaction action = { .sa_handler = fork_and_end_it }, old;
	struct itimerval soon = { .it_value.tv_usec = 20000 };
	mproc_process *p = start(wait_for_ever, *state);
	int status, r;

	joined_pid = mproc_process_pid(p);
	sigaction(SIGALRM, &action, &old);
	setitimer(ITIMER_REAL, &soon, NULL);
	r = mproc_process_join(p, MPROC_FOREVER);
	if (forked_pid == 0)
		_exit(r == -ECHILD ? 0 : 1);
	assert_int_equal(r, 0);
	assert_int_equal(waitpid(forked_pid, &status, 0), forked_pid);
	assert_int_equal(status, 0);
	mproc_process_close(p);
	sigaction(SIGALRM, &old, NULL);
}

/* The program closes what it must not close, and the number is used again. */
static void
a_handle_whose_descriptor_became_anothers_spares_that_one(void **state)
{
	mproc_process *first = start(wait_for_ever, *state);
	mproc_process *second;
	int fd = mproc_process_fd(first);

	close(fd);
	second = start(wait_for_ever, *state);
	assert_int_equal(mproc_process_fd(second), fd);

	assert_true(mproc_process_is_alive(first));
	assert_int_equal(mproc_process_kill(first), 0);
	assert_int_equal(end_of(first), -SIGKILL);
	assert_true(mproc_process_is_alive(second));
	assert_int_equal(mproc_process_terminate(second), 0);
	assert_int_equal(end_of(second), -SIGTERM);
	mproc_process_close(first);
	mproc_process_close(second);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(terminate_ends_a_process),
		mpt_test(kill_ends_a_stopped_process),
		mpt_test(signals_to_a_zombie_are_no_error),
		mpt_test(stop_kills_one_that_ignores_the_request),
		mpt_test(stop_without_grace_kills_at_once),
		mpt_test(stop_lets_one_end_in_its_own_way),
		mpt_test(closed_while_running_it_is_reaped_later),
		mpt_test(close_takes_away_what_was_closed_before),
		mpt_test(what_it_held_is_given_back_before_join_returns),
		mpt_test(with_sigchld_ignored_the_code_is_known),
		mpt_test(a_host_that_reaps_all_its_children_is_no_trouble),
		mpt_test(all_descendants_end_when_the_parent_is_killed),
		mpt_test(a_child_ends_when_its_parent_returns),
		mpt_test(a_child_outlives_the_thread_that_started_it),
		mpt_test(the_parents_signals_are_untouched_and_inherited),
		mpt_test(the_parents_exit_functions_do_not_run_in_the_child),
		mpt_test(what_was_printed_appears_once_and_in_order),
		mpt_test(a_join_goes_on_after_a_signal_handler),
		mpt_test(a_child_that_a_handler_forks_in_a_join_has_no_process_to_join),
		mpt_test(a_handle_whose_descriptor_became_anothers_spares_that_one),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
