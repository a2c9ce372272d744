/* SPDX-License-Identifier: MIT */
/*
 * What tests of conditions share.
 */
#ifndef API_CONDITION_H
#define API_CONDITION_H

#include "sync.h"

/* In the scratch bytes. */
struct board {
	mproc_lock *lock;
	mproc_condition *c;
	_Atomic pid_t tid;
	_Atomic unsigned done;
	/* Of who has the lock. */
	unsigned sleeping; /* have begun to wait */
	unsigned woken;
	int state;
	int order[16];
};

static inline struct board *
new_board(struct mpt *t)
{
	struct board *b = mpt_scratch(t);

	memset(b, 0, sizeof(*b));
	assert_int_equal(mproc_lock_create(&b->lock), 0);
	assert_int_equal(mproc_condition_create(&b->c), 0);
	assert_true(mproc_is_shared(b->c));
	return b;
}

static inline void
end(struct mpt *t, struct board *b)
{
	mpt_join_all(t);
	assert_int_equal(mproc_condition_notify_all(b->c), 0);
	mproc_condition_destroy(b->c);
	mproc_lock_destroy(b->lock);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

static inline void
lock(struct mpt *t, struct board *b)
{
	mpt_check_int(t, mproc_lock_acquire(b->lock, mproc_sec(20)), 0);
}

static inline void
unlock(struct mpt *t, struct board *b)
{
	mpt_check_int(t, mproc_lock_release(b->lock), 0);
}

/* A value of who has the lock. */
static inline unsigned
look(struct mpt *t, struct board *b, const unsigned *what)
{
	unsigned value;

	lock(t, b);
	value = *what;
	unlock(t, b);
	return value;
}

static inline bool
holds(const struct board *b)
{
	struct mproc_owner owner;

	return mproc_lock_owner(b->lock, &owner) == 0 &&
	       owner.pid == getpid() && owner.tid == gettid();
}

/* Waits once, and must get @arg. */
static inline int
wait_once(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	lock(t, b);
	b->sleeping++;
	b->tid = gettid();
	mpt_check_int(t, mproc_condition_wait(b->c, b->lock, mproc_sec(20)),
		      (int)(intptr_t)arg);
	mpt_check(t, holds(b));
	b->woken++;
	unlock(t, b);
	return 0;
}

static inline int
is_four(void *arg)
{
	struct board *b = arg;

	return b->state == 4;
}

static inline unsigned
waiters(const mproc_lock *lock)
{
	struct mproc_owner owner;

	assert_int_equal(mproc_lock_owner(lock, &owner), 0);
	return owner.waiters;
}

#endif
