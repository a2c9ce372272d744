/* SPDX-License-Identifier: MIT */
/*
 * Pools as the process that made them sees them: only that one ends them.
 */
#ifndef MPR_POOL_POOL_H
#define MPR_POOL_POOL_H

#include "pool/pool_shm.h"

/* Makes a pool of what is in @o, which makes sense, and @loop, all but its keeper, whose word the
 * caller has; nobody finds it yet. Returns 0 or a negative error, in a copy that a signal
 * handler has forked meanwhile -ECHILD: that has nothing. */
int mpr_pool_make(struct mpr_pool_use *ret_u, struct mpr_self *self,
		  const struct mproc_pool_opts *o, mproc_map_loop *loop);

/* Room for records of @n workers, up to MPR_POOL_WORKERS_MAX. Returns 0 or a negative
 * error. */
int mpr_pool_make_room(const struct mpr_pool_use *u, struct mpr_self *self,
		       unsigned n);

/* Whether the cell is the caller's. Returns 0; -ECHILD in a copy that a signal handler
 * has forked since it was taken; or as mpr_self(). */
int mpr_pool_check_cell(const struct mpr_pool_use *u);

/* From now on it can be found. Returns false in such a copy. */
bool mpr_pool_open(const struct mpr_pool_use *u);

/* Takes the cell of one that has ended or is left, and frees all that it had. For its
 * creator, or its keeper if that is dead. Returns false if it is there no more. */
bool mpr_pool_free(const struct mpr_pool_use *u, struct mpr_self *self);

/* Its cell is the caller's: frees all that it had, and gives that back. A copy leaves it
 * to its parent. */
void mpr_pool_unmake(const struct mpr_pool_use *u, struct mpr_self *self);

#endif
