/* SPDX-License-Identifier: MIT */
/*
 * The entries for descriptors, between those who ask for one and the watcher.
 *
 * For each queue of which the process has a descriptor there is an entry in a
 * list:
 *
 *   FREE --ask--> ASKED --watched, nothing there--> QUIET
 *                 ASKED --watched, something there--> READY
 *                 ASKED --cannot be watched--> FAILED --told--> FREE
 *   QUIET --something there, descriptor written to--> READY
 *   READY --a get has found nothing, descriptor read--> QUIET
 *   any --destroy, descriptor closed--> CLOSED --not watched--> FREE
 *
 * An entry changes under the process lock, so that a descriptor is never
 * written to while it is closed. Entries are never freed, and there is one at
 * most for an address. So the list can be walked without the lock, by the
 * watcher, and by a forked child, which finds its parent's and uses them again.
 */
#ifndef MPR_IPC_QUEUE_FD_PRIV_H
#define MPR_IPC_QUEUE_FD_PRIV_H

#include "ipc/queue_fd.h"
#include "ipc/queue_watch.h"

enum mpr_queue_fd_state {
	MPR_QUEUE_FD_FREE = 0,
	MPR_QUEUE_FD_ASKED,
	MPR_QUEUE_FD_FAILED,
	MPR_QUEUE_FD_QUIET,
	MPR_QUEUE_FD_READY,
	MPR_QUEUE_FD_CLOSED,
};

struct mpr_queue_fd {
	struct mpr_queue_fd *next; /* constant */
	/* Under the process lock. */
	_Atomic(mproc_queue *) q;
	_Atomic uint64_t open; /* the queue's state word */
	_Atomic unsigned state;
	int fd;	   /* -1: none */
	int error; /* FAILED */
	/* The watcher's own. */
	struct mpr_watch watch;
	bool has_begun; /* between the two looks of a round */
};

static inline struct mpr_queue_fd *
mpr_queue_fd_first(void)
{
	/* Acquire pairs with the release of who adds an entry: it is
	 * complete. */
	return atomic_load_explicit(&mpr_queue_fds, memory_order_acquire);
}

static inline unsigned
mpr_queue_fd_state(const struct mpr_queue_fd *e)
{
	/* Acquire pairs with the release of who changes it: the rest of the
	 * entry was written before. */
	return atomic_load_explicit(&e->state, memory_order_acquire);
}

/* What the watcher does with entries; each takes the lock. */

/* ASKED or QUIET to READY. */
void mpr_queue_fd_make_ready(struct mpr_queue_fd *e);

/* ASKED to QUIET: a message will be noticed. */
void mpr_queue_fd_settle(struct mpr_queue_fd *e);

/* ASKED to FAILED, with @error. */
void mpr_queue_fd_make_failed(struct mpr_queue_fd *e, int error);

/* CLOSED to FREE: the queue is not watched any more. */
void mpr_queue_fd_make_free(struct mpr_queue_fd *e);

/* The queue of some entry. If all are FREE or FAILED, NULL; then the watcher
 * has ended, and another one is started for whoever asks. */
const mproc_queue *mpr_queue_fd_any_queue(void);

/* The watcher is woken in @slot. */
void mpr_queue_fd_watcher_began(unsigned slot);

/* It ends all the same: because of @error, and nothing is watched yet; or with
 * 0 as the process does, and nothing is watched any more. */
void mpr_queue_fd_watcher_ended(int error);

/* The watcher, in a thread of its own. */
void *mpr_queue_watcher(void *arena);

#endif
