/* SPDX-License-Identifier: MIT */
/*
 * Tables come and go, and whoever does something with one comes in here.
 */
#include <errno.h>

#include "arena/recover.h"
#include "base/error.h"
#include "base/log.h"
#include "containers/remote.h"
#include "containers/table.h"
#include "containers/table_use.h"
#include "os/clock.h"
#include "os/generation.h"
#include "os/interrupt.h"

#define PATIENCE mproc_sec(1) /* with who is stopped in a table that ends */

static uint64_t
mix(uint64_t x)
{
	/* The finaliser of splitmix64: each bit depends on all. */
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static bool
find_root(struct mpr_visit *v)
{
	struct mpr_block_ref ref;

	if (!mpr_heap_find_at(v->arena, &v->table->root, &ref) ||
	    ref.size < MPR_STRIPES * sizeof(struct mpr_stripe))
		return false;
	v->stripes = mpr_arena_at(v->arena, ref.offset);
	return true;
}

/* As it was when the call began. */
static bool
is_still_there(const struct mpr_visit *v)
{
	return atomic_load(&v->table->cell.word) == 0 &&
	       atomic_load(&v->table->cell.generation) == v->generation;
}

/* The tables in whose callbacks this thread is. */
static MPR_THREAD_LOCAL const struct mpr_callback *callbacks;

void
mpr_callback_begin(struct mpr_callback *c, const struct mpr_visit *v)
{
	c->table = v->table;
	c->generation = mpr_generation();
	c->around = callbacks;
	callbacks = c;
}

void
mpr_callback_end(const struct mpr_callback *c)
{
	callbacks = c->around;
}

static bool
is_in_callback(const void *table)
{
	const struct mpr_callback *c = callbacks;

	while (c && (c->table != table ||
		     c->generation != mpr_generation_peek()))
		c = c->around;
	return c;
}

static int
stale(const struct mpr_visit *v)
{
	return mpr_fail(-ESTALE, "container %p was destroyed",
			(const void *)v->table);
}

int
mpr_table_corrupt(const struct mpr_visit *v)
{
	return mpr_fail(-EBADMSG, "container %p is corrupt, or something else",
			(const void *)v->table);
}

/* It lies in no arena. */
static MPR_NOINLINE int
begin_elsewhere(enum mpr_cell_kind kind, const void *table)
{
	int r = mpr_remote_check(kind, table);

	return r < 0 ? r : mpr_fail(-EFAULT, "%p is no container in shared memory",
				    table);
}

int
mpr_visit_begin(struct mpr_visit *v, enum mpr_cell_kind kind, void *table)
{
	mproc_arena *a = mpr_arena_of(table);
	uint64_t word;
	int r;

	if (!table)
		return mpr_fail(-EINVAL, "the container is NULL");
	if (!a || !mpr_arena_has(a, mpr_arena_offset(a, table), MPR_CELL) ||
	    (uintptr_t)table % MPR_CELL)
		return begin_elsewhere(kind, table);
	if (mpr_unlikely(is_in_callback(table)))
		return mpr_fail(-EDEADLK, "container %p is used by a function "
				"that changes it", table);
	*v = (struct mpr_visit){ .arena = a, .table = table, .kind = kind };
	v->generation = atomic_load(&v->table->cell.generation);
	word = atomic_load(&v->table->cell.word);
	if (word & MPR_GONE)
		return stale(v);
	if (!word && find_root(v))
		return 0;
	r = mpr_visit_check(v);
	return !word && r < 0 ? r : mpr_table_corrupt(v);
}

int
mpr_visit_stripe(struct mpr_visit *v, unsigned stripe)
{
	v->stripe = &v->stripes[stripe];
	return v->stripe->magic == MPR_TABLE_MAGIC + v->kind ? 0 : mpr_table_corrupt(v);
}

static mproc_lock *
lock_of(const struct mpr_visit *v)
{
	return (mproc_lock *)&v->stripe->lock;
}

/* We have the lock. */
static int
settle(struct mpr_visit *v, bool has_died)
{
	int r = mpr_self(v->arena, &v->self);

	/* What is on its way into a chain or out of it is in it or not before
	 * anything else is done to that: a block's home must be asked now. */
	if (has_died)
		(void)mpr_recover_all(v->arena, false);
	if (r == 0 && (has_died || atomic_load_explicit(&v->stripe->version,
							memory_order_relaxed) &
					   1))
		r = mpr_table_repair(v);
	if (r == 0 && has_died)
		r = mproc_lock_consistent(lock_of(v));
	return r;
}

int
mpr_visit_lock(struct mpr_visit *v)
{
	int r = mproc_lock_acquire(lock_of(v), MPROC_FOREVER);

	if (r < 0)
		return r;
	r = settle(v, r == MPROC_OWNER_DIED);
	/* Who destroys a table, or makes another one of it, takes each lock
	 * after it has said so. */
	if (r == 0)
		r = mpr_visit_check(v);
	if (r < 0)
		mpr_visit_unlock(v);
	return r;
}

int
mpr_visit_check(const struct mpr_visit *v)
{
	return is_still_there(v) ? 0 : stale(v);
}

void
mpr_visit_unlock(struct mpr_visit *v)
{
	mproc_lock_release(lock_of(v));
}

void
mpr_visit_change(struct mpr_visit *v)
{
	/* Before the links, which are stored with release. */
	atomic_store_explicit(&v->stripe->version,
			      atomic_load_explicit(&v->stripe->version,
						   memory_order_relaxed) | 1,
			      memory_order_relaxed);
}

void
mpr_visit_changed(struct mpr_visit *v)
{
	uint64_t version = atomic_load_explicit(&v->stripe->version,
						memory_order_relaxed);

	/* Release pairs with the acquire of who reads: all is there. */
	atomic_store_explicit(&v->stripe->version, (version | 1) + 1,
			      memory_order_release);
}

static uint64_t
hash_of(uint64_t seed, const struct mpr_flat *f)
{
	uint64_t n = mpr_flat_words(f->meta), h = mix(seed ^ f->meta);

	for (uint64_t i = 0; i < n; i++)
		h = mix(h ^ mpr_flat_word(f, i));
	return h;
}

int
mpr_key_make(const struct mpr_visit *v, const struct mproc_any *any,
	     struct mpr_key *ret_key)
{
	struct mproc_any key = *any;
	uint64_t h;
	int r = mpr_any_check(v->arena, any);

	if (r < 0)
		return r;
	if (key.kind == MPROC_FLOAT && key.f64 != key.f64)
		return mpr_fail(-EINVAL, "a key that is not a number");
	mpr_any_normalise(&key);
	ret_key->flat = mpr_flat(v->arena, &key);
	h = hash_of(atomic_load_explicit(&v->table->seed, memory_order_relaxed),
		    &ret_key->flat);
	ret_key->stripe = (unsigned)(h >> 60);
	ret_key->order = mpr_reverse(h) & ~MPR_ORDER_TIE;
	return 0;
}

/* Not if a signal handler has forked while we waited, and this is the child. */
static bool
is_ours(const struct mpr_visit *v)
{
	const struct mpr_self *self = mpr_self_in(v->arena);

	return self && atomic_load(&v->table->cell.word) ==
			       (mpr_holder(self) | MPR_GONE);
}

/* The table is the caller's, who may wait for those that have not noticed. Returns 0;
 * -EBADMSG; -ECHILD if it is not ours; or what a lock returns. */
static int
empty_all(struct mpr_visit *v, mproc_timeout patience)
{
	int r = 0;

	for (unsigned i = 0; i < MPR_STRIPES && r == 0; i++) {
		r = mpr_visit_stripe(v, i);
		if (r < 0)
			return r;
		/* There is nothing that it could be called off for. */
		mpr_interrupt_hold();
		r = mproc_lock_acquire(lock_of(v), patience);
		mpr_interrupt_unhold();
		if (r < 0)
			return r;
		r = settle(v, r == MPROC_OWNER_DIED);
		if (!is_ours(v))
			r = -ECHILD;
		if (r == 0)
			r = mpr_table_empty(v);
		if (r == 0)
			r = mpr_table_shrink(v);
		mpr_visit_unlock(v);
	}
	return r;
}

static int
make_root(struct mpr_visit *v, struct mpr_self *self)
{
	struct mpr_block_ref ref;
	struct mpr_stripe *stripes;
	int r;

	/* Nobody else links anything here: what is there is nothing of ours. */
	atomic_store(&v->table->root, 0);
	r = mpr_heap_reserve(v->arena, self, MPR_STRIPES * sizeof(*stripes),
			     &ref);
	if (r < 0)
		return r;
	stripes = mpr_arena_at(v->arena, ref.offset);
	for (int i = 0; i < MPR_STRIPES; i++)
		stripes[i].magic = MPR_TABLE_MAGIC + v->kind;
	return mpr_block_append(v->arena, self, &ref, &v->table->root, 0, 0);
}

int
mpr_table_create(enum mpr_cell_kind kind, mproc_arena *a, void **ret)
{
	struct mpr_visit v = { .kind = kind };
	struct mpr_self *self;
	void *cell;
	int r;

	r = mpr_arena_resolve(a, &a);
	if (r == 0)
		r = mpr_self(a, &self);
	if (r == 0)
		r = mpr_cell_create_in(a, kind, &cell);
	if (r < 0)
		return r;
	v.arena = a;
	v.table = cell;
	/* Somebody may have died over the end of the one before, or given up. */
	r = find_root(&v) ? empty_all(&v, MPROC_NOWAIT) : -EBADMSG;
	/* There is still one in it, or we are, as its update calls us: this one is
	 * for who comes later. */
	if (r == -EAGAIN || r == -EDEADLK) {
		r = mpr_table_create(kind, a, ret);
		mpr_cell_open(cell, MPR_GONE);
		return r;
	}
	if (r < 0)
		r = make_root(&v, self);
	atomic_store_explicit(&v.table->seed,
			      mix((uint64_t)mproc_now() ^
				  (uint64_t)self->pid << 40),
			      memory_order_relaxed);
	mpr_cell_open(cell, r < 0 ? MPR_GONE : 0);
	if (r == 0)
		*ret = cell;
	return r;
}

void
mpr_table_destroy(enum mpr_cell_kind kind, void *table)
{
	struct mpr_visit v = { .arena = mpr_arena_of(table), .table = table,
			       .kind = kind };
	struct mpr_self *self;

	if (!table)
		return;
	if (mpr_remote_check(kind, table) == MPR_REMOTE) {
		(void)mpr_remote_simple(table, MPR_OP_DESTROY);
		return;
	}
	if (is_in_callback(table) || !mpr_cell_take(kind, table, 0)) {
		mpr_log(MPROC_LOG_ERROR, "%p is no container, and is not "
			"destroyed", table);
		return;
	}
	/* If that is not to be, who makes another one of it tries again. */
	if (mpr_self(v.arena, &self) == 0 && find_root(&v))
		(void)empty_all(&v, PATIENCE);
	if (is_ours(&v))
		mpr_cell_open(table, MPR_GONE);
}
