/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/error.h"
#include "os/clock.h"
#include "os/interrupt.h"
#include "sync/condition.h"
#include "sync/crowd.h"
#include "sync/holder.h"
#include "sync/lock.h"
#include "sync/remote.h"
#include "sync/wait.h"

#define ONCE (UINT64_C(1) << 32) /* in the word's count */

/* So many are woken besides the one that gets the lock next. */
#define AHEAD 3

static int
fail_gone(const struct mpr_condition *c, int r)
{
	return mpr_fail(r, "condition %p was destroyed", (const void *)c);
}

bool
mpr_condition_flag(struct mpr_condition *c, uint32_t generation)
{
	uint64_t word = atomic_load(&c->cell.word);

	do
		if (word & MPR_GONE ||
		    atomic_load(&c->cell.generation) != generation)
			return false;
	/* seq_cst, as who notifies looks at this before it looks for us. */
	while (!atomic_compare_exchange_strong(&c->cell.word, &word,
					       (word + ONCE) | MPR_WAITERS));
	return true;
}

/* From now on whoever notifies finds us. The lock is released last. */
static int
begin_wait(struct mpr_wait *w, struct mpr_condition *c, mproc_lock *lock,
	   uint32_t generation)
{
	mproc_arena *a = mpr_arena_of(c);
	struct mpr_self *self;
	int r;

	/* Who has the lock has joined; but that may be in another arena. */
	r = mpr_self(a, &self);
	if (r < 0)
		return r;
	mpr_wait_begin(w, self, c, MPR_WAIT_CALL);
	if (mpr_arena_of(lock) == a)
		mpr_wait_then(w, lock);
	/* No death ends this wait. */
	mpr_wait_announce(w, -1);
	r = mpr_condition_flag(c, generation) ? mproc_lock_release(lock) :
					 fail_gone(c, -ESTALE);
	if (r < 0) {
		mpr_wait_end(w);
		mpr_wait_finish(w);
	}
	return r;
}

/* What we were chosen for, at @object, is another's. */
static void
wake_another(struct mpr_self *self, const void *object)
{
	struct mpr_wake k;

	mpr_wake_begin(&k, self->arena, self, object);
	k.calls = true;
	mpr_wake_n(&k, 1);
	mpr_wake_end(&k);
}

/* Sleeps as @w has announced. Returns 0 when it was notified; -ETIMEDOUT, -EINTR,
 * -ESHUTDOWN. */
static int
sleep_until_notified(struct mpr_wait *w, const struct mpr_condition *c,
		     uint32_t generation, int64_t deadline)
{
	bool moved = false, chosen;
	int r = 0;

	while (!mpr_condition_is_gone(c, generation)) {
		r = mpr_wait_sleep(w, deadline);
		/* A signal handler has forked: the child has the lock to take,
		 * and looks itself what it waited for. */
		if (mpr_wait_is_foreign(w))
			return 0;
		if (r < 0 || !mpr_wait_again(w))
			break;
	}
	chosen = mpr_wait_end_unless_moved(w, &moved);
	/* Who destroys it chooses nobody: who is chosen was notified before. But
	 * by who notifies those of another one at its place, if there is. */
	if (chosen && atomic_load(&c->cell.generation) == generation)
		return 0;
	if (chosen)
		wake_another(w->self, c);
	return mpr_condition_is_gone(c, generation) ? -ESHUTDOWN : r;
}

/* Takes the lock, which had @generation, after a wait that has ended as @why
 * says. */
static int
take_back(struct mpr_lock *l, uint32_t generation, struct mpr_wait *w,
	  const struct mpr_condition *c, int why)
{
	/* Those that come while we wait for the lock are for the next wait. */
	uint32_t interrupts = mpr_interrupt_count();
	int r = mpr_lock_take_back(l, generation);

	/* If it was moved: until now the lock's wake-up was in its word. */
	if (!mpr_wait_is_foreign(w)) {
		mpr_wait_end(w);
		/* There may be another lock at its place, which was given to
		 * us. */
		if (r == -ESHUTDOWN)
			wake_another(w->self, l);
		mpr_wait_finish(w);
	}
	if (r == -ESHUTDOWN)
		r = -ESTALE;
	if (r != 0)
		return r;
	if (why == -ESHUTDOWN)
		fail_gone(c, why);
	if (why == -EINTR)
		mpr_interrupt_answer_to(interrupts);
	return why;
}

/* One of them is a handle: then both have to be those of one connection. @time: as of
 * mpr_remote_time(). */
static int
wait_elsewhere(mproc_condition *condition, mproc_lock *lock, int64_t time)
{
	const struct mpr_remote *c = mpr_remote_at(condition);
	const struct mpr_remote *l = mpr_remote_at(lock);
	int64_t thread = mpr_remote_thread();
	struct mpr_remote_ask ask = {
		.op = MPR_OP_CONDITION_WAIT,
		.n_args = 3,
		.args = { thread, l ? l->id : 0, time },
		.takes = true,
		.waits = true,
	};

	if (thread < 0)
		return (int)thread;
	if ((!c && mpr_remote_has(condition)) || (!l && mpr_remote_has(lock)))
		return mpr_fail(-ESTALE, "the manager of a handle was closed");
	if (!c || !l || atomic_load(&c->owner) != atomic_load(&l->owner))
		return mpr_fail(-EINVAL, "condition %p and lock %p are not of one "
				"connection to a manager", (void *)condition,
				(void *)lock);
	if (l->kind != MPR_CELL_LOCK)
		return mpr_fail(-EBADMSG, "%p is a handle to something else",
				(void *)lock);
	return mpr_remote_ask(MPR_CELL_CONDITION, condition, &ask);
}

static bool
is_elsewhere(const mproc_condition *condition, const mproc_lock *lock)
{
	return mpr_remote_has(condition) || mpr_remote_has(lock);
}

/* Of what is over by now the lock is given back all the same, for a moment. */
static int64_t
time_to_wait(mproc_timeout timeout)
{
	int64_t time = mpr_remote_time(timeout);

	return time || !timeout.ns ? time : 1;
}

int
mproc_condition_wait(mproc_condition *condition, mproc_lock *lock,
		     mproc_timeout timeout)
{
	struct mpr_condition *c = (struct mpr_condition *)condition;
	struct mpr_lock *l = (struct mpr_lock *)lock;
	uint32_t generation, locks;
	struct mpr_wait w;
	int64_t deadline;
	int r;

	if (!c || !l)
		return mpr_fail(-EINVAL, "condition or lock is NULL");
	if (is_elsewhere(condition, lock))
		return wait_elsewhere(condition, lock, time_to_wait(timeout));
	r = mpr_lock_check_held(l);
	if (r < 0)
		return r;
	generation = atomic_load(&c->cell.generation);
	if (mpr_condition_is_gone(c, generation))
		return fail_gone(c, -ESTALE);
	if (!timeout.ns)
		return -EAGAIN;
	deadline = mpr_deadline(timeout);
	/* We hold it: nobody destroys it in good order. */
	locks = atomic_load(&l->cell.generation);
	r = begin_wait(&w, c, lock, generation);
	if (r < 0)
		return r;
	r = sleep_until_notified(&w, c, generation, deadline);
	return take_back(l, locks, &w, c, r);
}

/* Whether the calling thread has the lock that it is to give back. */
static int
check_held(mproc_condition *condition, mproc_lock *lock)
{
	int r;

	if (!is_elsewhere(condition, lock))
		return mpr_lock_check_held((struct mpr_lock *)lock);
	/* Without a wait nothing is given back. */
	r = wait_elsewhere(condition, lock, 0);
	return r == -EAGAIN ? 0 : r;
}

int
mproc_condition_wait_for(mproc_condition *condition, mproc_lock *lock,
			 int (*pred)(void *arg), void *arg,
			 mproc_timeout timeout)
{
	int r;

	if (!condition || !lock || !pred)
		return mpr_fail(-EINVAL, "condition, lock or pred is NULL");
	r = check_held(condition, lock);
	if (r < 0)
		return r;
	if (timeout.ns)
		timeout = mproc_until(mpr_deadline(timeout));
	while (r == 0 && !pred(arg))
		r = mproc_condition_wait(condition, lock, timeout);
	/* It may have become true without a notification. */
	return r == -ETIMEDOUT && pred(arg) ? 0 : r;
}

/*
 * Woken while the caller has the lock, they would only run into it, all at once.
 * Those who want it are moved to wait for the lock, which wakes them one after
 * another. But where each has it for a moment only, it would be free most of the time,
 * while the next one wakes up. So of several a few are woken at once: they are awake by
 * the time, and have it one after another while those are woken that come next.
 */
static void
move_if_held(struct mpr_wake *k)
{
	struct mpr_waiter first;
	struct mpr_lock *l;

	if (!mpr_wake_first(k, &first))
		return;
	l = mpr_wake_next(k, &first, sizeof(*l));
	/* Who was moved to where it is could be moved for ever. */
	if (!l || (const void *)l == k->object || !mpr_lock_is_mine(l))
		return;
	/* Before they are moved. Whoever dies with the lock wakes them, as the
	 * lock's word names it. */
	mpr_lock_expect_waiters(l);
	k->held = l;
	k->ahead = AHEAD;
}

/* It was destroyed, or is a manager's. */
static MPR_NOINLINE int
notify_elsewhere(const mproc_condition *condition, unsigned n)
{
	struct mpr_remote_ask ask = {
		.op = MPR_OP_CONDITION_NOTIFY,
		.n_args = 1,
		.args = { n },
	};

	return mpr_remote_has(condition) ?
		       mpr_remote_ask(MPR_CELL_CONDITION, condition, &ask) : -ESTALE;
}

/* All of them if @n is UINT_MAX. */
static int
notify(mproc_condition *condition, unsigned n)
{
	struct mpr_condition *c = (struct mpr_condition *)condition;
	uint64_t once[MPR_PARTICIPANTS_MAX / 64];
	uint64_t calls_once[MPR_CROWDS_MAX / 64];
	mproc_arena *a;
	struct mpr_wake k;
	unsigned woken;
	uint64_t word;

	/* Without texts: mpr_fail() is not for signal handlers. */
	if (!c)
		return -EINVAL;
	word = atomic_load(&c->cell.word);
	if (word & MPR_GONE)
		return notify_elsewhere(condition, n);
	if (!(word & MPR_WAITERS))
		return 0;
	a = mpr_arena_of(c);
	if (!a)
		return 0;
	/* For those whom it has chosen and not woken. */
	mpr_wake_begin(&k, a, mpr_self_in(a), c);
	/* Who comes back meanwhile is not one of those who wait. */
	memset(once, 0, sizeof(once));
	k.once = once;
	memset(calls_once, 0, sizeof(calls_once));
	k.calls = true;
	k.calls_once = calls_once;
	move_if_held(&k);
	woken = n == UINT_MAX ? mpr_wake_all(&k) : mpr_wake_n(&k, n);
	mpr_wake_end(&k);
	if (woken < n)
		atomic_compare_exchange_strong(&c->cell.word, &word,
					       word & ~MPR_WAITERS);
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
	mpr_cell_destroy(MPR_CELL_CONDITION, condition, 0);
}
