/* SPDX-License-Identifier: MIT */
/*
 * Parkers of POSIX semaphores, of which nothing is asked but that a post ends a
 * wait. What happened is in the count of wake-ups alone, so the value of the
 * semaphore may be anything, and a token too many is an early return.
 *
 * posts says how many more tokens wakers may post: POSTS while the owner
 * sleeps, so that wake-ups of one who is awake or stopped do not pile up. It is
 * more than one because a waker may be killed, or stand still, between taking
 * it and the end of its post; whoever comes next, recovery for one, must be
 * able to wake the sleeper all the same. If it is used up like that, the
 * sleeper waits for its deadline.
 *
 * Killed anywhere:
 *
 * - a waker: the wake-up may be counted and wake nobody. The next one does, or
 *   the deadline.
 * - a sleeper: posts stays above 0, and so many tokens go to nobody; the next
 *   owner drops them. A semaphore that counts its waiters counts one too many
 *   for ever, so that a post looks for somebody to wake in vain.
 *
 * A semaphore is initialised once and never again: the new owner of a slot
 * cannot know whether somebody is about to wake the former one.
 */
#include <errno.h>
#include <time.h>

#include "base/fault.h"
#include "os/clock.h"
#include "os/parker.h"
#include "os/thread.h"

#define POSTS 8

const uint32_t mpr_parker_kind = 2;

void
mpr_parker_init(struct mpr_parker *p)
{
	/* Killed in between, it is done again: nobody has slept here, and who
	 * wakes us before we first sleep does not post. */
	if (p->made)
		return;
	sem_init(&p->u.semaphore, 1, 0);
	p->made = 1;
}

static int
take_token(sem_t *semaphore, int64_t deadline)
{
	struct timespec until = {
		.tv_sec = (time_t)(deadline / 1000000000),
		.tv_nsec = (long)(deadline % 1000000000),
	};

	if (mpr_fault(MPR_FAULT_WAIT))
		return -1;
	if (deadline == MPR_NEVER)
		return sem_wait(semaphore);
	return sem_clockwait(semaphore, CLOCK_MONOTONIC, &until);
}

int
mpr_parker_wait(struct mpr_parker *p, uint32_t ticket, int64_t deadline)
{
	sem_t *semaphore = &p->u.semaphore;
	/* Waiting is a cancellation point. */
	int before = mpr_thread_forbid_cancel(), r = 0;

	/* What earlier sleeps left; later than this comes only what a waker has
	 * been late with. */
	for (int i = 0; i < POSTS && sem_trywait(semaphore) == 0; i++)
		;
	/* seq_cst, both: posts before event, against event before posts in
	 * mpr_parker_wake(). Either we see the wake-up, or its waker sees that
	 * we sleep. */
	atomic_store(&p->posts, POSTS);
	if (atomic_load(&p->event) == ticket &&
	    take_token(semaphore, deadline) < 0 && errno == ETIMEDOUT)
		r = -ETIMEDOUT;
	/* Relaxed: who sees it late posts a token that the next wait drops. */
	atomic_store_explicit(&p->posts, 0, memory_order_relaxed);
	mpr_thread_allow_cancel(before);
	return r;
}

/* A semaphore is one of the C library's, so it sleeps there alone. */
int
mpr_parker_wait_beside(struct mpr_parker *p, uint32_t ticket,
		       struct mpr_life *const lives[], unsigned n,
		       int64_t deadline)
{
	(void)lives;
	(void)n;
	return mpr_parker_wait(p, ticket, deadline);
}

void
mpr_parker_wake(struct mpr_parker *p)
{
	int saved = errno;

	/* seq_cst, see mpr_parker_wait(). As a release it also pairs with the
	 * acquire in mpr_parker_ticket(). */
	atomic_fetch_add(&p->event, 1);
	if (atomic_load(&p->posts) > 0 && atomic_fetch_sub(&p->posts, 1) > 0)
		sem_post(&p->u.semaphore);
	errno = saved;
}
