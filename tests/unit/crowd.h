/* SPDX-License-Identifier: MIT */
/* What tests of sleepers in crowds share. */
#ifndef CROWD_H
#define CROWD_H

#include <linux/futex.h>

#include "common.h"
#include "os/clock.h"

#define CROWD_LONG INT64_C(100000000000) /* ns, more than the watchdogs wait */
#define CROWD_GLANCE INT64_C(45000000) /* ns, as in sync/park.c */

static inline bool
is_there(unsigned slot)
{
	return mpr_participant_state(
		       mpr_participant_at(the_arena(), slot)->ident) !=
	       MPR_PARTICIPANT_FREE;
}

static inline struct mpr_life *
life_of(unsigned slot)
{
	return &mpr_participant_at(the_arena(), slot)->life;
}

/* That in which those sleep who wait for what it has. */
static inline struct mpr_life *
life_of_owner(unsigned slot)
{
	return &mpr_participant_at(the_arena(), slot)->life_of_owner;
}

/* Whether somebody sleeps in it, or is about to, or has. */
static inline bool
is_watched(struct mpr_life *life)
{
	return atomic_load(&life->u.words[0]) & FUTEX_WAITERS;
}

/* Who sleeps in it already is not told of its end any more. */
static inline void
seem_unwatched(struct mpr_life *life)
{
	atomic_fetch_and(&life->u.words[0], ~(uint32_t)FUTEX_WAITERS);
}

/* As one that shares looks and glances with so many that it does neither in the time of
 * the test. */
static inline void
share_with_many(struct mpr_self *self)
{
	int64_t later = mproc_now() + CROWD_LONG;

	self->pace = (struct mpr_pace){ .slice_end = later,
					.look_at = later,
					.glance_at = later,
					.interval = 24 * CROWD_LONG };
}

#endif
