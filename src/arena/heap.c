/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "arena/check.h"
#include "arena/extent.h"
#include "arena/heap.h"
#include "arena/run.h"
#include "arena/slab.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/owner.h"
#include "os/clock.h"
#include "os/thread.h"

/* A thread that has freed that much looks whether there are empty slabs. */
#define TRIM_AFTER MPR_EXTENT_SIZE

/* Among so many extents at a time: beyond these, of n slabs' memory that of n / 1024
 * more stays for a while, and freeing costs the same with any number of them. */
#define TRIM_LOOKS 1024

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

static int
reserve_run(mproc_arena *a, struct mpr_self *self, size_t size, size_t now,
	    struct mpr_block_ref *ret_ref)
{
	int r;

	enter_heap(self);
	/* What is of no use goes back first. */
	mpr_slabs_trim(a, self);
	r = mpr_run_reserve(a, self, size, now, ret_ref);
	if (r < 0)
		leave_heap(self);
	return r;
}

static int
check_size(const mproc_arena *a, size_t size)
{
	return size <= a->shmem.size ?
		       0 : mpr_fail(-ENOMEM, "a block of %zu bytes in an arena "
				    "of %zu", size, a->shmem.size);
}

static int
reserve_in_slab(mproc_arena *a, struct mpr_self *self, size_t size,
		struct mpr_block_ref *ret_ref)
{
	int r = mpr_slab_reserve(a, self, size, false, ret_ref);

	return r < 0 ? r : mpr_slab_back(a, self, ret_ref);
}

int
mpr_heap_reserve_dirty(mproc_arena *a, struct mpr_self *self, size_t size,
		       struct mpr_block_ref *ret_ref)
{
	struct mpr_block_ref ref;
	struct mpr_patience patience = { 0 };
	int r;

	r = check_size(a, size);
	if (r < 0)
		return r;
	if (size > MPR_BLOCK_MAX)
		return reserve_run(a, self, size,
				   mpr_round_up(size, MPR_EXTENT_SIZE),
				   ret_ref);
	enter_heap(self);
	do
		r = reserve_in_slab(a, self, size, &ref);
	while (mpr_unlikely(r < 0) && mpr_slab_is_to_come(a, size, &patience));
	if (r < 0) {
		leave_heap(self);
		return r;
	}
	*ret_ref = ref;
	return 0;
}

int
mpr_heap_reserve(mproc_arena *a, struct mpr_self *self, size_t size,
		 struct mpr_block_ref *ret_ref)
{
	int r = mpr_heap_reserve_dirty(a, self, size, ret_ref);

	/* A block's first use finds the slab's zeroes, and runs are zero. */
	if (r == 0 && ret_ref->block &&
	    mpr_owner_epoch(atomic_load(&ret_ref->block->state)))
		memset(mpr_arena_at(a, ret_ref->offset), 0, ret_ref->size);
	return r;
}

int
mpr_heap_reserve_lazy(mproc_arena *a, struct mpr_self *self, size_t size,
		      size_t now, struct mpr_block_ref *ret_ref)
{
	struct mpr_block_ref ref;
	int r;

	r = check_size(a, size);
	if (r < 0)
		return r;
	if (size > MPR_BLOCK_MAX)
		return reserve_run(a, self, size, now, ret_ref);
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
	return mpr_extents_back(a, offset, len);
}

void
mpr_block_set_home(mproc_arena *a, const struct mpr_block_ref *ref,
		   const _Atomic uint64_t *home)
{
	uint64_t offset = mpr_arena_offset(a, home);

	if (!ref->block) {
		mpr_run_set_home(a, ref, offset);
		return;
	}
	/* Before it can be linked: who finds it there may be slow. */
	mpr_extent_keep(a, mpr_extent_of(ref->offset));
	/* Release pairs with the acquire in settle(): the home is known before
	 * the link can be made. */
	atomic_store_explicit(&ref->block->home, offset, memory_order_release);
}

/* Where a block has them. */
struct words {
	_Atomic uint64_t *state, *home, *who;
};

static struct words
words_of(const mproc_arena *a, const struct mpr_block_ref *ref)
{
	struct mpr_extent *x;

	if (ref->block)
		return (struct words){ &ref->block->state, &ref->block->home,
				       &ref->block->who };
	x = mpr_extent_at(a, mpr_extent_of(ref->offset));
	return (struct words){ &x->state, &x->home, &x->who };
}

/* BUSY to @state. */
static void
finish(struct mpr_self *self, const struct mpr_block_ref *ref,
       unsigned state)
{
	if (ref->block)
		atomic_store(&ref->block->state,
			     mpr_owner_with_state(
				     atomic_load(&ref->block->state), state));
	else
		mpr_run_finish(self->arena, ref, state);
	leave_heap(self);
}

int
mpr_block_append(mproc_arena *a, struct mpr_self *self,
		 const struct mpr_block_ref *ref, _Atomic uint64_t *link,
		 size_t next_at, unsigned max)
{
	struct mpr_block_ref passed;

	for (unsigned n = 0; n <= max; n++) {
		uint64_t other = 0;

		mpr_block_set_home(a, ref, link);
		/* Release pairs with the acquire of who walks the list: the
		 * element is initialised. */
		/* It is there already where a signal handler has forked meanwhile:
		 * the other one of the two was faster. */
		if (atomic_compare_exchange_strong(link, &other, ref->offset) ||
		    other == ref->offset) {
			finish(self, ref, MPR_BLOCK_LINKED);
			return 0;
		}
		/* What is linked elsewhere is another list's, whose end must not
		 * get a block of ours. */
		if (!mpr_heap_find_of(a, other, link, &passed) ||
		    passed.size < next_at + sizeof(*link))
			break;
		link = mpr_arena_at(a, other + next_at);
	}
	mpr_block_cancel(self, ref);
	return mpr_fail(-EBADMSG, "a list in shared memory is corrupt");
}

bool
mpr_block_try_link(mproc_arena *a, struct mpr_self *self,
		   const struct mpr_block_ref *ref, _Atomic uint64_t *link)
{
	uint64_t none = 0;

	mpr_block_set_home(a, ref, link);
	/* As in mpr_block_append(). */
	if (!atomic_compare_exchange_strong(link, &none, ref->offset))
		return false;
	finish(self, ref, MPR_BLOCK_LINKED);
	return true;
}

void
mpr_block_link(mproc_arena *a, struct mpr_self *self,
	       const struct mpr_block_ref *ref, _Atomic uint64_t *link)
{
	mpr_block_set_home(a, ref, link);
	/* As in mpr_block_append(). */
	atomic_store(link, ref->offset);
	finish(self, ref, MPR_BLOCK_LINKED);
}

static void
sign(const struct mpr_self *self, const struct words *w)
{
	atomic_store_explicit(w->who, (uint64_t)self->tid << 32 | self->pid,
			      memory_order_relaxed);
}

void
mpr_block_commit(struct mpr_self *self, const struct mpr_block_ref *ref,
		 size_t asked, uint64_t flags)
{
	struct words w = words_of(self->arena, ref);

	/* At its end it has a lock, of which the same is true as of objects. */
	if (flags & MPR_BIRTH_VALUE && ref->block)
		mpr_extent_keep(self->arena, mpr_extent_of(ref->offset));
	else if (flags & MPR_BIRTH_VALUE)
		mpr_extent_keep_end(self->arena, mpr_extent_of(ref->offset +
							       ref->size - 1));
	if (mpr_checks())
		flags |= mpr_guard(self->arena, ref, asked, flags);
	/* Relaxed, as who reads them has seen LIVE. A birth names nothing:
	 * killed here, the block is FREE. */
	sign(self, &w);
	atomic_store_explicit(w.home,
			      mpr_birth(mpr_now_roughly(), ref->size - asked,
					flags),
			      memory_order_relaxed);
	finish(self, ref, MPR_BLOCK_LIVE);
}

uint64_t
mpr_block_who(const mproc_arena *a, const struct mpr_block_ref *ref)
{
	return atomic_load_explicit(words_of(a, ref).who, memory_order_acquire);
}

uint64_t
mpr_block_birth(const mproc_arena *a, const struct mpr_block_ref *ref)
{
	uint64_t word = atomic_load_explicit(words_of(a, ref).home,
					     memory_order_acquire);

	return mpr_birth_is(word, 0) && mpr_birth_spare(word) < ref->size ?
		       word : 0;
}

bool
mpr_block_born(const mproc_arena *a, const struct mpr_block_ref *ref,
	       uint64_t *ret_birth, uint64_t *ret_who)
{
	struct words w = words_of(a, ref);
	/* Acquire pairs with the release of LIVE in finish(). */
	uint64_t word = atomic_load_explicit(w.state, memory_order_acquire);
	uint64_t birth = mpr_block_birth(a, ref);
	uint64_t who = mpr_block_who(a, ref);

	static_assert((int)MPR_EXTENT_USED == (int)MPR_BLOCK_LIVE,
		      "one number for both");
	if (!ref->block && mpr_run_is_linked(a, ref))
		return false;
	/* Again, after the acquires: they may be the next one's. */
	if (mpr_owner_state(word) != MPR_BLOCK_LIVE ||
	    atomic_load_explicit(w.state, memory_order_relaxed) != word)
		return false;
	*ret_birth = birth;
	*ret_who = who;
	return true;
}

static void
cancel_in_slab(const mproc_arena *a, const struct mpr_block_ref *ref)
{
	/*
	 * As long as it is ours: the next owner's memory is not. The first page
	 * stays, as that of a run does (arena/extent.h).
	 */
	if (ref->is_lazy && ref->size > MPR_EXTENT_PAGE)
		mpr_shmem_discard(&a->shmem, ref->offset + MPR_EXTENT_PAGE,
				  ref->size - MPR_EXTENT_PAGE);
	/* The next owner starts without a home, which a birth is none of.
	 * Relaxed, as it sees this with the state. */
	if (!mpr_birth_is(atomic_load_explicit(&ref->block->home,
					       memory_order_relaxed), 0))
		atomic_store_explicit(&ref->block->home, 0,
				      memory_order_relaxed);
	atomic_store(&ref->block->state,
		     mpr_owner_freed(atomic_load(&ref->block->state)));
	mpr_slab_freed(a, ref->offset);
}

void
mpr_block_cancel(struct mpr_self *self, const struct mpr_block_ref *ref)
{
	if (ref->block)
		cancel_in_slab(self->arena, ref);
	else
		mpr_run_release(self->arena, ref);
	leave_heap(self);
}

static bool
take_in_slab(const struct mpr_self *self, struct mpr_block *b, unsigned state)
{
	uint64_t word = atomic_load(&b->state);

	/* A new epoch: this slot may have had the block BUSY before. */
	return mpr_owner_state(word) == state &&
	       cas(&b->state, word,
		   mpr_owner(mpr_owner_epoch(mpr_owner_freed(word)), self->slot,
			     MPR_BLOCK_BUSY));
}

/* The block that starts at @offset, and its state. */
static bool
find(const mproc_arena *a, uint64_t offset, struct mpr_block_ref *ret_ref,
     unsigned *ret_state)
{
	if (!mpr_slab_find(a, offset, ret_ref))
		return mpr_run_find(a, offset, ret_ref, ret_state);
	*ret_state = mpr_owner_state(atomic_load(&ret_ref->block->state));
	return true;
}

bool
mpr_block_retire(mproc_arena *a, struct mpr_self *self,
		 const struct mpr_block_ref *ref, const _Atomic uint64_t *home)
{
	struct mpr_block_ref same;
	unsigned state;
	bool retired;

	if (!find(a, ref->offset, &same, &state) || state != MPR_BLOCK_LINKED)
		return false;
	/* The home goes first: BUSY with an old home would free a block that
	 * is still linked. Nobody else retires a block of this object. */
	mpr_block_set_home(a, ref, home);
	enter_heap(self);
	retired = ref->block ?
			  take_in_slab(self, ref->block, MPR_BLOCK_LINKED) :
			  mpr_run_retire(a, self, ref, MPR_BLOCK_LINKED);
	if (!retired)
		leave_heap(self);
	return retired;
}

bool
mpr_heap_find_around(const mproc_arena *a, uint64_t offset,
		     struct mpr_block_ref *ret_ref, unsigned *ret_state)
{
	uint64_t start;

	if (!mpr_slab_start_of(a, offset, &start))
		start = mpr_run_start_of(a, offset);
	return find(a, start, ret_ref, ret_state);
}

bool
mpr_block_unlink(mproc_arena *a, struct mpr_self *self,
		 const struct mpr_block_ref *ref, _Atomic uint64_t *link,
		 uint64_t next)
{
	if (!mpr_block_retire(a, self, ref, link))
		return false;
	atomic_store(link, next);
	mpr_block_cancel(self, ref);
	return true;
}

MPR_CHILD_PATH bool
mpr_heap_find(const mproc_arena *a, uint64_t offset,
	      struct mpr_block_ref *ret_ref)
{
	unsigned state;

	return find(a, offset, ret_ref, &state);
}

MPR_CHILD_PATH bool
mpr_heap_find_of(const mproc_arena *a, uint64_t offset,
		 const _Atomic uint64_t *home, struct mpr_block_ref *ret_ref)
{
	uint64_t its_home;
	unsigned state;

	if (!find(a, offset, ret_ref, &state) ||
	    (state != MPR_BLOCK_LINKED && state != MPR_BLOCK_BUSY))
		return false;
	its_home = ret_ref->block ? atomic_load(&ret_ref->block->home) :
				    mpr_run_home(a, ret_ref);
	return its_home == mpr_arena_offset(a, home);
}

MPR_CHILD_PATH bool
mpr_heap_find_at(const mproc_arena *a, const _Atomic uint64_t *home,
		 struct mpr_block_ref *ret_ref)
{
	/* Acquire: the block is there before the link. */
	return mpr_heap_find_of(a, atomic_load_explicit(home,
							memory_order_acquire),
				home, ret_ref);
}

MPR_CHILD_PATH bool
mpr_heap_find_linked(const mproc_arena *a, uint64_t offset,
		     struct mpr_block_ref *ret_ref)
{
	unsigned state;

	return find(a, offset, ret_ref, &state) &&
	       (state == MPR_BLOCK_LINKED || state == MPR_BLOCK_BUSY);
}

MPR_CHILD_PATH bool
mpr_heap_is_linked(const mproc_arena *a, uint64_t offset, size_t size)
{
	struct mpr_block_ref ref;

	return mpr_heap_find_linked(a, offset, &ref) && ref.size >= size;
}

int
mpr_heap_alloc(mproc_arena *a, size_t size, size_t align, void **ret_p)
{
	struct mpr_block_ref ref;
	struct mpr_self *self;
	int r;

	r = mpr_self(a, &self);
	if (r < 0)
		return r;
	r = mpr_heap_reserve(a, self,
			     mpr_slab_size_for(mpr_check_room(size), align),
			     &ref);
	if (r < 0)
		return r;
	mpr_block_commit(self, &ref, size, 0);
	*ret_p = mpr_arena_at(a, ref.offset);
	return 0;
}

static bool
free_in_slab(const mproc_arena *a, const struct mpr_block_ref *ref)
{
	uint64_t word = atomic_load(&ref->block->state);

	if (mpr_owner_state(word) != MPR_BLOCK_LIVE ||
	    !cas(&ref->block->state, word, mpr_owner_freed(word)))
		return false;
	mpr_slab_freed(a, ref->offset);
	return true;
}

static bool
free_run(mproc_arena *a, struct mpr_self *self, const struct mpr_block_ref *ref)
{
	bool retired;

	enter_heap(self);
	retired = mpr_run_retire(a, self, ref, MPR_BLOCK_LIVE);
	if (retired)
		mpr_run_release(a, ref);
	leave_heap(self);
	return retired;
}

bool
mpr_heap_find_live(const mproc_arena *a, const void *p,
		   struct mpr_block_ref *ret_ref)
{
	unsigned state;

	return find(a, mpr_arena_offset(a, p), ret_ref, &state) &&
	       state == MPR_BLOCK_LIVE;
}

int
mpr_block_free(mproc_arena *a, const struct mpr_block_ref *ref)
{
	struct mpr_self *self;
	int r;

	if (ref->block)
		return free_in_slab(a, ref) ? 0 : -EINVAL;
	r = mpr_self(a, &self);
	if (r < 0)
		return r;
	return free_run(a, self, ref) ? 0 : -EINVAL;
}

/* As it was found, to FREE or, as far as it is a run, BUSY. */
static bool
let_go(mproc_arena *a, const struct mpr_self *self,
       const struct mpr_block_ref *ref, uint64_t word)
{
	if (mpr_owner_state(word) != MPR_BLOCK_LIVE)
		return false;
	return ref->block ? cas(&ref->block->state, word, mpr_owner_freed(word)) :
			    mpr_run_retire(a, self, ref, MPR_BLOCK_LIVE);
}

bool
mpr_block_replace(mproc_arena *a, struct mpr_self *self,
		  const struct mpr_block_ref *from,
		  const struct mpr_block_ref *to, size_t asked)
{
	struct words old = words_of(a, from), new = words_of(a, to);
	uint64_t word = atomic_load(old.state), own = atomic_load(new.state);

	sign(self, &new);
	if (!to->block)
		mpr_run_make_users(a, to);
	/* Release pairs with the acquire in settle() and
	 * mpr_extents_recover(). */
	atomic_store_explicit(new.home,
			      mpr_replaces(own, mpr_arena_offset(a, old.state),
					   word), memory_order_release);
	/* The point of effect. */
	if (!let_go(a, self, from, word)) {
		mpr_block_cancel(self, to);
		return false;
	}
	if (from->block)
		mpr_slab_freed(a, from->offset);
	else
		mpr_run_release(a, from);
	/* LIVE comes before the birth: until then it is by what it replaces
	 * that it is not lost. */
	atomic_store(new.state, mpr_owner_with_state(own, MPR_BLOCK_LIVE));
	mpr_block_set_asked(a, to, asked, asked);
	leave_heap(self);
	return true;
}

/* What a birth can tell: a block that is nearly empty, as there was no memory to
 * move it to, counts as one of more bytes. */
static size_t
countable(const struct mpr_block_ref *ref, size_t asked)
{
	uint64_t least = ref->size > MPR_BIRTH_SPARE_MAX ?
				 ref->size - MPR_BIRTH_SPARE_MAX : 0;

	return asked > least ? asked : least;
}

void
mpr_block_set_asked(mproc_arena *a, const struct mpr_block_ref *ref,
		    size_t used, size_t asked)
{
	struct words w = words_of(a, ref);
	unsigned char *p = mpr_arena_at(a, ref->offset);
	size_t from = used < asked ? used : asked, to = countable(ref, asked);
	uint64_t word = atomic_load(w.home);
	int64_t then = mpr_birth_is(word, 0) ? mpr_birth_time(word) :
					       mpr_now_roughly();

	/* While it changes it has no guard. By CAS, as somebody who should not
	 * may have freed it. */
	if (mpr_birth_is(word, MPR_BIRTH_GUARDED)) {
		if (!cas(w.home, word, word & ~MPR_BIRTH_GUARDED))
			return;
		word &= ~MPR_BIRTH_GUARDED;
	}
	/* Before the birth says so, whenever we are killed. */
	memset(p + from, 0, to - from);
	cas(w.home, word,
	    mpr_birth(then, ref->size - to,
		      mpr_checks() ? mpr_guard(a, ref, to, 0) : 0));
}

bool
mpr_block_take(mproc_arena *a, struct mpr_self *self,
	       const struct mpr_block_ref *ref)
{
	bool taken;

	enter_heap(self);
	taken = ref->block ?
			take_in_slab(self, ref->block, MPR_BLOCK_LIVE) :
			mpr_run_retire(a, self, ref, MPR_BLOCK_LIVE);
	if (!taken)
		leave_heap(self);
	return taken;
}

void
mpr_heap_trim(mproc_arena *a)
{
	struct mpr_self *self = mpr_self_in(a);

	mpr_slabs_unmark(a);
	/* Who has none frees what others have allocated. */
	if (!self)
		return;
	enter_heap(self);
	mpr_slabs_trim(a, self);
	leave_heap(self);
}

void
mpr_heap_trim_next(mproc_arena *a, struct mpr_self *self, uint32_t n)
{
	/* Relaxed, all of them: they lead to nothing. */
	uint32_t from = atomic_load_explicit(&a->trim_next, memory_order_relaxed);
	uint64_t passed = atomic_load_explicit(&a->trim_passed,
					       memory_order_relaxed);
	uint32_t high = mpr_extents_high(a);
	bool to_end;

	/* Anybody can write in shared memory that there are fewer than there were. */
	if (from > high) {
		from = 0;
		passed = 0;
	}
	to_end = high - from <= n;
	enter_heap(self);
	mpr_slabs_trim_between(a, self, from, to_end ? high : from + n, &passed);
	leave_heap(self);
	atomic_store_explicit(&a->trim_next, to_end ? 0 : from + n,
			      memory_order_relaxed);
	atomic_store_explicit(&a->trim_passed, to_end ? 0 : passed,
			      memory_order_relaxed);
}

/* Now and then. */
static void
trim_after(struct mpr_self *self)
{
	if (mpr_likely(self->hints.bytes < TRIM_AFTER))
		return;
	self->hints.bytes = 0;
	/* A handler may have forked since @self was asked for: a copy has nothing in
	 * hands in its parent's name. */
	if (mpr_self_in(self->arena) != self)
		return;
	mpr_heap_trim_next(self->arena, self, TRIM_LOOKS);
}

void
mpr_heap_freed(mproc_arena *a, const struct mpr_block_ref *ref)
{
	struct mpr_self *self = mpr_self_in(a);

	if (!self)
		return;
	mpr_slab_remember(a, self, ref);
	trim_after(self);
}

bool
mpr_heap_free_at_once(const void *p)
{
	struct mpr_self *self = mpr_slab_free_at_once(p);

	if (self)
		trim_after(self);
	return self;
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
	uint64_t blocks = 0, bytes = 0;

	mpr_slabs_count(a, &blocks, &bytes);
	mpr_runs_count(a, &blocks, &bytes);
	*ret_blocks = blocks;
	*ret_bytes = bytes;
}

void *
mproc_alloc(size_t size)
{
	void *p = mpr_slab_alloc_at_once(size);

	return mpr_likely(p) ? p : mproc_arena_alloc(NULL, size, 0);
}

void *
mproc_arena_alloc(mproc_arena *a, size_t size, size_t align)
{
	void *p = NULL;
	int r = 0;

	if (!size)
		r = mpr_fail(-EINVAL, "a block of 0 bytes");
	else if (align > MPR_ALIGN_MAX || align & (align - 1))
		r = mpr_fail(-EINVAL, "an alignment of %zu bytes", align);
	if (r == 0)
		r = mpr_arena_resolve(a, &a);
	if (r == 0)
		r = mpr_heap_alloc(a, size, align, &p);
	if (r < 0) {
		errno = -r;
		return NULL;
	}
	return p;
}
