/* SPDX-License-Identifier: MIT */
/*
 * A block's own words: who has it, and its home, the word that refers to it
 * while it is on its way into an object or out of it (arena/heap.h). Blocks
 * that are runs of extents have them in their first extent's entry.
 */
#ifndef MPR_ARENA_BLOCK_H
#define MPR_ARENA_BLOCK_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arena/arena.h"

enum mpr_block_state {
	MPR_BLOCK_FREE = 0,
	MPR_BLOCK_BUSY = 1,
	MPR_BLOCK_LIVE = 2,
	MPR_BLOCK_LINKED = 3,
};

struct mpr_block {
	/* An owner word; epochs count the block's uses. */
	_Atomic uint64_t state;
	/* While BUSY or LINKED: offset of the word that refers to the block, or
	 * 0. 0 as it becomes FREE, unless its owner dies. */
	_Atomic uint64_t home;
};

static_assert(sizeof(struct mpr_block) == 16, "shared layout");

/* A block, found. */
struct mpr_block_ref {
	struct mpr_block *block; /* NULL: a run of extents */
	uint64_t offset;
	uint64_t size;
	bool is_lazy; /* of a slab */
};

/* Whether @home is the offset of a word that can link blocks, and names the
 * block at @offset. */
static inline bool
mpr_home_names(const mproc_arena *a, uint64_t home, uint64_t offset)
{
	const _Atomic uint64_t *link;

	if (!home || home % sizeof(*link) ||
	    (home >= MPR_PARTICIPANTS_AT &&
	     !mpr_arena_has(a, home, sizeof(*link))))
		return false;
	link = mpr_arena_at(a, home);
	return atomic_load(link) == offset;
}

#endif
