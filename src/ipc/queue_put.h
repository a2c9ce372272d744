/* SPDX-License-Identifier: MIT */
/*
 * How an attempt to put begins and ends, whatever is put and whoever writes it;
 * for those who put in other ways than queue_put.c.
 */
#ifndef MPR_IPC_QUEUE_PUT_H
#define MPR_IPC_QUEUE_PUT_H

#include <stdbool.h>

#include "base/macros.h"
#include "ipc/attachment.h"
#include "ipc/pipe_use.h"
#include "ipc/poll.h"
#include "sync/asymmetric.h"

static inline bool
mpr_put_is_closed(const struct mpr_attachment *at)
{
	/* Relaxed; the fence that orders them is in the caller. */
	return atomic_load_explicit(&at->q->closing, memory_order_relaxed) ||
	       atomic_load_explicit(&at->q->state, memory_order_relaxed) !=
		       at->open;
}

/*
 * An attempt begins here. busy tells a consumer that wants to know whether the
 * queue is empty for good that a message may still come: our store of busy and
 * load of closing are the frequent side, its load of closing, fence, and load
 * of busy the rare one (queue_get.c, is_final()). Returns false if the queue is
 * closed, unless it is put back what was taken before, or its pipe is over for this
 * process; the attempt has to end all the same.
 *
 * The pipe first: its header may be another pipe's by now, of which this process
 * holds the end, too. Then the queue, which we have a seat in, is seen to be gone.
 */
static inline bool
mpr_put_enter(const struct mpr_attachment *at)
{
	atomic_store_explicit(&at->producer.lane->busy, 1,
			      memory_order_relaxed);
	mpr_fence_light_by(at->light_fences);
	return !mpr_pipe_is_over(at, true) &&
	       (mpr_likely(!mpr_put_is_closed(at)) || at->puts_back);
}

/* Whether somebody may want to hear of a put. Relaxed, as above. */
static inline bool
mpr_put_is_watched(const mproc_queue *q)
{
	return (atomic_load_explicit(&q->closing, memory_order_relaxed) |
		atomic_load_explicit(&q->hint, memory_order_relaxed)) != 0;
}

/* @n is how many messages were put, 0 if there is padding alone. */
void mpr_put_look_for_sleepers(const struct mpr_attachment *at, unsigned n);

/* It ends here. @tail is where the lane's tail was, @n how many messages were
 * put. */
static inline void
mpr_put_leave(const struct mpr_attachment *at, uint64_t tail, unsigned n)
{
	/* Release: not busy means that tail is final. */
	atomic_store_explicit(&at->producer.lane->busy, 0,
			      memory_order_release);
	/* Our messages before the look for sleepers; theirs is the rare side
	 * (queue_get.c). Who destroys the queue wakes them all itself. */
	mpr_fence_light_by(at->light_fences);
	mpr_thread_puts += n;
	if (mpr_unlikely(mpr_put_is_watched(at->q)) &&
	    (at->producer.tail != tail || mpr_put_is_closed(at) ||
	     mpr_pipe_is_over(at, true)))
		mpr_put_look_for_sleepers(at, n);
}

/* As mproc_queue_put(), by the general path. */
int mpr_put(mproc_queue *q, const void *msg, size_t len, mproc_timeout timeout);

/* The error for a queue that is closed. */
int mpr_put_closed(const struct mpr_attachment *at);

/* Reserves @len bytes in the calling thread's lane or in a block, at *@ret_p;
 * waits for them as a put does, and fails as one. */
int mpr_put_reserve(mproc_queue *q, size_t len, void **ret_p,
		    mproc_timeout timeout);

/* Puts what was reserved, with a length that is not more. Returns 0, or
 * -ESHUTDOWN, and it is forgotten. */
int mpr_put_commit(struct mpr_attachment *at, size_t len);

/* Forgets what was reserved. */
void mpr_put_abort(struct mpr_attachment *at);

/* What is reserved, or NULL, and its length. */
static inline void *
mpr_put_reserved(const struct mpr_attachment *at)
{
	return at->writes.block ? at->writes.memory : at->producer.reserved;
}

static inline size_t
mpr_put_reserved_len(const struct mpr_attachment *at)
{
	return at->writes.block ? at->writes.len : at->producer.reserved_len;
}

#endif
