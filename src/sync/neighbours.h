/* SPDX-License-Identifier: MIT */
/*
 * Neighbours: by whose death the kernel wakes who sleeps in a crowd.
 *
 * They are, in the order of slots, which goes round, the next participant that lives and
 * the next that sleeps. So each sleeper has one other that sleeps beside it, and however
 * many of them die at one moment: as long as one is left, there is one that sleeps just
 * before a dead one. It is as with the nodes of Chord (Stoica et al., "Chord: A Scalable
 * Peer-to-peer Lookup Service for Internet Applications", SIGCOMM 2001), which keep their
 * ring together by looking after their successors alone.
 *
 * One that is stopped tells nobody. Who waits for what another one has sleeps beside that
 * one as well, its owner: all who wait for it do, and the kernel wakes one of those that
 * sleep, which those that are stopped do not. That is in a word of its own: in the other
 * one the wake-up is for who comes before it in the order, and nobody else.
 */
#ifndef MPR_SYNC_NEIGHBOURS_H
#define MPR_SYNC_NEIGHBOURS_H

#include <stdbool.h>

#include "arena/participant.h"
#include "os/parker.h"

/* One may be there twice. */
struct mpr_neighbours {
	unsigned count;
	unsigned slot[MPR_PARKER_LIVES];
	struct mpr_life *life[MPR_PARKER_LIVES];
};

/* Finds the owners of what the caller waits for, if it does for such, and recovers from
 * those that have died. Returns whether there were any. */
bool mpr_neighbours_owners(const struct mpr_self *self, struct mpr_neighbours *n);

/* Finds all of the caller, and recovers from its owner, and from the dead between it
 * and the others. Returns whether there were any. */
bool mpr_neighbours_find(const struct mpr_self *self, struct mpr_neighbours *n);

/* Recovers from those of them that have died. Returns whether there were any. For who was
 * woken by an end: nobody else is for that one, and the neighbours may be others by now. */
bool mpr_neighbours_recover(const struct mpr_self *self,
			    const struct mpr_neighbours *n);

#endif
