/* SPDX-License-Identifier: MIT */
/*
 * process.h: who starts a process is interrupted behind each of its system calls by a
 * signal, whose handler forks and returns in both. For the parent nothing has happened;
 * the copy has started nothing, or a process of its own. Whoever comes to its end first,
 * the entry runs once for each start that has succeeded, and nobody has a child or a
 * descriptor too many. The same for calls around a start.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "common.h"

#define CODE 7
#define SYSCALLS_MAX 2000

struct board {
	_Atomic unsigned runs; /* of the entry */
	_Atomic unsigned own;  /* processes that the copy has started itself */
	_Atomic bool host_is_done;
	_Atomic bool copy_is_done;
};

static struct board *board; /* in the arena */

/* How it is started, and who goes on first. */
static struct job {
	struct mpt *t;
	int method;
	bool outlives;
	bool group; /* of two */
	bool begins; /* a fork server */
	int (*call)(void); /* or NULL: it is started */
	pid_t (*do_fork)(void); /* _Fork(), unless it is to be fork() */
	bool copy_is_last;
} job;

/* In the host. */
static pid_t copy = -1;
static bool armed;

static int
count_run(void *arg)
{
	struct board *b = arg;

	atomic_fetch_add(&b->runs, 1);
	return CODE;
}

static int
count_runs_of_members(int index, void *arg)
{
	(void)index;
	count_run(arg);
	return 0;
}

static int
stay(void *arg)
{
	while (pause() < 0)
		;
	return arg != NULL;
}

/* What was started. */
struct started {
	mproc_process *p;
	mproc_group *g;
};

static int
start(struct started *ret)
{
	const struct mproc_process_opts *o = MPROC_OPTS(
		mproc_process_opts, .method = job.method,
		.outlive_parent = job.outlives, .cwd = "/");

	return job.group ? mproc_group_start(
				   &ret->g, count_runs_of_members, board, 2,
				   MPROC_OPTS(mproc_group_opts, .process = o)) :
			   mproc_process_start(&ret->p, count_run, board, o);
}

/* Returns how many have run; 0: they are another process's. */
static unsigned
finish(struct started s)
{
	int code = 0, r;

	if (job.group)
		r = mproc_group_join(s.g, mproc_sec(10));
	else
		r = mproc_process_join(s.p, mproc_sec(10));
	if (r != -ECHILD)
		mpt_check_int(job.t, r, 0);
	if (r == 0 && !job.group) {
		mpt_check_int(job.t, mproc_process_exitcode(s.p, &code), 0);
		mpt_check_int(job.t, code, CODE);
	}
	mproc_process_close(s.p);
	mproc_group_close(s.g);
	return r < 0 ? 0 : job.group ? 2 : 1;
}

/* One that is never reaped in a copy, as it is not the copy's: the next start looks for
 * it before it has made a handle. */
static pid_t
start_one_that_stays(void)
{
	mproc_process *p = NULL;
	pid_t pid;

	mpt_check_int(job.t, mproc_process_start(&p, stay, NULL, MPROC_OPTS(
		mproc_process_opts, .method = MPROC_FORK)), 0);
	pid = mproc_process_pid(p);
	mproc_process_close(p);
	return pid;
}

static void
fork_here(void)
{
	if (!armed)
		return;
	armed = false;
	copy = job.do_fork();
	if (copy == 0) {
		alarm(10);
		if (job.copy_is_last)
			mpt_until(job.t, board->host_is_done);
	} else if (!job.copy_is_last) {
		mpt_until(job.t, board->copy_is_done ||
					 mpt_task_state(copy) == 'Z');
	}
}

static void
on_signal(int signal)
{
	int saved = errno;

	(void)signal;
	fork_here();
	errno = saved;
}

static void
expect_no_child(void)
{
	mproc_forkserver_stop();
	errno = 0;
	mpt_check_int(job.t, waitpid(-1, NULL, WNOHANG), -1);
	mpt_check_int(job.t, errno, ECHILD);
}

static _Noreturn void
end_copy(struct started s, int r, unsigned fds)
{
	if (r == 0)
		board->own += finish(s);
	else
		mpt_check_int(job.t, r, -ECHILD);
	expect_no_child();
	mpt_check_int(job.t, mpt_fd_count(), fds);
	board->copy_is_done = true;
	_exit(0);
}

static unsigned
fds_of_a_copy(void)
{
	pid_t pid = job.do_fork();
	int status;

	if (pid == 0)
		_exit((int)mpt_fd_count());
	mpt_check_int(job.t, waitpid(pid, &status, 0), pid);
	mpt_check(job.t, WIFEXITED(status));
	return (unsigned)WEXITSTATUS(status);
}

static int
host(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct started s = { 0 };
	int status = 0, r;
	unsigned fds, left, n;
	pid_t staying;

	mpt_check_int(job.t, sigaction(SIGUSR1, &action, NULL), 0);
	/* What is made once is there already. */
	mpt_check_int(job.t, start(&s), 0);
	n = finish(s);
	mpt_check(job.t, n);
	s = (struct started){ 0 };
	staying = start_one_that_stays();
	board->runs = 0;
	if (job.begins)
		mpt_check_int(job.t, mproc_forkserver_stop(), 0);
	fds = mpt_fd_count();
	left = fds_of_a_copy();
	armed = true;
	raise(SIGSTOP);
	r = start(&s);
	/* From here on it is no copy of the kind that is meant. */
	armed = false;
	if (copy == 0)
		end_copy(s, r, left);
	raise(SIGSTOP);
	mpt_check_int(job.t, r, 0);
	mpt_check_int(job.t, finish(s), n);
	board->host_is_done = true;
	if (copy > 0) {
		mpt_check_int(job.t, waitpid(copy, &status, 0), copy);
		mpt_check_int(job.t, status, 0);
	}
	if (job.begins)
		mpt_check_int(job.t, mproc_forkserver_stop(), 0);
	mpt_check_int(job.t, mpt_fd_count(), fds);
	mpt_check_int(job.t, kill(staying, SIGKILL), 0);
	mpt_check_int(job.t, waitpid(staying, NULL, 0), staying);
	expect_no_child();
	mpt_check_int(job.t, board->runs, n + board->own);
	return 0;
}

/* For calls that start nothing, and for pools. */

static mproc_process *present;
static mproc_pool *present_pool;

static int
do_nothing(const void *in, size_t len, struct mproc_result *out)
{
	(void)in;
	(void)len;
	(void)out;
	return 0;
}

static void
have_a_server(void)
{
	struct started s = { 0 };

	mpt_check_int(job.t, start(&s), 0);
	mpt_check_int(job.t, finish(s), 1);
}

static int
begin_server(void)
{
	return mproc_forkserver_start(NULL);
}

static int
stop_server(void)
{
	return mproc_forkserver_stop();
}

static int
stop_process(void)
{
	return mproc_process_stop(present, mproc_sec(10));
}

/* With what is made once for it. */
static int
make_pool(void)
{
	mproc_pool *pool = NULL;
	int r = mproc_pool_create(&pool, MPROC_OPTS(mproc_pool_opts,
						    .workers = 1));

	armed = false;
	if (r == 0) {
		/* A keeper that was there has not been anybody else's. */
		mpt_check_int(job.t, mproc_pool_apply(pool, do_nothing, NULL, 0,
						      NULL, 0, NULL,
						      mproc_sec(10)), 0);
		mproc_pool_free(pool);
	}
	return r;
}

static int
free_pool(void)
{
	mproc_pool_free(present_pool);
	return 0;
}

static int
close_process(void)
{
	pid_t pid = mproc_process_pid(present);
	int r = mproc_process_kill(present);
	struct started s = { 0 };

	mproc_process_close(present);
	present = NULL;
	if (r == 0)
		mpt_until(job.t, mpt_task_state(pid) == 'Z' ||
					 mpt_task_state(pid) == 0);
	/* It is reaped by the next start. */
	if (r == 0)
		r = start(&s);
	armed = false;
	if (r == 0)
		(void)finish(s);
	return r;
}

static void
prepare(void)
{
	if (job.call != begin_server)
		have_a_server();
	/* It takes part in the arena: here a fork in the middle of a join is not meant. */
	mproc_free(mproc_alloc(1));
	if (job.call == free_pool)
		mpt_check_int(job.t, mproc_pool_create(
			&present_pool, MPROC_OPTS(mproc_pool_opts,
						  .workers = 1)), 0);
	if (job.call == stop_process || job.call == close_process)
		mpt_check_int(job.t, mproc_process_start(
			&present, stay, NULL, MPROC_OPTS(
				mproc_process_opts, .method = job.method)), 0);
}

/* The next pool, where the last one was. */
static void
make_next_pool(void)
{
	mproc_pool *last = present_pool;

	mpt_check_int(job.t, mproc_pool_create(
		&present_pool, MPROC_OPTS(mproc_pool_opts, .workers = 1)), 0);
	mpt_check(job.t, present_pool == last);
}

/* Nobody has taken it for the last one. */
static void
expect_pool_to_work(void)
{
	mpt_check_int(job.t, mproc_pool_apply(present_pool, do_nothing, NULL, 0,
					      NULL, 0, NULL, mproc_sec(10)), 0);
	mproc_pool_free(present_pool);
}

static int
host_of_another_call(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	int status = 0, r;

	mpt_check_int(job.t, sigaction(SIGUSR1, &action, NULL), 0);
	prepare();
	armed = true;
	raise(SIGSTOP);
	r = job.call();
	armed = false;
	if (copy == 0) {
		mpt_check(job.t, r == 0 || r == -ECHILD);
		mproc_process_close(present);
		expect_no_child();
		board->copy_is_done = true;
		_exit(0);
	}
	raise(SIGSTOP);
	mpt_check_int(job.t, r, 0);
	mproc_process_close(present);
	/* They go on. */
	have_a_server();
	if (job.call == free_pool && job.copy_is_last)
		make_next_pool();
	board->host_is_done = true;
	if (copy > 0) {
		mpt_check_int(job.t, waitpid(copy, &status, 0), copy);
		mpt_check_int(job.t, status, 0);
	}
	if (job.call == free_pool && job.copy_is_last)
		expect_pool_to_work();
	expect_no_child();
	return 0;
}

/* It runs until it stops, and gets @signal first. Returns the signal that it has stopped
 * by; 0 for a system call; -1 if it has ended, in order. */
static int
go_on(pid_t pid, int request, int signal)
{
	int status;

	mpt_check_int(job.t, ptrace(request, pid, NULL, (void *)(intptr_t)signal),
		      0);
	mpt_check_int(job.t, waitpid(pid, &status, 0), pid);
	if (!WIFSTOPPED(status)) {
		mpt_check_int(job.t, status, 0);
		return -1;
	}
	return WSTOPSIG(status) == (SIGTRAP | 0x80) ? 0 : WSTOPSIG(status);
}

/* To the next SIGSTOP. Other signals are its own. */
static void
come_to_a_mark(pid_t pid)
{
	int sig = 0;

	do
		sig = go_on(pid, PTRACE_CONT, sig);
	while (sig > 0 && sig != SIGSTOP);
	mpt_check_int(job.t, sig, SIGSTOP);
}

/* Whether it stands behind a system call, and one that counts: where the kernel cannot
 * tell a process that it has been forked, getpid(2) is what it asks, and behind that it
 * has its answer. */
static bool
is_behind_a_call(pid_t pid)
{
	static uint64_t entered;
	struct __ptrace_syscall_info info;

	mpt_check(job.t, ptrace(PTRACE_GET_SYSCALL_INFO, pid,
				(void *)sizeof(info), &info) > 0);
	if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
		entered = info.entry.nr;
	return info.op == PTRACE_SYSCALL_INFO_EXIT && entered != SYS_getpid;
}

/* Interrupts it behind its system call @n. Returns false if there are not so many. */
static bool
interrupt_at(pid_t pid, unsigned n)
{
	int sig = 0;

	for (unsigned calls = 0; calls <= n;
	     calls += !sig && is_behind_a_call(pid)) {
		sig = go_on(pid, PTRACE_SYSCALL, sig);
		if (sig == SIGSTOP)
			return false;
		mpt_check(job.t, sig >= 0);
	}
	sig = SIGUSR1;
	do
		sig = go_on(pid, PTRACE_CONT, sig);
	while (sig > 0 && sig != SIGSTOP);
	mpt_check_int(job.t, sig, SIGSTOP);
	return true;
}

static void
let_it_end(pid_t pid)
{
	int sig = 0;

	while ((sig = go_on(pid, PTRACE_CONT, sig)) >= 0)
		;
}

static bool
try_at(unsigned n)
{
	bool reached;
	pid_t pid;

	memset(board, 0, sizeof(*board));
	pid = fork();
	if (pid == 0) {
		mpt_check_int(job.t, ptrace(PTRACE_TRACEME, 0, NULL, NULL), 0);
		raise(SIGSTOP);
		_exit(job.call ? host_of_another_call() : host());
	}
	mpt_check_int(job.t, waitpid(pid, NULL, WUNTRACED), pid);
	mpt_check_int(job.t, ptrace(PTRACE_SETOPTIONS, pid, NULL,
				    PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD),
		      0);
	come_to_a_mark(pid);
	reached = interrupt_at(pid, n);
	let_it_end(pid);
	return reached;
}

static void
try_all(struct mpt *t, struct job which)
{
	/* Quick runs look behind some of the calls only. */
	unsigned n = 0, passes, every = amount(3) == 1 ? 3 : 1;

	job = which;
	job.t = t;
	if (!job.do_fork)
		job.do_fork = _Fork;
	board = mproc_alloc(sizeof(*board));
	assert_non_null(board);
	/* A new image takes long: there each is the last one by turns. */
	passes = job.method == MPROC_FORK || amount(1) > 1 ? 2 : 1;
	for (unsigned pass = 0; pass < passes; pass++)
		for (n = (unsigned)(mpt_seed() % every); n < SYSCALLS_MAX;
		     n += every) {
			mpt_watchdog(t, 30);
			job.copy_is_last = (n + pass) % 2;
			if (!try_at(n))
				break;
		}
	assert_in_range(n, 3, SYSCALLS_MAX - 1);
	mproc_free(board);
}

static void
in_a_start_by_fork(void **state)
{
	try_all(*state, (struct job){ .method = MPROC_FORK });
	try_all(*state, (struct job){ .method = MPROC_FORK, .do_fork = fork });
}

static void
in_a_start_by_fork_of_who_outlives_it(void **state)
{
	try_all(*state, (struct job){ .method = MPROC_FORK, .outlives = true });
}

static void
in_a_start_by_spawn(void **state)
{
	try_all(*state, (struct job){ .method = MPROC_SPAWN });
}

static void
in_a_start_by_spawn_of_who_outlives_it(void **state)
{
	try_all(*state, (struct job){ .method = MPROC_SPAWN, .outlives = true });
}

static void
in_a_start_by_forkserver(void **state)
{
	try_all(*state, (struct job){ .method = MPROC_FORKSERVER });
	try_all(*state, (struct job){ .method = MPROC_FORKSERVER,
				      .do_fork = fork });
}

static void
in_a_start_of_a_group(void **state)
{
	try_all(*state, (struct job){ .method = MPROC_FORK, .group = true });
	try_all(*state, (struct job){ .method = MPROC_FORKSERVER,
				      .group = true });
}

static void
in_another_call(void **state)
{
	int (*const calls[])(void) = { begin_server, stop_server, stop_process,
				       close_process };

	for (int i = 0; i < 4; i++)
		try_all(*state, (struct job){ .method = MPROC_FORKSERVER,
					      .call = calls[i] });
}

static void
in_the_end_of_a_pool(void **state)
{
	try_all(*state, (struct job){ .method = MPROC_FORK, .call = free_pool });
}

static void
in_the_making_of_a_pool(void **state)
{
	try_all(*state, (struct job){ .method = MPROC_FORK, .call = make_pool });
	try_all(*state, (struct job){ .method = MPROC_FORK, .call = make_pool,
				      .do_fork = fork });
}

/* The one that is started forks before it knows that it is; so it is not the host's
 * copy that is meant, but the child's. */
static void
fork_in_child(void)
{
	if (!armed)
		return;
	armed = false;
	copy = _Fork();
	if (copy == 0)
		alarm(10);
	/* Whoever comes to the order first, there is time for the other one. */
	if (copy ? job.copy_is_last : !job.copy_is_last)
		return;
	if (!copy) {
		mpt_until(job.t, board->runs);
		return;
	}
	mpt_until(job.t, mpt_task_state(copy) == 'S' ||
				 mpt_task_state(copy) == 'Z');
	board->copy_is_done = true;
}

/* The host gives no order before that. */
static void
wait_for_copy(void)
{
	if (armed && !job.copy_is_last)
		mpt_until(job.t, board->copy_is_done);
}

static int
host_of_one_that_forks(struct mpt *t, void *outlives)
{
	struct started s = { 0 };

	job = (struct job){ .t = t, .method = MPROC_FORK, .outlives = outlives };
	mpt_check_int(t, prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
	mpt_check_int(t, pthread_atfork(NULL, wait_for_copy, fork_in_child), 0);
	for (int last = 0; last < 2; last++) {
		job.copy_is_last = last;
		board->runs = 0;
		board->copy_is_done = false;
		armed = true;
		mpt_check_int(t, start(&s), 0);
		armed = false;
		mpt_check_int(t, finish(s), 1);
		/* The copy is nobody's child by now, and comes to us. */
		mpt_check(t, waitpid(-1, NULL, 0) > 0);
		mpt_check_int(t, board->runs, 1);
	}
	return 0;
}

static void
in_the_child_before_it_begins(void **state)
{
	struct mpt *t = *state;

	board = mproc_alloc(sizeof(*board));
	assert_non_null(board);
	for (intptr_t outlives = 0; outlives < 2; outlives++)
		mpt_expect_exit(t, mpt_fork(t, "host", host_of_one_that_forks,
					    (void *)outlives), 0);
	mproc_free(board);
}

/* A child of _Fork() would keep what it has of the server. */
static void
in_a_start_that_begins_a_server(void **state)
{
	try_all(*state, (struct job){ .method = MPROC_FORKSERVER,
				      .do_fork = fork, .begins = true });
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(in_a_start_by_fork),
		mpt_test(in_a_start_by_fork_of_who_outlives_it),
		mpt_test(in_a_start_by_spawn),
		mpt_test(in_a_start_by_spawn_of_who_outlives_it),
		mpt_test(in_a_start_by_forkserver),
		mpt_test(in_a_start_that_begins_a_server),
		mpt_test(in_a_start_of_a_group),
		mpt_test(in_another_call),
		mpt_test(in_the_making_of_a_pool),
		mpt_test(in_the_end_of_a_pool),
		mpt_test(in_the_child_before_it_begins),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
