/* SPDX-License-Identifier: MIT */
/*
 * pipe.h: pipes whose ends are sockets: messages and open files, in one process and
 * between processes, however these are started.
 */
#include <errno.h>
#include <stdio.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <mproc/testing.h>

#include "pipe.h"

static void
open_sockets(mproc_conn **a, mproc_conn **b)
{
	assert_int_equal(mproc_pipe(a, b, MPROC_OPTS(mproc_pipe_opts,
						     .sockets = true)), 0);
}

static struct board *
new_socket_board(struct mpt *t)
{
	struct board *b = mpt_scratch(t);

	*b = (struct board){ 0 };
	assert_true(mproc_arena_recover(NULL) >= 0);
	b->before = stat_now();
	open_sockets(&b->a, &b->b);
	return b;
}

/* What is written into @fd comes out at @out, and then the end of file. */
static void
expect_last(int fd, int out)
{
	char c[2] = "";

	assert_true(fd > 2);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
	assert_int_equal(read(out, c, 2), 1);
	assert_int_equal(read(out, c, 2), 0);
	close(out);
}

static void
messages_and_files_go_both_ways(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_socket_board(t);
	mproc_conn *ends[2] = { b->a, b->b };
	char abc[] = "abc";
	struct iovec parts[2] = { { abc, 1 }, { abc + 1, 2 } };
	char buf[8];
	size_t len = 0;
	int fds[2];

	assert_true(mproc_is_shared(b->a));
	for (int i = 0; i < 2; i++) {
		mproc_conn *from = ends[i], *to = ends[!i];

		assert_int_equal(recv_now(to), -EAGAIN);
		assert_int_equal(mproc_conn_poll(to, MPROC_NOWAIT), -EAGAIN);
		send_number(t, from, i);
		assert_int_equal(mproc_conn_poll(to, MPROC_NOWAIT), 0);
		recv_number(t, to, i);
		assert_int_equal(mproc_conn_sendv(from, parts, 2, MPROC_NOWAIT),
				 0);
		assert_int_equal(mproc_conn_recv(to, buf, 2, &len, MPROC_NOWAIT),
				 -EMSGSIZE);
		assert_int_equal(len, 3);
		assert_int_equal(mproc_conn_recv(to, buf, 8, &len, MPROC_NOWAIT),
				 0);
		assert_memory_equal(buf, "abc", 3);
		assert_int_equal(mproc_conn_send(from, NULL, 1, MPROC_NOWAIT),
				 -EINVAL);
		assert_int_equal(mproc_conn_recv(to, NULL, 1, NULL, MPROC_NOWAIT),
				 -EINVAL);
		assert_int_equal(mproc_conn_sendv(from, NULL, 1, MPROC_NOWAIT),
				 -EINVAL);
		assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
		assert_int_equal(mproc_conn_send_fd(from, fds[1], MPROC_NOWAIT),
				 0);
		close(fds[1]);
		assert_true(mproc_conn_fd(to) > 2);
		assert_int_equal(recv_now(to), -ENOMSG);
		expect_last(mproc_conn_recv_fd(to, MPROC_NOWAIT), fds[0]);
	}
	send_number(t, b->a, 5);
	mproc_conn_close(b->a);
	assert_int_equal(recv_now(b->a), -ESTALE);
	assert_int_equal(mproc_conn_send_fd(b->a, 0, MPROC_NOWAIT), -ESTALE);
	assert_int_equal(mproc_conn_fd(b->a), -ESTALE);
	recv_number(t, b->b, 5);
	assert_int_equal(recv_now(b->b), -EPIPE);
	assert_int_equal(mproc_conn_send(b->b, "x", 1, MPROC_NOWAIT), -EPIPE);
	end(t, b);
}

static void
one_way_is_one_way(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);

	*b = (struct board){ .before = stat_now() };
	assert_int_equal(mproc_pipe(&b->a, &b->b, MPROC_OPTS(
		mproc_pipe_opts, .sockets = true, .one_way = true)), 0);
	assert_int_equal(mproc_conn_send(b->a, "x", 1, MPROC_NOWAIT), -EPERM);
	assert_int_equal(mproc_conn_send_fd(b->a, 0, MPROC_NOWAIT), -EPERM);
	assert_int_equal(recv_now(b->b), -EPERM);
	assert_int_equal(mproc_conn_poll(b->b, MPROC_NOWAIT), -EPERM);
	assert_int_equal(mproc_conn_fd(b->b), -EPERM);
	assert_int_equal(mproc_conn_recv_fd(b->b, MPROC_NOWAIT), -EPERM);
	send_number(t, b->b, 1);
	recv_number(t, b->a, 1);
	end(t, b);
}

/* A header is used again, for pipes of both kinds. */
static void
kinds_do_not_mix(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_socket_board(t);
	mproc_conn *a = b->a;

	for (int i = 0; i < 6; i++) {
		mproc_conn_close(b->a);
		mproc_conn_close(b->b);
		assert_int_equal(recv_now(a), -ESTALE);
		if (i & 1)
			open_sockets(&b->a, &b->b);
		else
			assert_int_equal(mproc_pipe(&b->a, &b->b, NULL), 0);
		assert_ptr_equal(a, b->a);
		assert_int_equal(mproc_conn_send_fd(a, 0, MPROC_NOWAIT),
				 i & 1 ? 0 : -ENOTSUP);
		if (i & 1)
			close(mproc_conn_recv_fd(b->b, MPROC_NOWAIT));
		send_number(t, b->b, i);
		recv_number(t, a, i);
	}
	end(t, b);
}

/* Sends back what it gets, be it a message or a file, until the end. */
static int
echo(void *arg)
{
	struct mpt *t = arg;
	struct board *b = mpt_scratch(t);
	char bytes[256];
	size_t len;
	int r, fd;

	for (;;) {
		r = mproc_conn_recv(b->b, bytes, sizeof(bytes), &len,
				    mproc_sec(10));
		if (r == -ENOMSG) {
			fd = mproc_conn_recv_fd(b->b, mproc_sec(10));
			mpt_check(t, fd > 2);
			mpt_check_int(t, mproc_conn_send_fd(b->b, fd,
							    mproc_sec(10)), 0);
			close(fd);
			continue;
		}
		if (r < 0)
			break;
		mpt_check_int(t, mproc_conn_send(b->b, bytes, len,
						 mproc_sec(10)), 0);
	}
	mpt_check_int(t, r, -EPIPE);
	return 3;
}

static void
exchange(struct mpt *t, const struct board *b)
{
	int fds[2];

	for (int i = 0; i < 5; i++) {
		send_number(t, b->a, i);
		assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
		assert_int_equal(mproc_conn_send_fd(b->a, fds[1],
						    mproc_sec(10)), 0);
		close(fds[1]);
		recv_number(t, b->a, i);
		expect_last(mproc_conn_recv_fd(b->a, mproc_sec(10)), fds[0]);
	}
}

static void
a_child_echoes(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_socket_board(t);
	mproc_process *p = start_with(t, echo, &b->b, 1);

	exchange(t, b);
	/* It was given away. */
	assert_int_equal(mproc_conn_send(b->b, "x", 1, MPROC_NOWAIT), -ESTALE);
	assert_int_equal(mproc_conn_recv_fd(b->b, MPROC_NOWAIT), -ESTALE);
	mproc_conn_close(b->a);
	assert_int_equal(end_of(p), 3);
	mproc_process_close(p);
	end(t, b);
}

/* The end is its argument, and there are descriptors that stay, and one that is closed
 * with all others. */
static int
use_the_argument(void *arg)
{
	mproc_conn *c = arg;
	int number, kept, other;
	size_t len;

	if (mproc_conn_recv(c, &number, sizeof(number), &len, mproc_sec(10)) < 0 ||
	    mproc_conn_recv(c, &kept, sizeof(kept), &len, mproc_sec(10)) < 0 ||
	    mproc_conn_recv(c, &other, sizeof(other), &len, mproc_sec(10)) < 0)
		return 1;
	if (fcntl(kept, F_GETFD) < 0)
		return 2;
	if (other != mproc_conn_fd(c) && fcntl(other, F_GETFD) >= 0)
		return 3;
	return fcntl(mproc_conn_fd(c), F_GETFD) == FD_CLOEXEC ? number : 4;
}

static void
it_stays_open_with_those_that_are_kept(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_socket_board(t);
	mproc_process *p;
	int kept = dup(0), other = fcntl(0, F_DUPFD, 100);

	assert_int_equal(mproc_process_start(
		&p, use_the_argument, b->b,
		MPROC_OPTS(mproc_process_opts, .conns = &b->b, .n_conns = 1,
			   .keep_fds = &kept, .n_keep_fds = 1)), 0);
	send_number(t, b->a, 42);
	send_number(t, b->a, kept);
	send_number(t, b->a, other);
	assert_int_equal(end_of(p), 42);
	assert_int_equal(recv_any(b->a), -EPIPE);
	mproc_process_close(p);
	close(kept);
	close(other);
	end(t, b);
}

static int
wait_in_step(void *arg)
{
	struct mpt *t = arg;
	struct board *b = mpt_scratch(t);

	b->ready++;
	wait_to_be_killed(t);
	return 0;
}

/* Whoever was started before or after, with other ends, with none. */
static void
no_sibling_has_a_copy(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_socket_board(t);
	mproc_process *p[4];

	open_sockets(&b->c, &b->d);
	p[0] = start_with(t, wait_in_step, &b->d, 1);
	p[1] = start_with(t, wait_in_step, NULL, -1);
	p[2] = start_with(t, wait_in_step, &b->b, 1);
	p[3] = start_with(t, wait_in_step, NULL, -1);
	mpt_until(t, b->ready == 4);
	assert_int_equal(recv_now(b->a), -EAGAIN);
	kill_and_close(p[2]);
	assert_int_equal(recv_any(b->a), -EPIPE);
	assert_int_equal(recv_now(b->c), -EAGAIN);
	kill_and_close(p[0]);
	assert_int_equal(recv_any(b->c), -EPIPE);
	kill_and_close(p[1]);
	kill_and_close(p[3]);
	end(t, b);
}

static int
talk(void *arg)
{
	struct mpt *t = arg;
	struct board *b = mpt_scratch(t);
	bool first = b->ready++ == 0;
	mproc_conn *c = first ? b->a : b->b;

	/* It has one of them. */
	if (mproc_conn_poll(c, MPROC_NOWAIT) == -ESTALE)
		c = first ? b->b : b->a;
	for (int i = 0; i < 20; i++) {
		send_number(t, c, i);
		recv_number(t, c, i);
	}
	return 0;
}

static void
two_children_on_two_ends(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_socket_board(t);
	mproc_process *p = start_with(t, talk, &b->a, 1);
	mproc_process *q = start_with(t, talk, &b->b, 1);

	assert_int_equal(end_of(p), 0);
	assert_int_equal(end_of(q), 0);
	mproc_process_close(p);
	mproc_process_close(q);
	end(t, b);
}

static void
a_failed_start_changes_nothing(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_socket_board(t);
	mproc_process *p;

	send_number(t, b->a, 1);
	for (int i = 0; i < 2; i++)
		assert_int_equal(mproc_process_start(
			&p, echo, t,
			MPROC_OPTS(mproc_process_opts, .conns = &b->b,
				   .n_conns = 1, .cwd = "/no/such/place")),
			-ENOENT);
	recv_number(t, b->b, 1);
	p = start_with(t, echo, &b->b, 1);
	exchange(t, b);
	mproc_conn_close(b->a);
	assert_int_equal(end_of(p), 3);
	mproc_process_close(p);
	end(t, b);
}

/* What is half done here cannot be gone on with there. */
static void
in_the_middle_it_is_not_given(void **state)
{
	static char big[4 << 20];
	struct mpt *t = *state;
	struct board *b = new_socket_board(t);
	mproc_process *p;
	int r;

	assert_int_equal(mproc_conn_send(b->b, big, sizeof(big), MPROC_NOWAIT),
			 -EAGAIN);
	assert_int_equal(recv_now(b->a), -EMSGSIZE);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(mproc_process_start(
			&p, echo, t,
			MPROC_OPTS(mproc_process_opts,
				   .conns = i ? &b->a : &b->b, .n_conns = 1)),
			-EBUSY);
		assert_non_null(strstr(mproc_error_detail(), "in part"));
	}
	while ((r = mproc_conn_send(b->b, big, sizeof(big), MPROC_NOWAIT)) ==
	       -EAGAIN)
		assert_int_equal(mproc_conn_recv(b->a, big, sizeof(big), NULL,
						 MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(r, 0);
	assert_int_equal(mproc_conn_recv(b->a, big, sizeof(big), NULL,
					 mproc_sec(10)), 0);
	/* A file that was met. */
	assert_int_equal(mproc_conn_send_fd(b->a, 0, MPROC_NOWAIT), 0);
	assert_int_equal(recv_now(b->b), -ENOMSG);
	assert_int_equal(mproc_process_start(
		&p, echo, t, MPROC_OPTS(mproc_process_opts, .conns = &b->b,
					.n_conns = 1)), -EBUSY);
	close(mproc_conn_recv_fd(b->b, MPROC_NOWAIT));
	p = start_with(t, echo, &b->b, 1);
	exchange(t, b);
	kill_and_close(p);
	assert_int_equal(recv_any(b->a), -EPIPE);
	end(t, b);
}

static int
use_both(void *arg)
{
	struct mpt *t = arg;
	struct board *b = mpt_scratch(t);

	send_number(t, b->a, 7);
	recv_number(t, b->b, 7);
	mproc_conn_close(b->a);
	mpt_check_int(t, recv_now(b->a), -ESTALE);
	send_number(t, b->b, 8);
	return 0;
}

/* As after fork(2): nothing is at its end until all copies are closed. */
static void
a_fork_without_names_copies(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_socket_board(t);
	mproc_process *p = start_forked(use_both, t);

	assert_int_equal(end_of(p), 0);
	mproc_process_close(p);
	recv_number(t, b->a, 8);
	assert_int_equal(recv_now(b->a), -EAGAIN);
	mproc_conn_close(b->b);
	assert_int_equal(recv_now(b->a), -EPIPE);
	end(t, b);
}

static void
who_forks_by_himself_gives_nothing(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_socket_board(t);
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(recv_now(b->a) == -ESTALE && recv_now(b->b) == -ESTALE ?
			      0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	send_number(t, b->a, 1);
	recv_number(t, b->b, 1);
	end(t, b);
}

static int
pass_on(void *arg)
{
	struct mpt *t = arg;
	struct board *b = mpt_scratch(t);
	mproc_process *p = NULL;

	mpt_check_int(t, mproc_process_start(
		&p, echo, t, MPROC_OPTS(mproc_process_opts, .conns = &b->b,
					.n_conns = 1)), 0);
	mpt_check_int(t, recv_now(b->b), -ESTALE);
	mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
	mproc_process_close(p);
	return 0;
}

static void
a_grandchild_is_given_it(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_socket_board(t);
	mproc_process *p = start_with(t, pass_on, &b->b, 1);

	exchange(t, b);
	mproc_conn_close(b->a);
	assert_int_equal(end_of(p), 0);
	mproc_process_close(p);
	end(t, b);
}

static void
without_descriptors_there_is_none(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_socket_board(t);
	mproc_conn *c = NULL, *d = NULL;
	struct rlimit before, none;
	int next = dup(0);

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	for (int i = 0; i < 2; i++) {
		none.rlim_cur = (rlim_t)(next + i);
		if (i == 0)
			close(next);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
		assert_int_equal(mproc_pipe(&c, &d, MPROC_OPTS(
			mproc_pipe_opts, .sockets = true)), -EMFILE);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_null(c);
	end(t, b);
}

/* The nth call of the system's fails, and then nothing has happened. */
static void
what_fails_leaves_nothing(void **state)
{
	static const char *const points[] = { "malloc", "socket", "dup" };
	struct mpt *t = *state;
	struct board *b = new_socket_board(t);
	unsigned fds = mpt_fd_count();
	mproc_conn *c, *d;
	mproc_process *p;
	char spec[32];
	int r;

	for (int i = 0; i < 3; i++) {
		r = -1;
		for (int n = 1; r < 0 && n < 20; n++) {
			snprintf(spec, sizeof(spec), "%s:%d", points[i], n);
			assert_int_equal(mproc_test_fault(spec), 0);
			r = mproc_pipe(&c, &d, MPROC_OPTS(mproc_pipe_opts,
							  .sockets = true));
			assert_int_equal(mproc_test_fault(NULL), 0);
			if (r < 0)
				assert_int_equal(mpt_fd_count(), fds);
		}
		assert_int_equal(r, 0);
		mproc_conn_close(c);
		mproc_conn_close(d);
	}
	r = -1;
	for (int n = 1; r < 0; n++) {
		snprintf(spec, sizeof(spec), "malloc:%d", n);
		assert_int_equal(mproc_test_fault(spec), 0);
		r = mproc_process_start(&p, echo, t, MPROC_OPTS(
			mproc_process_opts, .conns = &b->b, .n_conns = 1));
		assert_int_equal(mproc_test_fault(NULL), 0);
		if (r == 0)
			break;
		assert_int_equal(r, -ENOMEM);
		send_number(t, b->b, n);
		recv_number(t, b->a, n);
	}
	exchange(t, b);
	mproc_conn_close(b->a);
	assert_int_equal(end_of(p), 3);
	mproc_process_close(p);
	/* Headers stay. */
	b->before.blocks = stat_now().blocks;
	end(t, b);
}

/* One end for each, in a table that has fewer places. */
static void
there_may_be_many(void **state)
{
	enum { N = 200 };
	struct mpt *t = *state;
	struct board *b = new_socket_board(t);
	mproc_conn *a[N], *c[N];

	for (int i = 0; i < N; i++)
		open_sockets(&a[i], &c[i]);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < N; i++)
			send_number(t, a[i], i);
		for (int i = 0; i < N; i++)
			recv_number(t, c[i], i);
	}
	for (int i = 0; i < N; i++) {
		mproc_conn_close(a[i]);
		assert_int_equal(recv_now(c[i]), -EPIPE);
		mproc_conn_close(c[i]);
	}
	/* Headers stay. */
	b->before.blocks = stat_now().blocks;
	end(t, b);
}

/* It has it once. */
static void
who_is_given_it_twice_can_use_it(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_socket_board(t);
	mproc_conn *twice[2] = { b->b, b->b };
	mproc_process *p = start_with(t, echo, twice, 2);

	exchange(t, b);
	mproc_conn_close(b->a);
	assert_int_equal(end_of(p), 3);
	mproc_process_close(p);
	end(t, b);
}

static unsigned
count_sockets(void)
{
	struct stat st;
	unsigned n = 0;

	for (int fd = 3; fd < 256; fd++)
		n += fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
	return n;
}

static int
expect_no_sockets(void *arg)
{
	struct mpt *t = arg;

	mpt_check_int(t, count_sockets(), 0);
	return 0;
}

static void *
make_and_close(void *arg)
{
	const _Atomic bool *over = arg;
	mproc_conn *a, *b;

	while (!*over) {
		if (mproc_pipe(&a, &b, MPROC_OPTS(mproc_pipe_opts,
						  .sockets = true)) < 0)
			return arg;
		mproc_conn_close(a);
		mproc_conn_close(b);
	}
	return NULL;
}

/* Whatever another thread is doing as a child is forked: what that does not hold it
 * has no descriptor of, or the other side would wait for its end. */
static void
a_fork_meanwhile_has_no_copy(void **state)
{
	enum { CHILDREN = 40 };
	struct mpt *t = *state;
	struct board *b = new_socket_board(t);
	_Atomic bool over = false;
	mproc_process *p;
	pthread_t thread;
	void *failed;

	mproc_conn_close(b->a);
	mproc_conn_close(b->b);
	assert_int_equal(pthread_create(&thread, NULL, make_and_close, &over), 0);
	for (int i = 0; i < CHILDREN; i++) {
		assert_int_equal(mproc_process_start(
			&p, expect_no_sockets, t,
			MPROC_OPTS(mproc_process_opts, .method = MPROC_FORK,
				   .n_conns = -1)), 0);
		assert_int_equal(end_of(p), 0);
		mproc_process_close(p);
	}
	over = true;
	pthread_join(thread, &failed);
	assert_null(failed);
	end(t, b);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void
lock_mutex(void)
{
	pthread_mutex_lock(&mutex);
}

static void
unlock_mutex(void)
{
	pthread_mutex_unlock(&mutex);
}

static void *
make_and_close_locked(void *arg)
{
	const _Atomic bool *over = arg;
	mproc_conn *a, *b;

	while (!*over) {
		pthread_mutex_lock(&mutex);
		if (mproc_pipe(&a, &b, MPROC_OPTS(mproc_pipe_opts,
						  .sockets = true)) < 0)
			return arg;
		mproc_conn_close(a);
		mproc_conn_close(b);
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

/* A lock that the program takes for each fork, and under which it makes and closes
 * ends. */
static void
a_lock_of_the_program_stops_nobody(void **state)
{
	enum { CHILDREN = 40 };
	struct mpt *t = *state;
	struct board *b = new_socket_board(t);
	_Atomic bool over = false;
	pthread_t thread;
	void *failed;

	assert_int_equal(pthread_atfork(lock_mutex, unlock_mutex, unlock_mutex),
			 0);
	assert_int_equal(pthread_create(&thread, NULL, make_and_close_locked,
					&over), 0);
	for (int i = 0; i < CHILDREN; i++)
		kill_and_close(start_forked(wait_in_step, t));
	over = true;
	pthread_join(thread, &failed);
	assert_null(failed);
	end(t, b);
}

static int
receive_a_file(void *arg)
{
	struct mpt *t = arg;
	struct board *b = mpt_scratch(t);
	int fd = mproc_conn_recv_fd(b->b, MPROC_NOWAIT);

	mpt_check(t, fd > 2);
	mpt_check(t, fcntl(fd, F_GETFD) >= 0);
	return 0;
}

/* One that a call for a message has met is open where the end is. */
static void
a_file_that_was_met_stays_open(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_socket_board(t);
	mproc_process *p;
	int kept = dup(0);

	assert_int_equal(mproc_conn_send_fd(b->a, 0, MPROC_NOWAIT), 0);
	assert_int_equal(recv_now(b->b), -ENOMSG);
	assert_int_equal(mproc_process_start(
		&p, receive_a_file, t,
		MPROC_OPTS(mproc_process_opts, .method = MPROC_FORK,
			   .keep_fds = &kept, .n_keep_fds = 1)), 0);
	assert_int_equal(end_of(p), 0);
	mproc_process_close(p);
	close(mproc_conn_recv_fd(b->b, MPROC_NOWAIT));
	close(kept);
	end(t, b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(messages_and_files_go_both_ways),
		mpt_test(one_way_is_one_way),
		mpt_test(kinds_do_not_mix),
		mpt_test(a_child_echoes),
		mpt_test(it_stays_open_with_those_that_are_kept),
		mpt_test(no_sibling_has_a_copy),
		mpt_test(two_children_on_two_ends),
		mpt_test(a_failed_start_changes_nothing),
		mpt_test(in_the_middle_it_is_not_given),
		mpt_test(a_fork_without_names_copies),
		mpt_test(who_forks_by_himself_gives_nothing),
		mpt_test(a_grandchild_is_given_it),
		mpt_test(without_descriptors_there_is_none),
		mpt_test(what_fails_leaves_nothing),
		mpt_test(there_may_be_many),
		mpt_test(who_is_given_it_twice_can_use_it),
		mpt_test(a_fork_meanwhile_has_no_copy),
		mpt_test(a_file_that_was_met_stays_open),
		/* The last one: what it registers stays. */
		mpt_test(a_lock_of_the_program_stops_nobody),
	};

	return cmocka_run_group_tests(tests, with_pipes, NULL);
}
