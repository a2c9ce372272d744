/* SPDX-License-Identifier: MIT */
/*
 * Parkers of futex(2): the sleeper sleeps on the count itself. A waker makes
 * one atomic operation and one system call, whether anybody sleeps or not.
 *
 * FUTEX_WAIT_BITSET takes an absolute time on CLOCK_MONOTONIC, so a signal
 * handler does not lengthen the wait. The futexes are shared ones: a private
 * futex does not see a waker in another process.
 *
 * A wake-up is for all that sleep there: a signal handler may have forked after the
 * look at the count and before the sleep, and the child, which sleeps in its parent's
 * parker then, must not have the parent's wake-up.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/macros.h"
#include "os/clock.h"
#include "os/parker.h"

const uint32_t mpr_parker_kind = 1;

void
mpr_parker_init(struct mpr_parker *p)
{
	/* Any count is as good as zero, and the kernel forgets the dead. */
	(void)p;
}

int
mpr_parker_wait(struct mpr_parker *p, uint32_t ticket, int64_t deadline)
{
	struct timespec until = {
		.tv_sec = (time_t)(deadline / 1000000000),
		.tv_nsec = (long)(deadline % 1000000000),
	};
	long r;

	r = mpr_fault(MPR_FAULT_WAIT) ? -1 :
		syscall(SYS_futex, &p->event, FUTEX_WAIT_BITSET, ticket,
			deadline == MPR_NEVER ? NULL : &until, NULL,
			FUTEX_BITSET_MATCH_ANY);
	return r < 0 && errno == ETIMEDOUT ? -ETIMEDOUT : 0;
}

MPR_CHILD_PATH void
mpr_parker_wake(struct mpr_parker *p)
{
	int saved = errno;

	/* Release pairs with the acquire in mpr_parker_ticket(). Whether
	 * somebody sleeps, the kernel finds after a fence of its own. */
	atomic_fetch_add_explicit(&p->event, 1, memory_order_release);
	if (syscall(SYS_futex, &p->event, FUTEX_WAKE, INT_MAX, NULL, NULL, 0) < 0)
		errno = saved;
}
