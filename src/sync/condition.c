/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>

#include "base/error.h"
#include "os/clock.h"
#include "os/interrupt.h"
#include "sync/condition.h"
#include "sync/holder.h"
#include "sync/lock.h"
#include "sync/wait.h"

static bool
is_gone(const struct mpr_condition *c, uint32_t generation)
{
	return atomic_load(&c->cell.word) & MPR_GONE ||
	       atomic_load(&c->cell.generation) != generation;
}

/* Sleeps as @w has announced. Returns 0 when it was chosen; -ETIMEDOUT, -EINTR,
 * -ESHUTDOWN. */
static int
sleep_until_notified(struct mpr_wait *w, const struct mpr_condition *c,
		     uint32_t generation, int64_t deadline)
{
	bool chosen;
	int r = 0;

	while (!is_gone(c, generation)) {
		r = mpr_wait_sleep(w, deadline);
		/* A signal handler has forked: the child has the lock to take,
		 * and looks itself what it waited for. */
		if (mpr_wait_is_foreign(w))
			return 0;
		if (r < 0 || !mpr_wait_again(w))
			break;
	}
	chosen = mpr_wait_end(w);
	/* Who destroys it chooses all. */
	if (is_gone(c, generation))
		return -ESHUTDOWN;
	return chosen ? 0 : r;
}

/* Takes the lock after a wait that has ended as @why says. */
static int
take_back(mproc_lock *lock, const struct mpr_condition *c, int why)
{
	int r;

	/* An interrupt must not keep us from the lock. */
	mpr_interrupt_hold();
	r = mproc_lock_acquire(lock, MPROC_FOREVER);
	mpr_interrupt_unhold();
	if (r == -ESHUTDOWN)
		r = -ESTALE;
	if (r != 0)
		return r;
	if (why == -ESHUTDOWN)
		mpr_fail(why, "condition %p was destroyed", (const void *)c);
	if (why == -EINTR)
		mpr_interrupt_answer();
	return why;
}

int
mproc_condition_wait(mproc_condition *condition, mproc_lock *lock,
		     mproc_timeout timeout)
{
	const struct mpr_condition *c = (struct mpr_condition *)condition;
	const struct mpr_lock *l = (struct mpr_lock *)lock;
	uint32_t generation;
	struct mpr_wait w;
	int64_t deadline;
	int r;

	if (!c || !l)
		return mpr_fail(-EINVAL, "condition or lock is NULL");
	r = mpr_lock_check_held(l);
	if (r < 0)
		return r;
	generation = atomic_load(&c->cell.generation);
	if (is_gone(c, generation))
		return mpr_fail(-ESTALE, "condition %p was destroyed",
				(const void *)c);
	if (!timeout.ns)
		return -EAGAIN;
	deadline = mpr_deadline(timeout);
	mpr_wait_begin(&w, mpr_self_if_joined(), c, MPR_WAIT_CALL);
	/* No death ends this wait. */
	mpr_wait_announce(&w, -1);
	r = mproc_lock_release(lock);
	if (r < 0) {
		mpr_wait_end(&w);
		mpr_wait_finish(&w);
		return r;
	}
	r = sleep_until_notified(&w, c, generation, deadline);
	r = take_back(lock, c, r);
	if (!mpr_wait_is_foreign(&w))
		mpr_wait_finish(&w);
	return r;
}

int
mproc_condition_wait_for(mproc_condition *condition, mproc_lock *lock,
			 int (*pred)(void *arg), void *arg,
			 mproc_timeout timeout)
{
	int r;

	if (!condition || !lock || !pred)
		return mpr_fail(-EINVAL, "condition, lock or pred is NULL");
	r = mpr_lock_check_held((struct mpr_lock *)lock);
	if (r < 0)
		return r;
	if (timeout.ns)
		timeout = mproc_until(mpr_deadline(timeout));
	while (r == 0 && !pred(arg))
		r = mproc_condition_wait(condition, lock, timeout);
	/* It may have become true without a notification. */
	return r == -ETIMEDOUT && pred(arg) ? 0 : r;
}

/* All of them if @n is UINT_MAX. */
static int
notify(mproc_condition *condition, unsigned n)
{
	const struct mpr_condition *c = (struct mpr_condition *)condition;
	mproc_arena *a = mpr_arena_peek();
	struct mpr_wake k;
	unsigned woken;

	if (!c)
		return mpr_fail(-EINVAL, "condition is NULL");
	if (atomic_load(&c->cell.word) & MPR_GONE)
		return mpr_fail(-ESTALE, "condition %p was destroyed",
				(const void *)c);
	if (!a)
		return 0;
	/* For those whom it has chosen and not woken. */
	mpr_wake_begin(&k, a, mpr_self_if_joined(), c);
	woken = n == UINT_MAX ? mpr_wake_all(&k) : mpr_wake_n(&k, n);
	mpr_wake_end(&k);
	return (int)woken;
}

int
mproc_condition_notify(mproc_condition *condition, unsigned n)
{
	return notify(condition, n);
}

int
mproc_condition_notify_all(mproc_condition *condition)
{
	return notify(condition, UINT_MAX);
}

int
mproc_condition_create(mproc_condition **ret_condition)
{
	void *condition;
	int r;

	if (!ret_condition)
		return mpr_fail(-EINVAL, "ret_condition is NULL");
	r = mpr_cell_create(MPR_CELL_CONDITION, &condition);
	if (r < 0)
		return r;
	mpr_cell_open(condition, 0);
	*ret_condition = condition;
	return 0;
}

void
mproc_condition_destroy(mproc_condition *condition)
{
	mpr_cell_destroy(MPR_CELL_CONDITION, condition);
}
