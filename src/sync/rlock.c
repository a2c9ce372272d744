/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/error.h"
#include "sync/rlock.h"

/* The lock, which is what is waited for, and what can fail. */
static mproc_lock *
lock_of(mproc_rlock *rlock)
{
	return (mproc_lock *)rlock;
}

static const mproc_lock *
look_at(const mproc_rlock *rlock)
{
	return (const mproc_lock *)rlock;
}

int
mproc_rlock_acquire(mproc_rlock *rlock, mproc_timeout timeout)
{
	struct mpr_rlock *rl = (struct mpr_rlock *)rlock;
	uint32_t nested;
	int r;

	if (!rl || !mpr_lock_is_mine(&rl->lock)) {
		r = mproc_lock_acquire(lock_of(rlock), timeout);
		/* A handle has room for that, too: arena/remote.h. */
		if (r >= 0)
			atomic_store_explicit(&rl->nested, 0,
					      memory_order_relaxed);
		return r;
	}
	nested = atomic_load_explicit(&rl->nested, memory_order_relaxed);
	if (nested == UINT32_MAX)
		return mpr_fail(-EOVERFLOW, "this thread has taken lock %p "
				"%u times and once more", (void *)rl, nested);
	atomic_store_explicit(&rl->nested, nested + 1, memory_order_relaxed);
	return 0;
}

int
mproc_rlock_release(mproc_rlock *rlock)
{
	struct mpr_rlock *rl = (struct mpr_rlock *)rlock;
	uint32_t nested;

	if (!rl || !mpr_lock_is_mine(&rl->lock))
		return mproc_lock_release(lock_of(rlock));
	nested = atomic_load_explicit(&rl->nested, memory_order_relaxed);
	if (nested == 0)
		return mproc_lock_release(lock_of(rlock));
	atomic_store_explicit(&rl->nested, nested - 1, memory_order_relaxed);
	return 0;
}

int
mpr_rlock_try_for(struct mpr_rlock *rl, struct mpr_self *holder)
{
	int r = mpr_lock_try_for(&rl->lock, holder);

	if (r >= 0)
		atomic_store_explicit(&rl->nested, 0, memory_order_relaxed);
	return r;
}

int
mproc_rlock_consistent(mproc_rlock *rlock)
{
	return mproc_lock_consistent(lock_of(rlock));
}

bool
mproc_rlock_is_consistent(const mproc_rlock *rlock)
{
	return mproc_lock_is_consistent(look_at(rlock));
}

int
mproc_rlock_owner(const mproc_rlock *rlock, struct mproc_owner *ret_owner)
{
	return mproc_lock_owner(look_at(rlock), ret_owner);
}

int
mproc_rlock_create(mproc_rlock **ret_rlock)
{
	void *rlock;
	int r;

	if (!ret_rlock)
		return mpr_fail(-EINVAL, "ret_rlock is NULL");
	r = mpr_cell_create(MPR_CELL_RLOCK, &rlock);
	if (r < 0)
		return r;
	mpr_cell_open(rlock, 0);
	*ret_rlock = rlock;
	return 0;
}

void
mproc_rlock_destroy(mproc_rlock *rlock)
{
	mpr_cell_destroy(MPR_CELL_RLOCK, rlock, 0);
}
