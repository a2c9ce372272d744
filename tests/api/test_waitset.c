/* SPDX-License-Identifier: MIT */
/*
 * wait.h: sets of things to wait for. What is in shared memory is told by a thread,
 * a moment later; so whatever must come is waited for.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "process.h"
#include "wait.h"

#define MANY 200
#define SOON mproc_sec(15)

static mproc_waitset *w;

static void
begin(void)
{
	assert_int_equal(mproc_waitset_create(&w), 0);
	assert_non_null(w);
}

/* The thread that watches goes, too, after a moment. It may not have joined before
 * all was over. */
static void
end(struct mpt *t, const struct mproc_arena_stat *before)
{
	mproc_waitset_close(w);
	mpt_until(t, is_alone() &&
		     stat_now().participants == before->participants);
	expect_stat(before);
}

static void
add(struct mproc_waitable item)
{
	assert_int_equal(mproc_waitset_add(w, &item), 0);
}

static void
drop(struct mproc_waitable item)
{
	assert_int_equal(mproc_waitset_remove(w, &item), 0);
}

#define ADD(...) add((struct mproc_waitable)__VA_ARGS__)
#define DROP(...) drop((struct mproc_waitable)__VA_ARGS__)

/* The only one that is ready. */
static struct mproc_waitable
one(void)
{
	struct mproc_waitable items[4];

	assert_int_equal(mproc_waitset_wait(w, items, 4, SOON), 1);
	assert_int_not_equal(items[0].ret_events, 0);
	return items[0];
}

static void
nothing(void)
{
	struct mproc_waitable item;

	assert_int_equal(mproc_waitset_wait(w, &item, 1, MPROC_NOWAIT),
			 -EAGAIN);
	assert_int_equal(mproc_waitset_wait(w, &item, 1, mproc_ms(1)),
			 -ETIMEDOUT);
}

static bool
is_readable(int fd, int ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, ms) == 1 && pfd.revents == POLLIN;
}

static void
a_queue_is_told_until_it_is_empty(void **state)
{
	struct mproc_arena_stat before = stat_now();
	mproc_queue *q = new_queue(), *idle = new_queue();

	begin();
	ADD(QUEUE(q));
	ADD(QUEUE(idle));
	nothing();
	for (unsigned i = 0; i < amount(50); i++) {
		put_byte(q);
		put_byte(q);
		assert_ptr_equal(one().object, q);
		assert_ptr_equal(one().object, q);
		assert_int_equal(get_byte(q), 0);
		assert_int_equal(one().ret_events, POLLIN);
		assert_int_equal(get_byte(q), 0);
		nothing();
	}
	mproc_queue_destroy(q);
	/* For ever, and so is its successor at this place another one. */
	assert_ptr_equal(one().object, q);
	assert_ptr_equal(one().object, q);
	DROP(QUEUE(q));
	nothing();
	DROP(QUEUE(idle));
	mproc_queue_destroy(idle);
	end(*state, &before);
}

static void
an_event_is_told_while_it_is_set_or_once(void **state)
{
	struct mproc_arena_stat before = stat_now();
	mproc_event own = { 0 }, *shared = NULL, *next = NULL;

	assert_int_equal(mproc_event_create(&shared), 0);
	begin();
	ADD(EVENT(&own));
	ADD(EVENT(shared));
	nothing();
	for (unsigned i = 0; i < amount(50); i++) {
		mproc_event *e = i % 2 ? &own : shared;

		assert_int_equal(mproc_event_set(e), 0);
		assert_ptr_equal(one().object, e);
		assert_ptr_equal(one().object, e);
		assert_int_equal(mproc_event_clear(e), 0);
		nothing();
		assert_int_equal(mproc_event_set(e), 0);
		assert_int_equal(mproc_event_clear(e), 0);
		assert_ptr_equal(one().object, e);
		nothing();
	}
	mproc_event_destroy(shared);
	assert_ptr_equal(one().object, shared);
	assert_ptr_equal(one().object, shared);
	/* Its successor at this place is another one. */
	assert_int_equal(mproc_event_create(&next), 0);
	assert_ptr_equal(next, shared);
	assert_ptr_equal(one().object, shared);
	assert_ptr_equal(one().object, shared);
	DROP(EVENT(shared));
	mproc_event_destroy(next);
	nothing();
	end(*state, &before);
}

static void
an_end_of_a_pipe_is_told_of_messages_and_of_the_end(void **state)
{
	struct mproc_arena_stat before = stat_now();
	mproc_conn *in = NULL, *out = NULL;
	char c;

	assert_int_equal(mproc_pipe(&in, &out, NULL), 0);
	begin();
	ADD(CONN(in));
	nothing();
	assert_int_equal(mproc_conn_send(out, "x", 1, MPROC_NOWAIT), 0);
	assert_ptr_equal(one().object, in);
	assert_int_equal(mproc_conn_recv(in, &c, 1, NULL, MPROC_NOWAIT), 0);
	nothing();
	mproc_conn_close(out);
	assert_ptr_equal(one().object, in);
	assert_int_equal(mproc_conn_recv(in, &c, 1, NULL, MPROC_NOWAIT),
			 -EPIPE);
	DROP(CONN(in));
	mproc_conn_close(in);
	end(*state, &before);
}

static void
descriptors_are_told_as_poll_has_it(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct mproc_waitable items[3], got;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	begin();
	ADD(READABLE(fds[0]));
	nothing();
	ADD(WRITABLE(fds[1]));
	got = one();
	assert_int_equal(got.fd, fds[1]);
	assert_int_equal(got.ret_events, POLLOUT);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(mproc_waitset_wait(w, items, 3, MPROC_NOWAIT), 2);
	DROP(WRITABLE(fds[1]));
	close(fds[1]);
	got = one();
	assert_int_equal(got.fd, fds[0]);
	assert_int_equal(got.ret_events, POLLIN | POLLHUP);
	/* Closed before it is removed: it is not told of any more. */
	close(fds[0]);
	nothing();
	DROP(READABLE(fds[0]));
	end(*state, &before);
}

static void
processes_are_told_at_their_end(void **state)
{
	enum { N = 5 };
	struct mpt *t = *state;
	mproc_process *p[N];

	begin();
	for (int i = 0; i < N; i++) {
		p[i] = start(wait_for_ever, t);
		ADD(PROCESS(p[i]));
	}
	nothing();
	for (int i = 0; i < N; i++) {
		assert_int_equal(mproc_process_kill(p[i]), 0);
		assert_ptr_equal(one().object, p[i]);
		assert_int_equal(mproc_process_join(p[i], MPROC_NOWAIT), 0);
		/* Also when its end is known. */
		assert_ptr_equal(one().object, p[i]);
		DROP(PROCESS(p[i]));
		mproc_process_close(p[i]);
	}
	nothing();
	mproc_waitset_close(w);
}

static void
listeners_and_connections_over_sockets(void **state)
{
	mproc_conn *client = NULL, *server = NULL;
	mproc_listener *l = NULL;
	char c, address[64];

	(void)state;
	snprintf(address, sizeof(address), "unix:@mpt-waitset-%d", getpid());
	assert_int_equal(mproc_listener_open(&l, address, NULL), 0);
	begin();
	ADD(LISTENER(l));
	nothing();
	assert_int_equal(mproc_connect(&client, mproc_listener_address(l), NULL,
				       SOON), 0);
	assert_ptr_equal(one().object, l);
	assert_int_equal(mproc_listener_accept(l, &server, SOON), 0);
	nothing();
	ADD(CONN(server));
	nothing();
	assert_int_equal(mproc_conn_send(client, "x", 1, SOON), 0);
	assert_ptr_equal(one().object, server);
	assert_ptr_equal(one().object, server);
	assert_int_equal(mproc_conn_recv(server, &c, 1, NULL, SOON), 0);
	nothing();
	mproc_conn_close(client);
	assert_ptr_equal(one().object, server);
	DROP(CONN(server));
	DROP(LISTENER(l));
	mproc_conn_close(server);
	mproc_listener_close(l);
	mproc_waitset_close(w);
}

/* Of more than there is room for each is told before any is told again. */
static void
all_get_their_turn(void **state)
{
	enum { N = 30 };
	struct mproc_arena_stat before = stat_now();
	struct mproc_waitable items[7], all[2 * N];
	mproc_queue *q[N];
	int fd[N], told_q[N] = { 0 }, told_fd[N] = { 0 }, n;

	begin();
	for (int i = 0; i < N; i++) {
		q[i] = new_queue();
		fd[i] = eventfd(1, 0);
		ADD(QUEUE(q[i]));
		ADD(READABLE(fd[i]));
		put_byte(q[i]);
	}
	/* Until all have rung. */
	do
		n = mproc_waitset_wait(w, all, 2 * N, SOON);
	while (n >= 1 && n < 2 * N);
	assert_int_equal(n, 2 * N);
	for (int call = 0; call < 8 * N / 7; call++) {
		n = mproc_waitset_wait(w, items, 7, SOON);
		assert_true(n >= 1 && n <= 7);
		for (int k = 0; k < n; k++)
			for (int i = 0; i < N; i++) {
				told_q[i] += items[k].object == q[i];
				told_fd[i] += items[k].kind == MPROC_WAIT_FD &&
					      items[k].fd == fd[i];
			}
	}
	for (int i = 0; i < N; i++) {
		assert_in_range(told_fd[i], 1, 8);
		assert_in_range(told_q[i], 1, 8);
		DROP(QUEUE(q[i]));
		mproc_queue_destroy(q[i]);
		close(fd[i]);
	}
	end(*state, &before);
}

static void
its_descriptor_is_readable_while_something_is_ready(void **state)
{
	struct mproc_arena_stat before = stat_now();
	mproc_queue *q = new_queue();
	int fd, other = eventfd(0, 0);

	begin();
	fd = mproc_waitset_fd(w);
	assert_true(fd > 2);
	ADD(QUEUE(q));
	ADD(READABLE(other));
	assert_false(is_readable(fd, 0));
	for (unsigned i = 0; i < amount(50); i++) {
		put_byte(q);
		assert_true(is_readable(fd, 20000));
		assert_ptr_equal(one().object, q);
		assert_true(is_readable(fd, 0));
		assert_int_equal(get_byte(q), 0);
		nothing();
		assert_false(is_readable(fd, 0));
		assert_int_equal(write(other, &(uint64_t){ 1 }, 8), 8);
		assert_true(is_readable(fd, 0));
		assert_int_equal(one().fd, other);
		assert_int_equal(read(other, &(uint64_t){ 1 }, 8), 8);
		nothing();
	}
	mproc_queue_destroy(q);
	close(other);
	end(*state, &before);
}

static void
what_makes_no_sense_is_refused(void **state)
{
	struct mproc_arena_stat before = stat_now();
	mproc_queue *q = new_queue();
	struct mproc_waitable item = QUEUE(q), none = { .kind = 77 };
	int file = dup(STDERR_FILENO), fd = eventfd(0, 0);

	assert_int_equal(mproc_waitset_create(NULL), -EINVAL);
	assert_int_equal(mproc_waitset_add(NULL, &item), -EINVAL);
	assert_int_equal(mproc_waitset_fd(NULL), -EINVAL);
	begin();
	assert_int_equal(mproc_waitset_add(w, NULL), -EINVAL);
	assert_int_equal(mproc_waitset_add(w, &none), -EINVAL);
	assert_int_equal(mproc_waitset_remove(w, &item), -ENOENT);
	assert_int_equal(mproc_waitset_add(w, &item), 0);
	assert_int_equal(mproc_waitset_add(w, &item), -EEXIST);
	item.events = POLLOUT;
	assert_int_equal(mproc_waitset_add(w, &item), -EINVAL);
	item = (struct mproc_waitable)READABLE(fd);
	assert_int_equal(mproc_waitset_add(w, &item), 0);
	item.events = POLLOUT;
	assert_int_equal(mproc_waitset_add(w, &item), -EEXIST);
	item.fd = -1;
	assert_int_equal(mproc_waitset_add(w, &item), -EINVAL);
	close(file);
	item.fd = file;
	assert_int_equal(mproc_waitset_add(w, &item), -EBADF);
	item = (struct mproc_waitable)QUEUE((void *)&item);
	assert_int_equal(mproc_waitset_add(w, &item), -EFAULT);
	item = (struct mproc_waitable)EVENT(NULL);
	assert_int_equal(mproc_waitset_add(w, &item), -EINVAL);
	assert_int_equal(mproc_waitset_wait(w, &item, 0, MPROC_NOWAIT),
			 -EINVAL);
	assert_int_equal(mproc_waitset_wait(w, NULL, 1, MPROC_NOWAIT),
			 -EINVAL);
	nothing();
	mproc_queue_destroy(q);
	item = (struct mproc_waitable)QUEUE(q);
	DROP(QUEUE(q));
	assert_int_equal(mproc_waitset_add(w, &item), -ESTALE);
	close(fd);
	end(*state, &before);
}

static void
an_interrupt_ends_the_wait(void **state)
{
	struct mproc_waitable item;

	(void)state;
	begin();
	mproc_interrupt();
	assert_int_equal(mproc_waitset_wait(w, &item, 1, MPROC_FOREVER),
			 -EINTR);
	nothing();
	mproc_waitset_close(w);
}

static int
use_it_in_a_child(struct mpt *t, void *arg)
{
	struct mproc_waitable item = QUEUE(arg);

	mpt_check_int(t, mproc_waitset_add(w, &item), -ECHILD);
	mpt_check_int(t, mproc_waitset_remove(w, &item), -ECHILD);
	mpt_check_int(t, mproc_waitset_wait(w, &item, 1, MPROC_NOWAIT),
		      -ECHILD);
	mpt_check_int(t, mproc_waitset_fd(w), -ECHILD);
	mproc_waitset_close(w);
	/* Its own works. */
	mpt_check_int(t, mproc_waitset_create(&w), 0);
	mpt_check_int(t, mproc_waitset_add(w, &item), 0);
	mpt_check_int(t, mproc_queue_put(arg, "x", 1, MPROC_NOWAIT), 0);
	mpt_check_int(t, mproc_waitset_wait(w, &item, 1, SOON), 1);
	mproc_waitset_close(w);
	return 0;
}

static void
a_forked_child_can_only_close_it(void **state)
{
	struct mproc_arena_stat before = stat_now();
	mproc_queue *q = new_queue();
	int fd = eventfd(0, 0);

	begin();
	ADD(QUEUE(q));
	ADD(READABLE(fd));
	nothing();
	mpt_fork(*state, "child", use_it_in_a_child, q);
	mpt_join_all(*state);
	assert_ptr_equal(one().object, q);
	assert_int_equal(get_byte(q), 0);
	assert_int_equal(write(fd, &(uint64_t){ 1 }, 8), 8);
	assert_int_equal(one().fd, fd);
	mproc_queue_destroy(q);
	close(fd);
	mproc_arena_recover(NULL);
	end(*state, &before);
}

/* Come and go, and neither descriptors nor participants get more. */
static void
a_set_is_used_up_by_nothing(void **state)
{
	static mproc_queue *q[MANY];
	struct mproc_arena_stat before = stat_now();
	unsigned fds = mpt_fd_count();

	for (unsigned i = 0; i < MANY; i++)
		q[i] = new_queue();
	begin();
	for (unsigned round = 0; round < amount(20); round++) {
		for (unsigned i = 0; i < MANY; i++)
			ADD(QUEUE(q[i]));
		put_byte(q[round % MANY]);
		assert_ptr_equal(one().object, q[round % MANY]);
		assert_int_equal(get_byte(q[round % MANY]), 0);
		nothing();
		for (unsigned i = 0; i < MANY; i++)
			DROP(QUEUE(q[i]));
	}
	/* The set's own, and the bell's. */
	assert_int_equal(mpt_fd_count(), fds + 2);
	for (unsigned i = 0; i < MANY; i++)
		mproc_queue_destroy(q[i]);
	end(*state, &before);
}

/* What stays once it was made is there before the first test. */
static int
with_headers(void **state)
{
	static mproc_queue *q[MANY];
	mproc_conn *a, *b;
	mproc_event *e;

	(void)state;
	for (unsigned i = 0; i < MANY; i++)
		if (mproc_queue_create(&q[i], NULL) < 0)
			return -1;
	for (unsigned i = 0; i < MANY; i++)
		mproc_queue_destroy(q[i]);
	if (mproc_event_create(&e) < 0 || mproc_pipe(&a, &b, NULL) < 0)
		return -1;
	mproc_event_destroy(e);
	mproc_conn_close(a);
	mproc_conn_close(b);
	return 0;
}

/* As a child does that closes all it has, and then what it knows of. */
static void
a_stranger_under_its_number_is_spared(void **state)
{
	int fd;

	(void)state;
	begin();
	fd = mproc_waitset_fd(w);
	assert_true(fd > 2);
	/* One of the same kind. */
	assert_int_equal(close(fd), 0);
	assert_int_equal(epoll_create1(EPOLL_CLOEXEC), fd);
	mproc_waitset_close(w);
	assert_int_equal(close(fd), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_queue_is_told_until_it_is_empty),
		mpt_test(an_event_is_told_while_it_is_set_or_once),
		mpt_test(an_end_of_a_pipe_is_told_of_messages_and_of_the_end),
		mpt_test(descriptors_are_told_as_poll_has_it),
		mpt_test(processes_are_told_at_their_end),
		mpt_test(listeners_and_connections_over_sockets),
		mpt_test(all_get_their_turn),
		mpt_test(its_descriptor_is_readable_while_something_is_ready),
		mpt_test(what_makes_no_sense_is_refused),
		mpt_test(an_interrupt_ends_the_wait),
		mpt_test(a_forked_child_can_only_close_it),
		mpt_test(a_stranger_under_its_number_is_spared),
		mpt_test(a_set_is_used_up_by_nothing),
	};

	return cmocka_run_group_tests(tests, with_headers, NULL);
}
