/* SPDX-License-Identifier: MIT */
/*
 * The root's word that says who keeps a pool, and with that who alone may end it or give
 * it back:
 *
 *   whatever is there, of an earlier pool --seize, by who has the cell--> M,HANDED
 *   K, dead, or NONE --claim--> S,HANDED --give back--> NONE; OVER if it has ended
 *   M,HANDED or S,HANDED --the keeper that it has forked--> K
 *   M, S or K --end, by who has taken the cell--> OVER
 *
 * HANDED is who starts a keeper, and who gives back the pool of a dead creator: to both
 * it is to be theirs alone. If they die, they are replaced as a keeper is.
 *
 * No value comes back once the pool has ended, or there is another one: NONE and OVER name
 * the cell's generation, there is no NONE after the end, and who is dead takes nothing. So
 * who reads the word, then sees that the pool is there and has not ended, and then changes
 * what it has read, changes it for that pool.
 */
#ifndef MPR_POOL_KEEPER_WORD_H
#define MPR_POOL_KEEPER_WORD_H

#include "pool/pool_shm.h"

/* Nobody keeps it, and somebody may. */
static inline uint64_t
mpr_keeper_none(uint32_t generation)
{
	return (uint64_t)generation << 32;
}

/* Nobody does any more. */
static inline uint64_t
mpr_keeper_over(uint32_t generation)
{
	return (uint64_t)generation << 32 | MPR_GONE;
}

/* Of the calling thread, before it is a keeper. */
static inline uint64_t
mpr_keeper_starter(const struct mpr_self *self)
{
	return mpr_holder(self) | MPR_HANDED;
}

/* Whether somebody who lives has it: mpr_keeper_claim() would return -EBUSY. */
bool mpr_keeper_lives(const struct mpr_pool_use *u);

/*
 * Writes @mine, of mpr_keeper_starter(), unless a living one is there. Returns 0;
 * -EBUSY if one is; -ESHUTDOWN if the pool's phase is beyond @last; -ESTALE if the pool
 * is not there.
 */
int mpr_keeper_claim(const struct mpr_pool_use *u, uint64_t mine,
		     enum mpr_pool_phase last);

/* The same for who has the cell, and makes a pool of it. Returns false if one is. */
bool mpr_keeper_seize(const struct mpr_pool_use *u, uint64_t mine);

/* Who has claimed it does not want it: another one may, unless the pool has ended. Returns
 * false if it has it no more. */
bool mpr_keeper_give_back(const struct mpr_pool_use *u, uint64_t mine);

/* Who has taken the cell has it, too: nobody else will. Returns false if another one
 * has. */
bool mpr_keeper_end(const struct mpr_pool_use *u, uint64_t mine);

#endif
