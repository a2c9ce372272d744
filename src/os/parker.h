/* SPDX-License-Identifier: MIT */
/*
 * A parker: where one thread sleeps, and any other wakes it, in shared memory.
 *
 * What counts is the number of wake-ups so far. A sleeper reads it, its ticket,
 * then looks whether it has to sleep at all, then sleeps unless there was a
 * wake-up since the ticket. A wake-up is a hint: it may come too often, and
 * fails to come if the waker is killed half-way, so who must not sleep for ever
 * has a deadline.
 *
 * Two implementations, one of which is picked in src/meson.build. Their layout
 * is the same.
 */
#ifndef MPR_OS_PARKER_H
#define MPR_OS_PARKER_H

#include <assert.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>

#include "os/life.h"

/* What lies in struct mpr_parker, which processes must agree on. */
extern const uint32_t mpr_parker_kind;

struct mpr_parker {
	_Atomic uint32_t event; /* counts wake-ups; never reset */

	/* For semaphores only; see parker_semaphore.c. */
	_Atomic int16_t posts;
	uint16_t made;
	union {
		sem_t semaphore;
		uint64_t room[4];
	} u;
};

static_assert(sizeof(struct mpr_parker) == 40, "shared layout");

/*
 * For who takes over a parker, and has it for itself: zero bytes, or what a
 * former owner left who may have been killed anywhere. Others may be waking
 * that one at the same time.
 */
void mpr_parker_init(struct mpr_parker *p);

static inline uint32_t
mpr_parker_ticket(const struct mpr_parker *p)
{
	/* Acquire pairs with the release in mpr_parker_wake(): who sees the
	 * wake-up sees what it is about. */
	return atomic_load_explicit(&p->event, memory_order_acquire);
}

/*
 * Sleeps until a wake-up since @ticket was read, or until @deadline (MPR_NEVER
 * for none). May return early for no reason. For one thread at a time. Returns
 * 0, or -ETIMEDOUT.
 */
int mpr_parker_wait(struct mpr_parker *p, uint32_t ticket, int64_t deadline);

#define MPR_PARKER_LIVES 4

/*
 * The same, but returns -ESRCH if one of the @n @lives, at most MPR_PARKER_LIVES, has
 * ended or ends. One sleeper is woken for each end. Ends at once in a child that a signal
 * handler has forked meanwhile. Where the kernel has no futex_waitv(2) (Linux 5.16), and
 * with semaphores, it is mpr_parker_wait().
 */
int mpr_parker_wait_beside(struct mpr_parker *p, uint32_t ticket,
			   struct mpr_life *const lives[], unsigned n,
			   int64_t deadline);

/* Async-signal-safe, and leaves errno alone. */
void mpr_parker_wake(struct mpr_parker *p);

#endif
