/* SPDX-License-Identifier: MIT */
/*
 * What a participant is told with a wake-up: for which of the things that it waits
 * for, so that one that waits for ten thousand need not look at each.
 *
 * A word of the participant has a bit for each of 32 rows and 32 columns. A waker
 * sets the row and the column of its object; the sleeper takes the word, and looks
 * at the things where a row and a column that were set cross: one in 1,024 after
 * one wake-up, all of them if it has not come for so long that all bits are set.
 * Bits may be set in vain, and where rows and columns of different wake-ups cross.
 *
 * Nothing is lost:
 *
 *	waker                              sleeper
 *	chooses it                         ticket = mpr_park_ticket(self)
 *	mpr_tell(a, slot, name)            mpr_told_take(self), looks
 *	mpr_unpark(a, slot)                mpr_park(self, ..., ticket, ...)
 *
 * A bit that is set after the word was taken is followed by a wake-up that is
 * younger than the ticket, and the sleeper comes round again. One that was set
 * before is taken, and what the waker has done before that is seen. A waker that
 * is killed between choosing and telling is recovered by somebody who tells all
 * that have a seat; one that is stopped there is why sleepers look at all things
 * from time to time.
 *
 * One that waits for a single thing has no use for the word, and is told all the
 * same: it lies in the cache line that the wake-up writes to.
 */
#ifndef MPR_SYNC_TOLD_H
#define MPR_SYNC_TOLD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arena/arena.h"
#include "arena/participant.h"

#define MPR_TOLD_ROWS 32
#define MPR_TOLD_COLUMNS 32
#define MPR_TOLD_PLACES (MPR_TOLD_ROWS * MPR_TOLD_COLUMNS)

/* Where the row and the column of the object called @name cross, [0,
 * MPR_TOLD_PLACES). */
static inline unsigned
mpr_told_place(uint64_t name)
{
	/* The highest bits of a product depend on all of the name. */
	return (unsigned)(name * UINT64_C(0x9e3779b97f4a7c15) >> 54);
}

/* The bits of one place. */
static inline uint64_t
mpr_told_bits(unsigned place)
{
	return UINT64_C(1) << place / MPR_TOLD_COLUMNS |
	       UINT64_C(1) << (MPR_TOLD_ROWS + place % MPR_TOLD_COLUMNS);
}

/* Tells the participant in @slot, whoever that is by now, which was chosen and is
 * woken next, for the object called @name (arena/arena.h). */
static inline void
mpr_tell(const mproc_arena *a, unsigned slot, uint64_t name)
{
	if (slot >= mpr_participants_high(a))
		return;
	/* Release pairs with the acquire in mpr_told_take(): who takes the bits
	 * sees that it was chosen, and looks at that thing. */
	atomic_fetch_or_explicit(&mpr_participant_at(a, slot)->told,
				 mpr_told_bits(mpr_told_place(name)),
				 memory_order_release);
}

/* What the calling thread was told since it last asked. */
static inline uint64_t
mpr_told_take(const struct mpr_self *self)
{
	_Atomic uint64_t *told = &self->shared->told;

	/* Acquire pairs with the release in mpr_tell(). Relaxed: what is not seen
	 * here is followed by a wake-up. */
	if (!atomic_load_explicit(told, memory_order_relaxed))
		return 0;
	return atomic_exchange_explicit(told, 0, memory_order_acquire);
}

static inline bool
mpr_told_has(uint64_t told, unsigned place)
{
	uint64_t bits = mpr_told_bits(place);

	return (told & bits) == bits;
}

#endif
