/* SPDX-License-Identifier: MIT */
/*
 * The owner word: who holds something, in the same 64 bits that say that it is
 * held. A claim and its registration are thus one instruction, and a survivor
 * who has proof of the owner's death can undo the claim with one more.
 *
 *   bits 0..1    state, named by the thing that the word belongs to; 0 = free
 *   bits 2..17   slot of the owning participant, 0 if there is none
 *   bits 18..63  epoch
 *
 * Epochs make each value unique in time, so that a recoverer that slept
 * through the thing's release and its next claim fails in its CAS instead of
 * robbing the new owner.
 */
#ifndef MPR_BASE_OWNER_H
#define MPR_BASE_OWNER_H

#include <stdbool.h>
#include <stdint.h>

#define MPR_EPOCH_MAX ((UINT64_C(1) << 46) - 1)

static inline uint64_t
mpr_owner(uint64_t epoch, unsigned slot, unsigned state)
{
	return epoch << 18 | (uint64_t)(slot & 0xffff) << 2 | (state & 3);
}

static inline unsigned
mpr_owner_state(uint64_t word)
{
	return (unsigned)(word & 3);
}

static inline unsigned
mpr_owner_slot(uint64_t word)
{
	return (unsigned)(word >> 2 & 0xffff);
}

static inline uint64_t
mpr_owner_epoch(uint64_t word)
{
	return word >> 18;
}

/* The same epoch and slot in another state. */
static inline uint64_t
mpr_owner_with_state(uint64_t word, unsigned state)
{
	return (word & ~UINT64_C(3)) | (state & 3);
}

/* The word of something that becomes free: one epoch on. */
static inline uint64_t
mpr_owner_freed(uint64_t word)
{
	return mpr_owner((mpr_owner_epoch(word) + 1) & MPR_EPOCH_MAX, 0, 0);
}

#endif
