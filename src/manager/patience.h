/* SPDX-License-Identifier: MIT */
/*
 * How often who waits for a message looks again before it sleeps. To be woken takes
 * longer than a request does, if that comes while one looks; but to look in vain takes
 * the CPU from somebody, maybe from who was to send it.
 * docs/decisions/0107-who-waits-looks-if-it-pays.md
 */
#ifndef MPR_MANAGER_PATIENCE_H
#define MPR_MANAGER_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

/* Zero bytes: nothing is known yet. */
struct mpr_patience {
	unsigned left;	   /* looks, of this wait */
	unsigned skip;	   /* waits without one */
	unsigned after;	   /* so many are to be skipped after one in vain */
	unsigned n;	   /* waits */
	uint64_t preempted; /* how often, when that was asked for last */
	bool crowded;
};

/* A wait begins. Returns whether to look. */
bool mpr_patience_begin(struct mpr_patience *p);

/* Nothing is there: whether to look once more. */
bool mpr_patience_looks(struct mpr_patience *p);

/* What was waited for is there. */
void mpr_patience_met(struct mpr_patience *p);

#endif
