/* SPDX-License-Identifier: MIT */
/*
 * The heavy half of an asymmetric fence.
 *
 * One side stores A and then loads B on its fast path, with nothing but a
 * compiler barrier between; the other, rare side stores B, calls
 * mpr_fence_heavy() and loads A. At least one of the two then sees the other's
 * store, as if both had executed a full fence: membarrier(2),
 * MEMBARRIER_CMD_GLOBAL_EXPEDITED.
 */
#ifndef MPR_OS_FENCE_H
#define MPR_OS_FENCE_H

#include <stdbool.h>

/*
 * Makes heavy fences reach this process. To be called in each process before
 * it uses a fast path; inherited by fork, lost by exec. Returns false where
 * the kernel has no such thing: the fast path then needs a fence of its own.
 */
bool mpr_fence_register(void);

/* A full fence on this thread and on all CPUs that run registered processes.
 * Returns false if only this thread was fenced. */
bool mpr_fence_heavy(void);

#endif
