/* SPDX-License-Identifier: MIT */
/*
 * What tests of locks for readers and writers share.
 */
#ifndef API_RWLOCK_H
#define API_RWLOCK_H

#include "sync.h"

/* In the scratch bytes. */
struct board {
	mproc_rwlock *lock;
	_Atomic pid_t tid;
	_Atomic unsigned ready;
	_Atomic unsigned go;
	_Atomic unsigned done;
	_Atomic unsigned reads;
	_Atomic unsigned writes;
	uint64_t counter; /* of the writer */
	uint64_t copy;
};

static inline struct board *
new_board(struct mpt *t)
{
	struct board *b = mpt_scratch(t);

	*b = (struct board){ 0 };
	assert_int_equal(mproc_rwlock_create(&b->lock), 0);
	return b;
}

static inline void
end(struct mpt *t, struct board *b)
{
	mpt_join_all(t);
	mproc_rwlock_destroy(b->lock);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

static inline struct mproc_owner
owner(const mproc_rwlock *lock)
{
	struct mproc_owner owner;

	if (mproc_rwlock_owner(lock, &owner) < 0)
		owner = (struct mproc_owner){ .pid = -1 };
	return owner;
}

static inline void
read_now(struct board *b)
{
	assert_int_equal(mproc_rwlock_read(b->lock, MPROC_NOWAIT), 0);
}

static inline void
write_now(struct board *b)
{
	assert_int_equal(mproc_rwlock_write(b->lock, MPROC_NOWAIT), 0);
}

static inline void
release(struct board *b)
{
	assert_int_equal(mproc_rwlock_release(b->lock), 0);
}

/* What another thread gets at once. */
struct other {
	int read, write;
};

static inline int
try_both(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	const struct other *want = arg;
	int r;

	r = mproc_rwlock_read(b->lock, MPROC_NOWAIT);
	mpt_check_int(t, r, want->read);
	if (r >= 0)
		mpt_check_int(t, mproc_rwlock_release(b->lock), 0);
	r = mproc_rwlock_write(b->lock, MPROC_NOWAIT);
	mpt_check_int(t, r, want->write);
	if (r >= 0)
		mpt_check_int(t, mproc_rwlock_release(b->lock), 0);
	mpt_check_int(t, mproc_rwlock_release(b->lock), -EPERM);
	mpt_check_int(t, mproc_rwlock_consistent(b->lock), -EPERM);
	return 0;
}

static inline void
others_get(struct mpt *t, int read, int write)
{
	struct other want = { read, write };

	mpt_expect_exit(t, mpt_spawn(t, "other", try_both, &want), 0);
}

static inline int
write_once(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	b->tid = gettid();
	mpt_check_int(t, mproc_rwlock_write(b->lock, mproc_sec(20)), 0);
	b->writes++;
	mpt_check_int(t, mproc_rwlock_release(b->lock), 0);
	b->done++;
	return 0;
}

static inline int
read_once(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	b->tid = gettid();
	mpt_check_int(t, mproc_rwlock_read(b->lock, mproc_sec(20)), 0);
	b->reads++;
	mpt_check_int(t, mproc_rwlock_release(b->lock), 0);
	b->done++;
	return 0;
}

static inline int
hold(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	mpt_check_int(t, arg ? mproc_rwlock_read(b->lock, MPROC_FOREVER) :
			       mproc_rwlock_write(b->lock, MPROC_FOREVER), 0);
	b->tid = gettid();
	b->ready++;
	wait_to_be_killed(t);
	return 0;
}

#endif
