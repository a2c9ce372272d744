/* SPDX-License-Identifier: MIT */
/*
 * Watching a queue: how one thread waits for messages that it does not take, in
 * several queues at once, so that somebody else can be told of them.
 *
 * It has a seat in each queue, like a consumer that sleeps, and sleeps once for
 * all of them:
 *
 *	ticket = mpr_park_ticket(self);
 *	each: if (!mpr_watch_is_ready(w)) mpr_watch_begin(w);
 *	mpr_fence_rare(arena);
 *	each: if (mpr_watch_is_ready(w)) mpr_watch_end(w);
 *	mpr_park(self, ..., ticket, ...);
 *
 * A put wakes one of those who wait. As a watcher takes nothing, each wake-up
 * that it was chosen for belongs to somebody else, and is passed on as long as
 * there is something to take. It does not wait itself then, so a wake-up that
 * goes round among watchers comes to its end.
 */
#ifndef MPR_IPC_QUEUE_WATCH_H
#define MPR_IPC_QUEUE_WATCH_H

#include <stdbool.h>

#include "ipc/attachment.h"

struct mpr_watch {
	struct mpr_attachment *at; /* the watching thread's */
	bool waits;		   /* the seat says so, or was chosen since */
	unsigned chosen;	   /* wake-ups that are to be passed on */
};

/* Whether a get may say anything else than that nothing is there: a message,
 * padding, that the queue is shut down for good or gone, or corrupt. */
bool mpr_watch_is_ready(const struct mpr_watch *w);

/* Whether somebody has woken the watcher for this queue since the beginning. */
bool mpr_watch_is_told(const struct mpr_watch *w);

/* Announces that the watcher is about to sleep. Also for one that waits
 * already. */
void mpr_watch_begin(struct mpr_watch *w);

/* There is nothing, the rare fence after mpr_watch_begin(): who chose us did so
 * for what others have taken. */
void mpr_watch_go_on(struct mpr_watch *w);

/* The watcher does not wait any more, as there is something. */
void mpr_watch_end(struct mpr_watch *w);

#endif
