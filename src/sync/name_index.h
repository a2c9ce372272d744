/* SPDX-License-Identifier: MIT */
/*
 * Where names lie, by their hashes: what spares who looks for one among thousands all
 * others (sync/names.c). It says only where a name may be; the entry there says whether it
 * is.
 *
 * A list of indices, each larger than the one before, which stays for those who are still
 * reading it; the last one counts. It is linked when all names are in it. It has buckets
 * of some places, each with an entry's offset and a part of the name's hash. Of what has
 * no room in its bucket that says so: then all entries are to be looked at.
 *
 * Who adds a name has the lock of all names, and binds it after that. So a name that is
 * bound is found; of who was killed in between, a place is left that leads to an entry
 * without a name, or with another one, and is used again.
 */
#ifndef MPR_SYNC_NAME_INDEX_H
#define MPR_SYNC_NAME_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "arena/block.h"
#include "arena/participant.h"

#define MPR_NAME_PLACES 15

/* A place: the offset of an entry in bits 0 to 35, 0 if it is free; above, the upper bits
 * of the hash, of which the lower ones say which bucket it is. */
#define MPR_NAME_OFFSET ((UINT64_C(1) << 36) - 1)

struct mpr_name_bucket {
	_Atomic uint64_t place[MPR_NAME_PLACES];
	_Atomic uint64_t beyond; /* 1: a name had no room */
};

static_assert(sizeof(struct mpr_name_bucket) == 128, "shared layout");

struct mpr_name_index_shm {
	_Atomic uint64_t next;
	uint64_t magic;
	uint64_t n_buckets; /* a power of 2 */
	_Atomic uint64_t n; /* names when they were counted, and added since */
	uint64_t pad[12];
	struct mpr_name_bucket buckets[];
};

static_assert(sizeof(struct mpr_name_index_shm) == 128, "shared layout");

static inline bool
mpr_name_place_fits(uint64_t place, uint64_t hash)
{
	return place & MPR_NAME_OFFSET &&
	       (place & ~MPR_NAME_OFFSET) == (hash & ~MPR_NAME_OFFSET);
}

/* One that was found. Private. */
struct mpr_name_index {
	struct mpr_name_index_shm *shm;
	uint64_t n_buckets;
};

/* The last one behind @link. Returns false if there is none. */
bool mpr_name_index_find(const mproc_arena *a, const _Atomic uint64_t *link,
			 struct mpr_name_index *ret);

static inline struct mpr_name_bucket *
mpr_name_bucket(const struct mpr_name_index *index, uint64_t hash)
{
	return &index->shm->buckets[hash & (index->n_buckets - 1)];
}

/* For who has the lock. */

/* The entry at @offset is found by @hash. @is_used: whether the place, which was made for
 * some hash, leads to an entry that has it now. */
void mpr_name_index_add(const struct mpr_name_index *index, const mproc_arena *a,
			uint64_t hash, uint64_t offset,
			bool (*is_used)(const mproc_arena *a, uint64_t place));

/* Whether so many names have been added that there may be too many for it. Then they are
 * counted: whether @n are. */
bool mpr_name_index_is_due(const struct mpr_name_index *index);
bool mpr_name_index_counted(const struct mpr_name_index *index, uint64_t n);

/* A larger one than @before, if that is not NULL, for @n names, of which it has none, and
 * which nobody finds before it is linked. Returns 0, or as mpr_heap_reserve(). */
int mpr_name_index_make(mproc_arena *a, struct mpr_self *self, uint64_t n,
			const struct mpr_name_index *before,
			struct mpr_name_index *ret, struct mpr_block_ref *ret_ref);

/* Returns 0, or -EBADMSG if what stands there was scribbled. */
int mpr_name_index_link(mproc_arena *a, struct mpr_self *self,
			const struct mpr_block_ref *ref, _Atomic uint64_t *link);

#endif
