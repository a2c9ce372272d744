/* SPDX-License-Identifier: MIT */
/*
 * What does not move messages: a lane's beginning, its length, and who is to be
 * woken.
 */
#include "base/macros.h"
#include "base/owner.h"
#include "ring/access.h"
#include "ring/lane.h"
#include "ring/lane_priv.h"

void
mpr_lane_init(struct mpr_lane *lane, uint64_t owner)
{
	atomic_init(&lane->owner, owner);
	atomic_init(&lane->next, 0);
	atomic_init(&lane->queue, 0);
	atomic_init(&lane->tail, 0);
	atomic_init(&lane->count, 0);
	atomic_init(&lane->last_object, 0);
	atomic_init(&lane->last_use, 0);
	atomic_init(&lane->last_tail, 0);
	atomic_init(&lane->head, 0);
	atomic_init(&lane->want, 0);
	atomic_init(&lane->awaits, 0);
	atomic_init(&lane->busy, 0);
	atomic_init(&lane->owes, 0);
}

/* Counts the messages in [head, tail) of a lane that nobody produces in. */
static size_t
count_frames(struct mpr_lane *lane, size_t capacity, uint64_t head,
	     uint64_t tail)
{
	uint64_t header;
	size_t extent, n = 0;

	for (uint64_t position = head; position != tail; position += extent) {
		header = mpr_load(mpr_lane_header(lane, capacity, position),
				  memory_order_relaxed);
		extent = mpr_frame_extent(header);
		if (!mpr_lane_fits(position, tail, extent, capacity))
			break;
		n += mpr_frame_counts(header);
	}
	return n;
}

bool
mpr_lane_refers(struct mpr_lane *lane, const struct mpr_reference *ref)
{
	uint64_t tail;

	/* Acquire pairs with the releases in note_reference(): the use that is
	 * seen is this object's, and the tail this use's. */
	if (mpr_load(&lane->last_object, memory_order_acquire) != ref->object ||
	    mpr_load(&lane->last_use, memory_order_acquire) != ref->use)
		return false;
	tail = mpr_load(&lane->last_tail, memory_order_relaxed);
	return (int64_t)(mpr_load(&lane->tail, memory_order_relaxed) - tail) >=
	       0;
}

size_t
mpr_lane_len(struct mpr_lane *lane, size_t capacity)
{
	for (int attempt = 0; attempt < MPR_LANE_ATTEMPTS; attempt++) {
		uint64_t head = mpr_load(&lane->head, memory_order_acquire);
		uint64_t tail = mpr_load(&lane->tail, memory_order_acquire);
		uint64_t owner = mpr_load(&lane->owner, memory_order_relaxed);
		uint64_t header, count;
		uint32_t n;

		if (head == tail)
			return 0;
		if (!mpr_lane_is_sane(head, tail, capacity)) {
			/* Both may have moved on in between. */
			if (mpr_load(&lane->head, memory_order_acquire) == head)
				return 0;
			continue;
		}
		/* An owner that died may have counted a message that it did not
		 * publish. */
		if (mpr_owner_state(owner) != MPR_LANE_ACTIVE)
			return count_frames(lane, capacity, head, tail);
		header = mpr_load(mpr_lane_header(lane, capacity, head),
				  memory_order_acquire);
		count = mpr_load(&lane->count, memory_order_relaxed);
		if (mpr_load(&lane->head, memory_order_acquire) != head)
			continue;
		if (!mpr_frame_counts(header))
			return count_frames(lane, capacity, head, tail);
		n = (uint32_t)count - mpr_frame_sequence(header);
		return n <= capacity / MPR_FRAME_ALIGN ? n : 0;
	}
	return 0;
}

size_t
mpr_lane_bytes(struct mpr_lane *lane, size_t capacity)
{
	for (int attempt = 0; attempt < MPR_LANE_ATTEMPTS; attempt++) {
		uint64_t head = mpr_load(&lane->head, memory_order_acquire);
		uint64_t tail = mpr_load(&lane->tail, memory_order_acquire);

		if (mpr_lane_is_sane(head, tail, capacity))
			return (size_t)(tail - head);
		/* Both may have moved on in between. */
		if (mpr_load(&lane->head, memory_order_acquire) == head)
			break;
	}
	return 0;
}

bool
mpr_lane_is_empty(struct mpr_lane *lane)
{
	uint64_t head = mpr_load(&lane->head, memory_order_acquire);

	return head == mpr_load(&lane->tail, memory_order_acquire);
}

bool
mpr_lane_take_want(struct mpr_lane *lane)
{
	uint64_t want = mpr_load(&lane->want, memory_order_relaxed);

	if (mpr_likely(!want))
		return false;
	if ((int64_t)(mpr_load(&lane->head, memory_order_relaxed) - want) < 0)
		return false;
	/* Only the want that we looked at: the owner may have been woken by
	 * someone else meanwhile, and want more by now. */
	return mpr_cas(&lane->want, &want, 0, memory_order_acq_rel);
}
