/* SPDX-License-Identifier: MIT */
/*
 * What the rest of a queue has to tell those who poll a descriptor instead of
 * waiting in a get.
 */
#ifndef MPR_IPC_QUEUE_FD_H
#define MPR_IPC_QUEUE_FD_H

#include <stdatomic.h>

#include "base/macros.h"
#include "ipc/attachment.h"

struct mpr_queue_fd;

/* This process's descriptors, or its parent's; NULL if neither has ever asked
 * for one. */
extern _Atomic(struct mpr_queue_fd *) mpr_queue_fds;

void mpr_queue_fd_make_quiet(const struct mpr_attachment *at);
void mpr_queue_fd_close_now(const mproc_queue *q);
bool mpr_queue_fd_has_old(const mproc_queue *q);
bool mpr_queue_fd_is_one(int fd);
void mpr_queue_fd_forget_now(void);

static inline bool
mpr_queue_fd_any(void)
{
	/* Relaxed: who was given a descriptor by another thread sees it. */
	return mpr_unlikely(atomic_load_explicit(&mpr_queue_fds,
						 memory_order_relaxed));
}

/* A get has found nothing: this process's descriptor for the queue is not
 * readable any more, before something comes. */
static inline void
mpr_queue_fd_found_nothing(const struct mpr_attachment *at)
{
	if (mpr_queue_fd_any())
		mpr_queue_fd_make_quiet(at);
}

/* Whether this process has a descriptor for a queue that was at @q before. */
static inline bool
mpr_queue_fd_is_old(const mproc_queue *q)
{
	return mpr_queue_fd_any() && mpr_queue_fd_has_old(q);
}

/* This process destroys what is at @q, and has no use for its descriptor. */
static inline void
mpr_queue_fd_close(const mproc_queue *q)
{
	if (mpr_queue_fd_any())
		mpr_queue_fd_close_now(q);
}

/* In a forked child: closes its copies of the parent's descriptors. Otherwise
 * it does that when it next comes by. */
static inline void
mpr_queue_fd_forget(void)
{
	if (mpr_queue_fd_any())
		mpr_queue_fd_forget_now();
}

/* How many threads this process has for descriptors. */
unsigned mpr_queue_fd_threads(void);

#endif
