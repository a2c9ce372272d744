/* SPDX-License-Identifier: MIT */
/*
 * Permits with owners: a holder word (sync/holder.h) for each permit of a
 * semaphore, in blocks that hang on its cell (sync/cell.h).
 *
 *   0 --take--> held by me --give--> 0
 *
 * A word that names the dead is as good as 0: who looks for a permit takes it
 * from there, and nothing else needs to be done about a death.
 *
 * The blocks are never anything else, so who comes late, when the semaphore was
 * destroyed, takes a permit of the next one at most, and gives that back.
 */
#ifndef MPR_SYNC_PERMITS_H
#define MPR_SYNC_PERMITS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arena/participant.h"

#define MPR_PERMITS_MAX 65536

/* The first @n words behind @link, for a walk over them. */
struct mpr_permits {
	const mproc_arena *arena;
	_Atomic uint64_t *link;
	unsigned n;
};

/* Makes @n words and clears them. Returns 0 or a negative error. */
int mpr_permits_make(mproc_arena *a, struct mpr_self *self,
		     _Atomic uint64_t *link, unsigned n);

/* Takes one for @self. Returns false if there is none. */
bool mpr_permits_take(struct mpr_permits permits, const struct mpr_self *self);

/* Gives one of @self's back. Returns false if it has none. */
bool mpr_permits_give(struct mpr_permits permits, const struct mpr_self *self);

/* How many have @holder for their word. */
unsigned mpr_permits_of(struct mpr_permits permits, uint64_t holder);

/* How many there are to be taken. */
unsigned mpr_permits_count(struct mpr_permits permits);

#endif
