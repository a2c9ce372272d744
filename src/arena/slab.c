/* SPDX-License-Identifier: MIT */
/*
 * A thread takes what it has freed last, or goes on where it found the last one;
 * else first fit, lowest block first, which keeps the memory in use dense. Finding a
 * block is a scan over owner words; claiming it is one CAS.
 *
 * A slab in which somebody found nothing is marked, and passed over until the next
 * block of it is free. Marked first, then looked through once more; free first,
 * then the mark is cleared: one of the two sees the other. Who is killed between
 * the two leaves a block that is not found, until the next is freed there, somebody
 * trims, or there is no other memory.
 */
#include <string.h>

#include "arena/check.h"
#include "arena/extent.h"
#include "arena/slab.h"
#include "base/macros.h"
#include "base/owner.h"
#include "os/clock.h"
#include "os/task.h"

#define PAGE 4096u

#define LOOK_BACK 16

/* With those who have blocks in their hands, before an allocation fails. Who trims
 * needs a tenth of a millisecond, but may be stopped. */
#define PATIENCE 10000000 /* ns */

/* How a slab is cut up. */
struct geometry {
	uint32_t size; /* of a block */
	uint32_t n;
	uint32_t first; /* offset of the first block in the slab */
	uint64_t inverse;
};

/*
 * Sizes, and how many blocks of them fit: from 256 bytes on, steps of a fifth to a
 * quarter, but for where a lane of 2^n bytes with its header (ring/lane.h) needs one,
 * or there is room for one block only. Lazy ones are whole pages.
 */
#define CLASSES(X)                                                            \
	X(64u, 11915u) X(128u, 6898u) X(192u, 4854u) X(256u, 3744u)           \
	X(320u, 3048u) X(384u, 2570u) X(448u, 2221u) X(512u, 1956u)           \
	X(640u, 1579u) X(768u, 1323u) X(896u, 1139u) X(1024u, 1000u)          \
	X(1280u, 804u) X(1536u, 672u) X(1792u, 577u) X(2048u, 506u)           \
	X(2560u, 405u) X(3072u, 338u) X(3584u, 290u) X(4096u, 254u)           \
	X(5120u, 203u) X(6144u, 170u) X(7168u, 145u) X(2 * PAGE, 127u)        \
	X(10240u, 102u) X(3 * PAGE, 85u) X(14336u, 73u) X(4 * PAGE, 63u)      \
	X(5 * PAGE, 51u) X(6 * PAGE, 42u)                                     \
	X(7 * PAGE, 36u) X(9 * PAGE, 28u) X(10 * PAGE, 25u)                   \
	X(12 * PAGE, 21u) X(14 * PAGE, 18u) X(17 * PAGE, 15u)                 \
	X(20 * PAGE, 12u) X(24 * PAGE, 10u) X(28 * PAGE, 9u)                  \
	X(33 * PAGE, 7u) X(40 * PAGE, 6u) X(48 * PAGE, 5u) X(56 * PAGE, 4u)   \
	X(65 * PAGE, 3u) X(80 * PAGE, 3u) X(96 * PAGE, 2u)                    \
	X(112 * PAGE, 2u) X(129 * PAGE, 1u) X(160 * PAGE, 1u)                 \
	X(192 * PAGE, 1u) X(224 * PAGE, 1u) X(255 * PAGE, 1u)

/* What each block is aligned to: all that divides its size, up to a page. */
#define ALIGN_OF(size) \
	(((size) & -(size)) < PAGE ? ((size) & -(size)) : PAGE)

#define FIRST(size, n)                                                        \
	(((n) * (unsigned)sizeof(struct mpr_block) + ALIGN_OF(size) - 1) /    \
	 ALIGN_OF(size) * ALIGN_OF(size))

#define CUT(size, n) { size, n, FIRST(size, n), MPR_INVERSE((size) / 64) },
#define IS_CUT_WELL(size, n)                                                  \
	static_assert(FIRST(size, n) + (n) * (size) <= MPR_EXTENT_SIZE &&     \
		      FIRST(size, (n) + 1) + ((n) + 1) * (size) >             \
			      MPR_EXTENT_SIZE,                                \
		      "as many as fit");                                      \
	static_assert((size) % 64 == 0, "see number_of()");

/* Not const: it lies on the page that a started child writes anyway. */
MPR_CHILD_DATA static struct geometry classes[] = { CLASSES(CUT) };
CLASSES(IS_CUT_WELL)

static_assert(255 * PAGE == MPR_BLOCK_MAX, "the class fills an extent");
static_assert(MPR_ARRAY_LEN(classes) == MPR_CLASSES, "a hint for each");

/* The smallest class that holds @size bytes, at most MPR_BLOCK_MAX. */
static unsigned
class_for(size_t size)
{
	unsigned class = 0;

	while (classes[class].size < size)
		class++;
	return class;
}

size_t
mpr_slab_size_for(size_t size, size_t align)
{
	if (size > MPR_BLOCK_MAX)
		return size;
	for (unsigned class = class_for(size); class < MPR_CLASSES;
	     class++)
		if (ALIGN_OF(classes[class].size) >= align)
			return classes[class].size;
	/* Runs begin at multiples of an extent. */
	return MPR_BLOCK_MAX + 1;
}

static struct mpr_block *
block_at(const mproc_arena *a, uint32_t extent, uint32_t i)
{
	return (struct mpr_block *)mpr_arena_at(a, mpr_extent_offset(extent)) +
	       i;
}

/* The number of the block that starts at @offset; UINT32_MAX if none does. What lies
 * before the first one is far behind the last. Sizes are multiples of 64. */
static inline uint32_t
number_of(const struct geometry *g, uint64_t offset)
{
	uint32_t at = (uint32_t)(offset - MPR_HEAP_AT) & (MPR_EXTENT_SIZE - 1);
	uint32_t i = mpr_divide((at - g->first) / 64, g->inverse);

	return i < g->n && i * g->size == at - g->first ? i : UINT32_MAX;
}

static unsigned
class_of(uint64_t use)
{
	return (unsigned)(use & ~MPR_EXTENT_LAZY) - 1;
}

/* Whether @extent is a slab, and of which use. */
static inline bool
is_slab(const mproc_arena *a, uint32_t extent, uint64_t *ret_use)
{
	struct mpr_extent *x = mpr_extent_at(a, extent);
	uint64_t word, use;

	/* Acquire pairs with the releases in mpr_extent_finish(), here and below:
	 * the slab is there before it can be seen. */
	word = atomic_load_explicit(&x->state, memory_order_acquire);
	if (mpr_owner_state(word) != MPR_EXTENT_USED)
		return false;
	use = atomic_load_explicit(&x->use, memory_order_acquire);
	if ((use & ~MPR_EXTENT_LAZY) - 1 >= MPR_CLASSES)
		return false;
	/* It may have been another use's, between the stores of its maker.
	 * Acquire: who finds nothing asks then whether that was ever so. */
	if (atomic_load_explicit(&x->state, memory_order_acquire) != word)
		return false;
	*ret_use = use;
	return true;
}

static bool
cas(_Atomic uint64_t *word, uint64_t from, uint64_t to)
{
	return atomic_compare_exchange_strong(word, &from, to);
}

/* FREE to BUSY and ours. */
static bool
claim(const struct mpr_self *self, struct mpr_block *b)
{
	/* seq_cst, for who has marked the slab: see claim_in_slab(). */
	uint64_t word = atomic_load(&b->state);

	return mpr_owner_state(word) == MPR_BLOCK_FREE &&
	       cas(&b->state, word,
		   mpr_owner(mpr_owner_epoch(word), self->slot,
			     MPR_BLOCK_BUSY));
}

/* The block number @i of the slab, if it is free. */
static bool
claim_one(mproc_arena *a, struct mpr_self *self, uint32_t extent, uint32_t i,
	  const struct geometry *g, struct mpr_block_ref *ret_ref)
{
	struct mpr_block *b = block_at(a, extent, i);

	if (!claim(self, b))
		return false;
	/* From its last use. Killed before this: see settle(). */
	atomic_store_explicit(&b->home, 0, memory_order_release);
	ret_ref->block = b;
	ret_ref->offset = mpr_extent_offset(extent) + g->first +
			  (uint64_t)i * g->size;
	ret_ref->size = g->size;
	return true;
}

/* Claims the first free block of the slab from number @i on, which is then BUSY. */
static bool
claim_from(mproc_arena *a, struct mpr_self *self, uint32_t extent, uint32_t i,
	   unsigned class, const struct geometry *g,
	   struct mpr_block_ref *ret_ref)
{
	for (; i < g->n; i++)
		if (claim_one(a, self, extent, i, g, ret_ref)) {
			if (!ret_ref->is_lazy)
				self->hints.next[class] = extent << 16 | (i + 1);
			return true;
		}
	return false;
}

/* The same from the first one on, unless the slab is marked. */
static bool
claim_in_slab(mproc_arena *a, struct mpr_self *self, uint32_t extent,
	      unsigned class, const struct geometry *g,
	      struct mpr_block_ref *ret_ref)
{
	_Atomic uint64_t *mark = &mpr_extent_at(a, extent)->who;

	if (atomic_load_explicit(mark, memory_order_relaxed))
		return false;
	if (claim_from(a, self, extent, 0, class, g, ret_ref))
		return true;
	/* seq_cst, and so are the loads of the blocks' words that come after it,
	 * against FREE before the load of the mark in mpr_slab_freed(): one of us
	 * sees the other. */
	atomic_store(mark, 1);
	if (!claim_from(a, self, extent, 0, class, g, ret_ref))
		return false;
	atomic_store(mark, 0);
	return true;
}

/* Where this thread expects one. */
static bool
claim_by_hint(mproc_arena *a, struct mpr_self *self, unsigned class,
	      const struct geometry *g, struct mpr_block_ref *ret_ref)
{
	struct mpr_hints *h = &self->hints;
	uint32_t next = h->next[class];

	while (class < MPR_CLASSES_SMALL && h->n_freed[class]) {
		uint32_t at = h->freed[class][--h->n_freed[class]];

		if (claim_one(a, self, at >> 16, at & 0xffff, g, ret_ref))
			return true;
	}
	h->next[class] = 0;
	/* Now and then what is lower comes first again: so many words, of blocks
	 * and of extents, are looked at for each block at most. */
	if ((next & 0xffff) %
		    ((g->n + mpr_extents_high(a)) / LOOK_BACK + 1) == 0)
		return false;
	return next && claim_from(a, self, next >> 16, next & 0xffff, class, g,
				  ret_ref);
}

void
mpr_slab_freed(const mproc_arena *a, uint64_t offset)
{
	_Atomic uint64_t *mark = &mpr_extent_at(a, mpr_extent_of(offset))->who;

	/* seq_cst, as what made it FREE. */
	if (mpr_unlikely(atomic_load(mark)))
		atomic_store(mark, 0);
}

static void
remember(struct mpr_hints *h, unsigned class, uint32_t at)
{
	if (class < MPR_CLASSES_SMALL && h->n_freed[class] < MPR_HINTS)
		h->freed[class][h->n_freed[class]++] = at;
	else if (at < h->next[class])
		h->next[class] = at;
}

void
mpr_slab_remember(const mproc_arena *a, struct mpr_self *self,
		  const struct mpr_block_ref *ref)
{
	uint32_t extent = mpr_extent_of(ref->offset);

	self->hints.bytes += ref->size;
	remember(&self->hints, class_for(ref->size), extent << 16 |
		 (uint32_t)(ref->block - block_at(a, extent, 0)));
}

/*
 * At once: blocks of the first classes, whose sizes are the multiples of 64, and the
 * thread has freed them last. No call but for the clock, one locked instruction each.
 */
#define AT_ONCE_MAX 512

/* Fewer than nine: no call is worth it. */
static void
wipe(unsigned char *p, unsigned lines)
{
	for (unsigned i = 0; i < lines; i++)
		memset(p + i * 64, 0, 64);
}

void *
mpr_slab_alloc_at_once(size_t size)
{
	struct mpr_self *self = mpr_self_at_once();
	unsigned class = (unsigned)((size - 1) / 64);
	const struct geometry *g;
	uint64_t word, ours;
	struct mpr_block *b;
	uint32_t at, end;
	mproc_arena *a;
	void *p = NULL;

	if (size - 1 >= AT_ONCE_MAX || !self || !self->hints.n_freed[class] ||
	    mpr_checks())
		return NULL;
	a = self->arena;
	g = &classes[class];
	at = self->hints.freed[class][--self->hints.n_freed[class]];
	b = block_at(a, at >> 16, at & 0xffff);
	/* As enter_heap() and the rest of arena/heap.c. */
	atomic_store_explicit(&self->shared->in_heap, 1, memory_order_relaxed);
	word = atomic_load_explicit(&b->state, memory_order_relaxed);
	ours = mpr_owner(mpr_owner_epoch(word), self->slot, MPR_BLOCK_BUSY);
	if (mpr_owner_state(word) == MPR_BLOCK_FREE && cas(&b->state, word, ours)) {
		/* As in claim_one(). */
		atomic_store_explicit(&b->home, 0, memory_order_release);
		end = g->first + ((at & 0xffff) + 1) * g->size;
		p = mpr_arena_at(a, mpr_extent_offset(at >> 16) + end - g->size);
		/* Its memory may have gone back. */
		if (mpr_likely(mpr_extent_has(a, at >> 16, end))) {
			wipe(p, class + 1);
			atomic_store_explicit(&b->who, (uint64_t)self->tid << 32 |
						       self->pid,
					      memory_order_relaxed);
			atomic_store_explicit(&b->home,
					      mpr_birth(mpr_now_roughly(),
							g->size - size, 0),
					      memory_order_relaxed);
			/* Release pairs with the acquire of who asks for its
			 * birth, and with the CAS that frees it. */
			atomic_store_explicit(&b->state,
					      mpr_owner_with_state(
						      ours, MPR_BLOCK_LIVE),
					      memory_order_release);
		} else {
			atomic_store(&b->state, mpr_owner_freed(ours));
			mpr_slab_freed(a, mpr_arena_offset(a, p));
			p = NULL;
		}
	}
	atomic_store_explicit(&self->shared->in_heap, 0, memory_order_release);
	return p;
}

struct mpr_self *
mpr_slab_free_at_once(const void *p)
{
	struct mpr_self *self = mpr_self_at_once();
	uint64_t offset, use, word, birth;
	uint32_t extent, i;
	const struct geometry *g;
	struct mpr_block *b;
	mproc_arena *a;

	if (!self)
		return NULL;
	a = self->arena;
	offset = (uintptr_t)p - (uintptr_t)a->shmem.base;
	extent = mpr_extent_of(offset);
	if (offset < MPR_HEAP_AT || offset >= a->shmem.size ||
	    extent >= mpr_extents_high(a) || !is_slab(a, extent, &use) ||
	    use - 1 >= AT_ONCE_MAX / 64)
		return NULL;
	g = &classes[use - 1];
	if ((i = number_of(g, offset)) == UINT32_MAX)
		return NULL;
	b = block_at(a, extent, i);
	/* Acquire pairs with the release of LIVE: the birth is this one's. */
	word = atomic_load_explicit(&b->state, memory_order_acquire);
	birth = atomic_load_explicit(&b->home, memory_order_relaxed);
	if (mpr_owner_state(word) != MPR_BLOCK_LIVE || !mpr_birth_is(birth, 0) ||
	    birth & (MPR_BIRTH_VALUE | MPR_BIRTH_GUARDED) ||
	    !cas(&b->state, word, mpr_owner_freed(word)))
		return NULL;
	mpr_slab_freed(a, offset);
	remember(&self->hints, (unsigned)use - 1, extent << 16 | i);
	self->hints.bytes += g->size;
	return self;
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
	/* What was an object's before is no reason to keep all the blocks. */
	mpr_extent_need_not_keep(a, (uint32_t)extent);
	/* What a run has there is no mark. */
	atomic_store(&mpr_extent_at(a, (uint32_t)extent)->who, 0);
	mpr_extent_finish(a, (uint32_t)extent, use);
	return extent;
}

static bool
claim_anywhere(mproc_arena *a, struct mpr_self *self, uint64_t use,
	       const struct geometry *g, struct mpr_block_ref *ret_ref)
{
	uint32_t high = mpr_extents_high(a);
	uint64_t other;

	for (uint32_t i = 0; i < high; i++)
		if (is_slab(a, i, &other) && other == use &&
		    claim_in_slab(a, self, i, class_of(use), g, ret_ref))
			return true;
	return false;
}

/* Where no extent is left for a slab: a block of one that has larger ones. */
static bool
claim_larger(mproc_arena *a, struct mpr_self *self, unsigned class, bool lazy,
	     struct mpr_block_ref *ret_ref)
{
	uint32_t align = ALIGN_OF(classes[class].size);

	while (++class < MPR_CLASSES)
		if (ALIGN_OF(classes[class].size) >= align &&
		    claim_anywhere(a, self,
				   (class + 1) | (lazy ? MPR_EXTENT_LAZY : 0),
				   &classes[class], ret_ref))
			return true;
	return false;
}

void
mpr_slabs_unmark(const mproc_arena *a)
{
	uint32_t high = mpr_extents_high(a);
	uint64_t use;

	for (uint32_t i = 0; i < high; i++)
		if (is_slab(a, i, &use))
			mpr_slab_freed(a, mpr_extent_offset(i));
}

int
mpr_slab_reserve(mproc_arena *a, struct mpr_self *self, size_t size, bool lazy,
		 struct mpr_block_ref *ret_ref)
{
	unsigned class = class_for(size);
	const struct geometry *g;
	uint64_t use;
	int64_t made;

	while (lazy && classes[class].size > PAGE && classes[class].size % PAGE)
		class++;
	g = &classes[class];
	use = (class + 1) | (lazy ? MPR_EXTENT_LAZY : 0);

	ret_ref->is_lazy = lazy;
	if ((!lazy && claim_by_hint(a, self, class, g, ret_ref)) ||
	    claim_anywhere(a, self, use, g, ret_ref))
		return 0;
	/* What is of no use goes back to the kernel before more is taken. Others
	 * may empty a new slab before we look. */
	mpr_slabs_trim(a, self);
	do {
		made = make_slab(a, self, use, g);
		if (made >= 0)
			continue;
		mpr_slabs_unmark(a);
		return claim_anywhere(a, self, use, g, ret_ref) ||
				       claim_larger(a, self, class, lazy,
						    ret_ref) ?
			       0 : (int)made;
	} while (!claim_in_slab(a, self, (uint32_t)made, class, g, ret_ref));
	return 0;
}

/* A block that is ours to FREE. */
static void
let_go(const mproc_arena *a, const struct mpr_block_ref *ref)
{
	atomic_store(&ref->block->state,
		     mpr_owner_freed(atomic_load(&ref->block->state)));
	mpr_slab_freed(a, ref->offset);
}

static bool
has_memory(const mproc_arena *a, const struct mpr_block_ref *ref)
{
	uint32_t extent = mpr_extent_of(ref->offset);

	return mpr_extent_has(a, extent, ref->offset + ref->size -
						 mpr_extent_offset(extent));
}

/* Claims the first free block of the slab that has memory. */
static bool
claim_with_memory(mproc_arena *a, struct mpr_self *self, uint32_t extent,
		  const struct geometry *g, struct mpr_block_ref *ret_ref)
{
	for (uint32_t i = 0; i < g->n; i++) {
		if (!mpr_extent_has(a, extent, g->first + (i + 1) * g->size))
			return false;
		if (!claim_one(a, self, extent, i, g, ret_ref))
			continue;
		/* Asked again: it may have gone back meanwhile. */
		if (has_memory(a, ret_ref))
			return true;
		let_go(a, ret_ref);
	}
	return false;
}

/* The same in any slab with blocks of @class or larger ones. */
static bool
claim_any_with_memory(mproc_arena *a, struct mpr_self *self, unsigned class,
		      struct mpr_block_ref *ret_ref)
{
	uint32_t align = ALIGN_OF(classes[class].size);
	uint32_t high = mpr_extents_high(a);
	uint64_t use;

	for (; class < MPR_CLASSES; class++)
		for (uint32_t i = 0; i < high; i++)
			if (ALIGN_OF(classes[class].size) >= align &&
			    is_slab(a, i, &use) && use == class + 1 &&
			    claim_with_memory(a, self, i, &classes[class],
					      ret_ref))
				return true;
	return false;
}

int
mpr_slab_back(mproc_arena *a, struct mpr_self *self, struct mpr_block_ref *ref)
{
	uint32_t extent = mpr_extent_of(ref->offset);
	uint64_t end = ref->offset - mpr_extent_offset(extent) + ref->size;
	struct mpr_block_ref other = { .is_lazy = false };
	int r;

	if (mpr_likely(mpr_extent_has(a, extent, end)))
		return 0;
	/* As before a new slab is made: here is one without memory. */
	if (!mpr_extent_has(a, extent, classes[class_for(ref->size)].first + PAGE))
		mpr_slabs_trim(a, self);
	r = mpr_extent_back(a, extent, end);
	if (mpr_likely(r == 0))
		return 0;
	if (claim_any_with_memory(a, self, class_for(ref->size), &other))
		r = 0;
	let_go(a, ref);
	*ref = other;
	return r;
}

/* Whether a block of the slab is in one of @states, a bit for each. */
static bool
has_any(const mproc_arena *a, uint32_t extent, const struct geometry *g,
	unsigned states)
{
	for (uint32_t i = 0; i < g->n; i++)
		if (states >> mpr_owner_state(atomic_load_explicit(
				      &block_at(a, extent, i)->state,
				      memory_order_relaxed)) & 1)
			return true;
	return false;
}

bool
mpr_slab_is_to_come(const mproc_arena *a, size_t size, struct mpr_patience *p)
{
	uint32_t high = mpr_extents_high(a);
	bool was_quiet = p->is_quiet;
	int64_t now = mproc_now();
	uint64_t use;

	if (!p->until)
		p->until = now + PATIENCE;
	p->is_quiet = true;
	for (uint32_t i = 0; i < high && p->is_quiet; i++)
		p->is_quiet = !is_slab(a, i, &use) || use & MPR_EXTENT_LAZY ||
			      classes[class_of(use)].size < size ||
			      !has_any(a, i, &classes[class_of(use)],
				       1U << MPR_BLOCK_BUSY);
	if (!p->is_quiet)
		mpr_task_yield();
	/* What was in hands may be free since: that has to be looked at. */
	return now < p->until && !(was_quiet && p->is_quiet);
}

MPR_CHILD_PATH bool
mpr_slab_find(const mproc_arena *a, uint64_t offset,
	      struct mpr_block_ref *ret_ref)
{
	uint32_t extent = mpr_extent_of(offset), i;
	const struct geometry *g;
	uint64_t use;

	if (!mpr_arena_has(a, offset, 1) || extent >= mpr_extents_high(a) ||
	    !is_slab(a, extent, &use))
		return false;
	g = &classes[class_of(use)];
	if ((i = number_of(g, offset)) == UINT32_MAX)
		return false;
	*ret_ref = (struct mpr_block_ref){
		.block = block_at(a, extent, i),
		.offset = offset,
		.size = g->size,
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
	g = classes[class_of(use)];
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
	g = classes[class_of(use)];
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
	mpr_slab_freed(a, offset);
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
		g = classes[class_of(use)];
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

/* Blocks [0, @n), which are ours, to FREE. */
static void
free_first(const mproc_arena *a, uint32_t extent, uint32_t n)
{
	while (n--) {
		struct mpr_block *b = block_at(a, extent, n);

		atomic_store(&b->state,
			     mpr_owner_freed(atomic_load(&b->state)));
	}
	mpr_slab_freed(a, mpr_extent_offset(extent));
}

/*
 * Whoever claims a block after this finds it with an epoch, so it is wiped, and
 * asks whether it has memory. Killed on the way, all blocks are FREE again by
 * recovery: they are BUSY and have no home.
 */
static void
trim(mproc_arena *a, const struct mpr_self *self, uint32_t extent,
     const struct geometry *g)
{
	uint32_t n = 0;

	while (n < g->n && claim(self, block_at(a, extent, n)))
		n++;
	if (n == g->n && !mpr_extent_is_kept(a, extent))
		mpr_extent_unback(a, extent, g->first);
	free_first(a, extent, n);
}

void
mpr_slabs_trim_between(mproc_arena *a, const struct mpr_self *self,
		       uint32_t from, uint32_t end, uint64_t *passed)
{
	uint64_t use;

	static_assert(MPR_CLASSES < 64, "a bit for each");
	if (a->shmem.stays)
		return;
	for (uint32_t i = from; i < end; i++) {
		struct geometry g;

		if (!is_slab(a, i, &use) || use & MPR_EXTENT_LAZY ||
		    mpr_extent_is_kept(a, i))
			continue;
		g = classes[class_of(use)];
		if (!mpr_extent_has(a, i, g.first + PAGE) ||
		    has_any(a, i, &g, ~(1U << MPR_BLOCK_FREE)))
			continue;
		if (*passed >> class_of(use) & 1)
			trim(a, self, i, &g);
		*passed |= UINT64_C(1) << class_of(use);
	}
}

void
mpr_slabs_trim(mproc_arena *a, const struct mpr_self *self)
{
	uint64_t all = UINT64_MAX;

	mpr_extents_trim(a, self);
	mpr_slabs_trim_between(a, self, 0, mpr_extents_high(a), &all);
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
		g = classes[class_of(use)];
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
