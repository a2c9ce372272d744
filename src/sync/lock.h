/* SPDX-License-Identifier: MIT */
/*
 * What a lock is in shared memory, and its parts that others use: a condition
 * releases and takes the lock of who waits.
 *
 *   0 --acquire--> HELD by me --release--> 0
 *
 * The word is that of sync/holder.h. Who finds it held sets WAITERS before it
 * sleeps; whoever then releases it chooses one of those who wait (sync/wait.h).
 * That one has to be faster than all who come along, which is what makes a
 * lock fast while many want it. One that has waited for long sets STARVED
 * instead, and then the lock is handed to the one who waits longest: the word
 * names it, with HANDED until it knows. If it does not wait any more, is dead, or
 * does not come within 50 ms, anyone may take the lock instead. The cell's spare
 * half word says since when, in milliseconds.
 *
 * The owner dies: who wants the lock takes it, by a CAS from the dead one's
 * word, with DIED set. DIED stays through releases until a holder clears it.
 */
#ifndef MPR_SYNC_LOCK_H
#define MPR_SYNC_LOCK_H

#include <mproc/sync.h>

#include "sync/cell.h"

struct mpr_lock {
	struct mpr_cell cell; /* .first: see below */
	/* mpr_holder_named() of that holder. */
	_Atomic uint64_t named;
	/* The last holder that died: {pid 32 | tid 32}, 0 if not known. */
	_Atomic uint64_t died;
};

static_assert(sizeof(struct mpr_lock) == sizeof(mproc_lock), "shared layout");

/* Returns 0 if the calling thread holds it; -EPERM or -ESTALE, with the text. */
int mpr_lock_check_held(const struct mpr_lock *l);

#endif
