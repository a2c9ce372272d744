/* SPDX-License-Identifier: MIT */
/*
 * Waiting for the end of any of several processes.
 */
#ifndef MPR_PROCESS_WATCH_H
#define MPR_PROCESS_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include <mproc/process.h>

struct mpr_watch {
	mproc_process *const *ps; /* those that are NULL are left out */
	unsigned n;
	int fd; /* ends a wait too when it is readable; or -1 */
	bool interruptible;
	unsigned tries; /* since one has ended */
};

/*
 * Waits until one of those that were not done has ended, or @deadline; with one
 * in the past this only looks. Returns 0, also for no reason; -ETIMEDOUT at the
 * deadline; or -EINTR, if the watch is interruptible. Whatever it returns, who
 * is seen to have ended is done: see mpr_process_is_done().
 */
int mpr_watch(struct mpr_watch *w, int64_t deadline);

#endif
