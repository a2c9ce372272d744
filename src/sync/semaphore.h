/* SPDX-License-Identifier: MIT */
/*
 * Semaphores, for who acts for another thread of this process, which lives and is in the
 * arena of the semaphore; it may wait for something else.
 */
#ifndef MPR_SYNC_SEMAPHORE_H
#define MPR_SYNC_SEMAPHORE_H

#include <mproc/sync.h>

#include "arena/participant.h"

/* Whether its permits have owners: .undo. */
bool mpr_semaphore_has_owners(const mproc_semaphore *semaphore);

/* As mproc_semaphore_acquire() without a wait, but -EBUSY if there is none. If permits
 * have owners, @holder is its. */
int mpr_semaphore_try_for(mproc_semaphore *semaphore, struct mpr_self *holder);

/* As mproc_semaphore_release(), of one of @holder's if permits have owners. */
int mpr_semaphore_release_for(mproc_semaphore *semaphore,
			      const struct mpr_self *holder);

#endif
