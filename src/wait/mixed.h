/* SPDX-License-Identifier: MIT */
/*
 * Waiting for things in shared memory and for descriptors at once, or for things in
 * several arenas: a bell rings for what is in shared memory (ipc/bell.h), and its
 * descriptor is polled with the others.
 */
#ifndef MPR_WAIT_MIXED_H
#define MPR_WAIT_MIXED_H

#include <stdint.h>

#include <mproc/wait.h>

#include "wait/polled.h"

/*
 * Waits until one of the @n @items is ready, or until @deadline. @shared of them are
 * in shared memory, the others in @p. Returns how many are ready, 0 for no reason;
 * MPR_WAIT_ANEW (wait/shared.h); -ETIMEDOUT, -EINTR; or why they cannot be waited
 * for.
 */
int mpr_wait_mixed(struct mproc_waitable *items, int n, int shared,
		   struct mpr_polled *p, int64_t deadline);

#endif
