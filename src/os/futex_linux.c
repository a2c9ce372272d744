/* SPDX-License-Identifier: MIT */
/*
 * futex(2). FUTEX_WAIT_BITSET takes an absolute time on CLOCK_MONOTONIC, so a
 * signal handler does not lengthen the wait. The futexes are shared ones: a
 * private futex does not see a waker in another process.
 */
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/futex.h"

int
mpr_futex_wait(_Atomic uint32_t *word, uint32_t seen, int64_t deadline)
{
	struct timespec until = {
		.tv_sec = (time_t)(deadline / 1000000000),
		.tv_nsec = (long)(deadline % 1000000000),
	};
	long r;

	r = syscall(SYS_futex, word, FUTEX_WAIT_BITSET, seen,
		    deadline == MPR_NEVER ? NULL : &until, NULL,
		    FUTEX_BITSET_MATCH_ANY);
	return r < 0 && errno == ETIMEDOUT ? -ETIMEDOUT : 0;
}

void
mpr_futex_wake(_Atomic uint32_t *word, int n)
{
	int saved = errno;

	syscall(SYS_futex, word, FUTEX_WAKE, n, NULL, NULL, 0);
	errno = saved;
}
