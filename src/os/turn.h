/* SPDX-License-Identifier: MIT */
/*
 * Turns among the threads of one process: as a lock, but waiting for one has a
 * deadline and can be interrupted, so it may be held for as long as a call waits for
 * something else. Two implementations, picked in src/meson.build as for parkers.
 */
#ifndef MPR_OS_TURN_H
#define MPR_OS_TURN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

enum mpr_turn_state {
	MPR_TURN_FREE = 0,
	MPR_TURN_TAKEN = 1,
	MPR_TURN_AWAITED = 2, /* taken, and others may sleep for it */
};

/* Where nobody waits, a turn is taken and given by one instruction each. */
struct mpr_turn {
	_Atomic uint32_t state;
	/* Of those who sleep, for turn_posix.c. */
	pthread_mutex_t lock;
	pthread_cond_t given;
};

/* Whether somebody has it. */
static inline bool
mpr_turn_is_taken(const struct mpr_turn *turn)
{
	return atomic_load_explicit(&turn->state, memory_order_relaxed) !=
	       MPR_TURN_FREE;
}

void mpr_turn_init(struct mpr_turn *turn);
void mpr_turn_destroy(struct mpr_turn *turn);

/* Takes it if it is free. */
static inline bool
mpr_turn_try(struct mpr_turn *turn)
{
	uint32_t none = MPR_TURN_FREE;

	/* Acquire pairs with the release in mpr_turn_give(): what the one before
	 * has done is seen. */
	return atomic_compare_exchange_strong_explicit(
		&turn->state, &none, MPR_TURN_TAKEN, memory_order_acquire,
		memory_order_relaxed);
}

/* Returns 0; -ETIMEDOUT; -EINTR after an interrupt, which is answered then. */
int mpr_turn_take(struct mpr_turn *turn, int64_t deadline);

/* To one of those who sleep. */
void mpr_turn_give_next(struct mpr_turn *turn);

static inline void
mpr_turn_give(struct mpr_turn *turn)
{
	/* Release: see mpr_turn_try(). */
	if (mpr_unlikely(atomic_exchange_explicit(&turn->state, MPR_TURN_FREE,
						  memory_order_release) ==
			 MPR_TURN_AWAITED))
		mpr_turn_give_next(turn);
}

#endif
