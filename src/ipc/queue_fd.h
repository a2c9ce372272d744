/* SPDX-License-Identifier: MIT */
/*
 * What the rest of a queue has to tell those who poll a descriptor instead of
 * waiting in a get.
 */
#ifndef MPR_IPC_QUEUE_FD_H
#define MPR_IPC_QUEUE_FD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "ipc/attachment.h"

struct mpr_watched;

#define MPR_QUEUE_FD_BUCKETS 1024

/* Whether this process or its parent has ever asked for a descriptor, or a bell
 * (ipc/bell.h). */
extern _Atomic bool mpr_queue_fd_used;

/* This process's descriptors, or its parent's, by what they are for, also if that is no
 * queue. Changed under the process lock, and followed only there. */
extern _Atomic(struct mpr_watched *) mpr_queue_fds[MPR_QUEUE_FD_BUCKETS];

void mpr_queue_fd_make_quiet(const struct mpr_attachment *at);
void mpr_queue_fd_close_now(const mproc_queue *q);
bool mpr_queue_fd_has_old(const mproc_queue *q);
bool mpr_queue_fd_is_one(int fd);
void mpr_queue_fd_forget_now(void);

static inline unsigned
mpr_queue_fd_bucket(const void *object)
{
	/* Headers lie at multiples of 128, futures at least at multiples of 64. */
	uint64_t hash = ((uintptr_t)object >> 6) * UINT64_C(0x9e3779b97f4a7c15);

	return (unsigned)(hash >> 54);
}

/* Relaxed, both: who was given a descriptor by another thread sees it. */
static inline bool
mpr_queue_fd_any(void)
{
	return mpr_unlikely(atomic_load_explicit(&mpr_queue_fd_used,
						 memory_order_relaxed));
}

static inline bool
mpr_queue_fd_may_be_of(const void *object)
{
	return mpr_unlikely(atomic_load_explicit(
				    &mpr_queue_fds[mpr_queue_fd_bucket(object)],
				    memory_order_relaxed) != NULL);
}

/* A get has found nothing: this process's descriptor for the queue is not
 * readable any more, before something comes. */
static inline void
mpr_queue_fd_found_nothing(const struct mpr_attachment *at)
{
	if (mpr_queue_fd_may_be_of(at->q))
		mpr_queue_fd_make_quiet(at);
}

/* Whether this process has a descriptor for a queue that was at @q before. */
static inline bool
mpr_queue_fd_is_old(const mproc_queue *q)
{
	return mpr_queue_fd_may_be_of(q) && mpr_queue_fd_has_old(q);
}

/* This process destroys what is at @q, and has no use for its descriptor. */
static inline void
mpr_queue_fd_close(const mproc_queue *q)
{
	if (mpr_queue_fd_may_be_of(q))
		mpr_queue_fd_close_now(q);
}

/* In a forked child: closes its copies of the parent's descriptors and bells. Otherwise
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
