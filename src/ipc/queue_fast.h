/* SPDX-License-Identifier: MIT */
/*
 * The frequent put and get: a short message, room for it or one that is known to be
 * there, and nobody who sleeps. They call nothing. The steps are those of the general
 * path, in the same order; whatever is not as usual starts anew there.
 *
 * Queues and pipes put them together, each with the questions of its own.
 */
#ifndef MPR_IPC_QUEUE_FAST_H
#define MPR_IPC_QUEUE_FAST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"
#include "ipc/attachment.h"
#include "ipc/poll.h"
#include "ipc/queue_put.h"
#include "ring/lane_fast.h"
#include "sync/asymmetric.h"

/* Someone sleeps, or the queue is being shut down. Returns 0. */
int mpr_put_wake(const struct mpr_attachment *at);

/* The lane's owner waits for room. Returns 0. */
int mpr_get_wake(const struct mpr_attachment *at, struct mpr_lane *lane);

/* Whether the message is short, and there is room. */
static inline bool
mpr_put_is_frequent(const struct mpr_attachment *at, const void *msg, size_t len)
{
	return mpr_likely(len < at->short_limit && (msg || !len) &&
			  /* There is none without a lane. */
			  mpr_producer_has_room(&at->producer, len));
}

/* It begins as mpr_put_enter(), for light fences; whether the queue is closed is asked
 * next. Whoever goes on elsewhere ends it there. */
static inline void
mpr_put_announce(struct mpr_lane *lane)
{
	atomic_store_explicit(&lane->busy, 1, memory_order_relaxed);
	mpr_fence_none();
}

/* The rest of it; @lane and @tail are the producer's. Returns 0. */
static inline int
mpr_put_frequent(struct mpr_attachment *at, struct mpr_lane *lane, uint64_t tail,
		 const void *msg, size_t len)
{
	mpr_assume(len <= MPR_COPY_SHORT);
	mpr_producer_write(&at->producer, lane, tail, msg, len);
	/* As in mpr_put_leave(). */
	atomic_store_explicit(&lane->busy, 0, memory_order_release);
	mpr_fence_none();
	mpr_thread_puts++;
	if (mpr_unlikely(mpr_put_is_watched(at->q)))
		return mpr_put_wake(at);
	return 0;
}

/* Whether a message may be known in the lane whose turn it is, and that goes on. */
static inline bool
mpr_get_is_frequent(const struct mpr_attachment *at, const void *buf, size_t size)
{
	/* Relaxed: an old value is as if we had come earlier. */
	return mpr_likely(!atomic_load_explicit(&at->q->closing,
						memory_order_relaxed) &&
			  atomic_load_explicit(&at->q->state,
					       memory_order_relaxed) ==
				  at->open &&
			  (buf || !size) &&
			  /* There is none without a lane. */
			  at->quantum > 1);
}

/* Takes it, for one of several consumers. Returns 0, or as mpr_consumer_claim(). */
static inline int
mpr_get_claim(struct mpr_consumer *c, struct mpr_lane *lane, void *buf,
	      size_t size, size_t *ret_len)
{
	uint64_t head = mpr_load(&lane->head, memory_order_acquire);

	/* Nobody else has taken any, mostly, and we are where we were. */
	if (mpr_unlikely(head != c->head) &&
	    !mpr_consumer_aim(c, head, c->tail_seen))
		return -EAGAIN;
	return mpr_consumer_claim(c, lane, buf, size, ret_len, MPR_COPY_SHORT);
}

/* Looks for more in the lane of @c, and takes the first of it. Returns 0, or as
 * mpr_consumer_take() and mpr_consumer_claim(). */
static inline int
mpr_get_look(const struct mpr_attachment *at, struct mpr_consumer *c, void *buf,
	     size_t size, size_t *ret_len)
{
	if (!at->single_consumer)
		return mpr_consumer_see_shared(c) == c->tail_seen ?
			       -EAGAIN :
			       mpr_consumer_claim(c, c->lane, buf, size,
						  ret_len, MPR_COPY_SHORT);
	if (c->head == c->straight && mpr_consumer_see(c) < 0)
		return -EAGAIN;
	return mpr_consumer_take(c, buf, size, ret_len, MPR_COPY_SHORT);
}

/* After it was taken. Returns 0. */
static inline int
mpr_get_taken(struct mpr_attachment *at, struct mpr_lane *lane)
{
	at->quantum--;
	mpr_fence_none();
	if (mpr_unlikely(atomic_load_explicit(&lane->want,
					      memory_order_relaxed)))
		return mpr_get_wake(at, lane);
	return 0;
}

#endif
