/* SPDX-License-Identifier: MIT */
/*
 * Parking: a participant sleeps in its own parker, and others wake it there.
 * All that sleeps in libmproc sleeps here, except for those who wait for a
 * child process, and for a child that waits for the order to begin.
 *
 * A sleeper wakes up by itself after a slice, to look at what it waits for: a
 * peer that was killed between what it did and its wake-up can wake nobody. With
 * n sleepers in the arena a slice is n/20 s, so that all of them together do that
 * about 20 times a second, and somewhat random, so that they do not do it
 * together.
 *
 * It also looks for the dead, without a word to the caller, at a random time in
 * the next n/20 s: however many have fallen asleep at once, somebody looks 20 to
 * 40 times a second. Who is stopped does not count from when it misses its time
 * on; as nobody knows that before, the first few times are shorter. And in between it
 * glances at whether anybody looks, as the others may have been stopped, and is woken when
 * a neighbour dies (sync/neighbours.h). Who waits for an owner is woken when that dies,
 * also without a crowd; it glances at that, too, every 45 ms, however many do, and relies
 * only on looks that were finished.
 */
#ifndef MPR_SYNC_PARK_H
#define MPR_SYNC_PARK_H

#include <stdint.h>

#include "arena/participant.h"

/*
 * What to pass to mpr_park(). Read it before announcing that one is about to
 * sleep: who is chosen between the announcement and the ticket would otherwise
 * sleep on a wake-up that it has counted already, and nobody chooses it again.
 */
static inline uint32_t
mpr_park_ticket(const struct mpr_self *self)
{
	return mpr_parker_ticket(&self->shared->parker);
}

/*
 * Sleeps for @object, which is shown to observers, until a wake-up since
 * @ticket was read, the end of a slice, or @deadline. Looks for the dead now and
 * then. Returns 0, and at once in a child that a signal handler has forked since
 * @self was asked for; -ETIMEDOUT at the deadline; -EINTR if there is an interrupt,
 * which the caller answers (os/interrupt.h) if that is what it returns.
 */
int mpr_park(struct mpr_self *self, const void *object, uint32_t ticket,
	     int64_t deadline);

/* Wakes the participant in @slot, whoever that is by now. */
void mpr_unpark(const mproc_arena *a, unsigned slot);

/* To be called when the one in @slot has been made to wait for an owner while it sleeps:
 * wakes it for a glance at that if it would not do so soon by itself. */
void mpr_unpark_to_glance(const mproc_arena *a, unsigned slot);

/* Wakes all threads of this process. Async-signal-safe. */
void mpr_unpark_process(const mproc_arena *a);

#endif
