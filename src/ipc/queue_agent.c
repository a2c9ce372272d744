/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/owner.h"
#include "ipc/queue_agent.h"
#include "ipc/queue_put.h"
#include "sync/asymmetric.h"

void
mpr_put_await(struct mpr_attachment *at, size_t len, struct mpr_put_wait *w)
{
	struct mpr_lane *lane = at->producer.lane;

	w->lacks = at->lacks;
	if (w->lacks == -EXFULL) {
		/* No fence: see wake_waiting() of blocks. */
		atomic_store(&at->q->wants_memory, 1);
	} else if (w->lacks == -ENOSR) {
		mpr_message_await(at, &w->since);
	} else {
		atomic_store(&lane->want,
			     mpr_producer_want(&at->producer,
					       mpr_put_lane_len(at, len), 0));
		/* Frequent side: consumers, after a take. */
		mpr_fence_rare(at->arena);
	}
}

bool
mpr_put_is_told(const struct mpr_attachment *at, const struct mpr_put_wait *w)
{
	if (w->lacks == -EXFULL)
		return !atomic_load(&at->q->wants_memory);
	if (w->lacks == -ENOSR)
		return atomic_load(&at->producer.lane->awaits) != w->since;
	return !w->lacks || !atomic_load(&at->producer.lane->want);
}

bool
mpr_put_unawait(struct mpr_attachment *at, struct mpr_put_wait *w)
{
	int lacks = w->lacks;

	w->lacks = 0;
	if (lacks == -ENOSR)
		return mpr_message_unawait(at, w->since);
	if (lacks && lacks != -EXFULL)
		atomic_store_explicit(&at->producer.lane->want, 0,
				      memory_order_relaxed);
	return false;
}

void
mpr_put_pass_on(struct mpr_attachment *at, int r)
{
	/* If there was no block after all, the offer is used already. */
	if (r < 0 && !(r == -EAGAIN && at->lacks == -ENOSR))
		mpr_message_offer(at);
}

void
mpr_put_owe(struct mpr_attachment *at)
{
	if (!at->producer.lane && mpr_attachment_add_lane(at) < 0)
		return;
	/* Before the take, which stores a head or a block's word with release: who finds
	 * the message gone by that finds this, in mpr_get_may_come(). */
	atomic_store(&at->producer.lane->owes, 1);
}

void
mpr_put_owe_nothing(struct mpr_attachment *at, bool told)
{
	struct mpr_lane *lane = at->producer.lane;

	if (!lane || !atomic_load_explicit(&lane->owes, memory_order_relaxed))
		return;
	/* Release: what was put back is there before; see mpr_get_may_come(). */
	atomic_store_explicit(&lane->owes, 0, memory_order_release);
	/* As in mpr_put_leave(). */
	mpr_fence_light(at->arena);
	if (told && mpr_put_is_closed(at))
		mpr_seats_wake_all(at->arena, &at->q->seats);
}

int
mpr_put_back_for(struct mpr_attachment *at, const struct iovec *msgs, int n)
{
	int r;

	at->puts_back = true;
	r = mpr_put_for(at, msgs, n);
	at->puts_back = false;
	return r;
}

void
mpr_get_await(struct mpr_attachment *at)
{
	mpr_seat_wait(at->seat, &at->q->hint);
	mpr_fence_rare(at->arena); /* frequent side: mpr_put_leave() */
	/* As in sleep_for_message(). */
	at->returned_seen = UINT64_MAX;
}

bool
mpr_get_is_told(const struct mpr_attachment *at)
{
	return mpr_owner_state(atomic_load(at->seat)) != MPR_SEAT_WAITING;
}

bool
mpr_get_unawait(struct mpr_attachment *at)
{
	return mpr_seat_unwait(at->seat);
}

void
mpr_get_pass_on(struct mpr_attachment *at)
{
	mpr_seats_wake(at->arena, &at->q->seats, &at->q->hint, 1);
}
