/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/owner.h"
#include "ipc/queue_agent.h"
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
