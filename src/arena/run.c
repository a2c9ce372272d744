/* SPDX-License-Identifier: MIT */
#include "arena/extent.h"
#include "arena/run.h"
#include "base/macros.h"
#include "base/owner.h"

static uint64_t
use_of(const struct mpr_block_ref *ref, unsigned state)
{
	return MPR_EXTENT_RUN | ref->size / MPR_EXTENT_SIZE |
	       (state == MPR_BLOCK_LINKED ? MPR_EXTENT_LINKED : 0);
}

int
mpr_run_reserve(mproc_arena *a, const struct mpr_self *self, size_t size,
		size_t now, struct mpr_block_ref *ret_ref)
{
	uint64_t bytes = mpr_round_up(size, MPR_EXTENT_SIZE);
	uint32_t n = (uint32_t)(bytes / MPR_EXTENT_SIZE);
	struct mpr_block_ref ref = { .size = bytes };
	int64_t extent;
	int r;

	/* If there is not as much memory, the table does not grow for it: that
	 * would stay so, and all its entries be looked at from then on. */
	if (n > mpr_extents_high(a) && n <= a->n_extents &&
	    now >= MPR_EXTENT_SIZE && !a->shmem.stays) {
		r = mpr_shmem_ask(&a->shmem, now);
		if (r < 0)
			return r;
	}
	extent = mpr_extent_claim(a, self, n);
	if (extent < 0)
		return (int)extent;
	ref.offset = mpr_extent_offset((uint32_t)extent);
	/* Before it has a home: who recovers it after that finds it LINKED.
	 * Release, as in mpr_extent_finish(). */
	atomic_store_explicit(&mpr_extent_at(a, (uint32_t)extent)->use,
			      use_of(&ref, MPR_BLOCK_LINKED),
			      memory_order_release);
	r = mpr_extents_back(a, ref.offset,
			     now < MPR_EXTENT_PAGE ? MPR_EXTENT_PAGE : now);
	if (r < 0) {
		mpr_extent_abandon(a, (uint32_t)extent);
		return r;
	}
	*ret_ref = ref;
	return 0;
}

/* The same for an extent that is below the mark of those that were used. */
static bool
look_at(const mproc_arena *a, uint32_t extent, struct mpr_block_ref *ret_ref,
	unsigned *ret_state)
{
	struct mpr_extent *x = mpr_extent_at(a, extent);
	uint64_t word, use, n;

	/* Acquire pairs with the release in mpr_extent_finish(). */
	word = atomic_load_explicit(&x->state, memory_order_acquire);
	if (mpr_owner_state(word) != MPR_EXTENT_USED &&
	    mpr_owner_state(word) != MPR_EXTENT_BUSY)
		return false;
	use = atomic_load_explicit(&x->use, memory_order_acquire);
	n = use & UINT32_MAX;
	/* Someone may have written where he should not: a run that goes on
	 * behind the arena would not be all in it. */
	if (!(use & MPR_EXTENT_RUN) || n == 0 || n > a->n_extents - extent)
		return false;
	/* It may have been another use's, between the stores of its maker.
	 * Acquire: who finds nothing asks then whether that was ever so. */
	if (atomic_load_explicit(&x->state, memory_order_acquire) != word)
		return false;
	*ret_ref = (struct mpr_block_ref){
		.offset = mpr_extent_offset(extent),
		.size = n * MPR_EXTENT_SIZE,
	};
	if (mpr_owner_state(word) == MPR_EXTENT_BUSY)
		*ret_state = MPR_BLOCK_BUSY;
	else
		*ret_state = use & MPR_EXTENT_LINKED ? MPR_BLOCK_LINKED :
						       MPR_BLOCK_LIVE;
	return true;
}

bool
mpr_run_find(const mproc_arena *a, uint64_t offset,
	     struct mpr_block_ref *ret_ref, unsigned *ret_state)
{
	if (!mpr_arena_has(a, offset, 1) ||
	    (offset - MPR_HEAP_AT) % MPR_EXTENT_SIZE ||
	    mpr_extent_of(offset) >= mpr_extents_high(a))
		return false;
	return look_at(a, mpr_extent_of(offset), ret_ref, ret_state);
}

uint64_t
mpr_run_start_of(const mproc_arena *a, uint64_t offset)
{
	uint32_t extent;
	uint64_t word;

	if (!mpr_arena_has(a, offset, 1))
		return 0;
	extent = mpr_extent_of(offset);
	if (extent >= mpr_extents_high(a))
		return 0;
	word = atomic_load(&mpr_extent_at(a, extent)->state);
	if (mpr_owner_state(word) == MPR_EXTENT_TAIL)
		extent = mpr_owner_slot(word);
	return mpr_extent_offset(extent);
}

void
mpr_run_set_home(const mproc_arena *a, const struct mpr_block_ref *ref,
		 uint64_t home)
{
	uint32_t extent = mpr_extent_of(ref->offset);

	/* Before it can be linked: who finds it there may be slow. */
	mpr_extent_keep(a, extent);
	/* Release pairs with the acquire in mpr_extents_recover(): the home is
	 * known before the link can be made, and the use before the home. */
	atomic_store_explicit(&mpr_extent_at(a, extent)->home, home,
			      memory_order_release);
}

void
mpr_run_make_users(const mproc_arena *a, const struct mpr_block_ref *ref)
{
	/* Relaxed, as the home is stored with release. */
	atomic_store_explicit(&mpr_extent_at(a, mpr_extent_of(ref->offset))->use,
			      use_of(ref, MPR_BLOCK_LIVE), memory_order_relaxed);
}

bool
mpr_run_is_linked(const mproc_arena *a, const struct mpr_block_ref *ref)
{
	struct mpr_extent *x = mpr_extent_at(a, mpr_extent_of(ref->offset));

	/* Acquire: what the caller reads next is read later. */
	return atomic_load_explicit(&x->use, memory_order_acquire) &
	       MPR_EXTENT_LINKED;
}

uint64_t
mpr_run_home(const mproc_arena *a, const struct mpr_block_ref *ref)
{
	return atomic_load(&mpr_extent_at(a, mpr_extent_of(ref->offset))->home);
}

void
mpr_run_finish(mproc_arena *a, const struct mpr_block_ref *ref, unsigned state)
{
	mpr_extent_finish(a, mpr_extent_of(ref->offset), use_of(ref, state));
}

bool
mpr_run_retire(mproc_arena *a, const struct mpr_self *self,
	       const struct mpr_block_ref *ref, unsigned state)
{
	return mpr_extent_retire(a, self, mpr_extent_of(ref->offset),
				 use_of(ref, state));
}

void
mpr_run_release(mproc_arena *a, const struct mpr_block_ref *ref)
{
	mpr_extent_release(a, mpr_extent_of(ref->offset));
}

void
mpr_runs_count(const mproc_arena *a, uint64_t *blocks, uint64_t *bytes)
{
	uint32_t high = mpr_extents_high(a);
	struct mpr_block_ref ref;
	unsigned state;

	for (uint32_t extent = 0; extent < high; extent++) {
		if (!look_at(a, extent, &ref, &state))
			continue;
		++*blocks;
		*bytes += ref.size;
	}
}
