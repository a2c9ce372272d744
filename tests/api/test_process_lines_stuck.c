/* SPDX-License-Identifier: MIT */
/*
 * process.h: output that the starter passes on to streams that take nothing. Not for
 * ThreadSanitizer, which waits for all streams when a process ends.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "lines.h"

/* What is written to @fd from now on gets no further. Returns where it would come out, or
 * -1. */
static int
stuff(int fd)
{
	static const char page[4096];
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0 || fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0 ||
	    fcntl(fds[1], F_SETFL, O_NONBLOCK) < 0)
		return -1;
	while (write(fds[1], page, sizeof(page)) > 0)
		;
	if (fcntl(fds[1], F_SETFL, 0) < 0 || dup2(fds[1], fd) < 0)
		return -1;
	close(fds[1]);
	return fds[0];
}

/* Until another thread prints to it, and will not be done with that if it is stuffed. */
static void
await_use(FILE *stream)
{
	while (ftrylockfile(stream) == 0) {
		funlockfile(stream);
		sched_yield();
	}
}

/* Reads what is there now, and adds to @text what is not of the stuffing. */
static void
unstuff(int fd, char text[64])
{
	size_t len = strlen(text);
	char bytes[4096];
	ssize_t n;

	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		for (ssize_t i = 0; i < n; i++)
			if (bytes[i] && len < 63)
				text[len++] = bytes[i];
	text[len] = '\0';
}

static struct mproc_process_opts
outer(const struct board *b)
{
	return (struct mproc_process_opts){
		.struct_size = sizeof(struct mproc_process_opts),
		.method = b->method,
		.name = "outer",
	};
}

static int
say_it_to_stdout(void *arg)
{
	(void)arg;
	return write(1, "x\n", 2) != 2;
}

static int
say_it_to_stderr(void *arg)
{
	(void)arg;
	return write(2, "x\n", 2) != 2;
}

static int
say_it_to_the_stuck(void *arg)
{
	const struct board *b = arg;

	return write(b->stuck, "x\n", 2) != 2;
}

static int
say_it_to_the_other_when_told(void *arg)
{
	const struct board *b = arg;

	while (!b->go)
		sched_yield();
	return write(3 - b->stuck, "x\n", 2) != 2;
}

static int
exit_beside_a_stuck_thread(void *arg)
{
	struct board *b = arg;
	struct mproc_process_opts o = lines(b, "inner");
	mproc_process *p[3];

	o.daemon = b->daemon;
	/* Our thread is stuck with the lines of one of two; and then the other one ends,
	 * whose lines could be passed on. */
	b->go = false;
	if (stuff(b->stuck) < 0 ||
	    mproc_process_start(&p[0], say_it_to_the_other_when_told, b, &o) < 0)
		return 1;
	for (int i = 1; i < 3; i++)
		if (mproc_process_start(&p[i], say_it_to_the_stuck, b, &o) < 0)
			return 1;
	await_use(b->stuck == 1 ? stdout : stderr);
	b->go = true;
	while (mproc_children(NULL, 0) > 0)
		sched_yield();
	mproc_set_exit_limit(mproc_ms(10));
	return 0;
}

static int
see_limits_kept(struct mpt *t, struct board *b, int stuck)
{
	struct mproc_process_opts o = outer(b);
	int fd = redirect(t);

	b->stuck = stuck;
	for (int daemon = 0; daemon < 2; daemon++) {
		b->daemon = daemon;
		start_and_join(t, exit_beside_a_stuck_thread, b, &o, 0);
	}
	must_be(t, fd, "[inner] x\n[inner] x\n");
	mproc_forkserver_stop();
	return 0;
}

static int
see_limits_kept_with_stdout(struct mpt *t, void *arg)
{
	return see_limits_kept(t, arg, 1);
}

static int
see_limits_kept_with_stderr(struct mpt *t, void *arg)
{
	return see_limits_kept(t, arg, 2);
}

static void
lines_that_do_not_get_on_do_not_keep_an_end_for_ever(void **state)
{
	by_each(*state, see_limits_kept_with_stdout);
}

static void
nor_do_those_of_stderr(void **state)
{
	by_each(*state, see_limits_kept_with_stderr);
}

static int
log_beside_a_stuck_thread(void *arg)
{
	struct board *b = arg;
	struct mproc_process_opts o = lines(b, "inner");
	mproc_process *p;

	mproc_log_set(MPROC_LOG_ERROR, NULL, NULL);
	/* Stderr itself is free if our thread prints to stdout, but leads to the same. */
	if (stuff(b->stuck) < 0 || dup2(b->stuck, 2) < 0 ||
	    mproc_process_start(&p, say_it_to_the_stuck, b, &o) < 0)
		return 1;
	await_use(b->stuck == 1 ? stdout : stderr);
	mproc_arena_close((mproc_arena *)&o);
	_exit(0);
}

static int
see_it_go_on(struct mpt *t, void *arg)
{
	struct board *b = arg;
	struct mproc_process_opts o = outer(b);

	for (b->stuck = 1; b->stuck <= 2; b->stuck++)
		start_and_join(t, log_beside_a_stuck_thread, b, &o, 0);
	mproc_forkserver_stop();
	return 0;
}

static void
what_is_logged_does_not_wait_for_it(void **state)
{
	by_each(*state, see_it_go_on);
}

static int
log_it(void *arg)
{
	(void)arg;
	mproc_arena_close((mproc_arena *)&arg);
	return 0;
}

static int
have_a_copy_log(void *arg)
{
	struct mproc_process_opts o = lines(arg, "inner");
	char text[64] = "";
	mproc_process *p;
	int end, r;

	mproc_log_set(MPROC_LOG_ERROR, NULL, NULL);
	if (mproc_process_start(&p, say_it_to_stdout, arg, &o) < 0 ||
	    mproc_process_join(p, MPROC_FOREVER) < 0)
		return 1;
	end = stuff(2);
	o = (struct mproc_process_opts){ .struct_size = sizeof(o) };
	if (end < 0 || mproc_process_start(&p, log_it, NULL, &o) < 0)
		return 1;
	/* It was forked by one that passes output on, and does not do so itself. */
	if (mproc_process_join(p, mproc_ms(500)) != -ETIMEDOUT)
		return 2;
	do
		unstuff(end, text);
	while ((r = mproc_process_join(p, mproc_ms(10))) == -ETIMEDOUT);
	unstuff(end, text);
	if (r < 0)
		return 3;
	return strncmp(text, "libmproc: error: ", 17) == 0 ? 0 : 4;
}

static int
see_copies_wait(struct mpt *t, void *arg)
{
	struct mproc_process_opts o = outer(arg);

	o.stdout_ = (struct mproc_stdio){ MPROC_STDIO_NULL, 0 };
	start_and_join(t, have_a_copy_log, arg, &o, 0);
	mproc_forkserver_stop();
	return 0;
}

static void
what_a_copy_logs_waits_for_it(void **state)
{
	by_each(*state, see_copies_wait);
}

/* Starts one whose lines nobody passes on but who joins it: our thread is stuck with
 * those of another one. Returns 0, or a negative number. */
static int
start_stuck(mproc_process **ret_p, struct board *b, int ret_ends[2])
{
	struct mproc_process_opts o = lines(b, "inner");
	mproc_process *other;

	ret_ends[0] = stuff(1);
	ret_ends[1] = stuff(2);
	if (ret_ends[0] < 0 || ret_ends[1] < 0)
		return -1;
	if (mproc_process_start(&other, say_it_to_stdout, b, &o) < 0)
		return -1;
	await_use(stdout);
	o.stdout_ = (struct mproc_stdio){ MPROC_STDIO_NULL, 0 };
	return mproc_process_start(ret_p, say_it_to_stderr, b, &o);
}

static void
exit_with_5(int sig)
{
	(void)sig;
	exit(5);
}

static void *
interrupt_the_print(void *thread)
{
	await_use(stderr);
	pthread_kill(*(pthread_t *)thread, SIGUSR1);
	return NULL;
}

static int
exit_in_a_handler(void *arg)
{
	pthread_t self = pthread_self(), other;
	mproc_process *p;
	int ends[2];

	signal(SIGUSR1, exit_with_5);
	if (start_stuck(&p, arg, ends) < 0 ||
	    pthread_create(&other, NULL, interrupt_the_print, &self) != 0)
		return 1;
	mproc_process_join(p, MPROC_FOREVER);
	return 1;
}

static int
see_it_exit(struct mpt *t, void *arg)
{
	struct mproc_process_opts o = outer(arg);

	start_and_join(t, exit_in_a_handler, arg, &o, 5);
	mproc_forkserver_stop();
	return 0;
}

static void
a_handler_may_exit_while_its_thread_prints(void **state)
{
	by_each(*state, see_it_exit);
}

static int
leave_somebody_behind(void *arg)
{
	struct board *b = arg;

	if (fork() == 0) {
		while (!b->go)
			sched_yield();
		if (write(2, "x\n", 2) == 2)
			b->ready = 1;
		_exit(0);
	}
	return 0;
}

static int
exit_in_a_handler_while_it_closes(void *arg)
{
	pthread_t self = pthread_self(), other;
	struct board *b = arg;
	struct mproc_process_opts o = lines(b, "inner");
	mproc_process *p, *busy;

	b->go = false;
	b->ready = 0;
	signal(SIGUSR1, exit_with_5);
	o.stdout_ = (struct mproc_stdio){ MPROC_STDIO_NULL, 0 };
	if (mproc_process_start(&p, leave_somebody_behind, b, &o) < 0 ||
	    mproc_process_join(p, MPROC_FOREVER) < 0)
		return 1;
	/* Our thread is stuck with stdout, so that a close finds what the heir says. */
	o = lines(b, "busy");
	if (stuff(1) < 0 || stuff(2) < 0 ||
	    mproc_process_start(&busy, say_it_to_stdout, b, &o) < 0)
		return 1;
	await_use(stdout);
	b->go = true;
	while (!b->ready)
		sched_yield();
	if (pthread_create(&other, NULL, interrupt_the_print, &self) != 0)
		return 1;
	mproc_process_close(p);
	return 1;
}

static int
see_it_exit_from_a_close(struct mpt *t, void *arg)
{
	struct mproc_process_opts o = outer(arg);

	start_and_join(t, exit_in_a_handler_while_it_closes, arg, &o, 5);
	mproc_forkserver_stop();
	return 0;
}

static void
a_handler_may_exit_while_a_close_prints(void **state)
{
	by_each(*state, see_it_exit_from_a_close);
}

static _Atomic pid_t copy;
static bool is_copy;

static void
fork_and_return(int sig)
{
	pid_t pid = fork();

	(void)sig;
	is_copy = pid == 0;
	if (pid != 0)
		copy = pid;
}

struct joiner {
	pthread_t thread;
	pid_t tid;
	_Atomic pid_t pid; /* of the process that it joins */
	bool locked_out; /* it waits for us, or for our thread */
	int end; /* where the stuffed stream comes out */
	int status; /* of its copy */
	char text[64]; /* what came out, while it had a copy */
};

static void *
have_it_forked(void *arg)
{
	struct joiner *j = arg;
	char text[64] = "";

	if (j->locked_out)
		flockfile(stdout);
	while (!j->pid)
		sched_yield();
	/* From then on it goes to where it has to wait. */
	while (kill(j->pid, 0) == 0)
		sched_yield();
	while (mpt_task_state(j->tid) != 'S')
		sched_yield();
	pthread_kill(j->thread, SIGUSR1);
	while (!copy)
		sched_yield();
	waitpid(copy, &j->status, 0);
	/* And from here on it gets on, with what the copy has left alone. */
	if (j->locked_out)
		funlockfile(stdout);
	while (strcmp(text, "[inner] x\n") != 0)
		unstuff(j->end, text);
	return NULL;
}

static int
fork_in_a_handler(struct board *b, bool locked_out)
{
	struct mproc_process_opts o = lines(b, "inner");
	struct joiner j = {
		.thread = pthread_self(),
		.tid = gettid(),
		.locked_out = locked_out,
		.status = -1,
	};
	mproc_process *p, *other;
	pthread_t thread;
	int r;

	signal(SIGUSR1, fork_and_return);
	j.end = stuff(1);
	if (j.end < 0 || stuff(2) < 0)
		return 1;
	/* Our thread is stuck with stderr then. */
	if (locked_out) {
		if (mproc_process_start(&other, say_it_to_stderr, b, &o) < 0)
			return 1;
		await_use(stderr);
	}
	o.stderr_ = (struct mproc_stdio){ MPROC_STDIO_NULL, 0 };
	if (pthread_create(&thread, NULL, have_it_forked, &j) != 0 ||
	    mproc_process_start(&p, say_it_to_stdout, b, &o) < 0)
		return 1;
	await_use(stdout);
	j.pid = mproc_process_pid(p);
	r = mproc_process_join(p, MPROC_FOREVER);
	if (is_copy)
		_exit(7);
	pthread_join(thread, NULL);
	if (r < 0 || copy < 0)
		_exit(2);
	_exit(WIFEXITED(j.status) && WEXITSTATUS(j.status) == 7 ? 0 : 3);
}

static int
fork_while_our_thread_prints(void *arg)
{
	return fork_in_a_handler(arg, false);
}

static int
fork_while_the_stream_is_locked(void *arg)
{
	return fork_in_a_handler(arg, true);
}

static void *
have_the_print_forked(void *arg)
{
	struct joiner *j = arg;

	await_use(stderr);
	while (mpt_task_state(j->tid) != 'S')
		sched_yield();
	pthread_kill(j->thread, SIGUSR1);
	while (!copy)
		sched_yield();
	/* Both are in the middle of it now, or have left it to us. */
	while (kill(copy, 0) == 0 && mpt_task_state(copy) == 'R')
		sched_yield();
	while (waitpid(copy, &j->status, WNOHANG) == 0)
		unstuff(j->end, j->text);
	while (strlen(j->text) < strlen("[inner] x\n"))
		unstuff(j->end, j->text);
	return NULL;
}

static int
fork_while_it_prints(void *arg)
{
	struct joiner j = {
		.thread = pthread_self(),
		.tid = gettid(),
		.status = -1,
	};
	mproc_process *p;
	pthread_t thread;
	int ends[2], r;

	signal(SIGUSR1, fork_and_return);
	if (start_stuck(&p, arg, ends) < 0)
		return 1;
	j.end = ends[1];
	if (pthread_create(&thread, NULL, have_the_print_forked, &j) != 0)
		return 1;
	r = mproc_process_join(p, MPROC_FOREVER);
	if (is_copy)
		_exit(7);
	pthread_join(thread, NULL);
	unstuff(j.end, j.text);
	if (r < 0 || copy < 0)
		_exit(2);
	if (!WIFEXITED(j.status) || WEXITSTATUS(j.status) != 7)
		_exit(3);
	_exit(strcmp(j.text, "[inner] x\n") == 0 ? 0 : 4);
}

static int
see_copies_leave_it(struct mpt *t, void *arg)
{
	struct mproc_process_opts o = outer(arg);

	start_and_join(t, fork_while_our_thread_prints, arg, &o, 0);
	start_and_join(t, fork_while_the_stream_is_locked, arg, &o, 0);
	start_and_join(t, fork_while_it_prints, arg, &o, 0);
	mproc_forkserver_stop();
	return 0;
}

static void
a_handler_may_fork_while_its_thread_waits_for_lines(void **state)
{
	by_each(*state, see_copies_leave_it);
}

static void *
join_it(void *p)
{
	mproc_process_join(p, MPROC_FOREVER);
	return NULL;
}

static int
cancel_a_join(void *arg)
{
	char text[64] = "", others[64] = "";
	pthread_t thread;
	mproc_process *p;
	int ends[2];

	if (start_stuck(&p, arg, ends) < 0 ||
	    pthread_create(&thread, NULL, join_it, p) != 0)
		return 1;
	await_use(stderr);
	pthread_cancel(thread);
	/* From here on it gets on. */
	do
		unstuff(ends[1], text);
	while (pthread_tryjoin_np(thread, NULL) != 0);
	unstuff(ends[1], text);
	if (mproc_process_join(p, MPROC_FOREVER) < 0)
		return 2;
	unstuff(ends[0], others);
	return strcmp(text, "[inner] x\n") == 0 ? 0 : 3;
}

static int
see_others_join(struct mpt *t, void *arg)
{
	struct mproc_process_opts o = outer(arg);

	start_and_join(t, cancel_a_join, arg, &o, 0);
	mproc_forkserver_stop();
	return 0;
}

static void
who_is_cancelled_while_it_prints_keeps_nothing(void **state)
{
	by_each(*state, see_others_join);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(lines_that_do_not_get_on_do_not_keep_an_end_for_ever),
		mpt_test(nor_do_those_of_stderr),
		mpt_test(what_is_logged_does_not_wait_for_it),
		mpt_test(what_a_copy_logs_waits_for_it),
		mpt_test(a_handler_may_exit_while_its_thread_prints),
		mpt_test(a_handler_may_exit_while_a_close_prints),
		mpt_test(a_handler_may_fork_while_its_thread_waits_for_lines),
		mpt_test(who_is_cancelled_while_it_prints_keeps_nothing),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
