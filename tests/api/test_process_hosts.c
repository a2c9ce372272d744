/* SPDX-License-Identifier: MIT */
/*
 * process.h in hosts that make it hard: others reap their children, the system
 * takes them away, signals are handled or blocked. Each host is a process of
 * its own. What they read and print is in test_process_stdio.c, and what
 * happens where something has run out in test_process_limits.c.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "owned.h"
#include "started.h"

static int
return_it(void *arg)
{
	return (int)(intptr_t)arg;
}

static int
call_exit(void *arg)
{
	exit((int)(intptr_t)arg);
}

static int
wait_for_ever(void *t)
{
	wait_to_be_killed(t);
	return 0;
}

static int
kill_itself(void *arg)
{
	(void)arg;
	return raise(SIGKILL);
}

static mproc_process *
start(struct mpt *t, mproc_entry *fn, void *arg)
{
	mproc_process *p = NULL;

	mpt_check_int(t, mproc_process_start(&p, fn, arg, NULL), 0);
	return p;
}

/* Joins and closes @p, which must end with @code in an ordinary way. */
static void
finish(struct mpt *t, mproc_process *p, int code)
{
	struct mproc_exit end;

	mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
	mpt_check_int(t, mproc_process_exit_info(p, &end), 0);
	mpt_check(t, !end.reaped_elsewhere);
	mpt_check_int(t, end.signal, 0);
	mpt_check_int(t, end.code, code);
	mproc_process_close(p);
}

static void
in_a_host(struct mpt *t, mpt_fn *fn, void *arg)
{
	mpt_expect_exit(t, mpt_spawn(t, "host", fn, arg), 0);
}

/* How children end, and what is known of that if others have reaped them: all
 * but a signal. */
static void
expect_end(struct mpt *t, mproc_process *p, mproc_entry *fn, int code)
{
	struct mproc_exit end;
	int known = 0;

	mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
	mpt_check(t, !mproc_process_is_alive(p));
	mpt_check_int(t, mproc_process_exit_info(p, &end), 0);
	mpt_check_int(t, end.pid, mproc_process_pid(p));
	if (fn == kill_itself) {
		mpt_check_int(t, end.code, -1);
		mpt_check_int(t, end.signal,
			      end.reaped_elsewhere ? 0 : SIGKILL);
	} else {
		mpt_check_int(t, end.code, code);
		mpt_check_int(t, end.signal, 0);
	}
	if (end.code < 0 && end.signal == 0)
		mpt_check_int(t, mproc_process_exitcode(p, &known), -ENODATA);
	else
		mpt_check_int(t, mproc_process_exitcode(p, &known), 0);
	mproc_process_close(p);
}

static mproc_entry *const ways_to_end[] = { return_it, call_exit, kill_itself };

static void *
wait_for_all(void *arg)
{
	(void)arg;
	while (waitpid(-1, NULL, 0) > 0)
		;
	return NULL;
}

/* A child that keeps waitpid(-1) from saying that there are none. */
static pid_t
fork_a_resident(struct mpt *t)
{
	pid_t host = getpid(), pid = fork();

	mpt_check(t, pid >= 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (getppid() == host)
		pause();
	_exit(0);
}

/* Whether somebody has reaped the child @pid. */
static bool
is_reaped(pid_t pid)
{
	siginfo_t info;

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) <
	       0;
}

static int
host_waits_for_all_in_a_thread(struct mpt *t, void *arg)
{
	pid_t resident = fork_a_resident(t);
	struct mproc_exit end;
	pthread_t thread;

	(void)arg;
	mpt_check_int(t, pthread_create(&thread, NULL, wait_for_all, NULL), 0);
	for (unsigned i = 0; i < amount(150); i++) {
		mproc_entry *fn = ways_to_end[i % 3];
		int code = (int)(i % 256);
		mproc_process *p = start(t, fn, (void *)(intptr_t)code);

		/* Who is first is open, but for every other one. */
		if (i % 2) {
			mpt_until(t, is_reaped(mproc_process_pid(p)));
			mpt_check_int(t, mproc_process_join(p, MPROC_NOWAIT),
				      0);
			mpt_check_int(t, mproc_process_exit_info(p, &end), 0);
			mpt_check(t, end.reaped_elsewhere);
		}
		expect_end(t, p, fn, code);
	}
	mproc_forkserver_stop();
	mpt_check_int(t, kill(resident, SIGKILL), 0);
	mpt_check_int(t, pthread_join(thread, NULL), 0);
	return 0;
}

static void
a_thread_may_wait_for_all_children(void **state)
{
	in_a_host(*state, host_waits_for_all_in_a_thread, NULL);
}

static void
nothing_happens(int sig)
{
	(void)sig;
}

static int
host_has_sigchld_so(struct mpt *t, void *arg)
{
	unsigned fds = mpt_fd_count();

	mpt_check_int(t, sigaction(SIGCHLD, arg, NULL), 0);
	for (unsigned i = 0; i < 30; i++) {
		mproc_entry *fn = ways_to_end[i % 3];
		mproc_process *p = start(t, fn, (void *)(intptr_t)i);
		struct mproc_exit end;

		mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
		mpt_check_int(t, mproc_process_exit_info(p, &end), 0);
		mpt_check(t, end.reaped_elsewhere);
		expect_end(t, p, fn, (int)i);
	}
	expect_no_child(t);
	mpt_check_int(t, mpt_fd_count(), fds);
	return 0;
}

static void
the_system_may_take_children_away(void **state)
{
	struct sigaction actions[] = {
		{ .sa_handler = SIG_IGN },
		{ .sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT },
		{ .sa_handler = nothing_happens, .sa_flags = SA_NOCLDWAIT },
	};

	for (int i = 0; i < 3; i++)
		in_a_host(*state, host_has_sigchld_so, &actions[i]);
}

/* The host's own children, in the scratch bytes. */
struct own {
	_Atomic pid_t pid; /* 0: none, or reaped */
	_Atomic int status;
};

static struct own *own;

static void
reap_own(int sig)
{
	int saved = errno, status;

	(void)sig;
	if (own->pid && waitpid(own->pid, &status, WNOHANG) == own->pid) {
		own->status = status;
		own->pid = 0;
	}
	errno = saved;
}

static int
wait_until_own_is_reaped(void *t)
{
	own = mpt_scratch(t);
	mpt_until(t, own->pid == 0);
	return 66;
}

static int
host_reaps_its_own(struct mpt *t, void *arg)
{
	struct sigaction action = { .sa_handler = reap_own };
	sigset_t chld, old;

	(void)arg;
	own = mpt_scratch(t);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	mpt_check_int(t, sigaction(SIGCHLD, &action, NULL), 0);
	for (unsigned i = 0; i < amount(100); i++) {
		int code = (int)(i % 256);
		mproc_process *p;
		pid_t pid;

		sigprocmask(SIG_BLOCK, &chld, &old);
		pid = fork();
		if (pid == 0)
			_exit(code);
		own->pid = pid;
		p = start(t, wait_until_own_is_reaped, t);
		sigprocmask(SIG_SETMASK, &old, NULL);
		/* The handler interrupts this join, or runs before it. */
		finish(t, p, 66);
		mpt_check_int(t, own->status, code << 8);
		finish(t, start(t, return_it, (void *)3), 3);
	}
	expect_no_child(t);
	return 0;
}

static void
a_handler_may_reap_the_hosts_own_children(void **state)
{
	in_a_host(*state, host_reaps_its_own, NULL);
}

static int
have_all_blocked(void *t)
{
	sigset_t mask;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	for (int sig = 1; sig < SIGRTMAX; sig++)
		if (sig < 32 || sig >= SIGRTMIN)
			mpt_check_int(t, sigismember(&mask, sig),
				      sig != SIGKILL && sig != SIGSTOP);
	return 8;
}

static int
follow_the_host(void *t)
{
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

static int
host_blocks_all_signals(struct mpt *t, void *arg)
{
	sigset_t all, before, after;
	mproc_process *p;
	int code = 0;

	(void)arg;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigprocmask(SIG_SETMASK, NULL, &before);
	finish(t, start(t, have_all_blocked, t), 8);
	p = start(t, wait_for_ever, t);
	mpt_check_int(t, mproc_process_terminate(p), 0);
	mpt_check_int(t, mproc_process_join(p, mproc_ms(10)), -ETIMEDOUT);
	mpt_check_int(t, mproc_process_stop(p, mproc_ms(10)), 0);
	mpt_check_int(t, mproc_process_exitcode(p, &code), 0);
	mpt_check_int(t, code, -SIGKILL);
	mproc_process_close(p);
	sigprocmask(SIG_SETMASK, NULL, &after);
	for (int sig = 1; sig <= SIGRTMAX; sig++)
		mpt_check_int(t, sigismember(&after, sig),
			      sigismember(&before, sig));
	start(t, follow_the_host, t);
	wait_to_be_killed(t);
	return 0;
}

/* Its own child returns from the entry as well, and is not the one that was
 * started. */
static int
fork_and_die(void *arg)
{
	pid_t pid = fork();

	(void)arg;
	if (pid == 0)
		return 5;
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return raise(SIGKILL);
}

static int
host_starts_one_that_forks(struct mpt *t, void *arg)
{
	struct mproc_exit end;
	mproc_process *p;
	int code;

	(void)arg;
	signal(SIGCHLD, SIG_IGN);
	p = start(t, fork_and_die, NULL);
	mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
	mpt_check_int(t, mproc_process_exit_info(p, &end), 0);
	mpt_check(t, end.reaped_elsewhere);
	mpt_check_int(t, end.code, -1);
	mpt_check_int(t, mproc_process_exitcode(p, &code), -ENODATA);
	mproc_process_close(p);
	return 0;
}

static void
a_grandchild_does_not_tell_how_the_child_ended(void **state)
{
	in_a_host(*state, host_starts_one_that_forks, NULL);
}

static void
all_signals_may_be_blocked(void **state)
{
	struct mpt *t = *state;
	int id = mpt_spawn(t, "host", host_blocks_all_signals, NULL);

	mpt_reach(t, 1);
	mpt_kill(t, id);
	assert_int_equal(mpt_reap_orphans(t), 1);
}

static int
host_has_no_standard_streams(struct mpt *t, void *arg)
{
	char junk[4096];
	mproc_queue *q;
	size_t len = 0;

	(void)arg;
	memset(junk, -1, sizeof(junk));
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	mpt_check_int(t, mproc_queue_create(&q, NULL), 0);
	mpt_check_int(t, mproc_queue_put(q, "hello", 5, MPROC_NOWAIT), 0);
	/* As a program does that does not know what its caller has closed. */
	for (int fd = 0; fd < 3; fd++)
		mpt_check_int(t, write(fd, junk, sizeof(junk)), -1);
	finish(t, start(t, return_it, (void *)5), 5);
	mpt_check_int(t, mproc_queue_get(q, junk, sizeof(junk), &len,
					 MPROC_NOWAIT), 0);
	mpt_check(t, len == 5 && memcmp(junk, "hello", 5) == 0);
	mproc_queue_destroy(q);
	return 0;
}

static void
standard_streams_may_be_closed_from_the_start(void **state)
{
	in_a_host(*state, host_has_no_standard_streams, NULL);
}

static void
count_warnings(void *ctx, int level, const char *text)
{
	unsigned *n = ctx;

	if (level == MPROC_LOG_WARNING && strstr(text, "threads"))
		++*n;
}

static void *
wait_for_the_end(void *arg)
{
	mpt_reach(arg, NEVER_STEP);
	return NULL;
}

/* A sanitizer's. */
static bool
has_another_thread(void)
{
	struct stat st;

	return stat("/proc/self/task", &st) == 0 && st.st_nlink > 3;
}

static int
host_has_threads(struct mpt *t, void *arg)
{
	bool other = has_another_thread();
	unsigned n = 0;
	mproc_queue *q;
	pthread_t thread;

	(void)arg;
	mpt_check_int(t, mproc_set_start_method(MPROC_FORK), 0);
	mproc_log_set(MPROC_LOG_WARNING, count_warnings, &n);
	finish(t, start(t, return_it, (void *)5), 5);
	/* One of the library's own does no harm. */
	mpt_check_int(t, mproc_queue_create(&q, NULL), 0);
	mpt_check(t, mproc_queue_fd(q) >= 0);
	finish(t, start(t, return_it, (void *)5), 5);
	mpt_check_int(t, n, other);
	mpt_check_int(t, pthread_create(&thread, NULL, wait_for_the_end, t), 0);
	finish(t, start(t, return_it, (void *)5), 5);
	mpt_check_int(t, n, 1);
	/* Once is enough. */
	finish(t, start(t, return_it, (void *)5), 5);
	mpt_check_int(t, n, 1);
	return 0;
}

static void
who_forks_with_threads_is_warned(void **state)
{
	in_a_host(*state, host_has_threads, NULL);
}

static int
send_a_number(void *conn)
{
	int number = 5;

	return mproc_conn_send(conn, &number, sizeof(number), mproc_sec(10));
}

/* A child that is held back right after its fork, and what the handler makes. */
static struct {
	struct mpt *t;
	int go[2];
	bool armed;
	pid_t host, copy;
} fork_in_handler;

/* In the child that is started: the host is to fork before this goes on. */
static void
hold_back(void)
{
	char byte;

	if (!fork_in_handler.armed)
		return;
	fork_in_handler.armed = false;
	(void)kill(fork_in_handler.host, SIGUSR1);
	mpt_check_int(fork_in_handler.t,
		      read(fork_in_handler.go[0], &byte, 1), 1);
}

/* The copy goes on in the middle of the start, and comes to its end first. */
static void
fork_meanwhile(int signal)
{
	int status = -1;

	(void)signal;
	fork_in_handler.copy = _Fork();
	if (fork_in_handler.copy == 0) {
		alarm(10);
		return;
	}
	mpt_check_int(fork_in_handler.t,
		      waitpid(fork_in_handler.copy, &status, 0),
		      fork_in_handler.copy);
	mpt_check_int(fork_in_handler.t, status, 0);
	mpt_check_int(fork_in_handler.t,
		      write(fork_in_handler.go[1], "", 1), 1);
}

static int
start_with_a_fork(struct mpt *t, void *unused)
{
	struct sigaction action = { .sa_handler = fork_meanwhile };
	mproc_process *p = NULL, *children[4];
	mproc_conn *a, *b;
	int r, number = 0;

	(void)unused;
	fork_in_handler.t = t;
	fork_in_handler.host = getpid();
	mpt_check_int(t, pipe(fork_in_handler.go), 0);
	mpt_check_int(t, mproc_pipe(&a, &b, NULL), 0);
	mpt_check_int(t, sigaction(SIGUSR1, &action, NULL), 0);
	mpt_check_int(t, pthread_atfork(NULL, NULL, hold_back), 0);
	fork_in_handler.armed = true;
	r = mproc_process_start(&p, send_a_number, b, MPROC_OPTS(
		mproc_process_opts, .method = MPROC_FORK, .cwd = "/",
		.conns = &b, .n_conns = 1));
	if (fork_in_handler.copy == 0) {
		mpt_check_int(t, r, -ECHILD);
		mpt_check_int(t, mproc_children(children, 4), 0);
		mpt_check(t, !p);
		_exit(0);
	}
	mpt_check_int(t, r, 0);
	mpt_check_int(t, mproc_conn_recv(a, &number, sizeof(number), NULL,
					 mproc_sec(10)), 0);
	mpt_check_int(t, number, 5);
	finish(t, p, 0);
	mproc_conn_close(a);
	close(fork_in_handler.go[0]);
	close(fork_in_handler.go[1]);
	return 0;
}

/* What a signal handler forks in the middle of a start, and goes on in there, has
 * started nothing, and takes nothing from what its parent starts. */
static void
a_handler_may_fork_in_a_start(void **state)
{
	in_a_host(*state, start_with_a_fork, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_thread_may_wait_for_all_children),
		mpt_test(the_system_may_take_children_away),
		mpt_test(a_handler_may_reap_the_hosts_own_children),
		mpt_test(a_grandchild_does_not_tell_how_the_child_ended),
		mpt_test(all_signals_may_be_blocked),
		mpt_test(standard_streams_may_be_closed_from_the_start),
		mpt_test(who_forks_with_threads_is_warned),
		mpt_test(a_handler_may_fork_in_a_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
