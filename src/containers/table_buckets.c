/* SPDX-License-Identifier: MIT */
/*
 * Where the buckets of a stripe are, and how they become more.
 */
#include <errno.h>

#include "containers/table.h"

/* Of words that only those write who have the lock, as we do. */
static uint64_t
load(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

/* Release: if we die, who comes next finds them in this order, and so do those who
 * read. */
static void
store(_Atomic uint64_t *word, uint64_t what)
{
	atomic_store_explicit(word, what, memory_order_release);
}

/* The level that has brought a bucket. */
static unsigned
brought_by(uint64_t bucket)
{
	return bucket < 4 ? 0 :
			    (63 - (unsigned)__builtin_clzll(bucket)) / 2;
}

_Atomic uint64_t *
mpr_table_bucket(const struct mpr_visit *v, uint64_t bucket)
{
	unsigned level = brought_by(bucket);
	struct mpr_block_ref ref;
	uint64_t i;

	if (!level)
		return &v->stripe->buckets[bucket];
	i = bucket - mpr_buckets(level - 1);
	if (!mpr_heap_find_at(v->arena, &v->stripe->segments[level - 1],
			      &ref) ||
	    ref.size / sizeof(uint64_t) <= i)
		return NULL;
	return (_Atomic uint64_t *)mpr_arena_at(v->arena, ref.offset) + i;
}

int
mpr_table_shrink(struct mpr_visit *v)
{
	_Atomic uint64_t *link;
	struct mpr_block_ref ref;

	mpr_visit_change(v);
	store(&v->stripe->level, 0);
	for (int i = MPR_TABLE_LEVELS - 1; i >= 0; i--) {
		link = &v->stripe->segments[i];
		if (load(link) &&
		    (!mpr_heap_find_at(v->arena, link, &ref) ||
		     !mpr_block_unlink(v->arena, v->self, &ref, link, 0)))
			return -EBADMSG;
	}
	mpr_visit_changed(v);
	return 0;
}

/* The buckets that a level brings, all of which are empty: somebody may have died
 * over them before. */
static int
make_segment(struct mpr_visit *v, uint64_t level)
{
	_Atomic uint64_t *link = &v->stripe->segments[level - 1];
	struct mpr_block_ref ref;
	int r;

	if (load(link))
		return 0;
	r = mpr_heap_reserve(v->arena, v->self,
			     (mpr_buckets(level) - mpr_buckets(level - 1)) *
				     sizeof(uint64_t), &ref);
	if (r == 0)
		mpr_block_link(v->arena, v->self, &ref, link);
	return r;
}

void
mpr_table_grow(struct mpr_visit *v)
{
	uint64_t level = load(&v->stripe->level);

	if (level >= MPR_TABLE_LEVELS ||
	    load(&v->stripe->count) <= mpr_buckets(level))
		return;
	/* Without memory the chains are longer. */
	if (make_segment(v, level + 1) < 0)
		return;
	mpr_visit_change(v);
	store(&v->stripe->level, level + 1);
	/* What it finds corrupt the next one will find, too. */
	(void)mpr_table_cut(v, mpr_buckets(level));
	mpr_visit_changed(v);
}
