/* SPDX-License-Identifier: MIT */
#include <stddef.h>

#include "arena/heap.h"
#include "sync/name_index.h"

#define MAGIC UINT64_C(0x786564696e72706d)
#define FILL 8	    /* names for each bucket; half of them are too few for a new index */
#define LEAST 16    /* buckets */
#define LIST_MAX 32 /* each is twice as large as the one before at least */

static uint64_t
size_of(uint64_t n_buckets)
{
	return sizeof(struct mpr_name_index_shm) +
	       n_buckets * sizeof(struct mpr_name_bucket);
}

/* What @link leads to. Returns false at the end. */
static bool
find_at(const mproc_arena *a, const _Atomic uint64_t *link, struct mpr_name_index *ret)
{
	/* seq_cst, with the CAS that links it: who has said that it waits for a name
	 * finds the one in which that is. */
	uint64_t offset = atomic_load(link);
	struct mpr_block_ref ref;

	if (!offset || !mpr_heap_find_linked(a, offset, &ref) ||
	    ref.size < size_of(LEAST))
		return false;
	ret->shm = mpr_arena_at(a, offset);
	ret->n_buckets = ret->shm->n_buckets;
	/* Any process can write there. */
	return ret->shm->magic == MAGIC && ret->n_buckets &&
	       !(ret->n_buckets & (ret->n_buckets - 1)) &&
	       ret->n_buckets <= (ref.size - size_of(0)) /
					 sizeof(struct mpr_name_bucket);
}

bool
mpr_name_index_find(const mproc_arena *a, const _Atomic uint64_t *link,
		    struct mpr_name_index *ret)
{
	struct mpr_name_index next;
	bool found = false;

	for (unsigned i = 0; i < LIST_MAX && find_at(a, link, &next); i++) {
		*ret = next;
		found = true;
		link = &next.shm->next;
	}
	return found;
}

void
mpr_name_index_add(const struct mpr_name_index *index, const mproc_arena *a,
		   uint64_t hash, uint64_t offset,
		   bool (*is_used)(const mproc_arena *a, uint64_t place))
{
	struct mpr_name_bucket *b = mpr_name_bucket(index, hash);

	atomic_fetch_add_explicit(&index->shm->n, 1, memory_order_relaxed);
	for (unsigned i = 0; i < MPR_NAME_PLACES; i++) {
		uint64_t place = atomic_load(&b->place[i]);

		if (place && is_used(a, place))
			continue;
		/* seq_cst, before the name is bound: as in find_at(). */
		atomic_store(&b->place[i], (hash & ~MPR_NAME_OFFSET) | offset);
		return;
	}
	/* The same. */
	atomic_store(&b->beyond, 1);
}

bool
mpr_name_index_is_due(const struct mpr_name_index *index)
{
	return atomic_load_explicit(&index->shm->n, memory_order_relaxed) >=
	       index->n_buckets * FILL;
}

bool
mpr_name_index_counted(const struct mpr_name_index *index, uint64_t n)
{
	uint64_t half = index->n_buckets * FILL / 2;

	/* Names that come and go make it no larger. If there is no memory for a larger
	 * one, it is due again after so many more, not with each of them. */
	atomic_store_explicit(&index->shm->n, n < half ? n : half, memory_order_relaxed);
	return n >= half;
}

int
mpr_name_index_make(mproc_arena *a, struct mpr_self *self, uint64_t n,
		    const struct mpr_name_index *before, struct mpr_name_index *ret,
		    struct mpr_block_ref *ret_ref)
{
	uint64_t n_buckets = before ? before->n_buckets * 2 : LEAST;
	int r;

	while (n_buckets * FILL < 2 * n)
		n_buckets *= 2;
	r = mpr_heap_reserve(a, self, size_of(n_buckets), ret_ref);
	if (r < 0)
		return r;
	*ret = (struct mpr_name_index){
		.shm = mpr_arena_at(a, ret_ref->offset),
		.n_buckets = n_buckets,
	};
	ret->shm->magic = MAGIC;
	ret->shm->n_buckets = n_buckets;
	return 0;
}

int
mpr_name_index_link(mproc_arena *a, struct mpr_self *self,
		    const struct mpr_block_ref *ref, _Atomic uint64_t *link)
{
	return mpr_block_append(a, self, ref, link,
				offsetof(struct mpr_name_index_shm, next),
				LIST_MAX - 1);
}
