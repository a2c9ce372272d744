/* SPDX-License-Identifier: MIT */
/*
 * What the threads of a process hold, found from outside: for tests and tools.
 * Nothing is written down for it. The words that name holders are looked for
 * where they can be: in all that is allocated.
 */
#ifndef MPR_SYNC_HOLDS_H
#define MPR_SYNC_HOLDS_H

#include <stdint.h>
#include <sys/types.h>

#include "arena/arena.h"

enum mpr_hold_kind {
	MPR_HOLD_LOCK = 1, /* a lock, an rlock, an rwlock for writing */
	MPR_HOLD_READ = 2, /* an rwlock for reading */
	MPR_HOLD_PERMIT = 3, /* of a semaphore with .undo */
};

struct mpr_hold {
	const void *object;
	enum mpr_hold_kind kind;
	unsigned n; /* times, where that is known */
};

typedef void mpr_hold_fn(const struct mpr_hold *hold, void *ctx);

/* The locks that threads of process @pid hold, or have died or ended with. Takes
 * as long as it takes to read all blocks of users. A word of theirs that happens
 * to look like a lock of that process is taken for one. */
void mpr_holds_locks(const mproc_arena *a, pid_t pid, mpr_hold_fn *fn,
		     void *ctx);

/* What its threads, alive or dead but not yet recovered from, share. */
void mpr_holds_shares(const mproc_arena *a, pid_t pid, mpr_hold_fn *fn,
		      void *ctx);

/* Of a semaphore in a cell: how many permits have @holder for their word. */
unsigned mpr_semaphore_permits_of(const mproc_arena *a, void *cell,
				  uint64_t holder);

#endif
