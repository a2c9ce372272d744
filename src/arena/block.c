/* SPDX-License-Identifier: MIT */
#include "arena/block.h"
#include "arena/extent.h"

/* Whether an owner word of a block may lie at @at, which is a multiple of 8. */
static bool
may_be_word(const mproc_arena *a, uint64_t at)
{
	uint64_t table = mpr_extents_high(a) * sizeof(struct mpr_extent);

	return mpr_arena_has(a, at, sizeof(uint64_t)) ||
	       (at >= MPR_EXTENTS_AT && at - MPR_EXTENTS_AT < table);
}

unsigned
mpr_block_fate(const mproc_arena *a, uint64_t word, uint64_t home,
	       uint64_t offset)
{
	uint64_t at = home & MPR_REPLACES_AT;
	const _Atomic uint64_t *other;

	if (mpr_home_names(a, home, offset))
		return MPR_BLOCK_LINKED;
	if ((home & 7) != MPR_REPLACES ||
	    home >> 56 != (mpr_owner_epoch(word) & 0xff) || !may_be_word(a, at))
		return MPR_BLOCK_FREE;
	other = mpr_arena_at(a, at);
	/* As long as the other one is there, this is none. */
	return mpr_replaces(word, at, atomic_load(other)) == home ?
		       MPR_BLOCK_FREE : MPR_BLOCK_LIVE;
}
