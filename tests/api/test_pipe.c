/* SPDX-License-Identifier: MIT */
/*
 * pipe.h: messages through the ends of a pipe.
 */
#include <poll.h>

#include "pipe.h"

#include "mpt_times.h"

static void
they_carry_both_ways(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);

	send_number(t, b->a, 1);
	send_number(t, b->a, 2);
	send_number(t, b->b, 3);
	recv_number(t, b->b, 1);
	recv_number(t, b->b, 2);
	recv_number(t, b->a, 3);
	assert_int_equal(recv_now(b->a), -EAGAIN);
	assert_int_equal(recv_now(b->b), -EAGAIN);
	end(t, b);
}

static void
one_way_is_one_way(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	char c = 'x';
	struct iovec part = { &c, 1 };

	assert_int_equal(mproc_pipe(&b->c, &b->d, MPROC_OPTS(
		mproc_pipe_opts, .one_way = true)), 0);
	send_number(t, b->d, 7);
	recv_number(t, b->c, 7);
	assert_int_equal(mproc_conn_send(b->c, "x", 1, MPROC_NOWAIT), -EPERM);
	assert_int_equal(mproc_conn_sendv(b->c, &part, 1, MPROC_NOWAIT), -EPERM);
	assert_int_equal(mproc_conn_recv(b->d, &c, 1, NULL, MPROC_NOWAIT),
			 -EPERM);
	assert_int_equal(mproc_conn_poll(b->d, MPROC_NOWAIT), -EPERM);
	assert_int_equal(mproc_conn_fd(b->d), -EPERM);
	end(t, b);
}

/* Messages are whole: none is merged with another one or divided. */
static void
any_length(void **state)
{
	struct mpt *t = *state;
	static const size_t lens[] = { 0, 1, 100, 4096, 4097, 65536, 300000 };
	enum { N = sizeof(lens) / sizeof(lens[0]), LONGEST = 300000 };
	unsigned char *out = malloc(LONGEST), *in = malloc(LONGEST);
	struct board *b = new_board(t);
	struct iovec parts[3];
	size_t len;

	for (size_t i = 0; i < LONGEST; i++)
		out[i] = (unsigned char)(i * 7);
	for (int i = 0; i < N; i++) {
		assert_int_equal(mproc_conn_send(b->a, out, lens[i],
						 MPROC_NOWAIT), 0);
		parts[0] = (struct iovec){ out, lens[i] / 3 };
		parts[1] = (struct iovec){ NULL, 0 };
		parts[2] = (struct iovec){ out + lens[i] / 3,
					   lens[i] - lens[i] / 3 };
		assert_int_equal(mproc_conn_sendv(b->b, parts, 3, MPROC_NOWAIT),
				 0);
		for (int side = 0; side < 2; side++) {
			memset(in, 0, lens[i]);
			len = 1;
			assert_int_equal(mproc_conn_recv(
				side ? b->a : b->b, in, LONGEST, &len,
				MPROC_NOWAIT), 0);
			assert_int_equal(len, lens[i]);
			assert_memory_equal(in, out, len);
		}
	}
	assert_int_equal(mproc_conn_send(b->a, NULL, 0, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_conn_recv(b->b, NULL, 0, &len, MPROC_NOWAIT), 0);
	assert_int_equal(len, 0);
	end(t, b);
	free(out);
	free(in);
}

static void
too_small_a_buffer_loses_nothing(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	static char text[20000];
	size_t len = 0;

	for (int i = 0; i < 2; i++) {
		size_t sent = i ? sizeof(text) : 100;

		assert_int_equal(mproc_conn_send(b->a, text, sent,
						 MPROC_NOWAIT), 0);
		for (int tries = 0; tries < 2; tries++) {
			len = 0;
			assert_int_equal(mproc_conn_recv(b->b, text, 99, &len,
							 MPROC_NOWAIT),
					 -EMSGSIZE);
			assert_int_equal(len, sent);
		}
		assert_int_equal(mproc_conn_recv(b->b, text, sent, &len,
						 MPROC_NOWAIT), 0);
	}
	end(t, b);
}

/* poll takes nothing, whatever there is. */
static void
poll_only_looks(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	static char text[20000];
	size_t lens[] = { 0, 5, 5000, sizeof(text) }, len;
	int64_t began = mproc_now();

	assert_int_equal(mproc_conn_poll(b->a, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(mproc_conn_poll(b->a, mproc_ms(50)), -ETIMEDOUT);
	assert_true(mproc_now() - began >= 50 * MS);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(mproc_conn_send(b->b, text, lens[i],
						 MPROC_NOWAIT), 0);
		for (int tries = 0; tries < 3; tries++)
			assert_int_equal(mproc_conn_poll(b->a, MPROC_FOREVER),
					 0);
		assert_int_equal(mproc_conn_recv(b->a, text, sizeof(text), &len,
						 MPROC_NOWAIT), 0);
		assert_int_equal(len, lens[i]);
		assert_int_equal(mproc_conn_poll(b->a, MPROC_NOWAIT), -EAGAIN);
	}
	end(t, b);
}

/* Padding at the end of a lane is no message. */
static void
poll_sees_messages_only(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	static char text[4096];
	unsigned sent = 0, got = 0;

	for (int round = 0; round < 40; round++) {
		while (mproc_conn_send(b->a, text, 3000, MPROC_NOWAIT) == 0)
			sent++;
		while (mproc_conn_poll(b->b, MPROC_NOWAIT) == 0) {
			assert_int_equal(mproc_conn_recv(
				b->b, text, sizeof(text), NULL, MPROC_NOWAIT),
				0);
			got++;
		}
		assert_int_equal(got, sent);
	}
	end(t, b);
}

static void
full_is_full(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	static char text[1000];
	int64_t began;
	int r;

	do
		r = mproc_conn_send(b->a, text, sizeof(text), MPROC_NOWAIT);
	while (r == 0);
	assert_int_equal(r, -EAGAIN);
	began = mproc_now();
	assert_int_equal(mproc_conn_send(b->a, text, sizeof(text),
					 mproc_ms(50)), -ETIMEDOUT);
	assert_true(mproc_now() - began >= 50 * MS);
	end(t, b);
}

static void *
receive(void *arg)
{
	struct mpt *t = arg;
	struct board *b = mpt_scratch(t);

	b->tid = gettid();
	b->answer = recv_any(b->b);
	return NULL;
}

/* Nobody else has ever held an end: threads of one process wait for each other. */
static void
threads_use_both_ends(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	pthread_t thread;

	b->answer = 1;
	assert_int_equal(pthread_create(&thread, NULL, receive, t), 0);
	mpt_until(t, b->tid && mpt_task_state(b->tid) == 'S');
	assert_int_equal(b->answer, 1);
	send_number(t, b->a, 1);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(b->answer, 0);
	end(t, b);
}

static void
closed_is_closed(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);

	send_number(t, b->a, 1);
	send_number(t, b->b, 2);
	mproc_conn_close(b->a);
	assert_int_equal(mproc_conn_send(b->a, "x", 1, MPROC_NOWAIT), -ESTALE);
	assert_int_equal(recv_now(b->a), -ESTALE);
	assert_int_equal(mproc_conn_poll(b->a, MPROC_NOWAIT), -ESTALE);
	assert_int_equal(mproc_conn_fd(b->a), -ESTALE);
	mproc_conn_close(b->a);
	/* At the other end: what is left, then the end of file. */
	assert_int_equal(mproc_conn_send(b->b, "x", 1, MPROC_NOWAIT), -EPIPE);
	recv_number(t, b->b, 1);
	assert_int_equal(recv_any(b->b), -EPIPE);
	assert_int_equal(mproc_conn_poll(b->b, MPROC_FOREVER), 0);
	assert_int_equal(recv_now(b->b), -EPIPE);
	mproc_conn_close(b->b);
	assert_int_equal(recv_now(b->b), -ESTALE);
	mproc_conn_close(NULL);
	end(t, b);
}

/* Who waits in a call learns of it. */
static void
close_wakes_receivers(void **state)
{
	struct mpt *t = *state;
	struct mpt_times spent = { 0 };
	struct board *b;
	pthread_t thread;
	int64_t began;

	for (int i = 0; i < 10; i++) {
		bool own = i % 2;

		b = new_board(t);
		assert_int_equal(pthread_create(&thread, NULL, receive, t), 0);
		mpt_until(t, b->tid && mpt_task_state(b->tid) == 'S');
		began = mproc_now();
		mproc_conn_close(own ? b->b : b->a);
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_int_equal(b->answer, own ? -ESTALE : -EPIPE);
		mpt_times_add(&spent, mproc_now() - began);
		end(t, b);
	}
	/* Not with the slices of 50 ms in which a receiver looks around. */
	assert_true(mpt_times_median(&spent) < 25 * MS);
}

static void *
fill(void *arg)
{
	struct mpt *t = arg;
	struct board *b = mpt_scratch(t);
	static char text[1000];

	b->tid = gettid();
	do
		b->answer = mproc_conn_send(b->b, text, sizeof(text),
					    mproc_sec(10));
	while (b->answer == 0);
	return NULL;
}

static void
close_wakes_senders(void **state)
{
	struct mpt *t = *state;
	struct board *b;
	pthread_t thread;

	for (int own = 0; own < 2; own++) {
		b = new_board(t);
		assert_int_equal(pthread_create(&thread, NULL, fill, t), 0);
		mpt_until(t, b->tid && mpt_task_state(b->tid) == 'S');
		mproc_conn_close(own ? b->b : b->a);
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_int_equal(b->answer, own ? -ESTALE : -EPIPE);
		end(t, b);
	}
}

enum { ROUNDS = 100 };

static void *
use_each(void *arg)
{
	struct mpt *t = arg;
	struct board *b = mpt_scratch(t);

	for (unsigned i = 1; i <= ROUNDS; i++) {
		mpt_until(t, b->go == i);
		send_number(t, b->a, (int)i);
		recv_number(t, b->b, (int)i);
		b->ready = i;
	}
	mpt_until(t, b->go > ROUNDS);
	return NULL;
}

/* A thread that lives long has few of those that another one has closed. */
static void
others_close_what_a_thread_uses(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, use_each, t), 0);
	for (unsigned i = 1; i <= ROUNDS; i++) {
		b->go = i;
		mpt_until(t, b->ready == i);
		mproc_conn_close(b->a);
		mproc_conn_close(b->b);
		assert_int_equal(mproc_pipe(&b->a, &b->b, NULL), 0);
	}
	/* Each is a lane at least. */
	assert_in_range(stat_now().blocks, 0, b->before.blocks + 60);
	b->go = ROUNDS + 1;
	assert_int_equal(pthread_join(thread, NULL), 0);
	mproc_conn_close(b->a);
	mproc_conn_close(b->b);
	/* The headers stay. */
	b->before = stat_now();
	end(t, b);
}

static short
ready(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) > 0 ? p.revents : 0;
}

static void
the_descriptor_tells(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	int fd = mproc_conn_fd(b->a);

	assert_true(fd > 2);
	assert_int_equal(mproc_conn_fd(b->a), fd);
	assert_int_equal(recv_now(b->a), -EAGAIN);
	assert_int_equal(ready(fd, 0), 0);
	send_number(t, b->b, 1);
	assert_int_equal(ready(fd, 5000), POLLIN);
	recv_number(t, b->a, 1);
	assert_int_equal(recv_now(b->a), -EAGAIN);
	assert_int_equal(ready(fd, 0), 0);
	mproc_conn_close(b->b);
	assert_int_equal(ready(fd, 5000), POLLIN);
	assert_int_equal(recv_now(b->a), -EPIPE);
	mproc_conn_close(b->a);
	end(t, b);
}

static void
bad_arguments(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	struct iovec null = { NULL, 1 };
	mproc_process *p;
	mproc_conn *c;
	char bytes[8];
	uint64_t local = 0; /* no magic number */
	void *block = mproc_alloc(1024);

	assert_int_equal(mproc_pipe(NULL, &c, NULL), -EINVAL);
	assert_int_equal(mproc_pipe(&c, NULL, NULL), -EINVAL);
	assert_int_equal(mproc_pipe(&c, &c, &(struct mproc_pipe_opts){ 0 }),
			 -EINVAL);
	assert_int_equal(mproc_conn_send(NULL, "x", 1, MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_conn_recv(NULL, bytes, 1, NULL, MPROC_NOWAIT),
			 -EINVAL);
	assert_int_equal(mproc_conn_poll(NULL, MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_conn_fd(NULL), -EINVAL);
	c = (void *)&local;
	assert_int_equal(mproc_conn_send(c, "x", 1, MPROC_NOWAIT), -EFAULT);
	mproc_conn_close(c);
	for (size_t at = 0; at < 1024; at += 64) {
		c = (void *)((char *)block + at);
		assert_int_equal(mproc_conn_send(c, "x", 1, MPROC_NOWAIT),
				 -EINVAL);
		mproc_conn_close(c);
	}
	assert_int_equal(mproc_conn_send(b->a, NULL, 1, MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_conn_sendv(b->a, &null, 1, MPROC_NOWAIT),
			 -EINVAL);
	assert_int_equal(mproc_conn_sendv(b->a, NULL, -1, MPROC_NOWAIT),
			 -EINVAL);
	assert_int_equal(mproc_conn_recv(b->a, NULL, 1, NULL, MPROC_NOWAIT),
			 -EINVAL);
	c = NULL;
	assert_int_equal(mproc_process_start(&p, return_it, NULL, MPROC_OPTS(
		mproc_process_opts, .conns = &c, .n_conns = 1)), -EINVAL);
	assert_int_equal(mproc_process_start(&p, return_it, NULL, MPROC_OPTS(
		mproc_process_opts, .n_conns = 1)), -EINVAL);
	assert_int_equal(mproc_process_start(&p, return_it, NULL, MPROC_OPTS(
		mproc_process_opts, .n_conns = -2)), -EINVAL);
	mproc_free(block);
	end(t, b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(they_carry_both_ways),
		mpt_test(one_way_is_one_way),
		mpt_test(any_length),
		mpt_test(too_small_a_buffer_loses_nothing),
		mpt_test(poll_only_looks),
		mpt_test(poll_sees_messages_only),
		mpt_test(full_is_full),
		mpt_test(threads_use_both_ends),
		mpt_test(closed_is_closed),
		mpt_test(close_wakes_receivers),
		mpt_test(close_wakes_senders),
		mpt_test(others_close_what_a_thread_uses),
		mpt_test(the_descriptor_tells),
		mpt_test(bad_arguments),
	};

	return cmocka_run_group_tests(tests, with_pipes, NULL);
}
