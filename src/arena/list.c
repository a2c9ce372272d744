/* SPDX-License-Identifier: MIT */
/*
 * The user's blocks, one after the other, by their addresses. Where the last one
 * was is all that one needs to find the next, so that nothing has to be given
 * back, and whoever frees blocks meanwhile disturbs nobody.
 */
#include <errno.h>

#include <mproc/arena.h>

#include "arena/extent.h"
#include "arena/heap.h"
#include "arena/participant.h"
#include "arena/run.h"
#include "arena/slab.h"
#include "base/error.h"
#include "base/owner.h"
#include "os/clock.h"

bool
mpr_heap_next_live(const mproc_arena *a, uint64_t offset,
		   struct mpr_block_ref *ret_ref)
{
	uint32_t high = mpr_extents_high(a);
	unsigned state;

	for (uint32_t i = offset ? mpr_extent_of(offset) : 0; i < high; i++) {
		if (mpr_slab_next_live(a, i, offset, ret_ref))
			return true;
		if (mpr_extent_offset(i) > offset &&
		    mpr_run_find(a, mpr_extent_offset(i), ret_ref, &state) &&
		    state == MPR_BLOCK_LIVE)
			return true;
	}
	return false;
}

static bool
takes_part(const mproc_arena *a, uint32_t pid)
{
	unsigned high = mpr_participants_high(a);

	for (unsigned i = 0; i < high; i++) {
		struct mpr_participant *p = mpr_participant_at(a, i);

		/* Acquire pairs with the release of who joins: its pid. */
		if (mpr_participant_state(atomic_load_explicit(
			    &p->ident, memory_order_acquire)) ==
			    MPR_PARTICIPANT_LIVE &&
		    atomic_load_explicit(&p->pid, memory_order_relaxed) == pid)
			return true;
	}
	return false;
}

/* Returns false if the block is gone. */
static bool
describe(const mproc_arena *a, const struct mpr_block_ref *ref,
	 struct mproc_arena_block *ret)
{
	struct mproc_arena_block block = { .p = mpr_arena_at(a, ref->offset),
					   .size = ref->size, .age_ns = -1 };
	uint64_t birth, who;

	if (!mpr_block_born(a, ref, &birth, &who))
		return false;
	block.pid = (pid_t)(uint32_t)who;
	block.tid = (pid_t)(who >> 32);
	block.alive = takes_part(a, (uint32_t)who);
	if (birth) {
		int64_t age = mpr_now_roughly() - mpr_birth_time(birth);

		block.size -= mpr_birth_spare(birth);
		block.age_ns = age > 0 ? age * 1000000 : 0;
	}
	*ret = block;
	return true;
}

int
mproc_arena_next_block(mproc_arena *a, struct mproc_arena_block *block)
{
	struct mpr_block_ref ref;
	uint64_t offset = 0;
	int r;

	if (!block)
		return mpr_fail(-EINVAL, "block is NULL");
	r = mpr_arena_resolve(a, &a);
	if (r < 0)
		return r;
	if (block->p) {
		offset = mpr_arena_offset(a, block->p);
		if (!mpr_arena_has(a, offset, 1))
			return mpr_fail(-EINVAL, "%p is not in the arena's heap",
					block->p);
	}
	while (mpr_heap_next_live(a, offset, &ref)) {
		if (describe(a, &ref, block))
			return 1;
		offset = ref.offset;
	}
	return 0;
}
