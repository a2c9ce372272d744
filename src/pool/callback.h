/* SPDX-License-Identifier: MIT */
/*
 * Functions that this process wants called when futures are done. They lie in its own
 * memory, and are called in its own calls of the pool, by whichever thread that is: so
 * nobody else has to know of them, and what one does wrong is between it and its
 * process.
 *
 * Each is taken out of the list before it is called. A forked child has none of its
 * parent's.
 */
#ifndef MPR_POOL_CALLBACK_H
#define MPR_POOL_CALLBACK_H

#include <limits.h>
#include <stdatomic.h>

#include "base/macros.h"
#include "pool/future.h"

/* So many are looked at in a call that is for something else. */
#define MPR_CALLBACKS_LOOKS 64

/* How many there are, or the parent had. */
extern _Atomic unsigned mpr_callbacks;

/* Looks at up to @looks of them, whose turn it is, and calls those whose futures are
 * done. With @waits the caller may block, and takes care of one that is not done, as
 * who waits for that does. Not in a callback. Returns how many it has called. */
unsigned mpr_callbacks_run_now(unsigned looks, bool waits);

/* Calls all whose futures are done, and those that these register; in a callback,
 * too. */
void mpr_callbacks_run_all(void);

/* Relaxed: who has registered one sees it, and for others it is a matter of time. */
static inline void
mpr_callbacks_run(bool waits)
{
	if (mpr_unlikely(atomic_load_explicit(&mpr_callbacks,
					      memory_order_relaxed)))
		(void)mpr_callbacks_run_now(MPR_CALLBACKS_LOOKS, waits);
}

#endif
