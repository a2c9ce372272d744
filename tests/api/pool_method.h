/* SPDX-License-Identifier: MIT */
/*
 * What tests share that make pools of each method, and are not run with MPT_METHOD.
 */
#ifndef API_POOL_METHOD_H
#define API_POOL_METHOD_H

#include "pool.h"

/* Each for both methods. */
#define by_each_method(f)                                                                \
	static void f##_spawn(void **state) { f(*state, MPROC_SPAWN); }         \
	static void f##_forkserver(void **state) { f(*state, MPROC_FORKSERVER); }

#define tests_of_methods(f) mpt_test(f##_spawn), mpt_test(f##_forkserver)

/* In the arena, where workers find it: these have no scenario. */
struct meeting {
	_Atomic unsigned loops;
	_Atomic bool go_on;
	_Atomic bool begun;
	_Atomic pid_t keeper;
	mproc_pool *pool;
	mproc_future *f;
};

static inline mproc_pool *
make(struct mpt *t, int method, int workers)
{
	mproc_pool *pool = NULL;

	mpt_check_int(t, mproc_pool_create(&pool, MPROC_OPTS(
		mproc_pool_opts, .workers = workers, .retries = 10,
		.method = method)), 0);
	return pool;
}

static inline pid_t
keeper_of(struct mpt *t, mproc_pool *pool)
{
	struct mproc_pool_stat stat;

	mpt_check_int(t, mproc_pool_stat(pool, &stat), 0);
	return stat.keeper;
}

static inline void
kill_keeper(struct mpt *t, pid_t keeper)
{
	int state;

	mpt_check_int(t, kill(keeper, SIGKILL), 0);
	mpt_until(t, (state = mpt_task_state(keeper)) == 0 || state == 'Z');
}

#endif
