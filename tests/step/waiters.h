/* SPDX-License-Identifier: MIT */
/*
 * Who waits, as step tests of waits for many things see it.
 */
#ifndef STEP_WAITERS_H
#define STEP_WAITERS_H

#include "sync/seats.h"
#include "world.h"

/* How many say that they wait for events and others. */
static inline unsigned
waiters_for_many(void)
{
	const mproc_arena *a = mpr_arena_peek();
	unsigned n = 0;

	for (unsigned slot = 0; slot < mpr_participants_high(a); slot++) {
		struct mpr_participant *p = mpr_participant_at(a, slot);

		n += mpr_participant_state(atomic_load(&p->ident)) ==
			     MPR_PARTICIPANT_LIVE && atomic_load(&p->many);
	}
	return n;
}

static inline unsigned
waiters_in_queue(const struct world *w)
{
	struct mpr_seat_walk walk = { 0 };
	_Atomic uint64_t *seat;
	unsigned n = 0;

	while ((seat = mpr_seat_next(mpr_arena_peek(), &w->q->seats, &walk)))
		n += mpr_owner_state(atomic_load(seat)) == MPR_SEAT_WAITING;
	return n;
}

#endif
