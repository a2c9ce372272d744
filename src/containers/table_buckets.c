/* SPDX-License-Identifier: MIT */
/*
 * Where the buckets of a stripe are, and how they become more.
 *
 * Those that a level brings are one block, up to the level where that would be no
 * block of a slab: only in slabs what readers without the lock look at stays there.
 * From that one on a level brings 12, 48, 192 ... blocks a third as large as the last
 * one, and a directory, a block of links, names them all. A block is made when the first
 * of its buckets is to be used.
 */
#include <errno.h>

#include "containers/table.h"

/* How many levels have a block of their own. A test may say fewer: it comes to the
 * directory with few keys. */
#ifndef MPR_TEST_SEGMENTS
#define SEGMENTS MPR_TABLE_SEGMENTS
#else
#define SEGMENTS MPR_TEST_SEGMENTS
#endif

#define DIRECTORY_LEVELS (MPR_TABLE_LEVELS - MPR_TABLE_SEGMENTS)
#define LEVELS (SEGMENTS + DIRECTORY_LEVELS)

/* The buckets of one of the directory's blocks: of those three that come of one each is
 * in another block. */
#define PART (UINT64_C(1) << 2 * SEGMENTS)
#define PARTS ((UINT64_C(4) << 2 * DIRECTORY_LEVELS) - 4)
#define CUTS (((UINT64_C(4) << 2 * LEVELS) - 4) / 3)

static_assert(SEGMENTS <= MPR_TABLE_SEGMENTS, "each has its word");
static_assert(3 * PART * sizeof(uint64_t) <= MPR_BLOCK_MAX &&
	      PARTS * sizeof(uint64_t) <= MPR_BLOCK_MAX, "blocks of slabs");

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

/* The word with number @i of the block that @link names; NULL if there is none. */
static _Atomic uint64_t *
word_of(const struct mpr_visit *v, const _Atomic uint64_t *link, uint64_t i)
{
	struct mpr_block_ref ref;

	if (!mpr_heap_find_at(v->arena, link, &ref) ||
	    ref.size / sizeof(uint64_t) <= i)
		return NULL;
	return (_Atomic uint64_t *)mpr_arena_at(v->arena, ref.offset) + i;
}

/* The level that has brought a bucket. */
static unsigned
brought_by(uint64_t bucket)
{
	return bucket < 4 ? 0 :
			    (63 - (unsigned)__builtin_clzll(bucket)) / 2;
}

/* The directory's link to the block that a bucket is in; NULL if there is none. */
static _Atomic uint64_t *
part_of(const struct mpr_visit *v, uint64_t bucket)
{
	return word_of(v, &v->stripe->directory,
		       (bucket - mpr_buckets(SEGMENTS)) / PART);
}

_Atomic uint64_t *
mpr_table_bucket(const struct mpr_visit *v, uint64_t bucket)
{
	unsigned level = brought_by(bucket);
	_Atomic uint64_t *link;

	if (!level)
		return &v->stripe->buckets[bucket];
	if (level <= SEGMENTS)
		return word_of(v, &v->stripe->segments[level - 1],
			       bucket - mpr_buckets(level - 1));
	link = part_of(v, bucket);
	return link ? word_of(v, link, (bucket - mpr_buckets(SEGMENTS)) % PART) :
		      NULL;
}

/* A block of @n words of zero, if @link names none. */
static int
make_block(struct mpr_visit *v, _Atomic uint64_t *link, uint64_t n)
{
	struct mpr_block_ref ref;
	int r;

	if (load(link))
		return 0;
	r = mpr_heap_reserve(v->arena, v->self, n * sizeof(uint64_t), &ref);
	if (r == 0)
		mpr_block_link(v->arena, v->self, &ref, link);
	return r;
}

static bool
drop_block(struct mpr_visit *v, _Atomic uint64_t *link)
{
	struct mpr_block_ref ref;

	return !load(link) ||
	       (mpr_heap_find_at(v->arena, link, &ref) &&
		mpr_block_unlink(v->arena, v->self, &ref, link, 0));
}

/* The directory, or NULL if there is none. */
static _Atomic uint64_t *
parts_of(const struct mpr_visit *v)
{
	_Atomic uint64_t *last = word_of(v, &v->stripe->directory, PARTS - 1);

	return last ? last - (PARTS - 1) : NULL;
}

static bool
drop_directory(struct mpr_visit *v)
{
	_Atomic uint64_t *link = &v->stripe->directory, *parts = parts_of(v);
	bool good = parts || !load(link);

	for (uint64_t i = 0; parts && i < PARTS && good; i++)
		good = drop_block(v, &parts[i]);
	return good && drop_block(v, link);
}

/* The block for @bucket, and others that are as empty: somebody may have died over it
 * before. */
static int
make_room_for(struct mpr_visit *v, uint64_t bucket)
{
	unsigned level = brought_by(bucket);
	_Atomic uint64_t *link;
	int r;

	if (!level)
		return 0;
	if (level <= SEGMENTS)
		return make_block(v, &v->stripe->segments[level - 1],
				  mpr_buckets(level) - mpr_buckets(level - 1));
	r = make_block(v, &v->stripe->directory, PARTS);
	if (r < 0)
		return r;
	link = part_of(v, bucket);
	return link ? make_block(v, link, PART) : -EBADMSG;
}

/* For what comes of the next cut with @n buckets. Their blocks begin with the same cut. */
static int
make_room(struct mpr_visit *v, uint64_t n)
{
	uint64_t next = mpr_bucket_next(n);
	int r = 0;

	if (next % PART)
		return 0;
	for (uint64_t i = 1; i < 4 && r == 0; i++)
		r = make_room_for(v, (i << mpr_bucket_bits(n)) + next);
	return r;
}

int
mpr_table_shrink(struct mpr_visit *v)
{
	struct mpr_stripe *s = v->stripe;
	bool good;

	mpr_visit_change(v);
	store(&s->cuts, 0);
	store(&s->later, 0);
	good = drop_directory(v);
	for (int i = SEGMENTS - 1; i >= 0 && good; i--)
		good = drop_block(v, &s->segments[i]);
	if (!good)
		return -EBADMSG;
	mpr_visit_changed(v);
	return 0;
}

void
mpr_table_grow(struct mpr_visit *v)
{
	uint64_t cuts = load(&v->stripe->cuts);
	uint64_t later = load(&v->stripe->later);
	uint64_t n = mpr_buckets_after(cuts);

	if (cuts >= CUTS || load(&v->stripe->count) <= n / 2)
		return;
	if (later) {
		store(&v->stripe->later, later - 1);
		return;
	}
	/* Without memory the chains are longer: until it is looked for again by one
	 * entry, if each of these is new. */
	if (make_room(v, n) < 0) {
		store(&v->stripe->later, n);
		return;
	}
	mpr_visit_change(v);
	store(&v->stripe->cuts, cuts + 1);
	/* What it finds corrupt the next one will find, too. */
	(void)mpr_table_cut(v, mpr_bucket_next(n), n + 3);
	mpr_visit_changed(v);
}
