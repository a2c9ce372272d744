/* SPDX-License-Identifier: MIT */
/*
 * The word of what a thread can hold: a lock, say. Who holds it, in the same 64
 * bits that say that it is held, so that taking and owning are one instruction.
 *
 *   bits 0..15   slot of the participant that holds it, 0 if nobody does
 *   bits 16..21  flags
 *   bits 32..63  incarnation of that participant, 0 if nobody holds it
 *
 * An incarnation is a slot's for one thread and never again (but after 2^32
 * others), and who is dead takes nothing any more: a word that names a dead
 * holder changes only by who finds that out. Whatever is not that holder's
 * incarnation, or not alive, is dead.
 *
 * All zero is free.
 */
#ifndef MPR_SYNC_HOLDER_H
#define MPR_SYNC_HOLDER_H

#include <stdbool.h>
#include <stdint.h>

#include <mproc/lock.h>

#include "arena/participant.h"

#define MPR_HELD (UINT64_C(1) << 16)
#define MPR_WAITERS (UINT64_C(1) << 17) /* somebody may wait */
#define MPR_DIED (UINT64_C(1) << 18) /* a holder has died, and none said since
				      * that all is well */
#define MPR_HANDED (UINT64_C(1) << 19) /* the holder does not know it yet */
#define MPR_STARVED (UINT64_C(1) << 20) /* the next one is who waits longest */
#define MPR_GONE (UINT64_C(1) << 21) /* destroyed; see sync/cell.h */

static_assert(MPR_PARTICIPANTS_MAX <= 0x10000, "slots fit");

/* The word of what the participant that has @ident in @slot holds. */
static inline uint64_t
mpr_holder_of(unsigned slot, uint64_t ident)
{
	return ident >> 2 << 32 | MPR_HELD | slot;
}

static inline uint64_t
mpr_holder(const struct mpr_self *self)
{
	return mpr_holder_of(self->slot, self->ident);
}

static inline unsigned
mpr_holder_slot(uint64_t word)
{
	return (unsigned)(word & 0xffff);
}

/* Without flags other than HELD. */
static inline uint64_t
mpr_holder_name(uint64_t word)
{
	return word & ~(MPR_WAITERS | MPR_DIED | MPR_HANDED | MPR_STARVED);
}

/* What a holder writes down beside the word, for those who come when its slot is
 * another's: {incarnation 26 | slot 16 | pid 22}. */
#define MPR_PID_BITS 22 /* the kernel's limit */

static inline uint64_t
mpr_holder_named_as(uint64_t word, uint32_t pid)
{
	return word >> 32 << 38 | (uint64_t)mpr_holder_slot(word) << 22 | pid;
}

static inline uint64_t
mpr_holder_named(const struct mpr_self *self)
{
	return mpr_holder_named_as(mpr_holder(self), self->pid);
}

/* The pid and tid of who holds it as @word says, dead or alive, as far as they
 * are known: {pid 32 | tid 32}. @named is what the last holder wrote down. */
uint64_t mpr_holder_who(const mproc_arena *a, uint64_t word, uint64_t named);

/* Whether who holds it, as @word says, is dead or has left; by its life word
 * alone. */
bool mpr_holder_is_dead(const mproc_arena *a, uint64_t word);

/* Whether somebody has it, as @word says, and knows that. */
static inline bool
mpr_holder_has_it(uint64_t word)
{
	return (word & (MPR_HELD | MPR_HANDED)) == MPR_HELD;
}

/* Whether that one is dead, and nobody has come yet to find it out. */
bool mpr_holder_has_died(const mproc_arena *a, uint64_t word);

/* What @word says about the holder, and the last one that died: @named and @died
 * are what stands beside it. The rest of *@ret_owner is 0. */
void mpr_holder_describe(const mproc_arena *a, uint64_t word, uint64_t named,
			 uint64_t died, struct mproc_owner *ret_owner);

#endif
