/* SPDX-License-Identifier: MIT */
/*
 * What the calling thread has in its hands of each queue: for tests.
 */
#ifndef MPR_IPC_IN_HAND_H
#define MPR_IPC_IN_HAND_H

#include <stdbool.h>

#include <mproc/queue.h>

struct mpr_in_hand {
	mproc_queue *queue;
	unsigned unfinished; /* taken, and neither done nor returned */
	bool peeked;	     /* and not released */
	bool reserved;	     /* and neither committed nor aborted */
};

/* Calls @fn for each queue of which it has anything. */
void mpr_in_hand_each(void (*fn)(const struct mpr_in_hand *h, void *ctx),
		      void *ctx);

#endif
