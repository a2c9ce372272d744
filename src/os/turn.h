/* SPDX-License-Identifier: MIT */
/*
 * Turns among the threads of one process: as a lock, but waiting for one has a
 * deadline and can be interrupted, so it may be held for as long as a call waits for
 * something else.
 */
#ifndef MPR_OS_TURN_H
#define MPR_OS_TURN_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct mpr_turn {
	pthread_mutex_t lock;
	pthread_cond_t given;
	bool taken;
};

void mpr_turn_init(struct mpr_turn *turn);
void mpr_turn_destroy(struct mpr_turn *turn);

/* Takes it if it is free. */
bool mpr_turn_try(struct mpr_turn *turn);

/* Returns 0; -ETIMEDOUT; -EINTR after an interrupt, which is answered then. */
int mpr_turn_take(struct mpr_turn *turn, int64_t deadline);

void mpr_turn_give(struct mpr_turn *turn);

#endif
