/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include <mproc/value.h>

#include "arena/check.h"
#include "arena/heap.h"
#include "arena/remote.h"
#include "arena/table.h"
#include "base/error.h"
#include "base/log.h"
#include "sync/holder.h"
#include "sync/value.h"
#include "sync/wait.h"

static struct mpr_value_end *
end_of(const mproc_arena *a, const struct mpr_block_ref *ref)
{
	return mpr_arena_at(a, ref->offset + ref->size -
				       sizeof(struct mpr_value_end));
}

static inline uint64_t
mark_of(const mproc_arena *a, const void *value)
{
	return MPR_VALUE_MAGIC + mpr_arena_offset(a, value);
}

/* Which the bytes at a block's end say, whatever it is. */
static inline bool
has_mark(const mproc_arena *a, const struct mpr_block_ref *ref)
{
	return atomic_load_explicit(&end_of(a, ref)->mark,
				    memory_order_relaxed) ==
		       mark_of(a, mpr_arena_at(a, ref->offset));
}

/* A LIVE or taken block. */
static bool
is_value(const mproc_arena *a, const struct mpr_block_ref *ref)
{
	/* What was one before may still have its end. */
	return mpr_block_birth(a, ref) & MPR_BIRTH_VALUE && has_mark(a, ref);
}

/* Another one each time, never 0, and not such a number as users have in their
 * memory: by this one knows who has waited that a block is another's now. */
static uint32_t
new_generation(const mproc_arena *a)
{
	uint32_t generation;

	do
		generation = (uint32_t)mpr_arena_epoch(a) *
			     UINT32_C(0x9e3779b1);
	while (!generation);
	return generation;
}

/* While the block is BUSY. As atomics: who waited for the lock of the block's last
 * use and has not noticed yet may look. */
static void
write_end(const mproc_arena *a, const struct mpr_block_ref *ref, size_t n)
{
	struct mpr_value_end *e = end_of(a, ref);

	/* The generation comes before the word that lets anybody have the lock. */
	atomic_store(&e->lock.cell.generation, new_generation(a));
	atomic_store_explicit(&e->lock.cell.first, 0, memory_order_relaxed);
	atomic_store_explicit(&e->lock.named, 0, memory_order_relaxed);
	atomic_store_explicit(&e->lock.died, 0, memory_order_relaxed);
	atomic_store(&e->lock.cell.word, 0);
	atomic_store_explicit(&e->n, n, memory_order_relaxed);
	atomic_store_explicit(&e->mark,
			      mark_of(a, mpr_arena_at(a, ref->offset)),
			      memory_order_relaxed);
}

static int
make(mproc_arena *a, size_t elem, size_t n, const void *init, void **ret_p)
{
	struct mpr_block_ref ref;
	struct mpr_self *self;
	size_t len;
	int r;

	if (!elem || !n)
		return mpr_fail(-EINVAL, "%zu elements of %zu bytes", n, elem);
	if (n > (SIZE_MAX - sizeof(struct mpr_value_end)) / elem)
		return mpr_fail(-ENOMEM, "%zu elements of %zu bytes", n, elem);
	len = n * elem;
	r = mpr_arena_resolve(a, &a);
	if (r < 0)
		return r;
	r = mpr_self(a, &self);
	if (r < 0)
		return r;
	r = (init ? mpr_heap_reserve_dirty : mpr_heap_reserve)(
		a, self, mpr_check_room(len + sizeof(struct mpr_value_end)),
		&ref);
	if (r < 0)
		return r;
	if (init)
		memcpy(mpr_arena_at(a, ref.offset), init, len);
	write_end(a, &ref, n);
	mpr_block_commit(self, &ref, len, MPR_BIRTH_VALUE);
	*ret_p = mpr_arena_at(a, ref.offset);
	return 0;
}

void *
mproc_arena_array_new(mproc_arena *a, size_t elem, size_t n, const void *init)
{
	void *p = NULL;
	int r = make(a, elem, n, init, &p);

	if (r < 0) {
		errno = -r;
		return NULL;
	}
	return p;
}

void *
mproc_array_new(size_t elem, size_t n, const void *init)
{
	return mproc_arena_array_new(NULL, elem, n, init);
}

void *
mproc_value_new(size_t size, const void *init)
{
	return mproc_array_new(size, 1, init);
}

/* Where a value or array at hand is. Returns 0 or a negative error. */
static int
look_up(const void *p, const mproc_arena **ret_a, struct mpr_block_ref *ret_ref)
{
	const mproc_arena *a = mpr_arena_of(p);

	if (!p)
		return mpr_fail(-EINVAL, "value is NULL");
	if (!a || !mpr_heap_find_live(a, p, ret_ref))
		return mpr_no_block(p);
	if (!is_value(a, ret_ref))
		return mpr_fail(-EINVAL, "what is at %p was not made as a value or "
				"array, or somebody wrote behind its end", p);
	*ret_a = a;
	return 0;
}

int
mpr_value_shape(const void *array, size_t *ret_elem, size_t *ret_n)
{
	const mproc_arena *a;
	struct mpr_block_ref ref;
	uint64_t len, n;
	int r = look_up(array, &a, &ref);

	if (r < 0)
		return r;
	len = ref.size - mpr_birth_spare(mpr_block_birth(a, &ref));
	n = atomic_load_explicit(&end_of(a, &ref)->n, memory_order_relaxed);
	if (!n || len % n)
		return mpr_fail(-EINVAL, "somebody wrote behind the end of %p",
				array);
	*ret_elem = (size_t)(len / n);
	*ret_n = (size_t)n;
	return 0;
}

/* NULL with errno set if there is none. */
static MPR_NOINLINE struct mpr_value_end *
find_slowly(const void *p)
{
	const mproc_arena *a;
	struct mpr_block_ref ref;
	int r;

	if (mpr_remote_has(p))
		r = mpr_fail(-EOPNOTSUPP, "%p is a manager's, and its lock is not to "
			     "be had from here", p);
	else
		r = look_up(p, &a, &ref);
	if (r == 0)
		return end_of(a, &ref);
	errno = -r;
	return NULL;
}

/* The same; what is in a slab of the default arena is found at once. */
static inline struct mpr_value_end *
find(const void *p)
{
	const mproc_arena *a = mpr_arena_peek();
	struct mpr_block_ref ref;
	uint64_t word, birth;

	if (mpr_unlikely(!a || !mpr_slab_find(a, mpr_arena_offset(a, p), &ref)))
		return find_slowly(p);
	/* Acquire pairs with the release of LIVE: its birth and end are there. */
	word = atomic_load_explicit(&ref.block->state, memory_order_acquire);
	birth = atomic_load_explicit(&ref.block->home, memory_order_relaxed);
	if (mpr_unlikely(mpr_owner_state(word) != MPR_BLOCK_LIVE ||
			 !mpr_birth_is(birth, MPR_BIRTH_VALUE) ||
			 mpr_birth_spare(birth) >= ref.size ||
			 !has_mark(a, &ref)))
		return find_slowly(p);
	return end_of(a, &ref);
}

mproc_lock *
mproc_lock_of(const void *value)
{
	struct mpr_value_end *e = find(value);

	return e ? (mproc_lock *)&e->lock : NULL;
}

static MPR_NOINLINE size_t
len_elsewhere(const void *array)
{
	size_t len;
	int r = mpr_remote_array_len(array, &len);

	if (r == 0)
		return len;
	errno = -r;
	return 0;
}

size_t
mproc_array_len(const void *array)
{
	struct mpr_value_end *e;

	if (mpr_unlikely(mpr_remote_has(array)))
		return len_elsewhere(array);
	e = find(array);

	return e ? atomic_load_explicit(&e->n, memory_order_relaxed) : 0;
}

bool
mpr_value_has_ended(const mproc_arena *a, const struct mpr_lock *l)
{
	const struct mpr_value_end *e = (const struct mpr_value_end *)l;
	uint64_t at = mpr_arena_offset(a, l), start;
	struct mpr_block_ref ref;

	/* Blocks end at multiples of 64, and so do pages: what is behind another
	 * lock may be no memory. */
	if (!mpr_arena_has(a, at, sizeof(*e)) || (at + sizeof(*e)) % 64)
		return false;
	start = atomic_load_explicit(&e->mark, memory_order_relaxed) -
		MPR_VALUE_MAGIC;
	if (start >= at)
		return false;
	return !mpr_heap_find_live(a, mpr_arena_at(a, start), &ref) ||
	       end_of(a, &ref) != e || !is_value(a, &ref);
}

/* While the block is BUSY. */
static void
end_lock(const mproc_arena *a, struct mpr_self *self, struct mpr_value_end *e)
{
	struct mpr_wake wake;

	/* So that recovery wakes who waits, if we die between. */
	mpr_wake_begin(&wake, a, self, &e->lock);
	atomic_store(&e->lock.cell.word, MPR_GONE);
	/* The block's next use wipes it, in whatever order. */
	atomic_store(&e->lock.cell.generation, 0);
	mpr_wake_for_a_look(&wake);
	mpr_wake_end(&wake);
}

/* By one that cannot take part, and has nothing in its hands. The other order would
 * do harm to what came there if somebody else was faster. */
static int
free_then_end_lock(mproc_arena *a, const struct mpr_block_ref *ref)
{
	struct mpr_value_end *e = end_of(a, ref);
	uint32_t generation = atomic_load(&e->lock.cell.generation);
	uint64_t word = atomic_load(&e->lock.cell.word);
	struct mpr_wake wake;
	int r;

	r = mpr_block_free(a, ref);
	if (r < 0)
		return r;
	/* If nobody holds it, nobody waits, and zero may be another's. */
	while (word & MPR_HELD &&
	       atomic_load(&e->lock.cell.generation) == generation &&
	       !atomic_compare_exchange_strong(&e->lock.cell.word, &word,
					       MPR_GONE))
		;
	mpr_wake_begin(&wake, a, NULL, &e->lock);
	mpr_wake_for_a_look(&wake);
	mpr_wake_end(&wake);
	return 0;
}

static int
free_value(mproc_arena *a, const struct mpr_block_ref *ref)
{
	struct mpr_self *self;

	if (mpr_self(a, &self) < 0)
		return free_then_end_lock(a, ref);
	if (!mpr_block_take(a, self, ref))
		return -EINVAL;
	/* Once more: it may have been freed and another's since. */
	if (is_value(a, ref))
		end_lock(a, self, end_of(a, ref));
	mpr_block_cancel(self, ref);
	return 0;
}

static MPR_NOINLINE void
free_slowly(void *p)
{
	mproc_arena *a = mpr_arena_of(p);
	struct mpr_block_ref ref = { .block = NULL };
	int r = -EINVAL;

	if (mpr_remote_has(p))
		r = mpr_remote_array_destroy(p);
	else if (a && mpr_heap_find_live(a, p, &ref)) {
		if (mpr_unlikely(mpr_block_birth(a, &ref) & MPR_BIRTH_GUARDED))
			mpr_check_guard(a, &ref, "mproc_free");
		r = is_value(a, &ref) ? free_value(a, &ref) :
					mpr_block_free(a, &ref);
	}
	if (r == -EINVAL && !mpr_remote_has(p))
		mpr_check_explain(a, p, "mproc_free");
	else if (r < 0)
		mpr_log(MPROC_LOG_ERROR, "mproc_free(%p): %s", p,
			mproc_error_detail());
	else if (ref.block)
		mpr_heap_freed(a, &ref);
}

void
mproc_free(void *p)
{
	if (p && !mpr_heap_free_at_once(p))
		free_slowly(p);
}
