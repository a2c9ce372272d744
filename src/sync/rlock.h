/* SPDX-License-Identifier: MIT */
/*
 * A recursive lock in shared memory: a lock, and how often its holder has it.
 *
 *   lock free --acquire--> held --acquire--> held, nested 1 ...
 *
 * Only the holder reads or writes the count, and a new one sets it to 0, as the
 * one before may have died with another.
 */
#ifndef MPR_SYNC_RLOCK_H
#define MPR_SYNC_RLOCK_H

#include "sync/lock.h"

struct mpr_rlock {
	struct mpr_lock lock; /* also the rlock's name for those who wait */
	_Atomic uint32_t nested; /* beyond the first time */
	uint32_t pad;
};

static_assert(sizeof(struct mpr_rlock) == sizeof(mproc_rlock), "shared layout");
static_assert(sizeof(struct mpr_rlock) <= MPR_CELL, "it fits its cell");
static_assert(offsetof(struct mpr_rlock, lock) == 0, "it begins with a cell");
static_assert(offsetof(struct mpr_rlock, nested) == 32, "arena/remote.h knows it");

/* As mpr_lock_try_for(). */
int mpr_rlock_try_for(struct mpr_rlock *rl, struct mpr_self *holder);

#endif
