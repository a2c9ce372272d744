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
 */
#ifndef MPR_SYNC_NEIGHBOURS_H
#define MPR_SYNC_NEIGHBOURS_H

#include <stdbool.h>

#include "arena/participant.h"
#include "os/parker.h"

struct mpr_neighbours {
	unsigned count;
	struct mpr_life *life[MPR_PARKER_LIVES];
};

/* Finds those of the caller, and recovers from the dead between it and them. Returns
 * whether there were any. */
bool mpr_neighbours_find(const struct mpr_self *self, struct mpr_neighbours *n);

#endif
