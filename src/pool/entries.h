/* SPDX-License-Identifier: MIT */
/*
 * Where a pool's futures are: each is a block of its own, and an entry is its home
 * (arena/heap.h). A future is there from the CAS on that names it in an entry, and
 * is QUEUED then; so nobody who is killed leaves half of one.
 */
#ifndef MPR_POOL_ENTRIES_H
#define MPR_POOL_ENTRIES_H

#include "pool/pool_shm.h"

/* For a new pool, whose groups are an earlier one's: what was scribbled there keeps none
 * from being added where walks find it. */
void mpr_entries_begin(const struct mpr_pool_use *u);

/* Links the future in @ref, a BUSY block. Returns 0; or why there is no entry, and
 * the block is FREE. */
int mpr_entries_link(const struct mpr_pool_use *u, struct mpr_self *self,
		     const struct mpr_block_ref *ref);

/* A walk over all futures of a pool, those among them that somebody is about to
 * free. */
struct mpr_entries_walk {
	const struct mpr_pool_use *use;
	struct mpr_pool_group *group; /* or NULL: before the first */
	unsigned next;
	unsigned groups;
};

static inline struct mpr_entries_walk
mpr_entries_walk(const struct mpr_pool_use *u)
{
	return (struct mpr_entries_walk){ .use = u };
}

/* NULL at the end. */
struct mproc_future *mpr_entries_next(struct mpr_entries_walk *walk);

/* Whether there is any. */
bool mpr_entries_exist(const struct mpr_pool_use *u);

/* The future at @offset, or NULL if no block of an object is there. */
struct mproc_future *mpr_entries_at(const mproc_arena *a, uint64_t offset);

/*
 * The block of a future's result. Room for @len bytes of a new one: what was there is
 * gone. Returns NULL without memory.
 */
void *mpr_future_make_out(mproc_arena *a, struct mpr_self *self,
			  struct mproc_future *f, size_t len);
void mpr_future_drop_out(mproc_arena *a, struct mpr_self *self,
			 struct mproc_future *f);

/* What is there, with its size; NULL if there is nothing. */
void *mpr_future_out(const mproc_arena *a, const struct mproc_future *f,
		     size_t *ret_size);

/* Frees one that is FREED by the caller, or by one that is dead. */
void mpr_future_free(mproc_arena *a, struct mpr_self *self,
		     struct mproc_future *f);

#endif
