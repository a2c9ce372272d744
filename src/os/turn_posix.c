/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <time.h>

#include <mproc/core.h>

#include "os/interrupt.h"
#include "os/thread.h"
#include "os/turn.h"

/* How long a thread sleeps before it looks for interrupts. */
#define SLICE 20000000 /* ns */

void
mpr_turn_init(struct mpr_turn *turn)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&turn->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&turn->given, &attr);
	pthread_condattr_destroy(&attr);
	atomic_init(&turn->state, MPR_TURN_FREE);
}

void
mpr_turn_destroy(struct mpr_turn *turn)
{
	pthread_cond_destroy(&turn->given);
	pthread_mutex_destroy(&turn->lock);
}

/* With the lock held. */
static int
await(struct mpr_turn *turn, int64_t deadline)
{
	struct timespec until;
	int64_t now;

	/* Who gives it after this has to take the lock, which is free when we
	 * sleep. Acquire: as in mpr_turn_try(). */
	while (atomic_exchange_explicit(&turn->state, MPR_TURN_AWAITED,
					memory_order_acquire) != MPR_TURN_FREE) {
		if (mpr_interrupt_pending()) {
			mpr_interrupt_answer();
			return -EINTR;
		}
		now = mproc_now();
		if (now >= deadline)
			return -ETIMEDOUT;
		if (deadline - now > SLICE)
			now += SLICE;
		else
			now = deadline;
		until = (struct timespec){
			.tv_sec = (time_t)(now / 1000000000),
			.tv_nsec = (long)(now % 1000000000),
		};
		(void)pthread_cond_timedwait(&turn->given, &turn->lock, &until);
	}
	return 0;
}

int
mpr_turn_take(struct mpr_turn *turn, int64_t deadline)
{
	int before = mpr_thread_forbid_cancel(), r;

	pthread_mutex_lock(&turn->lock);
	r = await(turn, deadline);
	pthread_mutex_unlock(&turn->lock);
	mpr_thread_allow_cancel(before);
	return r;
}

void
mpr_turn_give_next(struct mpr_turn *turn)
{
	pthread_mutex_lock(&turn->lock);
	pthread_cond_signal(&turn->given);
	pthread_mutex_unlock(&turn->lock);
}
