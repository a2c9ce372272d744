/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of futures (ipc/watched_fd.h). Who has asked for none pays one load.
 */
#ifndef MPR_POOL_FUTURE_FD_H
#define MPR_POOL_FUTURE_FD_H

#include "ipc/watched_fd.h"
#include "pool/future.h"

/* Whether this process has one of that future. */
static inline bool
mpr_future_fd_has(const struct mpr_future_use *u)
{
	return mpr_queue_fd_may_be_of(u->f) && mpr_watched_fd_has(u->f, u->id);
}

/* It is not done: the descriptor is not readable any more, before it is. */
static inline void
mpr_future_fd_found_nothing(const struct mpr_future_use *u)
{
	if (mpr_queue_fd_may_be_of(u->f))
		mpr_watched_fd_make_quiet(u->f, u->id);
}

/* Closes what this process has for @f. @id is that of the future there, or 0. Returns
 * whether it was that of another one, which was there before. */
static inline bool
mpr_future_fd_close(const mproc_future *f, uint64_t id)
{
	uint64_t its;

	return mpr_queue_fd_may_be_of(f) && mpr_watched_fd_close(f, &its) &&
	       its != id;
}

/* Closes all that this process has for futures of a pool. */
void mpr_future_fd_close_all(const struct mpr_pool_use *u);

#endif
