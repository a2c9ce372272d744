/* SPDX-License-Identifier: MIT */
/*
 * What a lock is in shared memory, and its parts that others use: a condition
 * releases and takes the lock of who waits.
 *
 *   0 --acquire--> HELD by me --release--> 0
 *
 * The word is that of sync/holder.h. Who finds it held sets WAITERS before it
 * sleeps; whoever then releases it chooses one of those who wait (sync/wait.h).
 * That one has to be faster than all who come along, which is what makes a
 * lock fast while many want it. One that has waited for long sets STARVED
 * instead, and then the lock is handed to the one who waits longest: the word
 * names it, with HANDED until it knows. If it does not wait any more, is dead, or
 * does not come within 50 ms, anyone may take the lock instead. The cell's spare
 * half word says since when, in milliseconds.
 *
 * The owner dies: who wants the lock takes it, by a CAS from the dead one's
 * word, with DIED set. DIED stays through releases until a holder clears it.
 */
#ifndef MPR_SYNC_LOCK_H
#define MPR_SYNC_LOCK_H

#include <mproc/sync.h>

#include "sync/cell.h"
#include "sync/holder.h"

struct mpr_lock {
	struct mpr_cell cell; /* .first: see below */
	/* mpr_holder_named() of that holder. */
	_Atomic uint64_t named;
	/* The last holder that died: {pid 32 | tid 32}, 0 if not known. */
	_Atomic uint64_t died;
};

static_assert(sizeof(struct mpr_lock) == sizeof(mproc_lock), "shared layout");

/* Whether the calling thread holds it, and knows it. Nobody else can change that:
 * relaxed. */
static inline bool
mpr_lock_is_mine(const struct mpr_lock *l)
{
	const struct mpr_self *self =
		mpr_arenas_are_many() ? NULL : mpr_self_at_once();
	uint64_t word = atomic_load_explicit(&l->cell.word,
					     memory_order_relaxed);

	if (mpr_unlikely(!self))
		self = mpr_self_of(l);
	return self && !(word & MPR_HANDED) &&
	       mpr_holder_name(word) == mpr_holder(self);
}

/* Returns 0 if the calling thread holds it; -EPERM or -ESTALE, with the text. */
int mpr_lock_check_held(const struct mpr_lock *l);

/* Others wait for it: the calling thread, which holds it, wakes one of them when
 * it releases it. */
void mpr_lock_expect_waiters(struct mpr_lock *l);

/* As mproc_lock_acquire() for ever, in spite of interrupts, which stay pending,
 * by one that may have been chosen: others who wait count on it. It is the lock
 * that had @generation when the caller had it. */
int mpr_lock_take_back(struct mpr_lock *l, uint32_t generation);

/*
 * For who acts for another thread of this process, @holder, which lives and is in the
 * arena of the lock; it may wait for something else. That one has the lock then, or
 * has it no more. As mproc_lock_acquire() without a wait, but -EBUSY if it is held;
 * -EDEADLK if @holder has it.
 */
int mpr_lock_try_for(struct mpr_lock *l, struct mpr_self *holder);

/* As mproc_lock_release(). @died: who gets it is told that a holder has died, of whom
 * nothing is known. */
int mpr_lock_release_for(struct mpr_lock *l, const struct mpr_self *holder, bool died);

/* As mproc_lock_consistent(). */
int mpr_lock_consistent_for(struct mpr_lock *l, const struct mpr_self *holder);

#endif
