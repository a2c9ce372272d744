/* SPDX-License-Identifier: MIT */
/*
 * What the tests of mproc_interrupt() share: ways to wait, threads that wait,
 * and where interrupts come from.
 *
 * An interrupt concerns all threads of the process, so also the one that runs
 * the tests: begin() and end() see to it that none is left over. Whether a
 * thread was made before or after an interrupt is told by its start time, in
 * ticks of 10 ms, so begin() lets such a tick pass.
 */
#ifndef API_INTERRUPT_H
#define API_INTERRUPT_H

#include <signal.h>
#include <stdatomic.h>

#include "common.h"
#include "started.h"
#include "mpt_rand.h"

#define TICK (10 * MS)
#define WAITERS 8
#define CROWD 70 /* more than there are descriptors for */
#define PRODUCERS 3
#define CONSUMERS 2

enum way { GET, PUT, JOIN, STOP, WAYS };

/* Where an interrupt comes from. */
enum source { ANOTHER_THREAD, HANDLER_ELSEWHERE, HANDLER_ON_SLEEPER, SOURCES };

struct waiter {
	enum way way;
	_Atomic pid_t tid;
	_Atomic unsigned told; /* how often it got -EINTR */
};

/* In the scratch bytes. */
struct board {
	mproc_queue *empty; /* nothing comes */
	mproc_queue *full;  /* nobody takes */
	mproc_process *child; /* runs on and on, also after SIGTERM */
	_Atomic bool child_is_ready;
	_Atomic unsigned handled; /* signals */
	_Atomic unsigned got;
	struct waiter waiter[CROWD];

	/* For the storm. */
	_Atomic bool stop;
	_Atomic unsigned n_peers;
	_Atomic pid_t peer[PRODUCERS + CONSUMERS];
	_Atomic unsigned interrupted;
	_Atomic uint64_t sent[PRODUCERS], taken[PRODUCERS];
	_Atomic uint64_t sent_sum[PRODUCERS], taken_sum[PRODUCERS];
};

static struct board *_Atomic board; /* for the signal handler */

static inline void
interrupt_in_handler(int sig)
{
	(void)sig;
	mproc_interrupt();
	board->handled++;
}

static inline void
handle_interrupts(struct board *b)
{
	struct sigaction action = { .sa_handler = interrupt_in_handler };

	board = b;
	sigaction(SIGUSR1, &action, NULL);
}

static inline int
run_on_and_on(void *t)
{
	struct board *b = mpt_scratch(t);

	signal(SIGTERM, SIG_IGN);
	b->child_is_ready = true;
	wait_to_be_killed(t);
	return 0;
}

/* Fills the calling thread's lane with messages of 56 bytes: how many. */
static inline unsigned
fill(struct mpt *t, mproc_queue *q)
{
	char msg[56] = "";
	unsigned n = 0;
	int r;

	while ((r = mproc_queue_put(q, msg, sizeof(msg), MPROC_NOWAIT)) == 0)
		n++;
	mpt_check_int(t, r, -EAGAIN);
	return n;
}

static inline int
wait_in(struct board *b, enum way way, mproc_timeout timeout)
{
	char buf[56] = "";

	switch (way) {
	case GET:
		return mproc_queue_get(b->empty, buf, sizeof(buf), NULL,
				       timeout);
	case PUT:
		return mproc_queue_put(b->full, buf, sizeof(buf), timeout);
	case JOIN:
		return mproc_process_join(b->child, timeout);
	case STOP:
		return mproc_process_stop(b->child, timeout);
	case WAYS:
		break;
	}
	return -ENOSYS;
}

static inline void
let_pass(struct mpt *t, int64_t ns)
{
	int64_t began = mproc_now();

	mpt_until(t, mproc_now() - began > ns);
}

static inline mproc_queue *
new_queue(void)
{
	mproc_queue *q;

	assert_int_equal(mproc_queue_create(
		&q, MPROC_OPTS(mproc_queue_opts, .capacity = 4096)), 0);
	return q;
}

static inline struct board *
begin(struct mpt *t)
{
	struct board *b = mpt_scratch(t);

	handle_interrupts(b);
	b->empty = new_queue();
	b->full = new_queue();
	assert_int_equal(mproc_process_start(&b->child, run_on_and_on, t,
					     NULL), 0);
	mpt_until(t, b->child_is_ready);
	let_pass(t, TICK);
	return b;
}

static inline void
end(struct mpt *t, struct board *b)
{
	char buf[56];
	int r;

	mpt_join_all(t);
	/* What is left for this thread, which may have waited in vain. */
	r = mproc_queue_get(b->empty, buf, sizeof(buf), NULL, mproc_us(1));
	assert_true(r == -EINTR || r == -ETIMEDOUT);
	assert_int_equal(wait_in(b, GET, mproc_us(1)), -ETIMEDOUT);
	mproc_queue_destroy(b->empty);
	mproc_queue_destroy(b->full);
	assert_int_equal(mproc_process_kill(b->child), 0);
	assert_int_equal(mproc_process_join(b->child, MPROC_FOREVER), 0);
	mproc_process_close(b->child);
	assert_true(mproc_arena_recover(NULL) >= 0);
	signal(SIGUSR1, SIG_DFL);
}

/* A thread that waits until it gets what it waits for. */
static inline int
wait_and_count(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	struct waiter *w = arg;
	int r;

	if (w->way == PUT)
		fill(t, b->full);
	w->tid = gettid();
	while ((r = wait_in(b, w->way, MPROC_FOREVER)) == -EINTR)
		w->told++;
	mpt_check_int(t, r, 0);
	return 0;
}

static inline struct waiter *
new_waiter(struct mpt *t, unsigned i, enum way way)
{
	struct board *b = mpt_scratch(t);
	struct waiter *w = &b->waiter[i];

	w->way = way;
	mpt_use_threads(t, true);
	mpt_spawn(t, "waiter", wait_and_count, w);
	mpt_until(t, w->tid);
	return w;
}

static inline void
await_sleep(struct mpt *t, const struct waiter *w)
{
	mpt_until(t, mpt_task_state(w->tid) == 'S');
}

/* Gives all waiters what they wait for. */
static inline void
release(struct mpt *t, struct board *b, unsigned getters)
{
	char buf[56] = "";

	while (getters--)
		mpt_check_int(t, mproc_queue_put(b->empty, buf, sizeof(buf),
						 MPROC_NOWAIT), 0);
	while (mproc_queue_get(b->full, buf, sizeof(buf), NULL,
			       MPROC_NOWAIT) == 0)
		;
	mpt_check_int(t, mproc_process_kill(b->child), 0);
}

static inline void
interrupt(struct mpt *t, enum source source, const struct waiter *sleeper)
{
	switch (source) {
	case ANOTHER_THREAD:
		mproc_interrupt();
		break;
	case HANDLER_ELSEWHERE:
		raise(SIGUSR1);
		break;
	case HANDLER_ON_SLEEPER:
		mpt_check_int(t, tgkill(getpid(), sleeper->tid, SIGUSR1), 0);
		break;
	case SOURCES:
		break;
	}
}

#endif
