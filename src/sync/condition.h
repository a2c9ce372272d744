/* SPDX-License-Identifier: MIT */
/*
 * A condition in shared memory: a name to wait for, and nothing else. Who waits
 * announces that (sync/wait.h) while it still has the lock, then releases it; so
 * whoever has the lock next finds it waiting.
 */
#ifndef MPR_SYNC_CONDITION_H
#define MPR_SYNC_CONDITION_H

#include <mproc/sync.h>

#include "sync/cell.h"

struct mpr_condition {
	struct mpr_cell cell; /* its word is 0, or GONE */
};

static_assert(sizeof(struct mpr_condition) == sizeof(mproc_condition),
	      "shared layout");

#endif
