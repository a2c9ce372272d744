/* SPDX-License-Identifier: MIT */
/*
 * A block's own words: who has it; its home, the word that refers to it while it
 * is on its way into an object or out of it (arena/heap.h), or its birth, once it
 * is a user's; and who asked for it. Blocks that are runs of extents have them in
 * their first extent's entry.
 */
#ifndef MPR_ARENA_BLOCK_H
#define MPR_ARENA_BLOCK_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arena/arena.h"
#include "base/owner.h"

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
	 * 0; while LINKED also that of another word by which its object knows it
	 * (containers/slot.h); or while BUSY what it takes the place of, which is no home. While
	 * LIVE: its birth, which is none either. 0 as it becomes FREE, unless
	 * its owner dies. */
	_Atomic uint64_t home;
	/* Once LIVE: {thread id 32 | process id 32} of who asked for it. */
	_Atomic uint64_t who;
};

static_assert(sizeof(struct mpr_block) == 24, "shared layout");

/*
 * A birth: {milliseconds 39 | bytes of the block beyond those asked for 21 |
 * flags 4}. The first flag is set, as in no home.
 */
#define MPR_BIRTH UINT64_C(1)
#define MPR_BIRTH_VALUE UINT64_C(2) /* its end is that of a value */
#define MPR_BIRTH_GUARDED UINT64_C(4) /* arena/check.h */
#define MPR_BIRTH_SPARE_MAX ((UINT64_C(1) << 21) - 1)

#define MPR_VALUE_END 48 /* bytes; sync/value.h */

static inline uint64_t
mpr_birth(int64_t now, uint64_t spare, uint64_t flags)
{
	return (uint64_t)now << 25 | spare << 4 | MPR_BIRTH | flags;
}

static inline bool
mpr_birth_is(uint64_t word, uint64_t flags)
{
	return (word & (MPR_BIRTH | flags)) == (MPR_BIRTH | flags);
}

static inline uint64_t
mpr_birth_spare(uint64_t birth)
{
	return birth >> 4 & MPR_BIRTH_SPARE_MAX;
}

static inline int64_t
mpr_birth_time(uint64_t birth)
{
	return (int64_t)(birth >> 25);
}

/*
 * What a block takes the place of: {own epoch 8 | the other's epoch 20 | offset of
 * the other's owner word 36}, with a mark in the last bits, which are 0 in such an
 * offset. The own epoch tells that this was not written in an earlier use.
 */
#define MPR_REPLACES UINT64_C(2)
#define MPR_REPLACES_AT ((UINT64_C(1) << 36) - 8)

static_assert(MPR_CAPACITY_MAX <= UINT64_C(1) << 36, "see above");

static inline uint64_t
mpr_replaces(uint64_t own, uint64_t at, uint64_t other)
{
	return (mpr_owner_epoch(own) & 0xff) << 56 |
	       (mpr_owner_epoch(other) & 0xfffff) << 36 | at | MPR_REPLACES;
}

/*
 * Where a thread may find a free block at once: private, and no more than a guess.
 * Blocks have numbers, {extent 16 | index in its slab 16}.
 */
#define MPR_CLASSES 52
#define MPR_CLASSES_SMALL 20
#define MPR_HINTS 2

struct mpr_hints {
	/* The last ones that it has freed. */
	uint32_t freed[MPR_CLASSES_SMALL][MPR_HINTS];
	uint8_t n_freed[MPR_CLASSES_SMALL];
	/* Behind the last one that was found by looking, or 0. */
	uint32_t next[MPR_CLASSES];
	/* Of blocks that it has freed since it last trimmed. */
	size_t bytes;
};

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

/* As recovery asks it, when the block at @offset has @word, BUSY and of the dead,
 * and @home: what its state becomes. */
unsigned mpr_block_fate(const mproc_arena *a, uint64_t word, uint64_t home,
			uint64_t offset);

#endif
