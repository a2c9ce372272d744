/* SPDX-License-Identifier: MIT */
/*
 * Waiting for things by their descriptors, in poll(2), and for processes that have
 * none by looking at them again and again.
 */
#ifndef MPR_WAIT_POLLED_H
#define MPR_WAIT_POLLED_H

#include <stdbool.h>
#include <stdint.h>

#include <mproc/wait.h>

#include "os/interrupt.h"
#include "wait/thing.h"

/* So many need no memory. */
#define MPR_POLLED_FEW 8

/* What belongs to one of the descriptors. */
struct mpr_polled_one {
	int item;
	struct mpr_thing thing;
};

struct mpr_polled {
	struct mproc_waitable *items;
	unsigned n;
	struct pollfd *fds; /* n, and room for two more */
	struct mpr_polled_one *ones;
	bool pauses; /* there is a process without a descriptor */
	unsigned tries; /* how often it has paused */
	struct pollfd few_fds[MPR_POLLED_FEW + 2];
	struct mpr_polled_one few_ones[MPR_POLLED_FEW];
};

/* Makes room for @most. Returns 0 or -ENOMEM. */
int mpr_polled_open(struct mpr_polled *p, struct mproc_waitable *items,
		    unsigned most);

void mpr_polled_close(struct mpr_polled *p);

/* What number @item stands for, which has a descriptor or could have one. */
void mpr_polled_add(struct mpr_polled *p, int item, const struct mpr_thing *t);

/* Asks for all at once, without waiting. Returns how many are ready, what is to be
 * told is written to the items; or -ENOMEM if the system does not poll so many. */
int mpr_polled_look(struct mpr_polled *p);

/*
 * The same after a wait until one is ready, or @also, a descriptor that is not told
 * of, is readable; or -1. Returns 0 then, and also for no reason; -ETIMEDOUT at
 * @deadline, -EINTR.
 */
int mpr_polled_wait(struct mpr_polled *p, int also, int64_t deadline);

#endif
