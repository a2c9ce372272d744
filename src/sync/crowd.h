/* SPDX-License-Identifier: MIT */
/*
 * A crowd: clients of a manager, which are nobody in the arena, and wait for a condition
 * by one participant that lends them its place. Who notifies some finds one who waits
 * there, as any other, and besides how many it stands for; of these it calls as many as
 * are to be notified. In the participant's shared memory:
 *
 *   bit  63       CROWD: it stands for others, and not for itself
 *   bits 32..62   how many wait
 *   bits 0..31    how many of them were called, and have not heard it
 *
 * Who calls raises the last number, then wakes. The wait is WAITING all the time, and
 * never CHOSEN. It ends when nobody waits, so nobody is called for what came before.
 *
 * The owner is one thread, not that of the participant, which sleeps there and tells
 * it. If they die, all who wait there are notified, as ever when one dies over a call.
 */
#ifndef MPR_SYNC_CROWD_H
#define MPR_SYNC_CROWD_H

#include <stdbool.h>
#include <stdint.h>

#include <mproc/sync.h>

#include "sync/wait.h"

#define MPR_CROWD (UINT64_C(1) << 63)
#define MPR_CROWD_ONE (UINT64_C(1) << 32)
#define MPR_CROWD_CALLED UINT64_C(0xffffffff)

static inline uint32_t
mpr_crowd_left(uint64_t crowd)
{
	uint64_t waiting = (crowd & ~MPR_CROWD) / MPR_CROWD_ONE;
	uint64_t called = crowd & MPR_CROWD_CALLED;

	/* Any process can write there. */
	return waiting > called ? (uint32_t)(waiting - called) : 0;
}

/* For who notifies: calls up to @most. Returns how many. */
static inline uint32_t
mpr_crowd_call(struct mpr_participant *p, uint32_t most)
{
	uint64_t crowd = atomic_load(&p->crowd);
	uint32_t n;

	do {
		n = mpr_crowd_left(crowd);
		if (n > most)
			n = most;
	} while (n && !atomic_compare_exchange_strong(&p->crowd, &crowd,
						      crowd + n));
	return n;
}

/* The owner's. Zero bytes: there is none. */
struct mpr_crowd {
	bool is_there;
	mproc_condition *condition;
	uint32_t generation;
	struct mpr_wait wait;
	_Atomic int64_t since; /* the one who has waited longest */
};

/* In the place of @self, a thread of this process that waits for nothing else. */
void mpr_crowd_begin(struct mpr_crowd *crowd, struct mpr_self *self);

/* One more. From now on whoever notifies finds it. Returns 0, or -ESTALE. */
int mpr_crowd_join(struct mpr_crowd *crowd);

/* One less. Returns false if all who wait were called: then it was, too. */
bool mpr_crowd_part(struct mpr_crowd *crowd);

/* How many have been called. They do not wait any more. */
uint32_t mpr_crowd_take(struct mpr_crowd *crowd);

/* Since when the one waits who is called first. */
void mpr_crowd_since(struct mpr_crowd *crowd, int64_t since);

/* Nobody waits. */
void mpr_crowd_end(struct mpr_crowd *crowd);

/* By the thread whose place it is, also before it is: sleeps until some have been
 * called. Returns 0; -EINTR; -ESHUTDOWN if the condition is gone. */
int mpr_crowd_await(struct mpr_crowd *crowd);

#endif
