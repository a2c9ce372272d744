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
#include "os/generation.h"
#include "os/parker.h"
#include "os/syscall_arch.h"

const uint32_t mpr_parker_kind = 1;

MPR_CHILD_PATH void
mpr_parker_init(struct mpr_parker *p)
{
	/* Any count is as good as zero, and the kernel forgets the dead. */
	(void)p;
}

static struct timespec
time_of(int64_t deadline)
{
	return (struct timespec){
		.tv_sec = (time_t)(deadline / 1000000000),
		.tv_nsec = (long)(deadline % 1000000000),
	};
}

int
mpr_parker_wait(struct mpr_parker *p, uint32_t ticket, int64_t deadline)
{
	struct timespec until = time_of(deadline);
	long r;

	r = mpr_fault(MPR_FAULT_WAIT) ? -1 :
		syscall(SYS_futex, &p->event, FUTEX_WAIT_BITSET, ticket,
			deadline == MPR_NEVER ? NULL : &until, NULL,
			FUTEX_BITSET_MATCH_ANY);
	return r < 0 && errno == ETIMEDOUT ? -ETIMEDOUT : 0;
}

#ifdef SYS_futex_waitv

/* The kernel, or a sandbox, has said that there is no such call: it is not made again. */
static _Atomic bool is_missing;

#define HIGH_FIRST (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)

static struct futex_waitv
sleep_in(const _Atomic uint32_t *word, uint32_t value)
{
	return (struct futex_waitv){ .uaddr = (uintptr_t)word,
				     .val = value,
				     .flags = FUTEX_32 };
}

/*
 * Which nobody wakes, and which is not the same in a copy. The kernel begins this sleep
 * anew after a signal handler with SA_RESTART: if that has forked, the child would sleep
 * in its parent's place until the deadline, and the one wake-up for a death might be its.
 */
static struct futex_waitv
unless_copied(void)
{
	uint32_t generation = (uint32_t)mpr_generation();
	struct mpr_process_page *page = atomic_load(&mpr_process_page);

	return (struct futex_waitv){ .uaddr = (uintptr_t)&page->generation +
					      4 * HIGH_FIRST,
				     .val = page->unwipeable ? 0 : generation,
				     .flags = FUTEX_32 | FUTEX_PRIVATE_FLAG };
}

int
mpr_parker_wait_beside(struct mpr_parker *p, uint32_t ticket,
		       struct mpr_life *const lives[], unsigned n,
		       int64_t deadline)
{
	struct futex_waitv words[2 + MPR_PARKER_LIVES];
	struct timespec until = time_of(deadline);
	long r;

	if (atomic_load_explicit(&is_missing, memory_order_relaxed))
		return mpr_parker_wait(p, ticket, deadline);
	words[0] = sleep_in(&p->event, ticket);
	for (unsigned i = 0; i < n; i++) {
		uint32_t word = mpr_life_watch(lives[i]);

		if (!word)
			return -ESRCH;
		words[1 + i] = sleep_in(&lives[i]->u.words[0], word);
	}
	words[1 + n] = unless_copied();
	r = mpr_fault(MPR_FAULT_WAIT) ? -1 :
		syscall(SYS_futex_waitv, words, 2 + n, 0,
			deadline == MPR_NEVER ? NULL : &until, CLOCK_MONOTONIC);
	if (r >= 0)
		return r > 0 ? -ESRCH : 0;
	switch (errno) {
	case ETIMEDOUT:
		return -ETIMEDOUT;
	case EAGAIN:
		/* One of them has changed. */
		return mpr_parker_ticket(p) == ticket ? -ESRCH : 0;
	case EINTR:
		return 0;
	case ENOSYS:
	case EPERM:
		atomic_store_explicit(&is_missing, true, memory_order_relaxed);
		break;
	default:
		break;
	}
	return mpr_parker_wait(p, ticket, deadline);
}

#else

int
mpr_parker_wait_beside(struct mpr_parker *p, uint32_t ticket,
		       struct mpr_life *const lives[], unsigned n,
		       int64_t deadline)
{
	(void)lives;
	(void)n;
	return mpr_parker_wait(p, ticket, deadline);
}

#endif

MPR_CHILD_PATH void
mpr_parker_wake(struct mpr_parker *p)
{
	/* Release pairs with the acquire in mpr_parker_ticket(). Whether
	 * somebody sleeps, the kernel finds after a fence of its own. */
	atomic_fetch_add_explicit(&p->event, 1, memory_order_release);
	(void)mpr_syscall_6(SYS_futex, (long)(uintptr_t)&p->event, FUTEX_WAKE,
			    INT_MAX, 0, 0, 0);
}
