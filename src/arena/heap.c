/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "arena/extent.h"
#include "arena/heap.h"
#include "arena/slab.h"
#include "base/error.h"
#include "base/log.h"
#include "base/owner.h"
#include "os/thread.h"

#define PAGE 4096

static bool
cas(_Atomic uint64_t *word, uint64_t from, uint64_t to)
{
	return atomic_compare_exchange_strong(word, &from, to);
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

int
mpr_heap_reserve(mproc_arena *a, struct mpr_self *self, size_t size,
		 struct mpr_block_ref *ret_ref)
{
	struct mpr_block_ref ref;
	int r;

	if (size > MPR_BLOCK_MAX)
		return mpr_fail(-ENOMEM, "a block of %zu bytes", size);
	enter_heap(self);
	r = mpr_slab_reserve(a, self, size, false, &ref);
	if (r < 0) {
		leave_heap(self);
		return r;
	}
	r = mpr_slab_back(a, &ref);
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
	r = mpr_slab_reserve(a, self, size, true, &ref);
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
		     mpr_owner_freed(atomic_load(&ref->block->state)));
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
		mpr_owner(mpr_owner_epoch(mpr_owner_freed(word)), self->slot,
			  MPR_BLOCK_BUSY)))
		return true;
	leave_heap(self);
	return false;
}

bool
mpr_heap_find(const mproc_arena *a, uint64_t offset,
	      struct mpr_block_ref *ret_ref)
{
	return mpr_slab_find(a, offset, ret_ref);
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
		return cas(&ref.block->state, word, mpr_owner_freed(word)) ? 0 : -EINVAL;
	}
	if (!mpr_arena_has(a, offset, 1))
		return -EINVAL;
	r = mpr_self(a, &self);
	if (r < 0)
		return r;
	return free_run(a, self, offset) ? 0 : -EINVAL;
}

void
mpr_heap_recover(mproc_arena *a, unsigned slot, uint64_t ident)
{
	/* Acquire pairs with the release in leave_heap(). */
	if (!atomic_load_explicit(&mpr_participant_at(a, slot)->in_heap,
				  memory_order_acquire))
		return;
	mpr_slabs_recover(a, slot, ident);
	mpr_extents_recover(a, slot, ident);
}

void
mpr_heap_count(mproc_arena *a, uint64_t *ret_blocks, uint64_t *ret_bytes)
{
	uint32_t high = mpr_extents_high(a);
	uint64_t blocks = 0, bytes = 0;

	mpr_slabs_count(a, &blocks, &bytes);
	for (uint32_t extent = 0; extent < high; extent++) {
		struct mpr_extent *x = mpr_extent_at(a, extent);
		uint64_t use = atomic_load(&x->use);

		if (!(use & MPR_EXTENT_RUN) ||
		    mpr_owner_state(atomic_load(&x->state)) != MPR_EXTENT_USED)
			continue;
		blocks++;
		bytes += (use & UINT32_MAX) * MPR_EXTENT_SIZE;
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
