/* SPDX-License-Identifier: MIT */
/*
 * What the tests of pipes share: a board with the ends of one or two pipes, and
 * children that are given some of them.
 */
#ifndef API_PIPE_H
#define API_PIPE_H

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "common.h"
#include "process.h"
#include "started.h"

#define MS INT64_C(1000000)

/* How late a waiting call may be with what it says about a death. */
#define NOTICE (100 * MS)

/* In the scratch bytes. */
struct board {
	mproc_conn *a, *b; /* of the pipe */
	mproc_conn *c, *d; /* of another one */
	_Atomic unsigned ready;
	_Atomic unsigned go;
	_Atomic int answer;
	_Atomic int64_t at;
	_Atomic pid_t tid;
	struct mproc_arena_stat before;
};

/* Group setup: the headers of two pipes stay. */
static inline int
with_pipes(void **state)
{
	mproc_conn *ends[4];

	if (with_arena(state) < 0 || mproc_pipe(&ends[0], &ends[1], NULL) < 0 ||
	    mproc_pipe(&ends[2], &ends[3], NULL) < 0)
		return -1;
	for (int i = 0; i < 4; i++)
		mproc_conn_close(ends[i]);
	return 0;
}

static inline struct board *
new_board(struct mpt *t)
{
	struct board *b = mpt_scratch(t);

	*b = (struct board){ 0 };
	assert_true(mproc_arena_recover(NULL) >= 0);
	b->before = stat_now();
	assert_int_equal(mproc_pipe(&b->a, &b->b, NULL), 0);
	return b;
}

/* Nothing is left of the scenario's pipes. */
static inline void
end(struct mpt *t, struct board *b)
{
	mproc_conn_close(b->a);
	mproc_conn_close(b->b);
	if (b->c) {
		mproc_conn_close(b->c);
		mproc_conn_close(b->d);
	}
	assert_true(mproc_arena_recover(NULL) >= 0);
	assert_int_equal(stat_now().queues, b->before.queues);
	/* A thread that watched descriptors may be about to leave. */
	mpt_until(t, stat_now().blocks == b->before.blocks);
}

static inline mproc_process *
start_with(struct mpt *t, mproc_entry *fn, mproc_conn **conns, int n)
{
	mproc_process *p = NULL;

	assert_int_equal(mproc_process_start(
		&p, fn, t, MPROC_OPTS(mproc_process_opts, .conns = conns,
				      .n_conns = n)), 0);
	return p;
}

static inline void
send_number(struct mpt *t, mproc_conn *c, int number)
{
	mpt_check_int(t, mproc_conn_send(c, &number, sizeof(number),
					 mproc_sec(10)), 0);
}

static inline void
recv_number(struct mpt *t, mproc_conn *c, int number)
{
	int got = ~number;
	size_t len = 0;

	mpt_check_int(t, mproc_conn_recv(c, &got, sizeof(got), &len,
					 mproc_sec(10)), 0);
	mpt_check_int(t, len, sizeof(got));
	mpt_check_int(t, got, number);
}

static inline int
recv_now(mproc_conn *c)
{
	char bytes[64];

	return mproc_conn_recv(c, bytes, sizeof(bytes), NULL, MPROC_NOWAIT);
}

/* Waits for a message or the end of file. */
static inline int
recv_any(mproc_conn *c)
{
	char bytes[64];

	return mproc_conn_recv(c, bytes, sizeof(bytes), NULL, mproc_sec(10));
}

#endif
