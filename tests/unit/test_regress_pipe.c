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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_pipe_without_holders_goes),
		mpt_test(who_has_closed_waits_for_nobody),
		mpt_test(a_process_is_asked_about_once),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
