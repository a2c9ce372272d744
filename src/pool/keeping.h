/* SPDX-License-Identifier: MIT */
/*
 * Who keeps a pool. The root's word says it (keeper_word.h), as that of a lock: a keeper
 * that is dead is replaced by whoever needs one. That one writes itself there, with
 * HANDED, forks a keeper and waits until it has put itself in its place.
 */
#ifndef MPR_POOL_KEEPING_H
#define MPR_POOL_KEEPING_H

#include "pool/pool_shm.h"

/* What a keeper is forked with. */
struct mpr_keeping {
	struct mpr_pool_use use;
	uint64_t starter; /* the word that it takes the place of */
	unsigned starter_slot;
};

/* Whether somebody keeps it, or is about to. */
bool mpr_keeping_is_on(const struct mpr_pool_use *u);

/* The slot of that one, for mpr_wait_announce(); -1 if there is none. */
int mpr_keeping_slot(const struct mpr_pool_use *u);

/* Wakes the keeper, to look at what has changed. */
void mpr_keeping_wake(const struct mpr_pool_use *u);

/*
 * Sees to it that there is a keeper, unless the pool has ended. Returns 0; or why
 * there cannot be one: -ENOEXEC if this process has another image than the pool;
 * -ESHUTDOWN if the pool was freed; or as mpr_self(), or mproc_process_start().
 */
int mpr_keeping_ensure(const struct mpr_pool_use *u);

/* The first one, for who makes the pool and has the word. Returns 0 or as
 * mproc_process_start(): the word is NONE then. In a copy that a signal handler has
 * forked, which has nothing, it returns anything. */
int mpr_keeping_begin(const struct mpr_pool_use *u, struct mpr_self *self);

/* The keeper that this process has started for the pool, as long as nobody else has
 * taken it; the caller has it then, and closes it. NULL if there is none. */
mproc_process *mpr_keeping_take(const struct mpr_pool_use *u);

/* The caller does not want it now: it is to be had again. */
void mpr_keeping_keep(const struct mpr_pool_use *u, mproc_process *process);

/* The keeper: the entry of the process that is forked. */
int mpr_keeper_run(void *keeping);

#endif
