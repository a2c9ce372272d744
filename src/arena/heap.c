/* SPDX-License-Identifier: MIT */
/*
 * First fit in the slabs of the block's size class, lowest block first, which
 * keeps the memory in use dense. Finding a block is a scan over owner words;
 * claiming it is one CAS.
 */
#include <errno.h>
#include <string.h>

#include "arena/extent.h"
#include "arena/heap.h"
#include "base/error.h"
#include "base/log.h"
#include "base/macros.h"
#include "base/owner.h"
#include "os/thread.h"

#define PAGE 4096

/*
 * Below 4 KiB, steps of a third to a half. Above, whole pages; the odd ones
 * take a lane of 2^n bytes with its header (ring/lane.h). From the first that
 * does not fit an extent on, only lazy blocks have them, one in each slab.
 */
static const uint32_t class_size[] = {
	64,	    128,	192,	    256,	384,	  512,
	768,	    1024,	1536,	    2048,	3072,	  4096,
	2 * PAGE,   3 * PAGE,	4 * PAGE,   5 * PAGE,	7 * PAGE, 9 * PAGE,
	12 * PAGE,  17 * PAGE,	24 * PAGE,  33 * PAGE,	48 * PAGE, 65 * PAGE,
	96 * PAGE,  129 * PAGE, 255 * PAGE, 511 * PAGE, 767 * PAGE, 1279 * PAGE,
};

static_assert(255 * PAGE == MPR_BLOCK_MAX, "the class fills an extent");
static_assert(1279 * PAGE == MPR_LAZY_BLOCK_MAX, "the last class");

/* How a slab is cut up. */
struct geometry {
	uint32_t size; /* of a block */
	uint32_t n;
	uint32_t first; /* offset of the first block in the slab */
	uint32_t extents;
};

/* The largest ones have a slab for each block, and a page in front of it. */
static uint32_t
extents_of(unsigned class)
{
	uint32_t size = class_size[class];

	return size > MPR_BLOCK_MAX ?
		       (size + PAGE) / (uint32_t)MPR_EXTENT_SIZE : 1;
}

static struct geometry
geometry_of(unsigned class)
{
	uint32_t size = class_size[class];
	uint32_t align = size % PAGE ? 64 : PAGE;
	uint32_t n = (uint32_t)MPR_EXTENT_SIZE /
		     (size + (uint32_t)sizeof(struct mpr_block));
	struct geometry g = { .size = size, .extents = extents_of(class) };

	if (g.extents > 1) {
		g.n = 1;
		g.first = PAGE;
		return g;
	}
	for (;; n--) {
		g.n = n;
		g.first = (uint32_t)mpr_round_up(n * sizeof(struct mpr_block),
						 align);
		if (g.first + (uint64_t)n * size <= MPR_EXTENT_SIZE)
			return g;
	}
}

/* The smallest class that holds @size bytes, which is at most
 * MPR_LAZY_BLOCK_MAX. */
static unsigned
class_for(size_t size)
{
	unsigned class = 0;

	while (class_size[class] < size)
		class++;
	return class;
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

/* Whether @extent is the first one of a slab, and of which. */
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
	/* Someone may have written where he should not: a slab that goes on
	 * behind the arena would give blocks that are not all in it. */
	if (extents_of(class_of(use)) > a->n_extents - extent)
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

static uint64_t
freed(uint64_t word)
{
	return mpr_owner((mpr_owner_epoch(word) + 1) & MPR_EPOCH_MAX, 0,
			 MPR_BLOCK_FREE);
}

/* From here on the thread may have something BUSY. Before the CAS that makes it
 * so, which orders this for whoever finds us dead. */
static void
enter_heap(struct mpr_self *self)
{
	/* Backing memory is a cancellation point. */
	self->cancel_state = mpr_thread_forbid_cancel();
	atomic_store_explicit(&self->shared->in_heap, 1, memory_order_relaxed);
}

static void
leave_heap(struct mpr_self *self)
{
	/* Release: after the store that ended it. */
	atomic_store_explicit(&self->shared->in_heap, 0, memory_order_release);
	mpr_thread_allow_cancel(self->cancel_state);
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
	int64_t extent = mpr_extent_claim(a, self, g->extents);
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

/* Claims a block of a slab with this use. */
static int
claim_block(mproc_arena *a, struct mpr_self *self, uint64_t use,
	    struct mpr_block_ref *ret_ref)
{
	struct geometry g = geometry_of(class_of(use));
	uint32_t high = mpr_extents_high(a);
	uint64_t other;
	int64_t made;

	ret_ref->is_lazy = use & MPR_EXTENT_LAZY;
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
mpr_heap_reserve(mproc_arena *a, struct mpr_self *self, size_t size,
		 struct mpr_block_ref *ret_ref)
{
	struct mpr_block_ref ref;
	uint32_t extent;
	int r;

	if (size > MPR_BLOCK_MAX)
		return mpr_fail(-ENOMEM, "a block of %zu bytes", size);
	enter_heap(self);
	r = claim_block(a, self, class_for(size) + 1, &ref);
	if (r < 0) {
		leave_heap(self);
		return r;
	}
	extent = (uint32_t)((ref.offset - MPR_HEAP_AT) / MPR_EXTENT_SIZE);
	r = mpr_extent_back(a, extent,
			    ref.offset - mpr_extent_offset(extent) + ref.size);
	if (r < 0) {
		mpr_block_cancel(self, &ref);
		return r;
	}
	/* A block's first use finds the slab's zeroes. */
	if (mpr_owner_epoch(atomic_load(&ref.block->state)))
		memset(mpr_arena_at(a, ref.offset), 0, ref.size);
	*ret_ref = ref;
	return 0;
}

int
mpr_heap_reserve_lazy(mproc_arena *a, struct mpr_self *self, size_t size,
		      size_t now, struct mpr_block_ref *ret_ref)
{
	struct mpr_block_ref ref;
	int r;

	if (size > MPR_LAZY_BLOCK_MAX)
		return mpr_fail(-ENOMEM, "a block of %zu bytes", size);
	enter_heap(self);
	r = claim_block(a, self, MPR_EXTENT_LAZY | (class_for(size) + 1), &ref);
	if (r < 0) {
		leave_heap(self);
		return r;
	}
	r = mpr_heap_back(a, ref.offset, now);
	if (r < 0) {
		mpr_block_cancel(self, &ref);
		return r;
	}
	*ret_ref = ref;
	return 0;
}

int
mpr_heap_back(const mproc_arena *a, uint64_t offset, size_t len)
{
	return mpr_shmem_back(&a->shmem, offset, len);
}

void
mpr_block_set_home(mproc_arena *a, const struct mpr_block_ref *ref,
		   const _Atomic uint64_t *home)
{
	/* Release pairs with the acquire in settle(): the home is known before
	 * the link can be made. */
	atomic_store_explicit(&ref->block->home, mpr_arena_offset(a, home),
			      memory_order_release);
}

/* BUSY to @state. */
static void
finish(struct mpr_self *self, const struct mpr_block_ref *ref,
       unsigned state)
{
	uint64_t word = atomic_load(&ref->block->state);

	atomic_store(&ref->block->state, mpr_owner_with_state(word, state));
	leave_heap(self);
}

int
mpr_block_append(mproc_arena *a, struct mpr_self *self,
		 const struct mpr_block_ref *ref, _Atomic uint64_t *link,
		 size_t next_at, unsigned max)
{
	for (unsigned n = 0; n <= max; n++) {
		uint64_t other = 0;

		mpr_block_set_home(a, ref, link);
		/* Release pairs with the acquire of who walks the list: the
		 * element is initialised. */
		if (atomic_compare_exchange_strong(link, &other, ref->offset)) {
			finish(self, ref, MPR_BLOCK_LINKED);
			return 0;
		}
		if (other % sizeof(*link) ||
		    !mpr_arena_has(a, other, next_at + sizeof(*link)))
			break;
		link = mpr_arena_at(a, other + next_at);
	}
	mpr_block_cancel(self, ref);
	return mpr_fail(-EBADMSG, "a list in shared memory is corrupt");
}

void
mpr_block_commit(struct mpr_self *self, const struct mpr_block_ref *ref)
{
	finish(self, ref, MPR_BLOCK_LIVE);
}

void
mpr_block_cancel(struct mpr_self *self, const struct mpr_block_ref *ref)
{
	/*
	 * As long as it is ours: the next owner's memory is not. The first page
	 * stays. Someone slow, who believes that the block is what it was, may
	 * still look at the words there, and to look at a page that is gone
	 * allocates it, or raises SIGBUS where there is no memory.
	 */
	if (ref->is_lazy && ref->size > PAGE)
		mpr_shmem_discard(&self->arena->shmem, ref->offset + PAGE,
				  ref->size - PAGE);
	atomic_store(&ref->block->state,
		     freed(atomic_load(&ref->block->state)));
	leave_heap(self);
}

bool
mpr_block_retire(mproc_arena *a, struct mpr_self *self,
		 const struct mpr_block_ref *ref, const _Atomic uint64_t *home)
{
	uint64_t word = atomic_load(&ref->block->state);

	if (mpr_owner_state(word) != MPR_BLOCK_LINKED)
		return false;
	/* The home goes first: BUSY with an old home would free a block that
	 * is still linked. Nobody else retires a block of this object. */
	mpr_block_set_home(a, ref, home);
	enter_heap(self);
	/* A new epoch: this slot may have had the block BUSY before. */
	if (cas(&ref->block->state, word,
		mpr_owner(mpr_owner_epoch(freed(word)), self->slot,
			  MPR_BLOCK_BUSY)))
		return true;
	leave_heap(self);
	return false;
}

bool
mpr_heap_find(const mproc_arena *a, uint64_t offset,
	      struct mpr_block_ref *ret_ref)
{
	struct geometry g;
	uint32_t extent, in_extent;
	uint64_t use;

	if (!mpr_arena_has(a, offset, 1))
		return false;
	extent = (uint32_t)((offset - MPR_HEAP_AT) / MPR_EXTENT_SIZE);
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
mpr_heap_is_linked(const mproc_arena *a, uint64_t offset, size_t size)
{
	struct mpr_block_ref ref;
	unsigned state;

	if (!mpr_heap_find(a, offset, &ref) || ref.size < size)
		return false;
	state = mpr_owner_state(atomic_load(&ref.block->state));
	return state == MPR_BLOCK_LINKED || state == MPR_BLOCK_BUSY;
}

static int
alloc_run(mproc_arena *a, struct mpr_self *self, size_t size,
	  void **ret_p)
{
	uint32_t n = (uint32_t)((size + MPR_EXTENT_SIZE - 1) / MPR_EXTENT_SIZE);
	int64_t first;
	int r;

	enter_heap(self);
	/* All of it at once: the extents are backed one by one, and half of a
	 * run that cannot be had might use up what others need. */
	r = mpr_shmem_ask(&a->shmem, n * MPR_EXTENT_SIZE);
	first = r < 0 ? r : mpr_extent_claim(a, self, n);
	if (first < 0) {
		leave_heap(self);
		return (int)first;
	}
	for (uint32_t i = 0; i < n && r == 0; i++)
		r = mpr_extent_back(a, (uint32_t)first + i, MPR_EXTENT_SIZE);
	if (r < 0) {
		mpr_extent_release(a, (uint32_t)first);
		leave_heap(self);
		return r;
	}
	*ret_p = mpr_arena_at(a, mpr_extent_offset((uint32_t)first));
	mpr_extent_finish(a, (uint32_t)first, MPR_EXTENT_RUN | n);
	leave_heap(self);
	return 0;
}

static bool
free_run(mproc_arena *a, struct mpr_self *self, uint64_t offset)
{
	uint32_t extent =
		(uint32_t)((offset - MPR_HEAP_AT) / MPR_EXTENT_SIZE);
	uint64_t use;
	bool retired;

	if ((offset - MPR_HEAP_AT) % MPR_EXTENT_SIZE ||
	    extent >= mpr_extents_high(a))
		return false;
	use = atomic_load(&mpr_extent_at(a, extent)->use);
	if (!(use & MPR_EXTENT_RUN))
		return false;
	enter_heap(self);
	retired = mpr_extent_retire(a, self, extent, use);
	if (retired)
		mpr_extent_release(a, extent);
	leave_heap(self);
	return retired;
}

int
mpr_heap_alloc(mproc_arena *a, size_t size, void **ret_p)
{
	struct mpr_block_ref ref;
	struct mpr_self *self;
	int r;

	r = mpr_self(a, &self);
	if (r < 0)
		return r;
	if (size > a->shmem.size)
		return mpr_fail(-ENOMEM, "a block of %zu bytes in an arena of "
				"%zu", size, a->shmem.size);
	if (size > MPR_BLOCK_MAX)
		return alloc_run(a, self, size, ret_p);
	r = mpr_heap_reserve(a, self, size, &ref);
	if (r < 0)
		return r;
	mpr_block_commit(self, &ref);
	*ret_p = mpr_arena_at(a, ref.offset);
	return 0;
}

int
mpr_heap_free(mproc_arena *a, void *p)
{
	uint64_t offset = mpr_arena_offset(a, p), word;
	struct mpr_block_ref ref;
	struct mpr_self *self;
	int r;

	if (mpr_heap_find(a, offset, &ref)) {
		word = atomic_load(&ref.block->state);
		if (mpr_owner_state(word) != MPR_BLOCK_LIVE)
			return -EINVAL;
		return cas(&ref.block->state, word, freed(word)) ? 0 : -EINVAL;
	}
	if (!mpr_arena_has(a, offset, 1))
		return -EINVAL;
	r = mpr_self(a, &self);
	if (r < 0)
		return r;
	return free_run(a, self, offset) ? 0 : -EINVAL;
}

/* Whether @home can be the offset of a word that links blocks. */
static bool
is_home(const mproc_arena *a, uint64_t home)
{
	if (home % sizeof(uint64_t))
		return false;
	return (home && home < MPR_PARTICIPANTS_AT) ||
	       mpr_arena_has(a, home, sizeof(uint64_t));
}

/* What becomes of a BUSY block whose owner is dead: its home knows. */
static void
settle(mproc_arena *a, struct mpr_block *b, uint64_t word, uint64_t offset)
{
	/* Acquire pairs with the release in mpr_block_set_home(). */
	uint64_t home = atomic_load_explicit(&b->home, memory_order_acquire);
	const _Atomic uint64_t *link;

	if (is_home(a, home)) {
		link = mpr_arena_at(a, home);
		if (atomic_load(link) == offset) {
			cas(&b->state, word,
			    mpr_owner_with_state(word, MPR_BLOCK_LINKED));
			return;
		}
	}
	/* A home from the block's last use, if the owner died before it cleared
	 * it, does no harm: the block was unlinked there before it was freed. */
	cas(&b->state, word, freed(word));
}

void
mpr_heap_recover(mproc_arena *a, unsigned slot, uint64_t ident)
{
	uint32_t high = mpr_extents_high(a);
	uint64_t use;

	/* Acquire pairs with the release in leave_heap(). */
	if (!atomic_load_explicit(&mpr_participant_at(a, slot)->in_heap,
				  memory_order_acquire))
		return;
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
	mpr_extents_recover(a, slot, ident);
}

void
mpr_heap_count(mproc_arena *a, uint64_t *ret_blocks, uint64_t *ret_bytes)
{
	uint32_t high = mpr_extents_high(a);
	uint64_t blocks = 0, bytes = 0, use;

	for (uint32_t extent = 0; extent < high; extent++) {
		struct mpr_extent *x = mpr_extent_at(a, extent);
		struct geometry g;

		if (is_slab(a, extent, &use)) {
			g = geometry_of(class_of(use));
			for (uint32_t i = 0; i < g.n; i++) {
				if (mpr_owner_state(atomic_load(
					    &block_at(a, extent, i)->state)) ==
				    MPR_BLOCK_FREE)
					continue;
				blocks++;
				bytes += g.size;
			}
		} else if (mpr_owner_state(atomic_load(&x->state)) ==
			   MPR_EXTENT_USED) {
			use = atomic_load(&x->use);
			blocks++;
			bytes += (use & UINT32_MAX) * MPR_EXTENT_SIZE;
		}
	}
	*ret_blocks = blocks;
	*ret_bytes = bytes;
}

void *
mproc_alloc(size_t size)
{
	mproc_arena *a;
	void *p = NULL;
	int r = size ? mpr_arena_get(&a) :
		       mpr_fail(-EINVAL, "a block of 0 bytes");

	if (r == 0)
		r = mpr_heap_alloc(a, size, &p);
	if (r < 0) {
		errno = -r;
		return NULL;
	}
	return p;
}

void
mproc_free(void *p)
{
	mproc_arena *a = mpr_arena_peek();

	if (!p)
		return;
	if (!a || mpr_heap_free(a, p) < 0)
		mpr_log(MPROC_LOG_ERROR, "mproc_free(%p): no allocated block "
			"starts there", p);
}
