/* SPDX-License-Identifier: MIT */
/*
 * Polling before sleeping: a sleep and its wake-up cost about as much as 30
 * hand-overs of a cache line, so it pays to look again for a while, but how one
 * looks decides how fast both sides are.
 *
 *   Tight polling has the lowest latency, and ruins a stream: the consumer
 *   takes each message as it comes, and both sides exchange cache lines for
 *   every single one. So only a thread that answers (it has put something
 *   since it last polled) polls tightly, and only for the first probes.
 *
 *   Otherwise there is a pause of about 1 us between two probes, in which a
 *   whole batch comes together.
 *
 *   A thread for which polling was in vain polls half as long the next time;
 *   one for which it paid, twice as long.
 */
#ifndef MPR_IPC_POLL_H
#define MPR_IPC_POLL_H

#include <stdbool.h>

#include "ipc/attachment.h"

#define MPR_PATIENCE_MAX 16

struct mpr_poll {
	struct mpr_attachment *at;
	unsigned tight; /* probes left without a pause */
	unsigned gaps;	/* probes left with one */
};

/* How many messages this thread has put, in all queues. */
extern MPR_THREAD_LOCAL uint64_t mpr_thread_puts;

/* Starts to poll. @peer_slot is the participant that is to do something about
 * it, or MPR_PARTICIPANTS_MAX if that is not known. */
void mpr_poll_begin(struct mpr_poll *p, struct mpr_attachment *at,
		    unsigned peer_slot);

/* Waits until the next probe. Returns false when it is time to sleep. */
bool mpr_poll_again(struct mpr_poll *p);

/* Notes that polling paid. */
void mpr_poll_paid(struct mpr_poll *p);

#endif
