/* SPDX-License-Identifier: MIT */
/*
 * How long a call may wait. The clock is read when it is about to block, and not
 * before.
 */
#ifndef MPR_IPC_LIMIT_H
#define MPR_IPC_LIMIT_H

#include <errno.h>
#include <stdbool.h>

#include "os/clock.h"

struct mpr_limit {
	mproc_timeout timeout;
	bool known;
	bool waited; /* for longer than most do */
	int64_t deadline;
};

static inline struct mpr_limit
mpr_limit(mproc_timeout timeout)
{
	return (struct mpr_limit){ .timeout = timeout };
}

/* About to block. Returns 0, and then the deadline is there; -EAGAIN if it must not
 * block. */
static inline int
mpr_limit_begin(struct mpr_limit *limit)
{
	if (limit->known)
		return 0;
	if (limit->timeout.ns == 0)
		return -EAGAIN;
	limit->deadline = mpr_deadline(limit->timeout);
	limit->known = true;
	return 0;
}

/* Whether that is what a call returns which has waited for long enough, and needs no
 * text. */
static inline bool
mpr_limit_is_over(int r)
{
	return r == -EAGAIN || r == -ETIMEDOUT || r == -EINTR;
}

#endif
