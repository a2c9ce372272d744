/* SPDX-License-Identifier: MIT */
/*
 * What becomes of blocks whose owner is dead.
 */
#include "arena/participant.h"
#include "base/owner.h"
#include "ipc/attachment.h"
#include "ipc/killers.h"
#include "ipc/message_block.h"
#include "ipc/message_priv.h"
#include "ipc/queue_agent.h"
#include "ipc/queue_recover.h"

/* Whether a lane of the participant in @slot refers to the block. */
static bool
is_referred_to(mproc_arena *a, mproc_queue *q, unsigned slot,
	       const struct mpr_reference *ref)
{
	size_t capacity = atomic_load(&q->capacity);
	const _Atomic uint64_t *link = &q->lanes;
	struct mpr_lane *lane;
	unsigned n = 0;
	bool bad = false;

	if (capacity > MPR_QUEUE_CAPACITY_MAX)
		return false;
	while ((lane = mpr_queue_lane(a, q, link, capacity, &bad)) &&
	       n++ < MPR_LANES_MAX) {
		uint64_t word = atomic_load(&lane->owner);

		if (mpr_owner_state(word) == MPR_LANE_ACTIVE &&
		    mpr_owner_slot(word) == slot &&
		    mpr_lane_refers(lane, ref))
			return true;
		link = &lane->next;
	}
	return false;
}

bool
mpr_message_is_published(mproc_arena *a, mproc_queue *q,
			 const struct mpr_message_block *b, uint64_t word)
{
	struct mpr_reference ref = {
		.object = mpr_arena_offset(a, b),
		.use = mpr_owner_epoch(word),
	};

	return is_referred_to(a, q, mpr_owner_slot(word), &ref);
}

/* What becomes of a block that the dead participant, @pid, had in hands. */
static uint64_t
settled(mproc_arena *a, mproc_queue *q, struct mpr_message_block *b,
	uint64_t word, uint32_t pid, _Atomic uint64_t *seat,
	uint64_t seat_word)
{
	if (mpr_owner_state(word) == MPR_MESSAGE_WRITTEN)
		return mpr_message_is_published(a, q, b, word)
			       ? mpr_message_queued_at(word,
						       MPR_MESSAGE_IN_LANE)
			       : mpr_message_freed(word);
	if (!(atomic_load(&q->flags) & MPR_QUEUE_KEEPS))
		return mpr_message_freed(word);
	if (mpr_killers_add(b, word, pid, seat, seat_word) >
	    atomic_load(&q->max_redeliveries))
		return mpr_message_queued_at(word, MPR_MESSAGE_DEAD);
	return mpr_message_queued_at(word, MPR_MESSAGE_RETURNED);
}

void
mpr_messages_recover(mproc_arena *a, mproc_queue *q, _Atomic uint64_t *seat,
		     uint64_t seat_word)
{
	const _Atomic uint64_t *link = &q->blocks;
	unsigned slot = mpr_owner_slot(seat_word), n = 0;
	struct mpr_message_group *group;
	bool bad = false;
	uint32_t pid;

	/* Before it is asked whether the seat is held: until then the slot is
	 * the dead one's. */
	pid = slot < MPR_PARTICIPANTS_MAX ?
		      atomic_load(&mpr_participant_at(a, slot)->pid) : 0;
	while ((group = mpr_message_group_at(a, link, &bad)) &&
	       n++ < MPR_MESSAGE_GROUPS_MAX) {
		for (unsigned i = 0; i < MPR_MESSAGE_GROUP; i++) {
			struct mpr_message_block *b = &group->block[i];
			uint64_t word = atomic_load(&b->state), to;
			unsigned state = mpr_owner_state(word);

			if ((state != MPR_MESSAGE_WRITTEN &&
			     state != MPR_MESSAGE_TAKEN) ||
			    mpr_owner_slot(word) != slot)
				continue;
			/* Before anything is changed there, and before the
			 * last step: otherwise the lane may have been
			 * another's, and the block, too. */
			if (!mpr_seat_is_held(seat, seat_word))
				return;
			to = settled(a, q, b, word, pid, seat, seat_word);
			if (!mpr_seat_is_held(seat, seat_word))
				return;
			atomic_compare_exchange_strong(&b->state, &word, to);
		}
		link = &group->next;
	}
}

bool
mpr_message_leave(const struct mpr_attachment *at, struct mpr_taken *t)
{
	uint64_t word = t->word;
	/* The seat is our own, so it is held. */
	uint64_t to = settled(at->arena, at->q, t->block, word, 0, at->seat,
			      atomic_load(at->seat));
	bool done = atomic_compare_exchange_strong(&t->block->state, &word, to);

	t->block = NULL;
	return done;
}

void
mpr_messages_left(const struct mpr_attachment *at)
{
	mpr_queue_announce_returned(at->arena, at->q);
	mpr_seats_wake_all(at->arena, &at->q->seats);
}
