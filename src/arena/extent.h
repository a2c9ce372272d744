/* SPDX-License-Identifier: MIT */
/*
 * Extents: the heap's address space in pieces of 1 MiB, each with an entry in
 * a table that says what it is used for. A run of extents is claimed by its
 * first one, whose owner word is in the claimer's hands until the whole run is
 * there; the others name the first.
 *
 *   FREE --claim--> BUSY,me --finish--> USED --retire--> BUSY,me --> FREE
 *   FREE --claim for a run--> TAIL of extent h --> FREE, before h is
 *
 * A BUSY extent whose owner is dead becomes USED if it is a run that its home
 * names or that has taken another block's place (arena/heap.h), otherwise FREE, its tails first. So a TAIL always names
 * a living run.
 *
 * A claimed extent is zero. Whoever releases one gives its memory back to the
 * kernel, and whoever claims one, or trims, does so again if the last owner died
 * before it could; "backed" tells, which is set to 0 after that and not before. An
 * extent that once was an object's first keeps its first page for ever, and is
 * wiped there: someone slow, who believes that the object is still there, may
 * look at its words, and to look at a page that is gone allocates it, or raises
 * SIGBUS where there is no memory. For the same reason an extent that once was the
 * last one of a value's run keeps its last page, which is wiped when it is claimed:
 * until then the lock there says that it is gone. And a slab keeps its memory once it
 * had a block of an object's or a value.
 */
#ifndef MPR_ARENA_EXTENT_H
#define MPR_ARENA_EXTENT_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arena/arena.h"
#include "arena/participant.h"

enum mpr_extent_state {
	MPR_EXTENT_FREE = 0,
	MPR_EXTENT_BUSY = 1,
	MPR_EXTENT_USED = 2,
	MPR_EXTENT_TAIL = 3, /* the slot field is the first one's index */
};

struct mpr_extent {
	/* An owner word; epochs count the extent's uses. */
	_Atomic uint64_t state;
	/* Written while BUSY. What it is used for: size class + 1 of a slab,
	 * with MPR_EXTENT_LAZY if its blocks are lazy, or the number of extents
	 * in the run with MPR_EXTENT_RUN, and with MPR_EXTENT_LINKED unless it
	 * is a user's. */
	_Atomic uint64_t use;
	/* Bytes from its start that may be backed, or were when an owner died;
	 * grows while the extent is used, but for mpr_extent_unback(). With
	 * MPR_EXTENT_KEPT if the first page is backed in any case, or all of a
	 * slab that is; and MPR_EXTENT_KEPT_END if the last page is. */
	_Atomic uint64_t backed;
	/* As those of a block, for the first extent of a run. */
	_Atomic uint64_t home;
	/* The same; of a slab, not 0 if somebody has found no free block. */
	_Atomic uint64_t who;
};

static_assert(sizeof(struct mpr_extent) == 40, "shared layout");
static_assert(MPR_EXTENTS_AT + 0x10000 * sizeof(struct mpr_extent) <=
	      MPR_HEAP_AT, "the table fits");

#define MPR_EXTENT_RUN (UINT64_C(1) << 32)
#define MPR_EXTENT_LAZY (UINT64_C(1) << 33)
#define MPR_EXTENT_LINKED (UINT64_C(1) << 34)

#define MPR_EXTENT_KEPT UINT64_C(1)
#define MPR_EXTENT_KEPT_END UINT64_C(2)
#define MPR_EXTENT_KEEPS (MPR_EXTENT_KEPT | MPR_EXTENT_KEPT_END)
#define MPR_EXTENT_PAGE 4096 /* what is kept */

static inline struct mpr_extent *
mpr_extent_at(const mproc_arena *a, uint32_t index)
{
	return (struct mpr_extent *)mpr_arena_at(a, MPR_EXTENTS_AT) + index;
}

static inline uint64_t
mpr_extent_offset(uint32_t index)
{
	return MPR_HEAP_AT + index * MPR_EXTENT_SIZE;
}

/* The extent that @offset, which is in the heap, lies in. */
static inline uint32_t
mpr_extent_of(uint64_t offset)
{
	return (uint32_t)((offset - MPR_HEAP_AT) / MPR_EXTENT_SIZE);
}

/* Extents [0, this) have been used. */
static inline uint32_t
mpr_extents_high(const mproc_arena *a)
{
	uint32_t high = atomic_load_explicit(&a->shm->extents_high,
					     memory_order_relaxed);

	return high < a->n_extents ? high : a->n_extents;
}

/*
 * Claims a run of @n zeroed extents; its first is BUSY and the caller's. Returns
 * its index, or -ENOMEM, -ENOSPC.
 */
int64_t mpr_extent_claim(mproc_arena *a, const struct mpr_self *self,
			 uint32_t n);

/* BUSY to USED, as @use says. */
void mpr_extent_finish(mproc_arena *a, uint32_t index, uint64_t use);

/* USED to BUSY, if @use is still what it is used for. Returns false if not:
 * someone else was faster. */
bool mpr_extent_retire(mproc_arena *a, const struct mpr_self *self,
		       uint32_t index, uint64_t use);

/* BUSY and the caller's to FREE, with its tails. */
void mpr_extent_release(mproc_arena *a, uint32_t index);

/* The same if nothing was written there since it was claimed. */
void mpr_extent_abandon(mproc_arena *a, uint32_t index);

/* Makes sure that the first @bytes of the extent are backed, from the first one
 * on. */
int mpr_extent_back(mproc_arena *a, uint32_t index, uint64_t bytes);

/* Backs [@offset, @offset + @len), whatever else of these extents is. */
int mpr_extents_back(const mproc_arena *a, uint64_t offset, size_t len);

/* Gives all but the first @bytes of a slab's extent back to the kernel, and notes
 * that first. Nobody else may have anything in it. */
void mpr_extent_unback(mproc_arena *a, uint32_t index, uint64_t bytes);

/* Whether the first @bytes are backed. Relaxed: what is backed stays so for who has
 * a block there. */
static inline bool
mpr_extent_has(const mproc_arena *a, uint32_t index, uint64_t bytes)
{
	uint64_t word = atomic_load_explicit(&mpr_extent_at(a, index)->backed,
					     memory_order_relaxed);

	return (word & ~MPR_EXTENT_KEEPS) >= bytes;
}

/* Whether mpr_extent_keep() was called for it. */
bool mpr_extent_is_kept(const mproc_arena *a, uint32_t index);

/* From now on the first page of the extent, which is backed, stays. */
void mpr_extent_keep(const mproc_arena *a, uint32_t index);

/* The same of its last page. */
void mpr_extent_keep_end(const mproc_arena *a, uint32_t index);

/* The first page stays without that, of an extent that is becoming a slab: it is in use
 * for ever. */
void mpr_extent_need_not_keep(const mproc_arena *a, uint32_t index);

/* Gives back the memory of free extents: it is there if their last owner was killed
 * before it could do that. */
void mpr_extents_trim(mproc_arena *a, const struct mpr_self *self);

/* Decides the fate of what the dead @slot had BUSY. */
void mpr_extents_recover(mproc_arena *a, unsigned slot, uint64_t ident);

#endif
