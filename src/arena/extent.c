/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "arena/extent.h"
#include "base/error.h"
#include "base/owner.h"

/* Small slabs grow by this much at a time, to save system calls. */
#define BACK_STEP (UINT64_C(64) << 10)

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

static bool
claim_tails(mproc_arena *a, uint32_t first, uint32_t n)
{
	for (uint32_t i = first + 1; i < first + n; i++) {
		_Atomic uint64_t *state = &mpr_extent_at(a, i)->state;
		uint64_t word = atomic_load(state);

		if (mpr_owner_state(word) != MPR_EXTENT_FREE ||
		    !cas(state, word,
			 mpr_owner(mpr_owner_epoch(word), first,
				   MPR_EXTENT_TAIL)))
			return false;
	}
	return true;
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

/* Gives back the memory of the run of @n extents, which the caller owns. */
static int
clean(mproc_arena *a, uint32_t first, uint32_t n)
{
	int r;

	for (uint32_t i = first; i < first + n; i++) {
		struct mpr_extent *x = mpr_extent_at(a, i);

		if (!atomic_load_explicit(&x->backed, memory_order_relaxed))
			continue;
		r = mpr_shmem_unback(&a->shmem, mpr_extent_offset(i),
				     MPR_EXTENT_SIZE);
		if (r < 0)
			return r;
		/* Not before: killed in between, the next one does it again. */
		atomic_store(&x->backed, 0);
	}
	return 0;
}

int64_t
mpr_extent_claim(mproc_arena *a, const struct mpr_self *self, uint32_t n)
{
	int r;

	for (uint32_t i = 0; n <= a->n_extents && i <= a->n_extents - n; i++) {
		_Atomic uint64_t *state = &mpr_extent_at(a, i)->state;
		uint64_t word, mine;

		r = grow_to(a, i + n);
		if (r < 0)
			return r;
		word = atomic_load(state);
		if (mpr_owner_state(word) != MPR_EXTENT_FREE)
			continue;
		mine = mpr_owner(mpr_owner_epoch(word), self->slot,
				 MPR_EXTENT_BUSY);
		if (!cas(state, word, mine))
			continue;
		if (claim_tails(a, i, n)) {
			r = clean(a, i, n);
			if (r == 0)
				return i;
			mpr_extent_release(a, i);
			return r;
		}
		mpr_extent_release(a, i);
	}
	return mpr_fail(-ENOMEM, "no %llu bytes are free in an arena of %zu",
			(unsigned long long)(n * MPR_EXTENT_SIZE),
			a->shmem.size);
}

void
mpr_extent_finish(mproc_arena *a, uint32_t index, uint64_t use)
{
	struct mpr_extent *x = mpr_extent_at(a, index);
	uint64_t word = atomic_load(&x->state);

	atomic_store_explicit(&x->use, use, memory_order_relaxed);
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

void
mpr_extent_release(mproc_arena *a, uint32_t index)
{
	_Atomic uint64_t *state = &mpr_extent_at(a, index)->state;
	uint32_t n = 1, high = mpr_extents_high(a);
	uint64_t word = atomic_load(state);

	while (index + n < high && is_tail_of(a, index + n, index))
		n++;
	/* What cannot be given back now is tried again by the next claimer. */
	(void)clean(a, index, n);
	free_tails(a, index, word);
	atomic_store(state, mpr_owner_freed(word));
}

int
mpr_extent_back(mproc_arena *a, uint32_t index, uint64_t bytes)
{
	struct mpr_extent *x = mpr_extent_at(a, index);
	/* Relaxed: what is backed stays so. */
	uint64_t have =
		atomic_load_explicit(&x->backed, memory_order_relaxed);
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
	while (have < want &&
	       !atomic_compare_exchange_weak_explicit(&x->backed, &have, want,
						      memory_order_relaxed,
						      memory_order_relaxed))
		;
	return 0;
}

void
mpr_extents_recover(mproc_arena *a, unsigned slot, uint64_t ident)
{
	uint32_t high = mpr_extents_high(a);

	for (uint32_t i = 0; i < high; i++) {
		_Atomic uint64_t *state = &mpr_extent_at(a, i)->state;
		uint64_t word = atomic_load(state);

		if (mpr_owner_state(word) != MPR_EXTENT_BUSY ||
		    mpr_owner_slot(word) != slot)
			continue;
		if (!mpr_participant_still_dead(a, slot, ident))
			return;
		free_tails(a, i, word);
		cas(state, word, mpr_owner_freed(word));
	}
}
