/* SPDX-License-Identifier: MIT */
/*
 * Putting: into the thread's own lane, published by one store.
 */
#include <errno.h>

#include "base/error.h"
#include "base/macros.h"
#include "ipc/attachment.h"
#include "ipc/poll.h"
#include "os/clock.h"
#include "os/interrupt.h"
#include "sync/asymmetric.h"
#include "sync/park.h"

/* A lane that was full is left with this part of it free, so that the two
 * sides stay many messages apart. */
#define SPARE_PART 8

/* But a consumer may want nothing more before it has this one message. */
#define SPARE_WAIT 1000000 /* ns */

static int
closed(struct mpr_attachment *at)
{
	return mpr_fail(-ESHUTDOWN, "queue %p is shut down", (void *)at->q);
}

static bool
is_closed(const struct mpr_attachment *at)
{
	/* Relaxed; the fence that orders them is in the caller. */
	return atomic_load_explicit(&at->q->closing, memory_order_relaxed) ||
	       atomic_load_explicit(&at->q->state, memory_order_relaxed) !=
		       at->open;
}

/*
 * One attempt. busy tells a consumer that wants to know whether the queue is
 * empty for good that a message may still come: our store of busy and load of
 * closing are the frequent side, its load of closing, fence, and load of busy
 * the rare one (queue_get.c, is_final()).
 */
static int
try_put(struct mpr_attachment *at, const void *msg, size_t len)
{
	struct mpr_lane *lane = at->producer.lane;
	uint64_t tail = at->producer.tail;
	mproc_queue *q = at->q;
	int r;

	atomic_store_explicit(&lane->busy, 1, memory_order_relaxed);
	mpr_fence_light(at->arena);
	if (mpr_likely(!is_closed(at)))
		r = mpr_producer_put(&at->producer, msg, len);
	else
		r = -ESHUTDOWN;
	/* Release: not busy means that tail is final. */
	atomic_store_explicit(&lane->busy, 0, memory_order_release);
	/* Our message before the look for sleepers; theirs is the rare side
	 * (queue_get.c). */
	mpr_fence_light(at->arena);
	if (mpr_likely(r == 0))
		mpr_thread_puts++;
	if (mpr_unlikely(is_closed(at)))
		/* All of them may wait for us not to be busy. */
		mpr_seats_wake_all(at->arena, &q->seats);
	else if (mpr_unlikely(atomic_load_explicit(&q->hint,
						   memory_order_relaxed)) &&
		 /* Padding alone has to be taken out of the way, too. */
		 at->producer.tail != tail)
		mpr_seats_wake(at->arena, &q->seats, &q->hint, 1);
	return r;
}

/* Sleeps until head has reached @want, a wake-up, or @until. */
static int
sleep_for_room(struct mpr_attachment *at, uint64_t want, int64_t until)
{
	struct mpr_lane *lane = at->producer.lane;
	uint32_t ticket;
	int r = 0;

	ticket = mpr_park_ticket(at->self);
	atomic_store(&lane->want, want);
	mpr_fence_rare(at->arena); /* frequent side: consumers, after a take */
	if (!mpr_producer_may_go(&at->producer, want) && !is_closed(at))
		r = mpr_park(at->self, at->q, ticket, until);
	atomic_store_explicit(&lane->want, 0, memory_order_relaxed);
	return r;
}

static MPR_NOINLINE int
put_waiting(struct mpr_attachment *at, const void *msg, size_t len,
	    mproc_timeout timeout)
{
	size_t spare = at->capacity / SPARE_PART;
	uint64_t want = mpr_producer_want(&at->producer, len, spare);
	int64_t deadline = mpr_deadline(timeout), until;
	struct mpr_poll poll;
	int r, why = 0;

	mpr_poll_begin(&poll, at, MPR_PARTICIPANTS_MAX, false);
	while (mpr_poll_again(&poll)) {
		if (!mpr_producer_may_go(&at->producer, want) && !is_closed(at))
			continue;
		r = try_put(at, msg, len);
		if (r != -EAGAIN)
			goto done;
		want = mpr_producer_want(&at->producer, len, spare);
	}
	for (;;) {
		r = try_put(at, msg, len);
		if (r == -EAGAIN && why == -EINTR)
			mpr_interrupt_answer();
		if (r == -EAGAIN && why < 0)
			r = why;
		if (r != -EAGAIN)
			break;
		want = mpr_producer_want(&at->producer, len, spare);
		until = deadline;
		if (spare && mproc_now() < deadline - SPARE_WAIT)
			until = mproc_now() + SPARE_WAIT;
		spare = 0;
		why = sleep_for_room(at, want, until);
		if (why == -ETIMEDOUT && until != deadline)
			why = 0;
	}
done:
	mpr_poll_end(&poll);
	return r;
}

int
mproc_queue_put(mproc_queue *q, const void *msg, size_t len,
		mproc_timeout timeout)
{
	struct mpr_attachment *at;
	int r;

	r = mpr_attachment_get(q, &at);
	if (mpr_unlikely(r < 0))
		return r;
	if (mpr_unlikely(len > mpr_lane_message_max(at->capacity)))
		return mpr_fail(-EMSGSIZE,
				"a message of %zu bytes, the queue takes at "
				"most %zu", len,
				mpr_lane_message_max(at->capacity));
	if (mpr_unlikely(!msg && len))
		return mpr_fail(-EINVAL, "msg is NULL");
	if (mpr_unlikely(!at->producer.lane)) {
		/* No lane for a message that will not be taken. */
		if (is_closed(at))
			return closed(at);
		r = mpr_attachment_add_producer(at);
		if (r < 0)
			return r;
	}
	r = try_put(at, msg, len);
	if (mpr_unlikely(r == -EAGAIN && timeout.ns != 0))
		r = put_waiting(at, msg, len, timeout);
	if (mpr_unlikely(r == -ESHUTDOWN))
		return closed(at);
	if (mpr_unlikely(r == -EBADMSG))
		return mpr_fail(r, "the lane of this thread in queue %p is "
				"corrupt", (void *)q);
	return r;
}
