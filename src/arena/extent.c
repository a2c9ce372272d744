/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "arena/block.h"
#include "arena/extent.h"
#include "base/error.h"
#include "base/owner.h"
#include "os/task.h"

/* Small slabs grow by this much at a time, to save system calls. */
#define BACK_STEP (UINT64_C(64) << 10)

#define CLAIM_ATTEMPTS 16

static bool
cas(_Atomic uint64_t *word, uint64_t from, uint64_t to)
{
	return atomic_compare_exchange_strong(word, &from, to);
}

static bool
is_tail_of(const mproc_arena *a, uint32_t index, uint32_t first)
{
	uint64_t word = atomic_load(&mpr_extent_at(a, index)->state);

	return mpr_owner_state(word) == MPR_EXTENT_TAIL &&
	       mpr_owner_slot(word) == first;
}

/*
 * Frees the tails of the run whose first extent has the word @owner. From the
 * last one down, so that what is left is always a run: killed half-way, the
 * next one finds all of it.
 */
static void
free_tails(mproc_arena *a, uint32_t first, uint64_t owner)
{
	uint32_t high = mpr_extents_high(a), end = first + 1;

	while (end < high && is_tail_of(a, end, first))
		end++;
	for (uint32_t i = end - 1; i > first; i--) {
		_Atomic uint64_t *state = &mpr_extent_at(a, i)->state;
		uint64_t word = atomic_load(state);

		/* Asked after the load: had the run been freed by others, the
		 * tail could be a new run's. */
		if (atomic_load(&mpr_extent_at(a, first)->state) != owner)
			return;
		/* Others may have freed it, and used it since. */
		if (mpr_owner_state(word) == MPR_EXTENT_TAIL &&
		    mpr_owner_slot(word) == first)
			cas(state, word, mpr_owner_freed(word));
	}
}

/* Claims the tails of a run of @n, up to the first one that is not to be had.
 * Returns where that is, or the end of the run. */
static uint32_t
claim_tails(mproc_arena *a, uint32_t first, uint32_t n)
{
	uint32_t i;

	for (i = first + 1; i < first + n; i++) {
		_Atomic uint64_t *state = &mpr_extent_at(a, i)->state;
		uint64_t word = atomic_load(state);

		if (mpr_owner_state(word) != MPR_EXTENT_FREE ||
		    !cas(state, word,
			 mpr_owner(mpr_owner_epoch(word), first,
				   MPR_EXTENT_TAIL)))
			break;
	}
	return i;
}

/* What stays of values that ended there says until now that they are gone. */
static void
wipe_ends(const mproc_arena *a, uint32_t first, uint32_t n)
{
	for (uint32_t i = first; i < first + n; i++)
		if (atomic_load_explicit(&mpr_extent_at(a, i)->backed,
					 memory_order_relaxed) &
		    MPR_EXTENT_KEPT_END)
			memset(mpr_arena_at(a, mpr_extent_offset(i + 1) -
						       MPR_EXTENT_PAGE),
			       0, MPR_EXTENT_PAGE);
}

static int
grow_to(mproc_arena *a, uint32_t n)
{
	uint32_t high = atomic_load_explicit(&a->shm->extents_high,
					     memory_order_relaxed);
	int r;

	r = mpr_arena_back_table(a, MPR_EXTENTS_AT, sizeof(struct mpr_extent),
				 &a->shm->extents_backed, n);
	if (r < 0)
		return r;
	while (high < n && !atomic_compare_exchange_weak(
				   &a->shm->extents_high, &high, n))
		;
	return 0;
}

/*
 * Gives back the memory of the run of @n extents, which the caller owns. What
 * was not written is zero, so that need not be made sure of, where the kernel
 * takes nothing back, with memory that there may not be.
 */
static int
clean(mproc_arena *a, uint32_t first, uint32_t n, bool was_written)
{
	int r = 0;

	for (uint32_t i = first; i < first + n; i++) {
		struct mpr_extent *x = mpr_extent_at(a, i);
		uint64_t backed = atomic_load_explicit(&x->backed,
						       memory_order_relaxed);
		uint64_t at = mpr_extent_offset(i);
		size_t begin = backed & MPR_EXTENT_KEPT ? MPR_EXTENT_PAGE : 0;
		size_t end = backed & MPR_EXTENT_KEPT_END ? MPR_EXTENT_PAGE : 0;
		size_t len = MPR_EXTENT_SIZE - begin - end;

		if (!(backed & ~MPR_EXTENT_KEEPS))
			continue;
		memset(mpr_arena_at(a, at), 0, begin);
		if (was_written)
			r = mpr_shmem_unback(&a->shmem, at + begin, len);
		else
			mpr_shmem_discard(&a->shmem, at + begin, len);
		if (r < 0)
			return r;
		/* Not before: killed in between, the next one does it again. */
		atomic_store(&x->backed, backed & MPR_EXTENT_KEEPS);
	}
	return 0;
}

/* BUSY and ours to FREE. */
static void
release(mproc_arena *a, uint32_t index, bool was_written)
{
	struct mpr_extent *x = mpr_extent_at(a, index);
	uint32_t n = 1, high = mpr_extents_high(a);
	uint64_t word = atomic_load(&x->state);

	/* First, while no one else can have the run: the home may become
	 * somebody's memory. */
	atomic_store(&x->home, 0);
	while (index + n < high && is_tail_of(a, index + n, index))
		n++;
	/* What cannot be given back now is tried again by the next claimer. */
	(void)clean(a, index, n, was_written);
	free_tails(a, index, word);
	atomic_store(&x->state, mpr_owner_freed(word));
}

void
mpr_extent_release(mproc_arena *a, uint32_t index)
{
	release(a, index, true);
}

void
mpr_extent_abandon(mproc_arena *a, uint32_t index)
{
	release(a, index, false);
}

/* Whether somebody is about to claim or to release the extent. */
static bool
is_in_hands(const mproc_arena *a, uint32_t index)
{
	uint64_t word = atomic_load(&mpr_extent_at(a, index)->state);
	uint32_t first = mpr_owner_slot(word);

	if (mpr_owner_state(word) == MPR_EXTENT_TAIL && first < a->n_extents)
		word = atomic_load(&mpr_extent_at(a, first)->state);
	return mpr_owner_state(word) == MPR_EXTENT_BUSY ||
	       mpr_owner_state(word) == MPR_EXTENT_FREE;
}

/* Returns -ENOENT if there is no such run, or -EBUSY if there may be one when
 * others have let go. */
static int64_t
claim_once(mproc_arena *a, const struct mpr_self *self, uint32_t n)
{
	bool in_hands = false;
	int r;

	for (uint32_t i = 0; n <= a->n_extents && i <= a->n_extents - n; i++) {
		_Atomic uint64_t *state = &mpr_extent_at(a, i)->state;
		uint64_t word, mine;
		uint32_t end;

		r = grow_to(a, i + n);
		if (r < 0)
			return r;
		word = atomic_load(state);
		if (mpr_owner_state(word) != MPR_EXTENT_FREE) {
			in_hands |= is_in_hands(a, i);
			continue;
		}
		mine = mpr_owner(mpr_owner_epoch(word), self->slot,
				 MPR_EXTENT_BUSY);
		if (!cas(state, word, mine)) {
			in_hands = true;
			continue;
		}
		/* From its last use, if the owner died. */
		atomic_store(&mpr_extent_at(a, i)->home, 0);
		end = claim_tails(a, i, n);
		r = end == i + n ? clean(a, i, n, true) : 0;
		if (end == i + n && r == 0) {
			wipe_ends(a, i, n);
			return i;
		}
		if (end < i + n)
			in_hands |= is_in_hands(a, end);
		release(a, i, true);
		if (r < 0)
			return r;
		/* No run that begins before what is in the way is longer. */
		i = end - 1;
	}
	return in_hands ? -EBUSY : -ENOENT;
}

/* Two that claim long runs find each other's in the way, and let go. */
int64_t
mpr_extent_claim(mproc_arena *a, const struct mpr_self *self, uint32_t n)
{
	int64_t r = claim_once(a, self, n);

	for (int i = 0; r == -EBUSY && i < CLAIM_ATTEMPTS; i++) {
		mpr_task_yield();
		r = claim_once(a, self, n);
	}
	if (r != -EBUSY && r != -ENOENT)
		return r;
	return mpr_fail(-ENOMEM, "no %llu bytes are free in an arena of %zu",
			(unsigned long long)(n * MPR_EXTENT_SIZE),
			a->shmem.size);
}

void
mpr_extent_finish(mproc_arena *a, uint32_t index, uint64_t use)
{
	struct mpr_extent *x = mpr_extent_at(a, index);
	uint64_t word = atomic_load(&x->state);

	/* Release pairs with the acquire of who has found an earlier state, USED,
	 * and finds this: it then finds that the state is another one. */
	atomic_store_explicit(&x->use, use, memory_order_release);
	/* Release pairs with the acquire of who finds it USED: its use and
	 * what was prepared in it are there. */
	atomic_store_explicit(&x->state,
			      mpr_owner_with_state(word, MPR_EXTENT_USED),
			      memory_order_release);
}

bool
mpr_extent_retire(mproc_arena *a, const struct mpr_self *self, uint32_t index,
		  uint64_t use)
{
	struct mpr_extent *x = mpr_extent_at(a, index);
	uint64_t word = atomic_load(&x->state);

	if (mpr_owner_state(word) != MPR_EXTENT_USED ||
	    atomic_load(&x->use) != use)
		return false;
	/* A new epoch: this slot may have had the extent BUSY before. */
	return cas(&x->state, word,
		   mpr_owner(mpr_owner_epoch(mpr_owner_freed(word)), self->slot,
			     MPR_EXTENT_BUSY));
}

/* The word only grows, and needs no order: who reads it to release the extent
 * has seen a later change of its state. */
static void
note_backed(struct mpr_extent *x, uint64_t bytes)
{
	uint64_t word = atomic_load_explicit(&x->backed, memory_order_relaxed);

	while ((word & ~MPR_EXTENT_KEEPS) < bytes &&
	       !atomic_compare_exchange_weak_explicit(
		       &x->backed, &word, bytes | (word & MPR_EXTENT_KEEPS),
		       memory_order_relaxed, memory_order_relaxed))
		;
}

int
mpr_extent_back(mproc_arena *a, uint32_t index, uint64_t bytes)
{
	struct mpr_extent *x = mpr_extent_at(a, index);
	/* Relaxed: what is backed stays so. */
	uint64_t word =
		atomic_load_explicit(&x->backed, memory_order_relaxed);
	uint64_t have = word & ~MPR_EXTENT_KEEPS;
	uint64_t want = mpr_round_up(bytes, BACK_STEP);
	int r;

	if (have >= bytes)
		return 0;
	if (have % BACK_STEP || have > MPR_EXTENT_SIZE)
		have = 0;
	r = mpr_shmem_back(&a->shmem, mpr_extent_offset(index) + have,
			   want - have);
	if (r < 0)
		return r;
	note_backed(x, want);
	return 0;
}

int
mpr_extents_back(const mproc_arena *a, uint64_t offset, size_t len)
{
	uint32_t end = mpr_extent_of(offset + len + MPR_EXTENT_SIZE - 1);

	/* Noted first, and whole: who releases them gives back whatever there
	 * is, also if we are killed on the way. */
	for (uint32_t i = mpr_extent_of(offset); i < end; i++)
		note_backed(mpr_extent_at(a, i), MPR_EXTENT_SIZE);
	return mpr_shmem_back(&a->shmem, offset, len);
}

void
mpr_extent_unback(mproc_arena *a, uint32_t index, uint64_t bytes)
{
	_Atomic uint64_t *backed = &mpr_extent_at(a, index)->backed;
	uint64_t end = atomic_load_explicit(backed, memory_order_relaxed) &
		       MPR_EXTENT_KEPT_END;
	uint64_t from = mpr_round_up(bytes, MPR_EXTENT_PAGE);

	/* First: killed after it, the next one backs what is there. */
	atomic_store(backed, from | end);
	mpr_shmem_discard(&a->shmem, mpr_extent_offset(index) + from,
			  MPR_EXTENT_SIZE - from - (end ? MPR_EXTENT_PAGE : 0));
}

bool
mpr_extent_is_kept(const mproc_arena *a, uint32_t index)
{
	/* Relaxed: who asks has claimed a block of who said it, if anybody. */
	return atomic_load_explicit(&mpr_extent_at(a, index)->backed,
				    memory_order_relaxed) & MPR_EXTENT_KEPT;
}

void
mpr_extent_keep(const mproc_arena *a, uint32_t index)
{
	if (mpr_extent_is_kept(a, index))
		return;
	atomic_fetch_or_explicit(&mpr_extent_at(a, index)->backed,
				 MPR_EXTENT_KEPT, memory_order_relaxed);
}

void
mpr_extent_keep_end(const mproc_arena *a, uint32_t index)
{
	/* Relaxed: who releases it has seen a later change of its state. */
	atomic_fetch_or_explicit(&mpr_extent_at(a, index)->backed,
				 MPR_EXTENT_KEPT_END, memory_order_relaxed);
}

void
mpr_extent_need_not_keep(const mproc_arena *a, uint32_t index)
{
	/* Relaxed: nobody else has anything in it. */
	atomic_fetch_and_explicit(&mpr_extent_at(a, index)->backed,
				  ~MPR_EXTENT_KEPT, memory_order_relaxed);
}

void
mpr_extents_trim(mproc_arena *a, const struct mpr_self *self)
{
	uint32_t high = mpr_extents_high(a);

	if (a->shmem.stays)
		return;
	for (uint32_t i = 0; i < high; i++) {
		struct mpr_extent *x = mpr_extent_at(a, i);
		uint64_t word = atomic_load(&x->state);

		if (mpr_owner_state(word) == MPR_EXTENT_FREE &&
		    atomic_load_explicit(&x->backed, memory_order_relaxed) &
			    ~MPR_EXTENT_KEEPS &&
		    cas(&x->state, word,
			mpr_owner(mpr_owner_epoch(word), self->slot,
				  MPR_EXTENT_BUSY)))
			release(a, i, true);
	}
}

void
mpr_extents_recover(mproc_arena *a, unsigned slot, uint64_t ident)
{
	uint32_t high = mpr_extents_high(a);

	for (uint32_t i = 0; i < high; i++) {
		struct mpr_extent *x = mpr_extent_at(a, i);
		uint64_t word = atomic_load(&x->state), home;

		if (mpr_owner_state(word) != MPR_EXTENT_BUSY ||
		    mpr_owner_slot(word) != slot)
			continue;
		if (!mpr_participant_still_dead(a, slot, ident))
			return;
		/* Acquire pairs with the release in mpr_block_set_home(): the
		 * run is all there, and its use is known. */
		home = atomic_load_explicit(&x->home, memory_order_acquire);
		if (mpr_block_fate(a, word, home, mpr_extent_offset(i)) !=
		    MPR_BLOCK_FREE) {
			cas(&x->state, word,
			    mpr_owner_with_state(word, MPR_EXTENT_USED));
			continue;
		}
		free_tails(a, i, word);
		cas(&x->state, word, mpr_owner_freed(word));
	}
}
