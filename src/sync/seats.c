/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "arena/heap.h"
#include "base/error.h"
#include "base/owner.h"
#include "sync/park.h"
#include "sync/seats.h"
#include "sync/told.h"

/* More than this many blocks hold more seats than there are participants. */
#define BLOCKS_MAX (MPR_PARTICIPANTS_MAX / MPR_SEATS_MORE + 2)

MPR_CHILD_PATH _Atomic uint64_t *
mpr_seat_next(const mproc_arena *a, struct mpr_seats *s,
	      struct mpr_seat_walk *walk)
{
	struct mpr_seat_block *block;
	struct mpr_block_ref ref;
	uint64_t offset;

	if (!walk->more) {
		walk->seat = s->seat;
		walk->more = &s->more;
		walk->left = MPR_SEATS_FIRST;
	}
	if (!walk->left) {
		/* seq_cst: mpr_seats_any() must not miss a block whose seat was
		 * taken before. */
		offset = atomic_load(walk->more);
		/* What is not linked here has no seats, or another object's:
		 * they are not ours to be taken, woken or given back. */
		if (!offset || !mpr_heap_find_of(a, offset, walk->more, &ref) ||
		    ref.size < sizeof(*block) || ++walk->blocks > BLOCKS_MAX)
			return NULL;
		block = mpr_arena_at(a, offset);
		walk->seat = block->seat;
		walk->more = &block->more;
		walk->left = MPR_SEATS_MORE;
	}
	walk->left--;
	return walk->seat++;
}

static int
add_block(mproc_arena *a, struct mpr_self *self, struct mpr_seats *s)
{
	struct mpr_block_ref ref;
	int r;

	r = mpr_heap_reserve(a, self, sizeof(struct mpr_seat_block), &ref);
	if (r < 0)
		return r;
	return mpr_block_append(a, self, &ref, &s->more,
				offsetof(struct mpr_seat_block, more),
				BLOCKS_MAX);
}

MPR_CHILD_PATH int
mpr_seat_take(mproc_arena *a, struct mpr_self *self, struct mpr_seats *s,
	      _Atomic uint64_t **ret_seat)
{
	uint64_t mine = mpr_owner(mpr_arena_epoch(a), self->slot,
				  MPR_SEAT_TAKEN);
	int r;

	/* Others may take the seats that we add. */
	for (int round = 0; round < BLOCKS_MAX; round++) {
		struct mpr_seat_walk walk = { 0 };
		_Atomic uint64_t *seat;

		while ((seat = mpr_seat_next(a, s, &walk))) {
			uint64_t word = atomic_load(seat);

			/* seq_cst: taking a seat comes before looking whether
			 * the object still exists; see mpr_seats_any(). */
			if (mpr_owner_state(word) == MPR_SEAT_FREE &&
			    atomic_compare_exchange_strong(seat, &word, mine)) {
				*ret_seat = seat;
				return 0;
			}
		}
		r = add_block(a, self, s);
		if (r < 0)
			return r;
	}
	return mpr_fail(-EBADMSG, "a list of seats is corrupt");
}

void
mpr_seat_leave(_Atomic uint64_t *seat)
{
	atomic_store(seat, mpr_owner_with_state(atomic_load(seat),
						MPR_SEAT_FREE));
}

MPR_CHILD_PATH void
mpr_seat_awake(_Atomic uint64_t *seat)
{
	/* Nobody else changes a seat that does not wait while its owner lives.
	 * Relaxed: only observers look. */
	uint64_t word = atomic_load_explicit(seat, memory_order_relaxed);

	atomic_store_explicit(seat, mpr_owner_with_state(word, MPR_SEAT_AWAKE),
			      memory_order_relaxed);
}

void
mpr_seat_wait(_Atomic uint64_t *seat, _Atomic uint32_t *hint)
{
	uint64_t word = atomic_load_explicit(seat, memory_order_relaxed);

	/* seq_cst, both: seat before hint, against hint before seats in
	 * mpr_seats_wake(). One of us sees the other. */
	atomic_store(seat, mpr_owner_with_state(word, MPR_SEAT_WAITING));
	atomic_store(hint, 1);
}

bool
mpr_seat_unwait(_Atomic uint64_t *seat)
{
	uint64_t word = atomic_load(seat);

	return mpr_owner_state(word) != MPR_SEAT_WAITING ||
	       !atomic_compare_exchange_strong(
		       seat, &word,
		       mpr_owner_with_state(word, MPR_SEAT_AWAKE));
}

/* If its owner waits: chooses it. */
static bool
choose(_Atomic uint64_t *seat, uint64_t word)
{
	return mpr_owner_state(word) == MPR_SEAT_WAITING &&
	       atomic_compare_exchange_strong(
		       seat, &word, mpr_owner_with_state(word, MPR_SEAT_AWAKE));
}

/* Wakes who has a seat with @word, and tells it for what. */
static void
wake(const mproc_arena *a, const struct mpr_seats *s, uint64_t word)
{
	mpr_tell(a, mpr_owner_slot(word), mpr_arena_name(a, s));
	mpr_unpark(a, mpr_owner_slot(word));
}

/* Chooses and wakes up to @n of those who wait. Returns whether any did. */
static bool
wake_some(const mproc_arena *a, struct mpr_seats *s, unsigned n)
{
	struct mpr_seat_walk walk = { 0 };
	_Atomic uint64_t *seat;
	unsigned woken = 0;

	while (woken < n && (seat = mpr_seat_next(a, s, &walk))) {
		uint64_t word = atomic_load(seat);

		if (choose(seat, word)) {
			wake(a, s, word);
			woken++;
		}
	}
	return woken > 0;
}

static bool
anyone_waits(const mproc_arena *a, struct mpr_seats *s)
{
	struct mpr_seat_walk walk = { 0 };
	_Atomic uint64_t *seat;

	while ((seat = mpr_seat_next(a, s, &walk)))
		if (mpr_owner_state(atomic_load(seat)) == MPR_SEAT_WAITING)
			return true;
	return false;
}

void
mpr_seats_wake(const mproc_arena *a, struct mpr_seats *s,
	       _Atomic uint32_t *hint, unsigned n)
{
	if (!atomic_load_explicit(hint, memory_order_relaxed) ||
	    wake_some(a, s, n))
		return;
	atomic_store(hint, 0);
	if (!anyone_waits(a, s))
		return;
	atomic_store(hint, 1);
	mpr_seats_wake_waiters(a, s);
}

static void
wake_all(const mproc_arena *a, struct mpr_seats *s, bool waiters_only)
{
	struct mpr_seat_walk walk = { 0 };
	_Atomic uint64_t *seat;

	while ((seat = mpr_seat_next(a, s, &walk))) {
		uint64_t word = atomic_load(seat);
		unsigned state = mpr_owner_state(word);

		choose(seat, word);
		if (state != MPR_SEAT_FREE &&
		    !(waiters_only && state == MPR_SEAT_TAKEN))
			wake(a, s, word);
	}
}

void
mpr_seats_wake_waiters(const mproc_arena *a, struct mpr_seats *s)
{
	wake_all(a, s, true);
}

void
mpr_seats_wake_all(const mproc_arena *a, struct mpr_seats *s)
{
	wake_all(a, s, false);
}

bool
mpr_seats_any(const mproc_arena *a, struct mpr_seats *s)
{
	struct mpr_seat_walk walk = { 0 };
	_Atomic uint64_t *seat;

	/* seq_cst: the object was marked as gone before this. Who took a seat
	 * before sees us, or we see its seat. */
	while ((seat = mpr_seat_next(a, s, &walk)))
		if (mpr_owner_state(atomic_load(seat)) != MPR_SEAT_FREE)
			return true;
	return false;
}

_Atomic uint64_t *
mpr_seat_of_dead(const mproc_arena *a, struct mpr_seats *s, unsigned slot,
		 uint64_t ident, uint64_t *ret_word)
{
	struct mpr_seat_walk walk = { 0 };
	_Atomic uint64_t *seat;

	while ((seat = mpr_seat_next(a, s, &walk))) {
		uint64_t word = atomic_load(seat);

		if (mpr_owner_state(word) != MPR_SEAT_FREE &&
		    mpr_owner_slot(word) == slot &&
		    mpr_participant_still_dead(a, slot, ident)) {
			*ret_word = word;
			return seat;
		}
	}
	return NULL;
}

bool
mpr_seat_is_held(_Atomic uint64_t *seat, uint64_t word)
{
	uint64_t now = atomic_load(seat);

	return mpr_owner_state(now) != MPR_SEAT_FREE &&
	       mpr_owner_epoch(now) == mpr_owner_epoch(word);
}
