/* SPDX-License-Identifier: MIT */
/*
 * Processes whose entries run in the caller, one after the other, for debuggers
 * and coverage. The process itself is there all the same: a forked child that waits
 * meanwhile, then ends with the code that the entry has returned here. So its
 * handle is like any other, and so are groups and supervisors.
 */
#ifndef MPR_PROCESS_INLINE_H
#define MPR_PROCESS_INLINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdnoreturn.h>

#include <mproc/process.h>

#include "base/macros.h"
#include "process/call.h"

extern _Atomic bool mpr_inline_on;

static inline bool
mpr_inline_is_on(void)
{
	/* Relaxed: whoever turns it on starts the next process itself. */
	return mpr_unlikely(atomic_load_explicit(&mpr_inline_on,
						 memory_order_relaxed));
}

/* Before the fork: the handle takes @call, with a copy of what is to be copied,
 * and the child gets *@ret_stub to run. Returns 0 or -ENOMEM. */
int mpr_inline_take(mproc_process *p, const struct mpr_call *call,
		    struct mpr_call *ret_stub);

/* Runs what was taken, and tells the child with which code to end. */
void mpr_inline_run(mproc_process *p);

/* What was taken is not to be run, or was. */
void mpr_inline_drop(mproc_process *p);

/* The process whose entry the calling thread is running in this way, or
 * NULL. */
mproc_process *mpr_inline_process(void);

/* Ends that entry, with a code. */
noreturn void mpr_inline_leave(int code);

#endif
