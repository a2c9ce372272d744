/* SPDX-License-Identifier: MIT */
/*
 * CLOCK_MONOTONIC, through the vDSO.
 */
#include <time.h>

#include "base/macros.h"
#include "os/clock.h"

MPR_CHILD_PATH int64_t
mproc_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t
mpr_now_roughly(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (int64_t)now.tv_sec * 1000 + (uint32_t)now.tv_nsec / 1000000;
}

int64_t
mpr_deadline(mproc_timeout timeout)
{
	int64_t now;

	if (timeout.ns == INT64_MAX)
		return MPR_NEVER;
	if (timeout.ns < 0)
		return timeout.ns == INT64_MIN ? MPR_NEVER : -timeout.ns;
	now = mproc_now();
	return timeout.ns > MPR_NEVER - now ? MPR_NEVER : now + timeout.ns;
}
