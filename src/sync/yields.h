/* SPDX-License-Identifier: MIT */
/*
 * What a thread learns from sched_yield(2) about its CPU, and what it does with that
 * before it sleeps.
 *
 * Where somebody else needs the CPU, that may be just who is to do something about the
 * wait, or a link in the chain to them. So who waits yields first. If that comes back
 * at once, nobody else wants to run here, and to look again and again costs nobody
 * anything, also in the next waits, until it was in vain. If not, somebody ran, and the
 * switch to them is often all that was needed: no sleep, no fence, no wake-up. Unless it
 * took too long, as where a stranger computes; then the next waits go to sleep at once.
 */
#ifndef MPR_SYNC_YIELDS_H
#define MPR_SYNC_YIELDS_H

#include <stdbool.h>
#include <stdint.h>

#include "arena/participant.h"

/* ns; a yield to nobody takes 200 to 500, one to somebody who yields back at
 * once a few thousand, one to somebody who computes some million. */
#define MPR_YIELD_ALONE 1500
#define MPR_YIELD_LONG 100000

/* What a wait begins with. */
enum mpr_yields_first {
	MPR_FIRST_YIELD,
	MPR_FIRST_LOOK,
	MPR_FIRST_SLEEP,
};

enum mpr_yields_first mpr_yields_first(struct mpr_yields *y);

/* A yield took @ns. @was_worth_it: that it was long does not count. Returns true if
 * nobody else wants the CPU. */
bool mpr_yields_judge(struct mpr_yields *y, int64_t ns, bool was_worth_it);

/* What it waited for has not come before it sleeps: if it was alone, it asks again. */
void mpr_yields_in_vain(struct mpr_yields *y);

#endif
