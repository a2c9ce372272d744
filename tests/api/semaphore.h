/* SPDX-License-Identifier: MIT */
/*
 * What the tests of semaphores share.
 */
#ifndef API_SEMAPHORE_H
#define API_SEMAPHORE_H

#include "sync.h"

/* In the scratch bytes. */
struct board {
	mproc_semaphore *s;
	_Atomic pid_t tid;
	_Atomic unsigned done;
	_Atomic unsigned stop;
	_Atomic unsigned inside;
	_Atomic unsigned most;
};

static inline struct board *
new_board(struct mpt *t, const struct mproc_semaphore_opts *opts)
{
	struct board *b = mpt_scratch(t);

	*b = (struct board){ 0 };
	assert_int_equal(mproc_semaphore_create(&b->s, opts), 0);
	return b;
}

#define new_board_of(t, ...) \
	new_board((t), MPROC_OPTS(mproc_semaphore_opts, __VA_ARGS__))

static inline void
end(struct mpt *t, struct board *b)
{
	mpt_join_all(t);
	mproc_semaphore_destroy(b->s);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

static inline int
acquire_once(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	b->tid = gettid();
	mpt_check_int(t, mproc_semaphore_acquire(b->s, mproc_sec(20)), 0);
	b->done++;
	return 0;
}

#endif
