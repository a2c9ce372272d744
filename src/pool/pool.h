/* SPDX-License-Identifier: MIT */
/*
 * Pools as the process that made them sees them: only that one ends them.
 */
#ifndef MPR_POOL_POOL_H
#define MPR_POOL_POOL_H

#include "pool/pool_shm.h"

/* Makes a pool of what is in @o, which makes sense, all but its keeper; nobody finds
 * it yet. Returns 0 or a negative error. */
int mpr_pool_make(struct mpr_pool_use *ret_u, struct mpr_self *self,
		  const struct mproc_pool_opts *o);

/* Its cell is the caller's: frees all that it had, and gives that back. */
void mpr_pool_unmake(const struct mpr_pool_use *u, struct mpr_self *self);

#endif
