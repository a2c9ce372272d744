/* SPDX-License-Identifier: MIT */
/*
 * Turns of futex(2): who waits sleeps on the state itself, and who gives a turn makes one
 * call of the kernel if somebody sleeps. A private futex: what a forked child has is its
 * own.
 *
 * Who gives a turn touches nothing of it afterwards but the address that it wakes: it may
 * lie on the stack of who has it by then, and be no more.
 */
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <mproc/core.h>

#include "os/interrupt.h"
#include "os/turn.h"

/* How long a thread sleeps before it looks for interrupts. */
#define SLICE 20000000 /* ns */

void
mpr_turn_init(struct mpr_turn *turn)
{
	atomic_init(&turn->state, MPR_TURN_FREE);
}

void
mpr_turn_destroy(struct mpr_turn *turn)
{
	(void)turn;
}

static void
sleep_until(struct mpr_turn *turn, int64_t until)
{
	const struct timespec at = {
		.tv_sec = (time_t)(until / 1000000000),
		.tv_nsec = (long)(until % 1000000000),
	};
	int saved = errno;

	(void)syscall(SYS_futex, &turn->state, FUTEX_WAIT_BITSET_PRIVATE,
		      MPR_TURN_AWAITED, &at, NULL, FUTEX_BITSET_MATCH_ANY);
	errno = saved;
}

int
mpr_turn_take(struct mpr_turn *turn, int64_t deadline)
{
	int64_t now;

	/* Acquire: as in mpr_turn_try(). */
	while (atomic_exchange_explicit(&turn->state, MPR_TURN_AWAITED,
					memory_order_acquire) != MPR_TURN_FREE) {
		if (mpr_interrupt_pending()) {
			mpr_interrupt_answer();
			return -EINTR;
		}
		now = mproc_now();
		if (now >= deadline)
			return -ETIMEDOUT;
		sleep_until(turn, deadline - now > SLICE ? now + SLICE : deadline);
	}
	return 0;
}

void
mpr_turn_give_next(struct mpr_turn *turn)
{
	int saved = errno;

	(void)syscall(SYS_futex, &turn->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	errno = saved;
}
