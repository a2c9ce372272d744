/* SPDX-License-Identifier: MIT */
/*
 * Waiting for many objects at once. The word of sync/wait.h has room for the name
 * of one; who waits for many says so in another word, by a bit of each of them
 * (mpr_many_bit()), so that who wakes those that wait for one object wakes few that
 * wait for others. It is never chosen, and what it waits for is news: it looks, and
 * sleeps again if nothing has happened.
 *
 *	ticket = mpr_park_ticket(self);
 *	mpr_many_announce(self, bits of all);
 *	each: look at it, and set its flag for those who wait for many
 *	mpr_park(self, ..., ticket, ...);
 *	mpr_many_announce(self, 0);
 *
 * As in sync/wait.h nobody sleeps who could go on: the bits, then the look; the
 * change, then the bits; all of that seq_cst. Whether anybody is to be looked for
 * says a flag in the object, which who changes it takes with it. It clears that for
 * all who wait, and wakes all of them: who sleeps again sets it again.
 *
 * A waker that dies in between has noted the object (mpr_wake_begin()), and recovery
 * wakes these too. Who dies or is killed while it waits leaves its bits, which count
 * for nobody.
 */
#ifndef MPR_SYNC_MANY_H
#define MPR_SYNC_MANY_H

#include <stdint.h>

#include "arena/participant.h"

/* What stands for the object, at whatever door: one bit of 64. */
uint64_t mpr_many_bit(const mproc_arena *a, const void *object);

/* The calling thread is about to sleep for all objects with these bits; 0: it does
 * not any more. */
void mpr_many_announce(struct mpr_self *self, uint64_t bits);

/* Wakes all who may wait for the object called @name, as @of means it, or, if that
 * is NULL, the calling process. Async-signal-safe. */
void mpr_many_wake(const mproc_arena *a, uint64_t name,
		   const struct mpr_participant *of);

#endif
