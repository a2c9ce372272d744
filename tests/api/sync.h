/* SPDX-License-Identifier: MIT */
/*
 * What tests of locks and the like share, whatever the object is.
 */
#ifndef API_SYNC_H
#define API_SYNC_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

#include "common.h"

/* A role that says in *@tid who it is, then sleeps for the object, and nowhere
 * else. */
static inline int
spawn_sleeper(struct mpt *t, _Atomic pid_t *tid, mpt_fn *fn)
{
	int id;

	*tid = 0;
	id = mpt_spawn(t, "sleeper", fn, NULL);
	mpt_until(t, *tid && mpt_task_state(*tid) == 'S');
	return id;
}

/* A handler of SIGUSR1. */
static inline void
interrupt(int sig)
{
	(void)sig;
	mproc_interrupt();
}

/* A role that has a handler of SIGUSR1 ends well once that has run. */
static inline void
signal_and_expect_exit(struct mpt *t, int id)
{
	assert_int_equal(kill(mpt_pid(t, id), SIGUSR1), 0);
	mpt_expect_exit(t, id, 0);
}

static inline void *
raise_signal(void *arg)
{
	sigset_t none;

	(void)arg;
	sigemptyset(&none);
	pthread_sigmask(SIG_SETMASK, &none, NULL);
	raise(SIGUSR1);
	return NULL;
}

/* Runs @handler in a thread that has never used libmproc. */
static inline void
handle_as_a_stranger(void (*handler)(int sig))
{
	pthread_t thread;

	signal(SIGUSR1, handler);
	assert_int_equal(pthread_create(&thread, NULL, raise_signal, NULL), 0);
	pthread_join(thread, NULL);
	signal(SIGUSR1, SIG_DFL);
}

enum { CROWD = 200 };

/* Objects come and go @rounds times, without growth after the first @first.
 * @make makes the ith one and uses it. */
static inline void
come_and_go_without_growth(void *(*make)(unsigned i), void (*destroy)(void *),
			   unsigned rounds, unsigned first)
{
	struct mproc_arena_stat before = { 0 }, after;
	void *all[CROWD];

	for (unsigned round = 1; round <= rounds; round++) {
		for (unsigned i = 0; i < CROWD; i++) {
			all[i] = make(i);
			assert_true(mproc_is_shared(all[i]));
		}
		for (unsigned i = 0; i < CROWD; i++)
			destroy(all[i]);
		if (round == first)
			before = stat_now();
	}
	after = stat_now();
	assert_int_equal(before.blocks, after.blocks);
	assert_int_equal(before.used, after.used);
}

#endif
