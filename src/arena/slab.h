/* SPDX-License-Identifier: MIT */
/*
 * Slabs: extents cut into blocks of one size class, with an array of struct
 * mpr_block in front. An extent that became a slab stays one; but if all its blocks
 * are free, their memory can be given back to the kernel, by one who has all of them
 * BUSY meanwhile.
 *
 * The caller has said that it is in the heap; see heap.c.
 */
#ifndef MPR_ARENA_SLAB_H
#define MPR_ARENA_SLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena/arena.h"
#include "arena/block.h"
#include "arena/participant.h"

/* The largest one. */
#define MPR_BLOCK_MAX (MPR_EXTENT_SIZE - 4096)

/* How many bytes to reserve for @size bytes at a multiple of @align, a power of two
 * up to an extent's size. */
size_t mpr_slab_size_for(size_t size, size_t align);

/* A BUSY block of at least @size bytes, from a slab whose blocks are lazy or
 * not. It may have no memory. Returns 0, -ENOMEM, -ENOSPC. */
int mpr_slab_reserve(mproc_arena *a, struct mpr_self *self, size_t size,
		     bool lazy, struct mpr_block_ref *ret_ref);

/* Makes sure that a BUSY block that is not lazy has memory; where there is none for
 * it, it is freed, and another one is BUSY that has some. Returns 0, -ENOMEM, -ENOSPC:
 * then it is freed, too. */
int mpr_slab_back(mproc_arena *a, struct mpr_self *self,
		  struct mpr_block_ref *ref);

/* After one of these has failed: whether to try it again, as others have blocks in
 * their hands that would do, all of a slab if they trim it, or may have had. They have
 * had time to go on then. *@p is all zero the first time. */
struct mpr_patience {
	int64_t until;
	bool is_quiet; /* nobody had any, the last time */
};

bool mpr_slab_is_to_come(const mproc_arena *a, size_t size,
			 struct mpr_patience *p);

/* The block that starts at @offset. Returns false if there is none. */
bool mpr_slab_find(const mproc_arena *a, uint64_t offset,
		   struct mpr_block_ref *ret_ref);

/* Where the block starts in which @offset lies. Returns false if it is in none. */
bool mpr_slab_start_of(const mproc_arena *a, uint64_t offset,
		       uint64_t *ret_start);

/* The first LIVE block of the slab @extent behind @offset. Returns false if there
 * is none, or the extent is no slab. */
bool mpr_slab_next_live(const mproc_arena *a, uint32_t extent, uint64_t offset,
			struct mpr_block_ref *ret_ref);

/* Lets all slabs be looked through again for free blocks: somebody may have been
 * killed before he did so for one. */
void mpr_slabs_unmark(const mproc_arena *a);

/* The block at @offset is FREE since just now. */
void mpr_slab_freed(const mproc_arena *a, uint64_t offset);

/* The same, as the calling thread has freed it: it may want it back. */
void mpr_slab_remember(const mproc_arena *a, struct mpr_self *self,
		       const struct mpr_block_ref *ref);

/*
 * The frequent case of mproc_alloc() and mproc_free(), with all that belongs to it:
 * a small block of the default arena, which this thread has freed last, becomes LIVE;
 * one that is no value and has no guard becomes FREE, and who we are is returned. NULL,
 * and nothing was done, if it is not that easy.
 */
void *mpr_slab_alloc_at_once(size_t size);
struct mpr_self *mpr_slab_free_at_once(const void *p);

/* Decides the fate of the blocks that the dead @slot had BUSY. */
void mpr_slabs_recover(mproc_arena *a, unsigned slot, uint64_t ident);

/* Gives back the memory of slabs without a block in use, and of free extents. */
void mpr_slabs_trim(mproc_arena *a, const struct mpr_self *self);

/* The same of slabs among extents [@from, @end), but of each class that has no bit in
 * *@passed the first that is empty keeps its memory, and the class has its bit then. */
void mpr_slabs_trim_between(mproc_arena *a, const struct mpr_self *self,
			    uint32_t from, uint32_t end, uint64_t *passed);

/* Adds the blocks that are not FREE, and their bytes. */
void mpr_slabs_count(const mproc_arena *a, uint64_t *blocks, uint64_t *bytes);

#endif
