/* SPDX-License-Identifier: MIT */
/*
 * First fit, lowest block first, which keeps the memory in use dense. Finding a
 * block is a scan over owner words; claiming it is one CAS.
 */
#include "arena/extent.h"
#include "arena/slab.h"
#include "base/macros.h"
#include "base/owner.h"

#define PAGE 4096

/*
 * Below 4 KiB, steps of a third to a half. Above, whole pages; the odd ones
 * take a lane of 2^n bytes with its header (ring/lane.h).
 */
static const uint32_t class_size[] = {
	64,	    128,	192,	    256,	384,	  512,
	768,	    1024,	1536,	    2048,	3072,	  4096,
	2 * PAGE,   3 * PAGE,	4 * PAGE,   5 * PAGE,	7 * PAGE, 9 * PAGE,
	12 * PAGE,  17 * PAGE,	24 * PAGE,  33 * PAGE,	48 * PAGE, 65 * PAGE,
	96 * PAGE,  129 * PAGE, 255 * PAGE,
};

static_assert(255 * PAGE == MPR_BLOCK_MAX, "the class fills an extent");

/* How a slab is cut up. */
struct geometry {
	uint32_t size; /* of a block */
	uint32_t n;
	uint32_t first; /* offset of the first block in the slab */
};

/* What each block of the class is aligned to: all that divides its size. */
static uint32_t
align_of(unsigned class)
{
	uint32_t most = class_size[class] & -class_size[class];

	return most < PAGE ? most : PAGE;
}

static struct geometry
geometry_of(unsigned class)
{
	uint32_t size = class_size[class];
	uint32_t align = align_of(class);
	uint32_t n = (uint32_t)MPR_EXTENT_SIZE /
		     (size + (uint32_t)sizeof(struct mpr_block));
	struct geometry g = { .size = size };

	for (;; n--) {
		g.n = n;
		g.first = (uint32_t)mpr_round_up(n * sizeof(struct mpr_block),
						 align);
		if (g.first + (uint64_t)n * size <= MPR_EXTENT_SIZE)
			return g;
	}
}

/* The smallest class that holds @size bytes, at most MPR_BLOCK_MAX. */
static unsigned
class_for(size_t size)
{
	unsigned class = 0;

	while (class_size[class] < size)
		class++;
	return class;
}

size_t
mpr_slab_size_for(size_t size, size_t align)
{
	if (size > MPR_BLOCK_MAX)
		return size;
	for (unsigned class = class_for(size); class < MPR_ARRAY_LEN(class_size);
	     class++)
		if (align_of(class) >= align)
			return class_size[class];
	/* Runs begin at multiples of an extent. */
	return MPR_BLOCK_MAX + 1;
}

static struct mpr_block *
block_at(const mproc_arena *a, uint32_t extent, uint32_t i)
{
	return (struct mpr_block *)mpr_arena_at(a, mpr_extent_offset(extent)) +
	       i;
}

static unsigned
class_of(uint64_t use)
{
	return (unsigned)(use & ~MPR_EXTENT_LAZY) - 1;
}

/* Whether @extent is a slab, and of which use. */
static bool
is_slab(const mproc_arena *a, uint32_t extent, uint64_t *ret_use)
{
	struct mpr_extent *x = mpr_extent_at(a, extent);
	uint64_t word, use;

	/* Acquire pairs with the release in mpr_extent_finish(): the slab is
	 * there before it can be seen. */
	word = atomic_load_explicit(&x->state, memory_order_acquire);
	if (mpr_owner_state(word) != MPR_EXTENT_USED)
		return false;
	use = atomic_load_explicit(&x->use, memory_order_acquire);
	if ((use & ~MPR_EXTENT_LAZY) - 1 >= MPR_ARRAY_LEN(class_size))
		return false;
	/* It may have been another use's, between the stores of its maker. */
	if (atomic_load_explicit(&x->state, memory_order_relaxed) != word)
		return false;
	*ret_use = use;
	return true;
}

static bool
cas(_Atomic uint64_t *word, uint64_t from, uint64_t to)
{
	return atomic_compare_exchange_strong(word, &from, to);
}

/* Claims a free block of the slab, which is then BUSY. */
static bool
claim_in_slab(mproc_arena *a, struct mpr_self *self, uint32_t extent,
	      const struct geometry *g, struct mpr_block_ref *ret_ref)
{
	for (uint32_t i = 0; i < g->n; i++) {
		struct mpr_block *b = block_at(a, extent, i);
		uint64_t word = atomic_load_explicit(&b->state,
						     memory_order_relaxed);

		if (mpr_owner_state(word) != MPR_BLOCK_FREE ||
		    !cas(&b->state, word,
			 mpr_owner(mpr_owner_epoch(word), self->slot,
				   MPR_BLOCK_BUSY)))
			continue;
		/* From its last use. Killed before this: see settle(). */
		atomic_store_explicit(&b->home, 0, memory_order_release);
		ret_ref->block = b;
		ret_ref->offset = mpr_extent_offset(extent) + g->first +
				  (uint64_t)i * g->size;
		ret_ref->size = g->size;
		return true;
	}
	return false;
}

/* Makes a slab. Its blocks' words are zero, as the extent is. */
static int64_t
make_slab(mproc_arena *a, struct mpr_self *self, uint64_t use,
	  const struct geometry *g)
{
	int64_t extent = mpr_extent_claim(a, self, 1);
	int r;

	if (extent < 0)
		return extent;
	r = mpr_extent_back(a, (uint32_t)extent, g->first);
	if (r < 0) {
		mpr_extent_release(a, (uint32_t)extent);
		return r;
	}
	mpr_extent_finish(a, (uint32_t)extent, use);
	return extent;
}

int
mpr_slab_reserve(mproc_arena *a, struct mpr_self *self, size_t size, bool lazy,
		 struct mpr_block_ref *ret_ref)
{
	uint64_t use = (class_for(size) + 1) | (lazy ? MPR_EXTENT_LAZY : 0);
	struct geometry g = geometry_of(class_of(use));
	uint32_t high = mpr_extents_high(a);
	uint64_t other;
	int64_t made;

	ret_ref->is_lazy = lazy;
	for (uint32_t i = 0; i < high; i++)
		if (is_slab(a, i, &other) && other == use &&
		    claim_in_slab(a, self, i, &g, ret_ref))
			return 0;
	/* Others may empty a new slab before we look. */
	do {
		made = make_slab(a, self, use, &g);
		if (made < 0)
			return (int)made;
	} while (!claim_in_slab(a, self, (uint32_t)made, &g, ret_ref));
	return 0;
}

int
mpr_slab_back(mproc_arena *a, const struct mpr_block_ref *ref)
{
	uint32_t extent = mpr_extent_of(ref->offset);

	return mpr_extent_back(a, extent,
			       ref->offset - mpr_extent_offset(extent) +
				       ref->size);
}

bool
mpr_slab_find(const mproc_arena *a, uint64_t offset,
	      struct mpr_block_ref *ret_ref)
{
	struct geometry g;
	uint32_t extent, in_extent;
	uint64_t use;

	if (!mpr_arena_has(a, offset, 1))
		return false;
	extent = mpr_extent_of(offset);
	if (extent >= mpr_extents_high(a) || !is_slab(a, extent, &use))
		return false;
	g = geometry_of(class_of(use));
	in_extent = (uint32_t)(offset - mpr_extent_offset(extent));
	if (in_extent < g.first || (in_extent - g.first) % g.size ||
	    (in_extent - g.first) / g.size >= g.n)
		return false;
	*ret_ref = (struct mpr_block_ref){
		.block = block_at(a, extent, (in_extent - g.first) / g.size),
		.offset = offset,
		.size = g.size,
		.is_lazy = use & MPR_EXTENT_LAZY,
	};
	return true;
}

bool
mpr_slab_start_of(const mproc_arena *a, uint64_t offset, uint64_t *ret_start)
{
	uint64_t use, first;
	struct geometry g;

	if (!mpr_arena_has(a, offset, 1) ||
	    mpr_extent_of(offset) >= mpr_extents_high(a) ||
	    !is_slab(a, mpr_extent_of(offset), &use))
		return false;
	g = geometry_of(class_of(use));
	first = mpr_extent_offset(mpr_extent_of(offset)) + g.first;
	if (offset < first || (offset - first) / g.size >= g.n)
		return false;
	*ret_start = offset - (offset - first) % g.size;
	return true;
}

bool
mpr_slab_next_live(const mproc_arena *a, uint32_t extent, uint64_t offset,
		   struct mpr_block_ref *ret_ref)
{
	uint64_t use, first;
	struct geometry g;
	uint32_t i = 0;

	if (!is_slab(a, extent, &use))
		return false;
	g = geometry_of(class_of(use));
	first = mpr_extent_offset(extent) + g.first;
	if (offset >= first)
		i = (uint32_t)((offset - first) / g.size) + 1;
	for (; i < g.n; i++) {
		struct mpr_block *b = block_at(a, extent, i);

		if (mpr_owner_state(atomic_load_explicit(
			    &b->state, memory_order_relaxed)) != MPR_BLOCK_LIVE)
			continue;
		*ret_ref = (struct mpr_block_ref){
			.block = b,
			.offset = first + (uint64_t)i * g.size,
			.size = g.size,
		};
		return true;
	}
	return false;
}

/* What becomes of a BUSY block whose owner is dead: its home knows. */
static void
settle(mproc_arena *a, struct mpr_block *b, uint64_t word, uint64_t offset)
{
	/* Acquire pairs with the release in mpr_block_set_home(). */
	uint64_t home = atomic_load_explicit(&b->home, memory_order_acquire);
	unsigned fate = mpr_block_fate(a, word, home, offset);

	/* A home from the block's last use, if two owners in turn died before
	 * they cleared it, does no harm: the block was unlinked there. */
	cas(&b->state, word,
	    fate == MPR_BLOCK_FREE ? mpr_owner_freed(word) :
				     mpr_owner_with_state(word, fate));
}

void
mpr_slabs_recover(mproc_arena *a, unsigned slot, uint64_t ident)
{
	uint32_t high = mpr_extents_high(a);
	uint64_t use;

	for (uint32_t extent = 0; extent < high; extent++) {
		struct geometry g;

		if (!is_slab(a, extent, &use))
			continue;
		g = geometry_of(class_of(use));
		for (uint32_t i = 0; i < g.n; i++) {
			struct mpr_block *b = block_at(a, extent, i);
			uint64_t word = atomic_load(&b->state);

			if (mpr_owner_state(word) != MPR_BLOCK_BUSY ||
			    mpr_owner_slot(word) != slot)
				continue;
			if (!mpr_participant_still_dead(a, slot, ident))
				return;
			settle(a, b, word,
			       mpr_extent_offset(extent) + g.first +
				       (uint64_t)i * g.size);
		}
	}
}

void
mpr_slabs_count(const mproc_arena *a, uint64_t *blocks, uint64_t *bytes)
{
	uint32_t high = mpr_extents_high(a);
	uint64_t use;

	for (uint32_t extent = 0; extent < high; extent++) {
		struct geometry g;

		if (!is_slab(a, extent, &use))
			continue;
		g = geometry_of(class_of(use));
		for (uint32_t i = 0; i < g.n; i++) {
			if (mpr_owner_state(atomic_load(
				    &block_at(a, extent, i)->state)) ==
			    MPR_BLOCK_FREE)
				continue;
			++*blocks;
			*bytes += g.size;
		}
	}
}
