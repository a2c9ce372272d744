/* SPDX-License-Identifier: MIT */
/*
 * Who waits for a block: producers, whose lanes say since when. A block that
 * becomes free is offered to the one who waits longest, by a CAS that ends its
 * wait, so nobody starves and nobody else is woken.
 *
 * The hint keeps those who free blocks from looking at lanes in vain. It is kept
 * as that of seats is (sync/seats.h); recovery, which wakes all who have a
 * seat, is what helps after a death here, and in there.
 */
#include "base/owner.h"
#include "ipc/attachment.h"
#include "ipc/message_block.h"
#include "sync/park.h"

void
mpr_message_await(struct mpr_attachment *at, uint64_t *since)
{
	if (!*since)
		*since = atomic_fetch_add(&at->q->waits, 1) + 1;
	/* seq_cst, both: the lane before the hint, against the hint before the
	 * lanes in mpr_message_offer(). One of us sees the other. */
	atomic_store(&at->producer.lane->awaits, *since);
	atomic_store(&at->q->wants_block, 1);
}

bool
mpr_message_unawait(struct mpr_attachment *at, uint64_t since)
{
	return !atomic_compare_exchange_strong(&at->producer.lane->awaits,
					       &since, 0);
}

/* The lane whose owner waits longest, and *@ret_since when, or NULL. */
static struct mpr_lane *
find_first(const struct mpr_attachment *at, uint64_t *ret_since)
{
	const _Atomic uint64_t *link = &at->q->lanes;
	struct mpr_lane *lane, *first = NULL;
	bool bad = false;
	unsigned n = 0;

	*ret_since = 0;
	while ((lane = mpr_queue_lane(at->arena, at->q, link, at->capacity,
				      &bad)) &&
	       n++ < MPR_LANES_MAX) {
		uint64_t since = atomic_load(&lane->awaits);

		link = &lane->next;
		if (!since || (first && since >= *ret_since) ||
		    mpr_owner_state(atomic_load(&lane->owner)) !=
			    MPR_LANE_ACTIVE)
			continue;
		first = lane;
		*ret_since = since;
	}
	return first;
}

/* Returns whether anybody waits. */
static bool
offer_to_first(const struct mpr_attachment *at)
{
	struct mpr_lane *lane;
	uint64_t since, owner;

	while ((lane = find_first(at, &since))) {
		owner = atomic_load(&lane->owner);
		/* If not, it has given up or got another offer meanwhile. */
		if (!atomic_compare_exchange_strong(&lane->awaits, &since, 0))
			continue;
		mpr_unpark(at->arena, mpr_owner_slot(owner));
		return true;
	}
	return false;
}

void
mpr_message_offer(const struct mpr_attachment *at)
{
	mproc_queue *q = at->q;
	uint64_t since;

	/* seq_cst: see wake_waiting() in message_block.c. */
	if (!atomic_load(&q->wants_block) || offer_to_first(at))
		return;
	atomic_store(&q->wants_block, 0);
	if (!find_first(at, &since))
		return;
	/* Others may have trusted the hint meanwhile. */
	atomic_store(&q->wants_block, 1);
	mpr_seats_wake_all(at->arena, &q->seats);
}
