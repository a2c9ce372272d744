/* SPDX-License-Identifier: MIT */
/*
 * Defects that pipes once had. Each test brings about by force what needed bad
 * luck then.
 */
#include <errno.h>

#include <mproc/mproc.h>

#include "base/fault.h"
#include "common.h"
#include "ipc/pipe_shm.h"
#include "ipc/queue_shm.h"
#include "puppet.h"

static struct mpr_pipe *
pipe_of(mproc_conn *c)
{
	struct mpr_pipe *pipe = NULL;
	mproc_arena *a;
	unsigned side;

	assert_int_equal(mpr_pipe_of(c, &a, &pipe, &side), 0);
	return pipe;
}

/* A hold that ends has the same word each time that a process closes an end at the
 * same place. Who was stopped before it frees the word frees a later one, of a later
 * pipe, about which nothing was done; and who was to do it is killed. */
static void
a_pipe_without_holders_goes(void **state)
{
	mproc_conn *a = NULL, *b = NULL;
	struct mpr_pipe *pipe;

	(void)state;
	assert_int_equal(mproc_pipe(&a, &b, NULL), 0);
	pipe = pipe_of(a);
	for (unsigned side = 0; side < 2; side++)
		for (int i = 0; i < MPR_HOLDS_FIRST; i++)
			atomic_store(&pipe->end[side].holds.word[i], 0);
	assert_int_equal(mproc_arena_recover(NULL), 0);
	assert_int_equal(mpr_owner_state(atomic_load(&pipe->state)),
			 MPR_PIPE_FREE);
}

struct receiver {
	mproc_conn *c;
	_Atomic pid_t tid;
	int result;
};

static void *
receive(void *arg)
{
	struct receiver *r = arg;

	r->tid = gettid();
	r->result = mproc_conn_recv(r->c, NULL, 0, NULL, mproc_sec(2));
	return NULL;
}

/* A thread waited for who is inside a send, as for a message that may yet come,
 * also when its own end was closed. */
static void
who_has_closed_waits_for_nobody(void **state)
{
	struct receiver r = { .result = 1 };
	mproc_conn *b = NULL;
	struct mpr_lane *lane;
	pthread_t thread;
	mproc_queue *q;

	assert_int_equal(mproc_pipe(&r.c, &b, NULL), 0);
	assert_int_equal(mproc_conn_send(b, NULL, 0, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_conn_recv(r.c, NULL, 0, NULL, MPROC_NOWAIT), 0);
	q = mpr_pipe_queue(the_arena(), pipe_of(b), 1);
	lane = mpr_arena_at(the_arena(), q->lanes);
	atomic_store(&lane->busy, 1);
	assert_int_equal(pthread_create(&thread, NULL, receive, &r), 0);
	mpt_until(*state, r.tid && mpt_task_state(r.tid) == 'S');
	mproc_conn_close(r.c);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(r.result, -ESTALE);
	atomic_store(&lane->busy, 0);
	mproc_conn_close(b);
}

static int
wait_for_a_signal(void *arg)
{
	(void)arg;
	while (pause() < 0)
		;
	return 0;
}

/* Who had thousands of pipes spent its time asking the kernel about the same few
 * processes; and each first send on one went through all of them. */
static void
a_process_is_asked_about_once(void **state)
{
	enum { N = 20 };
	mproc_conn *a[N], *b[N];
	mproc_process *p = NULL;

	(void)state;
	for (int i = 0; i < N; i++)
		assert_int_equal(mproc_pipe(&a[i], &b[i], NULL), 0);
	assert_int_equal(mproc_process_start(
		&p, wait_for_a_signal, NULL,
		MPROC_OPTS(mproc_process_opts, .method = MPROC_FORK,
			   .conns = b, .n_conns = N)), 0);
	assert_int_equal(mpr_fault_set("pidfd:1000"), 0);
	assert_int_equal(mproc_arena_recover(NULL), 0);
	assert_int_equal(mpr_fault_hits(MPR_FAULT_PIDFD), 1);
	mpr_fault_set(NULL);
	assert_int_equal(mproc_process_kill(p), 0);
	/* It would be noticed if all were gone through: it takes part no more. */
	mpt_until(*state, mpt_task_state(mproc_process_pid(p)) == 'Z');
	for (int i = 0; i < N; i++)
		assert_int_equal(mproc_conn_send(a[i], "x", 1, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
	for (int i = 0; i < N; i++) {
		assert_int_equal(mproc_conn_send(a[i], "x", 1, MPROC_NOWAIT),
				 -EPIPE);
		mproc_conn_close(a[i]);
	}
	mproc_process_close(p);
}

/* In the scratch bytes. */
struct sender {
	mproc_conn *c;
	bool in_parts; /* by the general path; or by the frequent one */
	int result;
};

static int
send_byte(const struct sender *s)
{
	const struct iovec part = { (void *)(uintptr_t)"x", 1 };

	return s->in_parts ? mproc_conn_sendv(s->c, &part, 1, MPROC_NOWAIT) :
			     mproc_conn_send(s->c, "x", 1, MPROC_NOWAIT);
}

static void
send_twice(struct mpt *t, void *arg)
{
	struct sender *s = arg;

	puppet_halt();
	mpt_check_int(t, send_byte(s), 0);
	puppet_halt();
	s->result = send_byte(s);
}

static void
hold_for(pid_t pid, struct mpr_pipe *pipe)
{
	mproc_arena *a = NULL;
	struct mpr_self *self;

	assert_int_equal(mpr_arena_get(&a), 0);
	assert_int_equal(mpr_self(a, &self), 0);
	assert_int_equal(mpr_hold_add(a, self, &pipe->end[1].holds,
				      mpr_hold_of(pid) | MPR_HOLD_USED), 0);
}

static void
end_hold_of(pid_t pid, struct mpr_pipe *pipe)
{
	_Atomic uint64_t *at = mpr_hold_find(the_arena(), &pipe->end[1].holds,
					     mpr_hold_of(pid));

	assert_non_null(at);
	mpr_pipe_end_hold(the_arena(), pipe, at, atomic_load(at));
}

static unsigned
moves_until_busy(struct mpt *t, pid_t pid, const struct mpr_lane *lane)
{
	unsigned n = 0;

	for (; !atomic_load(&lane->busy); n++)
		mpt_check(t, puppet_move(t, pid));
	return n;
}

/* A pipe whose end b is the puppet's, which has sent once and stands before it sends
 * again; that was received. */
static pid_t
start_sender(struct mpt *t, struct sender *s, mproc_conn **ret_a,
	     struct mpr_lane **ret_lane)
{
	mproc_queue *q;
	pid_t pid;
	char byte;

	s->result = 1;
	assert_int_equal(mproc_pipe(ret_a, &s->c, NULL), 0);
	pid = puppet_start(t, send_twice, s);
	hold_for(pid, pipe_of(s->c));
	/* Uses the end, so that the puppet knows our hold as it stays. */
	assert_int_equal(mproc_conn_poll(*ret_a, MPROC_NOWAIT), -EAGAIN);
	puppet_run(t, pid);
	assert_int_equal(mproc_conn_recv(*ret_a, &byte, 1, NULL, MPROC_NOWAIT),
			 0);
	q = mpr_pipe_queue(the_arena(), pipe_of(s->c), 1);
	*ret_lane = mpr_arena_at(the_arena(), q->lanes);
	return pid;
}

static void
end_sender(pid_t pid, struct mpr_pipe *pipe)
{
	end_hold_of(pid, pipe);
	assert_int_equal(mproc_arena_recover(NULL), 1);
}

/*
 * Threads of a sender's process close its end after the send has begun, and before it
 * has said that a message may come, so that the receiver is told that all is over;
 * then make the next pipe, at the same address. The send, which had asked for its
 * queue already, took the end of that for its own.
 */
static void
send_after_the_end(void **state, bool in_parts)
{
	enum { MOST = 100 };
	struct sender *s = mpt_scratch(*state);
	mproc_conn *a = NULL, *b, *next_a = NULL, *next_b = NULL;
	struct mpr_pipe *pipe;
	struct mpr_lane *lane;
	unsigned begins;
	pid_t pid;
	char byte;

	s->in_parts = in_parts;
	pid = start_sender(*state, s, &a, &lane);
	begins = moves_until_busy(*state, pid, lane);
	pipe = pipe_of(a);
	puppet_run(*state, pid);
	end_sender(pid, pipe);
	assert_int_equal(s->result, 0);
	mproc_conn_close(a);
	mproc_conn_close(s->c);
	for (unsigned n = 0; n < MOST; n++) {
		pid = start_sender(*state, s, &a, &lane);
		b = s->c;
		pipe = pipe_of(a);
		for (unsigned i = 0; i < begins - 1; i++)
			mpt_check(*state, puppet_move(*state, pid));
		end_hold_of(pid, pipe);
		mproc_conn_close(b);
		assert_int_equal(mproc_conn_recv(a, NULL, 0, NULL, MPROC_NOWAIT),
				 -EPIPE);
		assert_int_equal(moves_until_busy(*state, pid, lane), 1);
		for (unsigned i = 0; i < n; i++)
			mpt_check(*state, puppet_move(*state, pid));
		mproc_conn_close(a);
		assert_int_equal(mproc_pipe(&next_a, &next_b, NULL), 0);
		assert_ptr_equal(next_a, a);
		hold_for(pid, pipe);
		puppet_run(*state, pid);
		/* Or as if it had begun later, into the next pipe. */
		assert_int_equal(mproc_conn_recv(next_a, &byte, 1, NULL,
						 MPROC_NOWAIT),
				 s->result < 0 ? -EAGAIN : 0);
		end_sender(pid, pipe);
		mproc_conn_close(next_a);
		mproc_conn_close(next_b);
	}
}

static void
nothing_is_sent_after_the_end(void **state)
{
	send_after_the_end(state, true);
}

static void
nothing_is_sent_frequently_after_the_end(void **state)
{
	send_after_the_end(state, false);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_pipe_without_holders_goes),
		mpt_test(who_has_closed_waits_for_nobody),
		mpt_test(a_process_is_asked_about_once),
		mpt_test(nothing_is_sent_after_the_end),
		mpt_test(nothing_is_sent_frequently_after_the_end),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
