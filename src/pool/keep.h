/* SPDX-License-Identifier: MIT */
/*
 * What is done to a pool's tasks by who keeps it: its keeper; or, where there is none,
 * for a moment, whoever needs one (pool/keeping.c). By its word in the root nobody else
 * does any of this meanwhile. All of it can be done again.
 */
#ifndef MPR_POOL_KEEP_H
#define MPR_POOL_KEEP_H

#include "pool/pool_shm.h"

/* Whether the participant that is meant by @word, of sync/holder.h, is dead, and what
 * it had on its way in the heap is settled. */
bool mpr_keep_is_gone(mproc_arena *a, uint64_t word);

/* Who has the record: a word of sync/holder.h; or 0. One that is being begun for it finds
 * that it is too late. */
uint64_t mpr_keep_holder_of(struct mpr_pool_worker *record);

/* Completes all that worker @w had, which is dead, or has it run again; then the record
 * is free. @end is NULL if nobody knows how it died. Returns false if something that
 * waits again is still to be announced. */
bool mpr_keep_bury(const struct mpr_pool_use *u, struct mpr_self *self, unsigned w,
		   const struct mproc_exit *end);

/* Fails what nobody has begun, and has the rest not completed by who runs it. */
void mpr_keep_revoke_all(const struct mpr_pool_use *u, struct mpr_self *self);

/* The pool has ended: wakes who waits for that. */
void mpr_keep_end(const struct mpr_pool_use *u, struct mpr_self *self);

#endif
