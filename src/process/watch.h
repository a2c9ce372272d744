/* SPDX-License-Identifier: MIT */
/*
 * Waiting for the end of any of several processes.
 */
#ifndef MPR_PROCESS_WATCH_H
#define MPR_PROCESS_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include <mproc/process.h>

#include "os/clock.h"

struct mpr_watch {
	mproc_process *const *ps; /* those that are NULL are left out */
	unsigned n;
	int fd; /* ends a wait too when it is readable; or -1 */
	bool interruptible;
	bool bounds_lines; /* last lines are waited for until the deadline only */
	unsigned tries; /* since one has ended */
};

/* Until when the last lines of one that has ended are waited for. */
static inline int64_t
mpr_watch_lines(const struct mpr_watch *w, int64_t deadline)
{
	return w->bounds_lines ? deadline : MPR_NEVER;
}

/*
 * Waits until one of those that were not done has ended, or @deadline; with one
 * in the past this only looks. Returns 0, also for no reason; -ETIMEDOUT at the
 * deadline; or -EINTR, if the watch is interruptible. Whatever it returns, who
 * is seen to have ended is done, see mpr_process_is_done(), unless its lines could not
 * be passed on in time.
 */
int mpr_watch(struct mpr_watch *w, int64_t deadline);

#endif
