/* SPDX-License-Identifier: MIT */
/*
 * wait.h: mproc_wait() for what has descriptors: those of the program, processes,
 * listeners, and connections over sockets.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "listener.h"
#include "process.h"
#include "wait.h"

static int
wait_process(mproc_process *p, mproc_timeout timeout)
{
	return wait_one((struct mproc_waitable)PROCESS(p), timeout);
}

static void
open_pipe(int fds[2])
{
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
}

static void
close_pipe(const int fds[2])
{
	close(fds[0]);
	close(fds[1]);
}

static void
a_descriptor_is_told_as_by_poll(void **state)
{
	int fds[2];

	(void)state;
	open_pipe(fds);
	{
		struct mproc_waitable items[] = {
			READABLE(fds[0]), WRITABLE(fds[1]),
		};

		assert_int_equal(mproc_wait(items, 1, MPROC_NOWAIT), -EAGAIN);
		assert_int_equal(mproc_wait(items, 1, mproc_ms(1)),
				 -ETIMEDOUT);
		assert_int_equal(mproc_wait(items, 2, MPROC_FOREVER), 1);
		assert_int_equal(items[0].ret_events, 0);
		assert_int_equal(items[1].ret_events, POLLOUT);
		assert_int_equal(write(fds[1], "x", 1), 1);
		assert_int_equal(mproc_wait(items, 2, MPROC_FOREVER), 2);
		assert_int_equal(items[0].ret_events, POLLIN);
		close(fds[1]);
		assert_int_equal(mproc_wait(items, 1, MPROC_FOREVER), 1);
		assert_int_equal(items[0].ret_events, POLLIN | POLLHUP);
		assert_int_equal(mproc_wait(items, 2, MPROC_FOREVER), 2);
		assert_int_equal(items[1].ret_events, POLLNVAL);
	}
	close(fds[0]);
}

static void
the_other_end_may_hang_up_while_one_waits(void **state)
{
	struct mpt *t = *state;
	int fds[2];
	mproc_process *p;

	open_pipe(fds);
	p = start_forked(wait_for_ever, t);
	close(fds[1]);
	{
		struct mproc_waitable items[] = {
			{ .kind = MPROC_WAIT_FD, .fd = fds[0] },
		};

		assert_int_equal(mproc_wait(items, 1, mproc_ms(1)),
				 -ETIMEDOUT);
		assert_int_equal(mproc_process_kill(p), 0);
		assert_int_equal(mproc_wait(items, 1, MPROC_FOREVER), 1);
		assert_int_equal(items[0].ret_events, POLLHUP);
	}
	assert_int_equal(end_of(p), -SIGKILL);
	mproc_process_close(p);
	close(fds[0]);
}

static void
many_descriptors_need_memory(void **state)
{
	enum { MANY = 100 };
	struct mproc_waitable items[MANY];
	int fds[2];

	(void)state;
	open_pipe(fds);
	for (int i = 0; i < MANY; i++)
		items[i] = (struct mproc_waitable)READABLE(fds[0]);
	assert_int_equal(mproc_wait(items, MANY, mproc_ms(1)), -ETIMEDOUT);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(mproc_wait(items, MANY, MPROC_FOREVER), MANY);
	close_pipe(fds);
}

static void
a_process_is_ready_at_its_end(void **state)
{
	struct mpt *t = *state;
	mproc_process *p = start(wait_for_ever, t);

	assert_int_equal(wait_process(p, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(wait_process(p, mproc_ms(1)), -ETIMEDOUT);
	assert_int_equal(mproc_process_kill(p), 0);
	assert_int_equal(wait_process(p, MPROC_FOREVER), 1);
	assert_int_equal(mproc_process_join(p, MPROC_NOWAIT), 0);
	assert_int_equal(wait_process(p, MPROC_NOWAIT), 1);
	mproc_process_close(p);
}

/* All that have ended are told at once, and of all their ends are known. */
static void
several_processes(void **state)
{
	enum { N = 12 };
	struct mpt *t = *state;
	struct mproc_waitable items[N];
	mproc_process *p[N];

	for (int i = 0; i < N; i++) {
		p[i] = start(wait_for_ever, t);
		items[i] = (struct mproc_waitable)PROCESS(p[i]);
	}
	assert_int_equal(mproc_wait(items, N, mproc_ms(1)), -ETIMEDOUT);
	for (int i = 0; i < N; i += 2) {
		assert_int_equal(mproc_process_kill(p[i]), 0);
		await_zombie(t, mproc_process_pid(p[i]));
	}
	assert_int_equal(mproc_wait(items, N, MPROC_FOREVER), N / 2);
	for (int i = 0; i < N; i++)
		assert_int_equal(items[i].ret_events,
				 i % 2 == 0 ? POLLIN : 0);
	for (int i = 1; i < N; i += 2)
		assert_int_equal(mproc_process_kill(p[i]), 0);
	for (int left = N / 2; left > 0;) {
		int n = mproc_wait(items, N, MPROC_FOREVER);

		assert_true(n >= N - left);
		left = N - n;
	}
	for (int i = 0; i < N; i++)
		mproc_process_close(p[i]);
}

/* The program has closed the descriptor behind our back, and another file may have
 * its number. */
static void
a_process_whose_descriptor_is_gone(void **state)
{
	struct mpt *t = *state;
	mproc_process *p = start(wait_for_ever, t);
	int fd = mproc_process_fd(p), other = -1;

	for (int round = 0; round < 2 && fd >= 0; round++) {
		if (round == 0)
			close(fd);
		else
			other = dup2(STDERR_FILENO, fd);
		assert_int_equal(wait_process(p, mproc_ms(30)), -ETIMEDOUT);
	}
	assert_int_equal(mproc_process_kill(p), 0);
	assert_int_equal(wait_process(p, MPROC_FOREVER), 1);
	assert_int_equal(mproc_process_join(p, MPROC_NOWAIT), 0);
	mproc_process_close(p);
	(void)other;
}

/* What the child held is given back before one is told of its end. */
static int
hold_a_lock(void *arg)
{
	mproc_lock *l = arg;

	return mproc_lock_acquire(l, MPROC_FOREVER);
}

static void
the_dead_are_recovered_from_at_once(void **state)
{
	mproc_lock *l = NULL;
	mproc_process *p;

	(void)state;
	assert_int_equal(mproc_lock_create(&l), 0);
	p = start(hold_a_lock, l);
	assert_int_equal(wait_process(p, MPROC_FOREVER), 1);
	assert_int_equal(mproc_lock_acquire(l, MPROC_NOWAIT),
			 MPROC_OWNER_DIED);
	assert_int_equal(mproc_lock_consistent(l), 0);
	assert_int_equal(mproc_lock_release(l), 0);
	mproc_lock_destroy(l);
	mproc_process_close(p);
}

static int
use_in_a_child(struct mpt *t, void *arg)
{
	struct mproc_waitable item = PROCESS(arg);

	mpt_check_int(t, mproc_wait(&item, 1, MPROC_FOREVER), -ECHILD);
	return 0;
}

static void
a_handle_of_another_process_is_refused(void **state)
{
	struct mpt *t = *state;
	mproc_process *p = start(wait_for_ever, t);

	mpt_fork(t, "child", use_in_a_child, p);
	mpt_join_all(t);
	kill_and_close(p);
}

static void
listeners_and_connections(void **state)
{
	mproc_conn *client = NULL, *server = NULL;
	mproc_listener *l = NULL;

	(void)state;
	assert_int_equal(mproc_listener_open(&l, "unix:@mpt-wait", NULL), 0);
	{
		struct mproc_waitable item = LISTENER(l);

		assert_int_equal(mproc_wait(&item, 1, mproc_ms(1)),
				 -ETIMEDOUT);
		assert_int_equal(mproc_connect(&client,
					       mproc_listener_address(l), NULL,
					       mproc_sec(10)), 0);
		assert_int_equal(mproc_wait(&item, 1, MPROC_FOREVER), 1);
		assert_int_equal(item.ret_events, POLLIN);
	}
	assert_int_equal(mproc_listener_accept(l, &server, MPROC_NOWAIT), 0);
	assert_int_equal(wait_conn(server, mproc_ms(1)), -ETIMEDOUT);
	assert_int_equal(mproc_conn_send(client, "x", 1, MPROC_NOWAIT), 0);
	assert_int_equal(wait_conn(server, MPROC_FOREVER), 1);
	assert_int_equal(wait_conn(client, MPROC_NOWAIT), -EAGAIN);
	mproc_conn_close(client);
	assert_int_equal(wait_conn(server, MPROC_FOREVER), 1);
	mproc_conn_close(server);
	mproc_listener_close(l);
}

/* A file that a recv has met is not in the socket any more. */
static void
ends_that_are_sockets(void **state)
{
	mproc_conn *a = NULL, *b = NULL;
	char byte;
	int fd;

	(void)state;
	assert_int_equal(mproc_pipe(&a, &b, MPROC_OPTS(mproc_pipe_opts,
						       .sockets = true)), 0);
	assert_int_equal(wait_conn(a, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(wait_conn(a, mproc_ms(1)), -ETIMEDOUT);
	assert_int_equal(mproc_conn_send(b, "x", 1, MPROC_NOWAIT), 0);
	assert_int_equal(wait_conn(a, MPROC_FOREVER), 1);
	assert_int_equal(mproc_conn_recv(a, &byte, 1, NULL, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_conn_send_fd(b, 2, MPROC_NOWAIT), 0);
	assert_int_equal(wait_conn(a, MPROC_FOREVER), 1);
	assert_int_equal(mproc_conn_recv(a, &byte, 1, NULL, MPROC_NOWAIT),
			 -ENOMSG);
	assert_int_equal(wait_conn(a, MPROC_NOWAIT), 1);
	fd = mproc_conn_recv_fd(a, MPROC_NOWAIT);
	assert_true(fd > 2);
	close(fd);
	assert_int_equal(wait_conn(a, MPROC_NOWAIT), -EAGAIN);
	mproc_conn_close(b);
	assert_int_equal(wait_conn(a, MPROC_FOREVER), 1);
	mproc_conn_close(a);
}

static void
the_system_may_not_poll_so_many(void **state)
{
	struct mproc_waitable items[2] = { READABLE(0), READABLE(0) };
	struct rlimit before, none = { 0 };

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(mproc_wait(items, 2, MPROC_FOREVER), -ENOMEM);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

/* Processes are looked at then. */
static void
processes_are_waited_for_without_poll(void **state)
{
	struct mpt *t = *state;
	mproc_process *p = start(wait_for_ever, t);
	struct rlimit before, none = { 0 };

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(wait_process(p, mproc_ms(1)), -ETIMEDOUT);
	assert_int_equal(mproc_process_kill(p), 0);
	assert_int_equal(wait_process(p, MPROC_FOREVER), 1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	mproc_process_close(p);
}

static _Atomic unsigned handled;

static void
handle(int sig)
{
	(void)sig;
	handled++;
}

static _Atomic bool begun;

static void *
wait_for_a_descriptor(void *arg)
{
	struct mproc_waitable item = READABLE(*(int *)arg);

	/* A signal that comes while ThreadSanitizer makes a thread's table of signals,
	 * for the first call that may block, is lost. */
	poll(NULL, 0, 0);
	begun = true;
	return (void *)(intptr_t)mproc_wait(&item, 1, MPROC_FOREVER);
}

/* After the first slice, in which it has no descriptor of its own to be woken
 * by, and within it. */
static void
an_interrupt_ends_the_wait(void **state)
{
	static const int64_t after[] = { 0, 100 };
	pthread_t thread;
	void *r = NULL;
	int fds[2];

	(void)state;
	open_pipe(fds);
	for (int i = 0; i < 2; i++) {
		int64_t until = mproc_now() + after[i] * MS;

		assert_int_equal(pthread_create(&thread, NULL,
						wait_for_a_descriptor,
						&fds[0]), 0);
		assert_int_equal(mproc_wait(NULL, 0, mproc_until(until)),
				 -ETIMEDOUT);
		mproc_interrupt();
		pthread_join(thread, &r);
		assert_int_equal((intptr_t)r, -EINTR);
		assert_int_equal(mproc_wait(NULL, 0, MPROC_FOREVER), -EINTR);
	}
	close_pipe(fds);
}

static void
signal_handlers_do_not_end_it(void **state)
{
	pthread_t thread;
	void *r = NULL;
	int fds[2];

	(void)state;
	handled = 0;
	begun = false;
	signal(SIGUSR2, handle);
	open_pipe(fds);
	/* A thread of the same tick would take the last interrupt for its own. */
	assert_int_equal(mproc_wait(NULL, 0, mproc_ms(30)), -ETIMEDOUT);
	assert_int_equal(pthread_create(&thread, NULL, wait_for_a_descriptor,
					&fds[0]), 0);
	mpt_until((struct mpt *)*state, begun);
	for (unsigned i = 1; i <= 10; i++) {
		assert_int_equal(pthread_kill(thread, SIGUSR2), 0);
		mpt_until((struct mpt *)*state, handled == i);
	}
	assert_int_equal(write(fds[1], "x", 1), 1);
	pthread_join(thread, &r);
	assert_int_equal((intptr_t)r, 1);
	close_pipe(fds);
	signal(SIGUSR2, SIG_DFL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_descriptor_is_told_as_by_poll),
		mpt_test(the_other_end_may_hang_up_while_one_waits),
		mpt_test(many_descriptors_need_memory),
		mpt_test(a_process_is_ready_at_its_end),
		mpt_test(several_processes),
		mpt_test(a_process_whose_descriptor_is_gone),
		mpt_test(the_dead_are_recovered_from_at_once),
		mpt_test(a_handle_of_another_process_is_refused),
		mpt_test(listeners_and_connections),
		mpt_test(ends_that_are_sockets),
		mpt_test(the_system_may_not_poll_so_many),
		mpt_test(processes_are_waited_for_without_poll),
		mpt_test(an_interrupt_ends_the_wait),
		mpt_test(signal_handlers_do_not_end_it),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
