/* SPDX-License-Identifier: MIT */
/*
 * Each way out of a mproc_with_lock() block, in what C and C++ have in common.
 * test_with_lock.c and with_lock.cpp run the same.
 */
#ifndef API_WITH_LOCK_H
#define API_WITH_LOCK_H

#include <errno.h>

#include <mproc/mproc.h>

/* A check returns 0, or the line of what is wrong. */
#define NEED(cond)                                                            \
	do {                                                                  \
		if (!(cond))                                                  \
			return __LINE__;                                      \
	} while (0)

static inline bool
is_held(const mproc_lock *lock)
{
	struct mproc_owner owner;

	return mproc_lock_owner(lock, &owner) == 0 && owner.tid != 0;
}

static inline int
runs_once(mproc_lock *lock)
{
	int n = 0, r = 7;

	mproc_with_lock(lock) {
		NEED(is_held(lock));
		n++;
	}
	NEED(n == 1 && !is_held(lock));
	mproc_with_lock_r(lock, r)
		n++;
	NEED(r == 0 && n == 2 && !is_held(lock));
	if (n == 2)
		mproc_with_lock(lock)
			n++;
	else
		n = 0;
	NEED(n == 3 && !is_held(lock));
	return 0;
}

static inline int
leave_by_return(mproc_lock *lock)
{
	mproc_with_lock(lock)
		return is_held(lock);
	return -1;
}

static inline int
leave_all_by_return(mproc_lock *lock, int *ret_r)
{
	for (;;)
		mproc_with_lock_r(lock, *ret_r)
			for (;;)
				return is_held(lock);
}

static inline int
return_releases(mproc_lock *lock)
{
	int r = 7;

	NEED(leave_by_return(lock) == 1 && !is_held(lock));
	NEED(leave_all_by_return(lock, &r) == 1 && !is_held(lock));
	NEED(r == 0);
	return 0;
}

static inline int
goto_releases(mproc_lock *lock)
{
	bool held = false;

	mproc_with_lock(lock) {
		held = is_held(lock);
		goto out;
	}
	return __LINE__;
out:
	NEED(held && !is_held(lock));
	return 0;
}

static inline int
break_leaves_the_block_only(mproc_lock *lock)
{
	int turns = 0, r = 7;

	for (int i = 0; i < 3; i++) {
		mproc_with_lock(lock) {
			if (i == 1)
				break;
			turns++;
		}
		NEED(!is_held(lock));
	}
	NEED(turns == 2);
	mproc_with_lock_r(lock, r) {
		for (int i = 0; i < 3; i++)
			break;
		NEED(is_held(lock));
		break;
	}
	NEED(r == 0 && !is_held(lock));
	return 0;
}

static inline int
continue_leaves_the_block_only(mproc_lock *lock)
{
	int turns = 0, after = 0, r = 7;

	for (int i = 0; i < 3; i++) {
		mproc_with_lock(lock) {
			if (i == 1)
				continue;
			turns++;
		}
		NEED(!is_held(lock));
		after++;
	}
	NEED(turns == 2 && after == 3);
	mproc_with_lock_r(lock, r)
		continue;
	NEED(r == 0 && !is_held(lock));
	return 0;
}

static inline int
blocks_nest(mproc_lock *lock, mproc_lock *other)
{
	int n = 0, r = 7;

	mproc_with_lock(lock) {
		mproc_with_lock(other) {
			NEED(is_held(lock) && is_held(other));
			if (n == 0)
				break;
			return __LINE__;
		}
		NEED(is_held(lock) && !is_held(other));
		mproc_with_lock_r(other, r)
			n++;
		NEED(is_held(lock) && !is_held(other));
	}
	NEED(n == 1 && r == 0 && !is_held(lock));
	return 0;
}

/* We have it already, or there is none. */
static inline int
a_failed_acquire_runs_nothing(mproc_lock *lock)
{
	int n = 0, r = 7;

	mproc_with_lock(lock) {
		mproc_with_lock_r(lock, r)
			n++;
		NEED(r == -EDEADLK && is_held(lock));
		mproc_with_lock(lock)
			n++;
		NEED(is_held(lock));
	}
	NEED(n == 0 && !is_held(lock));
	mproc_with_lock_r(0, r)
		n++;
	NEED(r == -EINVAL);
	mproc_with_lock(0)
		n++;
	NEED(n == 0);
	return 0;
}

/* The lock may be given back inside: not a second time at the end. */
static inline int
a_released_lock_stays_so(mproc_lock *lock, mproc_lock *other)
{
	mproc_lock *which = lock;

	mproc_with_lock(which)
		which = other;
	NEED(!is_held(lock) && !is_held(other));
	mproc_with_lock(lock)
		NEED(mproc_lock_release(lock) == 0);
	NEED(!is_held(lock));
	return 0;
}

#endif
