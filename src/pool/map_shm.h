/* SPDX-License-Identifier: MIT */
/*
 * A map in shared memory: docs/spec/pool.md.
 *
 * It is a future whose task is many items. Behind the future lie what they have in
 * common, shares, and a bit for each item that has failed. A share is what one worker
 * at a time does of it: it is taken and given back as a task is, by a word, and says
 * which item is next. Workers claim one chunk of items after the other for the share
 * that they have. Where there are enough chunks there are more shares than workers: those
 * are for workers that come later.
 *
 * The future is not DONE before all of its shares are, and nobody writes to a map but
 * who has a share of it that is not: so it is not freed under anybody's hands.
 */
#ifndef MPR_POOL_MAP_SHM_H
#define MPR_POOL_MAP_SHM_H

#include "pool/pool_shm.h"

#define MPR_MAP_ITEMS_MAX (UINT64_C(1) << 44)

/* So many shares at least, where there are as many chunks. */
#define MPR_MAP_SHARES 64

/*
 * Who has claimed which chunk: {chunks claimed 48 | the share for which the last one
 * was 16}. Owner and effect are one word. Before anybody claims the next one, the last
 * one is noted in the desk of its share, by whoever comes first.
 */
#define MPR_MAP_SHARE UINT64_C(0xffff)
#define MPR_MAP_CHUNK_UNIT (UINT64_C(1) << 16)

/*
 * A desk: {item 56 | flags 8}. Its value never comes back: items go up, and of one
 * item the flags change in this order only.
 *
 *   0              all before this item are done; it has no chunk
 *   HAS            it has the chunk of this item, from here on to its end
 *   HAS|BEGUN      and this one has been begun
 *   ...|OVERDUE    and has taken too long: its worker is killed
 */
#define MPR_DESK_HAS UINT64_C(1)
#define MPR_DESK_BEGUN UINT64_C(2)
#define MPR_DESK_OVERDUE UINT64_C(4)
#define MPR_DESK_ITEM_UNIT (UINT64_C(1) << 8)

/* Deaths with one item: {item 44 | how many 20}. */
#define MPR_MAP_DEATHS ((UINT64_C(1) << 20) - 1)
#define MPR_MAP_DEATHS_ITEM_UNIT (UINT64_C(1) << 20)

struct mpr_map_share {
	/* As a future's, with the future's id: QUEUED, RUNNING, DONE; RUNNING with
	 * CANCELED: its worker cannot give it back, and is killed. */
	_Atomic uint64_t word;
	/* Written by who has the share; and by whoever notes a claim. */
	_Atomic uint64_t desk;
	/* When the item was begun, ns, if items have a time limit; or 0. */
	_Atomic int64_t started;
	_Atomic uint64_t deaths; /* K */
	/* 1: who has the share looks at where results go. If the next one finds that, the
	 * one before has died of it, for which no item is to blame: nobody looks again. */
	_Atomic uint64_t looks;
	uint64_t pad[11];
};

static_assert(sizeof(struct mpr_map_share) == MPR_APART, "shared layout");

/* Behind the future. Behind this: the shares, bits of failed items, copies. */
struct mpr_map {
	uint64_t n;
	uint64_t chunk; /* items of one, or of the smallest */
	uint64_t in_size;
	uint64_t out_size;
	uint64_t in; /* address of the first item */
	uint64_t out; /* address of the first result */
	uint64_t ctx; /* address */
	uint64_t kept; /* bytes of results that lie in this block, at out */
	uint32_t n_shares;
	uint32_t fail_fast;
	_Atomic uint32_t stopped; /* by fail_fast: nothing more is begun */
	_Atomic uint32_t failed; /* there may be bits */
	_Atomic uint64_t codes; /* offset of an int32_t for each item; or 0 */
	uint64_t largest; /* items of the largest; 0: all have the same */
	uint32_t round; /* chunks of one size, if they become smaller */
	uint32_t pad0;
	uint64_t pad1[3];
	_Atomic uint64_t next;
	uint64_t pad2[15];
};

static_assert(sizeof(struct mpr_map) == 256, "shared layout");
static_assert(offsetof(struct mpr_map, next) == 128, "shared layout");
static_assert(sizeof(struct mproc_future) % 64 == 0 &&
		      sizeof(struct mpr_map) % 64 == 0,
	      "what follows is aligned");

/* Of what is in the pool's image, or in memory that all processes of it have where the
 * submitter has it. */
static inline char *
mpr_map_address(uint64_t word)
{
	return (char *)(uintptr_t)word;
}

static inline uint64_t
mpr_desk_item(uint64_t desk)
{
	return desk / MPR_DESK_ITEM_UNIT;
}

static inline uint64_t
mpr_desk(uint64_t item, uint64_t flags)
{
	return item * MPR_DESK_ITEM_UNIT | flags;
}

/* What is shared by all maps, before their shares. */
static inline struct mpr_map *
mpr_map_behind(const struct mproc_future *f)
{
	return (struct mpr_map *)(uintptr_t)(f + 1);
}

#endif
