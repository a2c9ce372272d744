/* SPDX-License-Identifier: MIT */
/*
 * pipe.h: pipes between processes, who holds their ends, and when one is gone.
 */
#include <mproc/testing.h>
#include <poll.h>
#include <stdio.h>

#include "pipe.h"

/* A child that sends back what it gets, until the end of file. */
static int
echo(void *arg)
{
	struct mpt *t = arg;
	struct board *b = mpt_scratch(t);
	char bytes[256];
	size_t len;
	int r;

	while ((r = mproc_conn_recv(b->b, bytes, sizeof(bytes), &len,
				    mproc_sec(10))) == 0)
		mpt_check_int(t, mproc_conn_send(b->b, bytes, len,
						 mproc_sec(10)), 0);
	mpt_check_int(t, r, -EPIPE);
	return 3;
}

static void
a_child_echoes(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_process *p = start_with(t, echo, &b->b, 1);

	for (int i = 0; i < 50; i++) {
		send_number(t, b->a, i);
		recv_number(t, b->a, i);
	}
	/* It was given away. */
	assert_int_equal(mproc_conn_send(b->b, "x", 1, MPROC_NOWAIT), -ESTALE);
	assert_int_equal(recv_now(b->b), -ESTALE);
	mproc_conn_close(b->a);
	assert_int_equal(end_of(p), 3);
	mproc_process_close(p);
	end(t, b);
}

/* A forked child holds what its parent does; nobody ever closes a copy. */
static void
nobody_closes_a_copy(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_process *p = start_forked(echo, t);

	send_number(t, b->a, 1);
	recv_number(t, b->a, 1);
	assert_int_equal(mproc_process_kill(p), 0);
	assert_int_equal(recv_any(b->a), -EPIPE);
	assert_int_equal(mproc_conn_send(b->a, "x", 1, MPROC_NOWAIT), -EPIPE);
	assert_int_equal(end_of(p), -SIGKILL);
	mproc_process_close(p);
	end(t, b);
}

/* What is sent before the end is received. */
static int
send_and_end(void *arg)
{
	struct mpt *t = arg;
	struct board *b = mpt_scratch(t);

	mpt_until(t, b->go);
	for (int i = 0; i < 3; i++)
		send_number(t, b->b, i);
	return 0;
}

static void
what_was_sent_arrives(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_process *p = start_with(t, send_and_end, &b->b, 1);

	b->go = 1;
	assert_int_equal(end_of(p), 0);
	for (int i = 0; i < 3; i++)
		recv_number(t, b->a, i);
	assert_int_equal(recv_any(b->a), -EPIPE);
	mproc_process_close(p);
	end(t, b);
}

/* The parent closes its copy before the child has used its own. */
static void
closed_before_the_first_send(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_process *p = start_forked(send_and_end, t);

	mproc_conn_close(b->b);
	assert_int_equal(recv_now(b->a), -EAGAIN);
	b->go = 1;
	for (int i = 0; i < 3; i++)
		recv_number(t, b->a, i);
	assert_int_equal(recv_any(b->a), -EPIPE);
	assert_int_equal(end_of(p), 0);
	mproc_process_close(p);
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

/* It is killed before it has used anything. */
static void
killed_before_the_first_use(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_process *p = start_with(t, wait_in_step, &b->b, 1);

	assert_int_equal(recv_now(b->a), -EAGAIN);
	assert_int_equal(mproc_conn_send(b->a, "x", 1, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_process_kill(p), 0);
	assert_int_equal(recv_any(b->a), -EPIPE);
	assert_int_equal(mproc_conn_send(b->a, "x", 1, MPROC_NOWAIT), -EPIPE);
	assert_int_equal(end_of(p), -SIGKILL);
	mproc_process_close(p);
	end(t, b);
}

/* The same for who sleeps in a call, when nobody else looks. */
static void
a_death_is_noticed_in_time(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_process *p = start_with(t, wait_in_step, &b->b, 1);
	int64_t began, took, best = INT64_MAX;

	for (int tries = 0; tries < 3 && best > NOTICE; tries++) {
		mpt_until(t, b->ready == (unsigned)tries + 1);
		began = mproc_now();
		assert_int_equal(kill(mproc_process_pid(p), SIGKILL), 0);
		assert_int_equal(recv_any(b->a), -EPIPE);
		took = mproc_now() - began;
		best = took < best ? took : best;
		assert_int_equal(end_of(p), -SIGKILL);
		mproc_process_close(p);
		p = NULL;
		if (best > NOTICE) {
			mproc_conn_close(b->a);
			assert_int_equal(mproc_pipe(&b->a, &b->b, NULL), 0);
			p = start_with(t, wait_in_step, &b->b, 1);
		}
	}
	assert_true(best <= NOTICE);
	end(t, b);
}

enum way { BY_DESCRIPTOR, BY_SET, BY_MIX, WAYS };

/* Until the end a may have something to say. */
static void
wait_by(enum way way, mproc_conn *a)
{
	struct mproc_waitable items[] = {
		{ .kind = MPROC_WAIT_CONN, .object = a },
		{ .kind = MPROC_WAIT_FD, .events = POLLIN },
	};
	struct pollfd pfd = { .events = POLLIN };
	mproc_waitset *set;
	int never[2];

	switch (way) {
	case BY_DESCRIPTOR:
		pfd.fd = mproc_conn_fd(a);
		assert_int_equal(poll(&pfd, 1, 20000), 1);
		break;
	case BY_SET:
		assert_int_equal(mproc_waitset_create(&set), 0);
		assert_int_equal(mproc_waitset_add(set, &items[0]), 0);
		assert_int_equal(mproc_waitset_wait(set, items, 1,
						    mproc_sec(20)), 1);
		mproc_waitset_close(set);
		break;
	default:
		assert_int_equal(pipe(never), 0);
		items[1].fd = never[0];
		assert_int_equal(mproc_wait(items, 2, mproc_sec(20)), 1);
		assert_int_equal(items[0].ret_events, POLLIN);
		close(never[0]);
		close(never[1]);
	}
}

/* Nobody in this process sleeps in a call for the pipe, nor waits for the child. */
static void
a_death_is_told_to_who_polls(void **state)
{
	struct mpt *t = *state;

	for (enum way way = 0; way < WAYS; way++) {
		struct board *b = new_board(t);
		mproc_process *p = start_with(t, wait_in_step, &b->b, 1);
		int r;

		mpt_until(t, b->ready == 1);
		assert_int_equal(recv_now(b->a), -EAGAIN);
		assert_int_equal(kill(mproc_process_pid(p), SIGKILL), 0);
		do {
			wait_by(way, b->a);
			r = recv_now(b->a);
		} while (r == -EAGAIN);
		assert_int_equal(r, -EPIPE);
		assert_int_equal(end_of(p), -SIGKILL);
		mproc_process_close(p);
		end(t, b);
	}
}

static int
note_the_end(void *arg)
{
	struct mpt *t = arg;
	struct board *b = mpt_scratch(t);

	b->tid = getpid();
	mpt_check_int(t, recv_any(b->a), -EPIPE);
	b->at = mproc_now();
	return 0;
}

/* A parent that waits for the one who is killed tells the others. */
static void
a_parent_spreads_the_news(void **state)
{
	struct mpt *t = *state;
	mproc_process *one, *other;
	unsigned quick = 0;
	struct board *b;
	int64_t began;

	/* By itself it would look at some time in the next 50 ms or so, and be as
	 * quick in three of ten tries. */
	for (int tries = 0; tries < 16 && quick < 10; tries++) {
		b = new_board(t);
		other = start_with(t, wait_in_step, &b->b, 1);
		one = start_with(t, note_the_end, &b->a, 1);
		mpt_until(t, b->ready && b->tid &&
				     mpt_task_state(b->tid) == 'S');
		began = mproc_now();
		kill_and_close(other);
		assert_int_equal(end_of(one), 0);
		mproc_process_close(one);
		quick += b->at - began < 15 * MS;
		end(t, b);
	}
	assert_int_equal(quick, 10);
}

static int
end_when_told(void *arg)
{
	struct mpt *t = arg;
	struct board *b = mpt_scratch(t);

	b->ready++;
	mpt_until(t, b->go);
	return 0;
}

/* Who ends in order tells them itself, whatever the parent does. */
static void
an_orderly_end_is_told_at_once(void **state)
{
	struct mpt *t = *state;
	mproc_process *one, *other;
	unsigned quick = 0;
	struct board *b;
	int64_t began;

	for (int tries = 0; tries < 8 && quick < 4; tries++) {
		b = new_board(t);
		other = start_with(t, end_when_told, &b->b, 1);
		one = start_with(t, note_the_end, &b->a, 1);
		mpt_until(t, b->ready && b->tid &&
				     mpt_task_state(b->tid) == 'S');
		began = mproc_now();
		b->go = 1;
		mpt_until(t, b->at);
		quick += b->at - began < 5 * MS;
		assert_int_equal(end_of(one), 0);
		assert_int_equal(end_of(other), 0);
		mproc_process_close(one);
		mproc_process_close(other);
		end(t, b);
	}
	assert_int_equal(quick, 4);
}

/* A sibling that is started later holds no end that was given away. */
static void
a_later_sibling_holds_nothing(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_process *first, *second;

	first = start_with(t, wait_in_step, &b->b, 1);
	second = start(wait_in_step, t);
	mpt_until(t, b->ready == 2);
	assert_int_equal(mproc_process_kill(first), 0);
	assert_int_equal(recv_any(b->a), -EPIPE);
	assert_int_equal(end_of(first), -SIGKILL);
	mproc_process_close(first);
	kill_and_close(second);
	end(t, b);
}

static int
send_through_a(void *arg)
{
	struct mpt *t = arg;
	struct board *b = mpt_scratch(t);

	mpt_check_int(t, recv_now(b->b), -ESTALE);
	for (int i = 0; i < 100; i++) {
		send_number(t, b->a, i);
		recv_number(t, b->a, i);
	}
	return 0;
}

/* Two children on the two ends: the parent holds neither. */
static void
two_children_on_two_ends(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_process *one, *other;

	other = start_with(t, echo, &b->b, 1);
	one = start_with(t, send_through_a, &b->a, 1);
	assert_int_equal(recv_now(b->a), -ESTALE);
	assert_int_equal(end_of(one), 0);
	assert_int_equal(end_of(other), 3);
	mproc_process_close(one);
	mproc_process_close(other);
	end(t, b);
}

/* Nothing is left when both are killed. */
static void
both_are_killed(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_process *one, *other;

	send_number(t, b->a, 1);
	other = start_with(t, wait_in_step, &b->b, 1);
	one = start_with(t, wait_in_step, &b->a, 1);
	kill_and_close(one);
	kill_and_close(other);
	end(t, b);
}

/* Those who send at one end, in several processes, are told apart. */
enum { SENDERS = 3, SENT = 300, LONGEST = 200000 };

/* Of message @i: some lie in a lane, and each 30th in a block of its own. */
static size_t
length_of(unsigned i)
{
	return i % 30 == 7 ? LONGEST - i * 100 : 8 + i * 37 % 1992;
}

static int
send_many(void *arg)
{
	struct mpt *t = arg;
	struct board *b = mpt_scratch(t);
	unsigned me = b->ready++;
	static unsigned char bytes[LONGEST];
	size_t len;

	for (unsigned i = 0; i < SENT; i++) {
		len = length_of(i);
		memset(bytes, (int)(me * 100 + i % 100), len);
		memcpy(bytes, &me, 4);
		memcpy(bytes + 4, &i, 4);
		mpt_check_int(t, mproc_conn_send(b->b, bytes, len,
						 mproc_sec(10)), 0);
	}
	return 0;
}

static void
concurrent_sends_are_whole(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	unsigned next[SENDERS] = { 0 }, me, i;
	static unsigned char bytes[LONGEST], all[LONGEST];
	size_t len;
	mproc_process *p[SENDERS];
	int r;

	for (int n = 0; n < SENDERS; n++)
		p[n] = start_forked(send_many, t);
	mproc_conn_close(b->b);
	while ((r = mproc_conn_recv(b->a, bytes, sizeof(bytes), &len,
				    mproc_sec(10))) == 0) {
		memcpy(&me, bytes, 4);
		memcpy(&i, bytes + 4, 4);
		assert_in_range(me, 0, SENDERS - 1);
		assert_int_equal(i, next[me]);
		next[me]++;
		assert_int_equal(len, length_of(i));
		memset(all, (int)(me * 100 + i % 100), len);
		assert_memory_equal(bytes + 8, all + 8, len - 8);
	}
	assert_int_equal(r, -EPIPE);
	for (int n = 0; n < SENDERS; n++) {
		assert_int_equal(next[n], SENT);
		assert_int_equal(end_of(p[n]), 0);
		mproc_process_close(p[n]);
	}
	end(t, b);
}

/* A start that fails changes nothing. */
static void
a_failed_start_changes_nothing(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_process *p = NULL;

	assert_int_equal(mproc_process_start(
		&p, wait_in_step, t,
		MPROC_OPTS(mproc_process_opts, .conns = &b->b, .n_conns = 1,
			   .cwd = "/no such directory")), -ENOENT);
	/* The child that was not to be holds nothing. */
	assert_int_equal(mproc_pipe(&b->c, &b->d, NULL), 0);
	assert_int_equal(mproc_process_start(
		&p, wait_in_step, t,
		MPROC_OPTS(mproc_process_opts, .conns = &b->d, .n_conns = 1,
			   .cwd = "/no such directory")), -ENOENT);
	mproc_conn_close(b->d);
	assert_int_equal(recv_now(b->c), -EPIPE);
	/* As if nobody had ever held it. */
	assert_int_equal(recv_now(b->a), -EAGAIN);
	send_number(t, b->b, 5);
	recv_number(t, b->a, 5);
	mproc_conn_close(b->b);
	assert_int_equal(mproc_process_start(
		&p, wait_in_step, t,
		MPROC_OPTS(mproc_process_opts, .conns = &b->b, .n_conns = 1)),
		-ESTALE);
	end(t, b);
}

/* Nor does one that fails for want of memory, wherever that is. */
static void
a_start_without_memory_changes_nothing(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_process *p = NULL;
	char spec[32];
	int r = -ENOMEM;

	for (int n = 1; r == -ENOMEM; n++) {
		snprintf(spec, sizeof(spec), "malloc:%d", n);
		assert_int_equal(mproc_test_fault(spec), 0);
		r = mproc_process_start(&p, wait_in_step, t, MPROC_OPTS(
			mproc_process_opts, .conns = &b->b, .n_conns = 1));
		assert_int_equal(mproc_test_fault(NULL), 0);
		if (r == 0)
			break;
		assert_int_equal(r, -ENOMEM);
		assert_int_equal(recv_now(b->a), -EAGAIN);
		send_number(t, b->b, n);
		recv_number(t, b->a, n);
	}
	assert_int_equal(r, 0);
	assert_int_equal(recv_now(b->b), -ESTALE);
	kill_and_close(p);
	assert_int_equal(recv_now(b->a), -EPIPE);
	end(t, b);
}

enum { MEMBERS = 3 };

static int
send_index(int index, void *arg)
{
	struct mpt *t = arg;
	struct board *b = mpt_scratch(t);

	send_number(t, b->b, index);
	return 0;
}

/* All members hold what the group is given. */
static void
a_group_is_given_an_end(void **state)
{
	const struct mproc_process_opts *opts;
	struct mpt *t = *state;
	struct board *b = new_board(t);
	unsigned seen = 0;
	mproc_group *g;
	int index, r;

	opts = MPROC_OPTS(mproc_process_opts, .conns = &b->b, .n_conns = 1);
	assert_int_equal(mproc_group_start(&g, send_index, t, MEMBERS,
					   MPROC_OPTS(mproc_group_opts,
						      .process = opts)), 0);
	assert_int_equal(recv_now(b->b), -ESTALE);
	while ((r = mproc_conn_recv(b->a, &index, sizeof(index), NULL,
				    mproc_sec(10))) == 0)
		seen |= 1U << index;
	assert_int_equal(r, -EPIPE);
	assert_int_equal(seen, (1U << MEMBERS) - 1);
	assert_int_equal(mproc_group_join(g, MPROC_FOREVER), 0);
	mproc_group_close(g);
	end(t, b);
}

static int
send_inline(void *arg)
{
	struct mpt *t = arg;
	struct board *b = mpt_scratch(t);

	send_number(t, b->b, 4);
	return 0;
}

/* What runs in the caller uses what the caller holds. */
static void
an_inline_entry_uses_the_callers(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_process *p;

	assert_int_equal(mproc_test_inline(true), 0);
	p = start_with(t, send_inline, &b->b, 1);
	assert_int_equal(end_of(p), 0);
	mproc_process_close(p);
	assert_int_equal(mproc_test_inline(false), 1);
	recv_number(t, b->a, 4);
	assert_int_equal(recv_now(b->a), -EAGAIN);
	end(t, b);
}

/* With -1 a forked child holds none; nor does one that is forked by hand. */
static int
holds_nothing(void *arg)
{
	struct mpt *t = arg;
	struct board *b = mpt_scratch(t);

	mpt_check_int(t, recv_now(b->a), -ESTALE);
	mpt_check_int(t, mproc_conn_send(b->b, "x", 1, MPROC_NOWAIT), -ESTALE);
	mproc_conn_close(b->a);
	return 0;
}

static int
holds_nothing_either(struct mpt *t, void *arg)
{
	(void)arg;
	return holds_nothing(t);
}

static void
who_is_given_none_holds_none(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_process *p;

	p = start_with(t, holds_nothing, NULL, -1);
	assert_int_equal(end_of(p), 0);
	mproc_process_close(p);
	mpt_fork(t, "forked", holds_nothing_either, NULL);
	mpt_join_all(t);
	send_number(t, b->a, 1);
	recv_number(t, b->b, 1);
	end(t, b);
}

/* A child passes on what it was given, and ends. */
static int
pass_on(void *arg)
{
	struct mpt *t = arg;
	struct board *b = mpt_scratch(t);
	mproc_process *p = NULL;

	mpt_check_int(t, mproc_process_start(
		&p, wait_in_step, t,
		MPROC_OPTS(mproc_process_opts, .conns = &b->b, .n_conns = 1,
			   .outlive_parent = true)), 0);
	mpt_check_int(t, recv_now(b->b), -ESTALE);
	b->tid = mproc_process_pid(p);
	mpt_until(t, b->go);
	return 0;
}

static void
a_grandchild_holds_it(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_process *p = start_with(t, pass_on, &b->b, 1);

	mpt_until(t, b->ready == 1);
	b->go = 1;
	assert_int_equal(end_of(p), 0);
	mproc_process_close(p);
	assert_true(mproc_arena_recover(NULL) >= 0);
	assert_int_equal(recv_now(b->a), -EAGAIN);
	send_number(t, b->a, 1);
	assert_int_equal(kill(b->tid, SIGKILL), 0);
	assert_int_equal(recv_any(b->a), -EPIPE);
	assert_int_equal(mpt_reap_orphans(t), 1);
	end(t, b);
}

/* A child whose first thread has ended goes on, and holds. */
static void *
send_later(void *arg)
{
	struct mpt *t = arg;
	struct board *b = mpt_scratch(t);

	mpt_until(t, b->go);
	send_number(t, b->b, 9);
	kill(getpid(), SIGKILL);
	return NULL;
}

static int
end_first_thread(void *arg)
{
	struct mpt *t = arg;
	struct board *b = mpt_scratch(t);
	pthread_t thread;

	mpt_check_int(t, pthread_create(&thread, NULL, send_later, t), 0);
	b->tid = getpid();
	b->ready++;
	pthread_exit(NULL);
}

static void
a_process_is_all_its_threads(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_process *p = start_with(t, end_first_thread, &b->b, 1);

	mpt_until(t, b->ready == 1 && mpt_task_state(b->tid) == 'Z');
	for (int i = 0; i < 3; i++)
		assert_true(mproc_arena_recover(NULL) >= 0);
	assert_int_equal(recv_now(b->a), -EAGAIN);
	b->go = 1;
	recv_number(t, b->a, 9);
	assert_int_equal(recv_any(b->a), -EPIPE);
	assert_int_equal(end_of(p), -SIGKILL);
	mproc_process_close(p);
	end(t, b);
}

/* More holders than there is room for at first. */
static void
many_hold_an_end(void **state)
{
	enum { N = 12 };
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_process *p[N];

	for (int i = 0; i < N; i++)
		p[i] = start_forked(wait_in_step, t);
	mproc_conn_close(b->b);
	for (int i = 0; i < N; i++) {
		assert_int_equal(recv_now(b->a), -EAGAIN);
		kill_and_close(p[i]);
	}
	assert_int_equal(recv_now(b->a), -EPIPE);
	mproc_conn_close(b->a);
	/* The further words stay with the header. */
	b->before = stat_now();
	end(t, b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_child_echoes),
		mpt_test(nobody_closes_a_copy),
		mpt_test(what_was_sent_arrives),
		mpt_test(closed_before_the_first_send),
		mpt_test(killed_before_the_first_use),
		mpt_test(a_death_is_noticed_in_time),
		mpt_test(a_death_is_told_to_who_polls),
		mpt_test(a_parent_spreads_the_news),
		mpt_test(an_orderly_end_is_told_at_once),
		mpt_test(a_later_sibling_holds_nothing),
		mpt_test(two_children_on_two_ends),
		mpt_test(both_are_killed),
		mpt_test(concurrent_sends_are_whole),
		mpt_test(a_failed_start_changes_nothing),
		mpt_test(a_start_without_memory_changes_nothing),
		mpt_test(a_group_is_given_an_end),
		mpt_test(an_inline_entry_uses_the_callers),
		mpt_test(who_is_given_none_holds_none),
		mpt_test(a_grandchild_holds_it),
		mpt_test(a_process_is_all_its_threads),
		mpt_test(many_hold_an_end),
	};

	return cmocka_run_group_tests(tests, with_pipes, NULL);
}
