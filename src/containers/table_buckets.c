/* SPDX-License-Identifier: MIT */
/*
 * Where the buckets of a stripe are, and how they become more.
 *
 * Those that a level brings are one block, up to the level where that would be no
 * block of a slab: only in slabs what readers without the lock look at stays there.
 * From that one on a level brings four, 16, 64 ... blocks as large as the last one,
 * and a directory, a block of links, names them all.
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

/* The buckets of one of the directory's blocks. The first of its levels brings four of
 * them, each further one four times as many. */
#define PART (UINT64_C(3) << 2 * SEGMENTS)
#define PARTS (((UINT64_C(4) << 2 * DIRECTORY_LEVELS) - 4) / 3)

static_assert(SEGMENTS <= MPR_TABLE_SEGMENTS, "each has its word");
static_assert(PART * sizeof(uint64_t) <= MPR_BLOCK_MAX &&
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

/* The number of the first of the directory's blocks that @level has brought. */
static uint64_t
first_part(uint64_t level)
{
	return (mpr_buckets(level - 1) - mpr_buckets(SEGMENTS)) / PART;
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
	bucket -= mpr_buckets(SEGMENTS);
	link = word_of(v, &v->stripe->directory, bucket / PART);
	return link ? word_of(v, link, bucket % PART) : NULL;
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

/* Its blocks from number @from to @end. */
static bool
drop_parts(struct mpr_visit *v, uint64_t from, uint64_t end)
{
	_Atomic uint64_t *parts = parts_of(v);
	bool good = parts;

	for (uint64_t i = from; i < end && good; i++)
		good = drop_block(v, &parts[i]);
	return good;
}

static int
make_parts(struct mpr_visit *v, uint64_t from, uint64_t end)
{
	const struct mpr_shmem *s = &v->arena->shmem;
	_Atomic uint64_t *parts;
	int r = 0;

	/* Each is too small to be asked for, and all together may be too much: where a
	 * control group is full its processes are killed. */
	if (!s->stays)
		r = mpr_shmem_ask(s, (end - from) * PART * sizeof(uint64_t));
	if (r == 0)
		r = make_block(v, &v->stripe->directory, PARTS);
	parts = parts_of(v);
	if (r == 0 && !parts)
		return -EBADMSG;
	for (uint64_t i = from; i < end && r == 0; i++)
		r = make_block(v, &parts[i], PART);
	return r;
}

/* The buckets that a level brings, all of which are empty: somebody may have died
 * over them before. Those of a part of a level would be of no use to anybody. */
static int
make_level(struct mpr_visit *v, uint64_t level)
{
	uint64_t from, end;
	int r;

	if (level <= SEGMENTS)
		return make_block(v, &v->stripe->segments[level - 1],
				  mpr_buckets(level) - mpr_buckets(level - 1));
	from = first_part(level);
	end = first_part(level + 1);
	r = make_parts(v, from, end);
	if (r < 0)
		(void)drop_parts(v, from, end);
	return r;
}

int
mpr_table_shrink(struct mpr_visit *v)
{
	struct mpr_stripe *s = v->stripe;
	bool good;

	mpr_visit_change(v);
	store(&s->level, 0);
	store(&s->later, 0);
	good = !load(&s->directory) ||
	       (drop_parts(v, 0, PARTS) && drop_block(v, &s->directory));
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
	uint64_t level = load(&v->stripe->level);
	uint64_t later = load(&v->stripe->later);

	if (level >= LEVELS || load(&v->stripe->count) <= mpr_buckets(level))
		return;
	if (later) {
		store(&v->stripe->later, later - 1);
		return;
	}
	/* Without memory the chains are longer: until it is looked for again by one
	 * entry, if each of these is new. */
	if (make_level(v, level + 1) < 0) {
		store(&v->stripe->later, mpr_buckets(level));
		return;
	}
	mpr_visit_change(v);
	store(&v->stripe->level, level + 1);
	/* What it finds corrupt the next one will find, too. */
	(void)mpr_table_cut(v, mpr_buckets(level));
	mpr_visit_changed(v);
}
