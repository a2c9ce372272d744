/* SPDX-License-Identifier: MIT */
/*
 * What the dead leave behind in queues, and the end of queues that are gone.
 */
#include "arena/heap.h"
#include "arena/participant.h"
#include "ipc/attachment.h"
#include "ipc/message_block.h"
#include "ipc/queue_recover.h"
#include "ipc/queue_shm.h"
#include "sync/asymmetric.h"

mproc_queue *
mpr_queue_next(const mproc_arena *a, struct mpr_queue_walk *walk)
{
	const _Atomic uint64_t *link = walk->last ?
		&walk->last->next : &a->shm->objects[MPR_KIND_QUEUE];
	/* Acquire pairs with the CAS that links a header. */
	uint64_t offset = atomic_load_explicit(link, memory_order_acquire);

	if (!offset || offset % sizeof(uint64_t) ||
	    !mpr_arena_has(a, offset, sizeof(mproc_queue)) ||
	    walk->n >= MPR_QUEUES_MAX)
		return NULL;
	walk->n++;
	walk->last = mpr_arena_at(a, offset);
	return walk->last;
}

/*
 * Frees the lanes, front to back, up to one that is another queue's. The list's
 * first word is the home of the block that is under way: killed before the
 * unlink, the block is still the queue's; after it, the heap's.
 */
static bool
free_lanes(mproc_arena *a, struct mpr_self *self, mproc_queue *q)
{
	struct mpr_block_ref ref;
	struct mpr_lane *lane;
	bool bad = false;

	/* The blocks say how large they are; the capacity may be nonsense. */
	while ((lane = mpr_queue_lane(a, q, &q->lanes, MPR_QUEUE_CAPACITY_MIN,
				      &bad))) {
		bad = !mpr_heap_find(a, mpr_arena_offset(a, lane), &ref) ||
		      !mpr_block_retire(a, self, &ref, &q->lanes);
		if (bad)
			break;
		atomic_store(&q->lanes, atomic_load(&lane->next));
		/* Not before: killed in between, we would leave a lane in our
		 * list that is not ours. */
		atomic_store(&lane->queue, 0);
		mpr_block_cancel(self, &ref);
	}
	/* What is left of a corrupt list is lost. Were it kept, it would be
	 * freed when it is somebody else's. */
	if (bad)
		atomic_store(&q->lanes, 0);
	return !bad;
}

mproc_queue *
mpr_queue_partner(const mproc_arena *a, mproc_queue *q)
{
	uint64_t offset = atomic_load(&q->partner);
	mproc_queue *partner;

	if (!offset || !mpr_heap_is_linked(a, offset, sizeof(*partner)))
		return NULL;
	partner = mpr_arena_at(a, offset);
	/* A header stays one, but may be another queue's by now. */
	return atomic_load(&partner->partner) == mpr_arena_offset(a, q) ?
		       partner : NULL;
}

void
mpr_queue_end_partner(mproc_arena *a, struct mpr_self *self, mproc_queue *q,
		      uint64_t word)
{
	mproc_queue *dead = mpr_queue_partner(a, q);
	uint64_t open;

	if (!dead || atomic_load(&q->flags) & MPR_QUEUE_DEAD_LETTERS ||
	    !(atomic_load(&dead->flags) & MPR_QUEUE_DEAD_LETTERS))
		return;
	/* Either header may be another queue's by now. Not if, after this load,
	 * they still belong together as they did. */
	open = atomic_load(&dead->state);
	if (atomic_load(&q->state) != word || mpr_queue_partner(a, q) != dead)
		return;
	if (mpr_owner_state(open) == MPR_QUEUE_OPEN &&
	    atomic_compare_exchange_strong(
		    &dead->state, &open,
		    mpr_owner_with_state(open, MPR_QUEUE_GONE))) {
		/* As in mproc_queue_destroy(). */
		mpr_fence_rare(a);
		mpr_seats_wake_all(a, &dead->seats);
	}
	mpr_queue_reap(a, self, dead);
}

void
mpr_queue_end_for(mproc_arena *a, mproc_queue *q, uint64_t pipe,
		  const _Atomic uint64_t *state, uint64_t word)
{
	uint64_t open = atomic_load(&q->state);

	/* It may be another queue by now, and the pipe another pipe. Not if, after
	 * this load, they still belong together as they did. */
	if (atomic_load(&q->pipe) != pipe || atomic_load(state) != word)
		return;
	if (mpr_owner_state(open) == MPR_QUEUE_OPEN &&
	    atomic_compare_exchange_strong(
		    &q->state, &open,
		    mpr_owner_with_state(open, MPR_QUEUE_GONE))) {
		/* As in mproc_queue_destroy(). */
		mpr_fence_rare(a);
		mpr_seats_wake_all(a, &q->seats);
	}
	mpr_queue_reap(a, mpr_self_in(a), q);
}

void
mpr_queue_reap(mproc_arena *a, struct mpr_self *self, mproc_queue *q)
{
	uint64_t word = atomic_load(&q->state), busy;
	bool freed;

	if (mpr_owner_state(word) != MPR_QUEUE_GONE)
		return;
	/* Before anything that has to wait: who reads dead letters may have a
	 * seat here, and sleep until these are gone. */
	mpr_queue_end_partner(a, self, q, word);
	if (!self || mpr_seats_any(a, &q->seats))
		return;
	busy = mpr_owner(mpr_arena_epoch(a), self->slot, MPR_QUEUE_BUSY);
	if (!atomic_compare_exchange_strong(&q->state, &word, busy))
		return;
	/*
	 * Someone may have taken a seat before this and be about to give it
	 * back. Then it is its turn, unless it has looked while the queue was
	 * BUSY: so we look once more after GONE. seq_cst, against
	 * mpr_seat_take() and mpr_seat_leave(): one of us sees the other.
	 */
	if (mpr_seats_any(a, &q->seats)) {
		atomic_store(&q->state,
			     mpr_owner_with_state(busy, MPR_QUEUE_GONE));
		if (!mpr_seats_any(a, &q->seats))
			mpr_queue_reap(a, self, q);
		return;
	}
	atomic_store(&q->partner, 0);
	freed = free_lanes(a, self, q);
	freed = mpr_messages_free(a, self, q) && freed;
	busy = mpr_owner_with_state(busy, freed ? MPR_QUEUE_FREE :
						  MPR_QUEUE_GONE);
	atomic_store(&q->state, busy);
	if (freed)
		mpr_rover_freed(&a->rovers[MPR_KIND_QUEUE]);
}

static bool
is_of(uint64_t word, unsigned slot)
{
	return mpr_owner_state(word) != 0 && mpr_owner_slot(word) == slot;
}

/* Takes an owner word from the dead, to state @state. */
static void
take_back(const mproc_arena *a, _Atomic uint64_t *owner, unsigned slot,
	  uint64_t ident, unsigned state)
{
	uint64_t word = atomic_load(owner);

	if (is_of(word, slot) && mpr_participant_still_dead(a, slot, ident))
		atomic_compare_exchange_strong(
			owner, &word, mpr_owner_with_state(word, state));
}

/*
 * The dead has a seat, so the lanes are there: as long as it has it. Another
 * recoverer may take it back while we sleep, and the lanes' memory be someone
 * else's then. So whatever is loaded counts only if the seat is still held
 * after the load; a seat's word is never the same twice, and so is a lane's
 * owner word, which the CAS compares as a whole.
 */
static void
recover_lanes(mproc_arena *a, mproc_queue *q, _Atomic uint64_t *seat,
	      uint64_t seat_word)
{
	unsigned slot = mpr_owner_slot(seat_word);
	unsigned state = mpr_owner_state(atomic_load(&q->state));
	size_t capacity = atomic_load(&q->capacity);
	const _Atomic uint64_t *link = &q->lanes;
	struct mpr_lane *lane;
	unsigned n = 0;
	bool bad = false;

	if (capacity > MPR_QUEUE_CAPACITY_MAX)
		return;
	/* The seat was taken too late to be of use: its owner was about to give
	 * it back, and the lanes are being freed. */
	if (state == MPR_QUEUE_BUSY || state == MPR_QUEUE_FREE)
		return;
	/* Before the lanes, which tell what the dead one had queued. */
	mpr_messages_recover(a, q, seat, seat_word);
	while ((lane = mpr_queue_lane(a, q, link, capacity, &bad)) &&
	       mpr_seat_is_held(seat, seat_word) && n++ < MPR_LANES_MAX) {
		uint64_t word = atomic_load(&lane->owner);

		if (!mpr_seat_is_held(seat, seat_word))
			return;
		if (is_of(word, slot))
			atomic_compare_exchange_strong(
				&lane->owner, &word,
				mpr_owner_with_state(word, MPR_LANE_FREE));
		link = &lane->next;
	}
}

/* The dead one's seat is given back after this: who dies over it leaves that to the
 * next one. */
void
mpr_queue_announce_returned(mproc_arena *a, mproc_queue *q)
{
	mproc_queue *dead;

	if (!(atomic_load(&q->flags) & MPR_QUEUE_KEEPS))
		return;
	atomic_fetch_add(&q->returned, 1);
	dead = mpr_queue_partner(a, q);
	if (!dead)
		return;
	atomic_fetch_add(&dead->returned, 1);
	mpr_seats_wake_all(a, &dead->seats);
}

/*
 * Whether the dead one, whose seat said @word, owes a wake-up to nobody but those who
 * wait for messages: it never took any, so it made no room; where there are no blocks
 * none became free; and it has not ended the queue. All that it stored is seen after
 * the proof of its death.
 */
static bool
was_producer_only(mproc_queue *q, uint64_t word)
{
	return mpr_owner_state(word) == MPR_SEAT_TAKEN &&
	       mpr_owner_state(atomic_load(&q->state)) == MPR_QUEUE_OPEN &&
	       !atomic_load(&q->closing) && !atomic_load(&q->blocks) &&
	       !atomic_load(&q->pipe);
}

static void
recover_queue(mproc_arena *a, mproc_queue *q, unsigned slot, uint64_t ident)
{
	_Atomic uint64_t *seat;
	bool had_seat = false;
	uint64_t word;

	while ((seat = mpr_seat_of_dead(a, &q->seats, slot, ident, &word))) {
		recover_lanes(a, q, seat, word);
		take_back(a, &q->role, slot, ident, MPR_ROLE_FREE);
		mpr_queue_announce_returned(a, q);
		/* It may have been about to wake someone, or chosen to be
		 * woken. Producers have seats too; of these there may be many,
		 * and if all die, each would be woken for each. */
		if (was_producer_only(q, word))
			mpr_seats_wake_waiters(a, &q->seats);
		else
			mpr_seats_wake_all(a, &q->seats);
		take_back(a, seat, slot, ident, MPR_SEAT_FREE);
		had_seat = true;
	}
	if (mpr_owner_state(atomic_load(&q->state)) == MPR_QUEUE_BUSY)
		take_back(a, &q->state, slot, ident, MPR_QUEUE_GONE);
	if (had_seat ||
	    mpr_owner_state(atomic_load(&q->state)) == MPR_QUEUE_GONE)
		mpr_queue_reap(a, mpr_self_in(a), q);
}

void
mpr_queues_recover(mproc_arena *a, unsigned slot, uint64_t ident)
{
	struct mpr_queue_walk walk = { 0 };
	mproc_queue *q;

	while ((q = mpr_queue_next(a, &walk)))
		recover_queue(a, q, slot, ident);
}

void
mpr_queues_told(mproc_arena *a, pid_t pid, int signal)
{
	struct mpr_queue_walk walk = { 0 };
	struct mpr_attachment *at;
	mproc_queue *q;
	bool had;

	while ((q = mpr_queue_next(a, &walk))) {
		/* Without returns nobody has died with a message. */
		if (!(atomic_load(&q->flags) & MPR_QUEUE_KEEPS) ||
		    !atomic_load(&q->returned) ||
		    mpr_owner_state(atomic_load(&q->state)) != MPR_QUEUE_OPEN)
			continue;
		/* Blocks are touched only by those who have a seat. */
		had = mpr_attachment_present(q);
		if (mpr_attachment_get(q, &at) < 0)
			continue;
		mpr_messages_told(at, (uint32_t)pid, signal);
		if (!had)
			mpr_attachment_drop(at);
	}
}

void
mpr_queues_count(mproc_arena *a, struct mproc_arena_stat *stat)
{
	struct mpr_queue_walk walk = { 0 };
	mproc_queue *q;

	while ((q = mpr_queue_next(a, &walk)))
		stat->queues += mpr_owner_state(atomic_load(&q->state)) !=
					MPR_QUEUE_FREE &&
				!atomic_load(&q->pipe);
}
