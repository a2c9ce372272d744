/* SPDX-License-Identifier: MIT */
/*
 * A condition in shared memory: a name to wait for, and a word so that who finds
 * nobody need not look for anybody. Who waits announces that (sync/wait.h), then
 * sets WAITERS, while it still has the lock; then it releases it. So whoever has
 * the lock next finds it waiting.
 *
 *   bits 17, 21  WAITERS and GONE of sync/holder.h
 *   bits 32..63  how often WAITERS was set
 *
 * Who has found nobody left clears WAITERS, unless the count says that somebody
 * has come meanwhile. Not before it looks: if it died then, those who sleep would
 * not be found again.
 */
#ifndef MPR_SYNC_CONDITION_H
#define MPR_SYNC_CONDITION_H

#include <mproc/sync.h>

#include "sync/cell.h"

struct mpr_condition {
	struct mpr_cell cell;
};

static_assert(sizeof(struct mpr_condition) == sizeof(mproc_condition),
	      "shared layout");

static inline bool
mpr_condition_is_gone(const struct mpr_condition *c, uint32_t generation)
{
	return atomic_load(&c->cell.word) & MPR_GONE ||
	       atomic_load(&c->cell.generation) != generation;
}

/* Once the wait is announced. Returns false if the condition is gone. */
bool mpr_condition_flag(struct mpr_condition *c, uint32_t generation);

#endif
