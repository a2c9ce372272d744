/* SPDX-License-Identifier: MIT */
/*
 * A semaphore. Its word:
 *
 *   bit 0        UNDO: permits have owners (sync/permits.h)
 *   bit 17       WAITERS: somebody may wait
 *   bit 21       GONE
 *   bits 32..63  how many permits there are; with UNDO, how often one was given
 *                back
 *
 * release clears WAITERS and has one of those who wait chosen. That one sets
 * it again if others wait, and has another one chosen if there are more
 * permits: of those that were released meanwhile nobody was told. The same goes
 * for who takes a permit after it has announced that it waits, as it may be
 * chosen.
 */
#include <errno.h>
#include <limits.h>

#include <mproc/sync.h>

#include "base/error.h"
#include "base/opts.h"
#include "sync/await.h"
#include "sync/holds.h"
#include "sync/permits.h"
#include "sync/remote.h"
#include "sync/semaphore.h"

#define UNDO UINT64_C(1)
#define ONE (UINT64_C(1) << 32)

struct mpr_semaphore {
	struct mpr_cell cell;
	/* Written before it is one. */
	_Atomic uint32_t max; /* 0: none but INT_MAX */
	_Atomic uint32_t permits; /* with UNDO: how many there are in all */
};

static_assert(sizeof(struct mpr_semaphore) == sizeof(mproc_semaphore),
	      "shared layout");

static struct mpr_semaphore *
semaphore_of(mproc_semaphore *semaphore)
{
	return (struct mpr_semaphore *)semaphore;
}

static struct mpr_permits
permits_of(const mproc_arena *a, struct mpr_semaphore *s)
{
	uint32_t n = atomic_load_explicit(&s->permits, memory_order_relaxed);

	/* Anybody can write there. */
	return (struct mpr_permits){
		.arena = a,
		.link = mpr_cell_blocks(s),
		.n = n < MPR_PERMITS_MAX ? n : MPR_PERMITS_MAX,
	};
}

static unsigned
value_of(const mproc_arena *a, struct mpr_semaphore *s, uint64_t word)
{
	uint64_t value = word & UNDO ? mpr_permits_count(permits_of(a, s)) :
				       word / ONE;

	return value < INT_MAX ? (unsigned)value : INT_MAX;
}

unsigned
mpr_semaphore_permits_of(const mproc_arena *a, void *cell, uint64_t holder)
{
	struct mpr_semaphore *s = cell;
	uint64_t word = atomic_load_explicit(&s->cell.word,
					     memory_order_relaxed);

	return !(word & MPR_GONE) && word & UNDO ?
		       mpr_permits_of(permits_of(a, s), holder) : 0;
}

/* One release, or none if it is GONE. Returns the word before. */
static uint64_t
add_one(struct mpr_semaphore *s)
{
	uint64_t word = atomic_load(&s->cell.word);

	/* seq_cst, before the look for those who wait. */
	while (!(word & MPR_GONE) &&
	       !atomic_compare_exchange_strong(&s->cell.word, &word,
					       (word + ONE) & ~MPR_WAITERS))
		;
	return word;
}

/* Has whoever releases one know that somebody waits. Returns the word with
 * that. */
static uint64_t
flag_waiter(struct mpr_await *await, uint64_t word)
{
	while (!mpr_await_is_stale(await, word) && !(word & MPR_WAITERS))
		if (atomic_compare_exchange_strong(&await->cell->word, &word,
						   word | MPR_WAITERS))
			word |= MPR_WAITERS;
	return word;
}

/* The caller has got a permit after it has announced that it waits. */
static void
pass_on(struct mpr_await *await)
{
	struct mpr_semaphore *s = (struct mpr_semaphore *)await->cell;
	const mproc_arena *a = await->self->arena;
	struct mpr_wake k;
	uint64_t word;

	if (!mpr_wait_others(await->self, s))
		return;
	mpr_wake_begin(&k, a, await->self, s);
	/* The flag, then the look: whoever releases one after that sees it. */
	word = flag_waiter(await, atomic_load(&s->cell.word));
	if (value_of(a, s, word))
		mpr_wake_n(&k, 1);
	mpr_wake_end(&k);
}

static int
look(struct mpr_await *await, bool waits)
{
	_Atomic uint64_t *at = &await->cell->word;
	uint64_t word = atomic_load(at), next;

	do {
		if (mpr_await_is_stale(await, word) || word & UNDO)
			return -ESTALE;
		if (word < ONE && (!waits || word & MPR_WAITERS))
			return -EBUSY;
		next = word < ONE ? word | MPR_WAITERS : word - ONE;
	} while (!atomic_compare_exchange_strong(at, &word, next));
	if (word < ONE)
		return -EBUSY;
	if (waits)
		pass_on(await);
	return 0;
}

/* A permit of @self's, by @waker, who may be NULL. */
static bool
give(struct mpr_semaphore *s, const mproc_arena *a, const struct mpr_self *self,
     struct mpr_self *waker)
{
	struct mpr_wake k;
	bool given;

	mpr_wake_begin(&k, a, waker, s);
	given = mpr_permits_give(permits_of(a, s), self);
	if (given && add_one(s) & MPR_WAITERS)
		mpr_wake_n(&k, 1);
	mpr_wake_end(&k);
	return given;
}

static int
look_with_undo(struct mpr_await *await, bool waits)
{
	struct mpr_semaphore *s = (struct mpr_semaphore *)await->cell;
	_Atomic uint64_t *at = &s->cell.word;
	struct mpr_self *self = await->self;
	bool taken;
	uint64_t word;

	do {
		word = atomic_load(at);
		if (waits)
			word = flag_waiter(await, word);
		if (mpr_await_is_stale(await, word) || !(word & UNDO))
			return -ESTALE;
		taken = mpr_permits_take(permits_of(self->arena, s), self);
		/* One may have come back behind the look for it. */
	} while (!taken && atomic_load(at) / ONE != word / ONE);
	if (!taken)
		return -EBUSY;
	if (mpr_await_is_stale(await, atomic_load(at))) {
		give(s, self->arena, self, mpr_self_of(s));
		return -ESTALE;
	}
	if (waits)
		pass_on(await);
	return 0;
}

static MPR_NOINLINE int
acquire_slowly(struct mpr_semaphore *s, mproc_timeout timeout)
{
	struct mpr_await await = {
		.look = look,
		.what = "semaphore",
		.cell = (struct mpr_cell *)s,
		.owner = -1,
	};
	uint64_t word;
	int r;

	if (!s)
		return mpr_fail(-EINVAL, "semaphore is NULL");
	if (mpr_remote_has(s))
		return mpr_remote_ask_to_wait(MPR_CELL_SEMAPHORE, s, MPR_OP_ACQUIRE,
					      timeout);
	word = atomic_load(&s->cell.word);
	if (word & MPR_GONE)
		return mpr_fail(-ESTALE, "semaphore %p was destroyed",
				(void *)s);
	if (!(word & UNDO) && !timeout.ns && word < ONE)
		return -EAGAIN;
	r = mpr_await_begin(&await);
	if (r < 0)
		return r;
	/* That may have taken long: of which kind it is now. */
	if (atomic_load(&s->cell.word) & UNDO) {
		await.look = look_with_undo;
		await.owner = -2;
	}
	return mpr_await(&await, timeout);
}

int
mproc_semaphore_acquire(mproc_semaphore *semaphore, mproc_timeout timeout)
{
	struct mpr_semaphore *s = semaphore_of(semaphore);
	uint64_t word;

	if (mpr_unlikely(!s))
		return acquire_slowly(s, timeout);
	word = atomic_load_explicit(&s->cell.word, memory_order_relaxed);
	/* Acquire pairs with the CAS that released it. */
	while (mpr_likely(word >= ONE && !(word & (MPR_GONE | UNDO))))
		if (mpr_likely(atomic_compare_exchange_weak_explicit(
			    &s->cell.word, &word, word - ONE,
			    memory_order_acquire, memory_order_relaxed)))
			return 0;
	return acquire_slowly(s, timeout);
}

bool
mpr_semaphore_has_owners(const mproc_semaphore *semaphore)
{
	const struct mpr_semaphore *s = (const struct mpr_semaphore *)semaphore;

	return atomic_load(&s->cell.word) & UNDO;
}

int
mpr_semaphore_try_for(mproc_semaphore *semaphore, struct mpr_self *holder)
{
	struct mpr_await await = {
		.cell = &semaphore_of(semaphore)->cell,
		.self = holder,
		.generation = atomic_load(&semaphore_of(semaphore)->cell.generation),
	};

	return mpr_semaphore_has_owners(semaphore) ? look_with_undo(&await, false) :
						     look(&await, false);
}

int
mpr_semaphore_release_for(mproc_semaphore *semaphore, const struct mpr_self *holder)
{
	struct mpr_semaphore *s = semaphore_of(semaphore);

	if (!mpr_semaphore_has_owners(semaphore))
		return mproc_semaphore_release(semaphore);
	return give(s, holder->arena, holder, mpr_self_of(s)) ? 0 : -EPERM;
}

static int
release_with_undo(struct mpr_semaphore *s)
{
	struct mpr_self *self = mpr_self_of(s);

	if (!self || !give(s, self->arena, self, self))
		return mpr_fail(-EPERM, "this thread has no permit of "
				"semaphore %p", (void *)s);
	return 0;
}

static bool
is_full(const struct mpr_semaphore *s, uint64_t word)
{
	uint32_t max = atomic_load_explicit(&s->max, memory_order_relaxed);

	return word / ONE >= (max ? max : INT_MAX);
}

/* Without texts: mpr_fail() is not for signal handlers. */
static MPR_NOINLINE int
release_slowly(struct mpr_semaphore *s, uint64_t word)
{
	mproc_arena *a = mpr_arena_of(s);
	struct mpr_wake k;
	int r;

	if (word & MPR_GONE)
		return mpr_remote_has(s) ?
			       mpr_remote_ask_as(MPR_CELL_SEMAPHORE, s,
						 MPR_OP_RELEASE) : -ESTALE;
	if (word & UNDO)
		return release_with_undo(s);
	/* Who waits has an arena: it is another process, that shares this
	 * memory in some other way. */
	if (!a)
		return -EINVAL;
	mpr_wake_begin(&k, a, mpr_self_in(a), s);
	do
		r = word & MPR_GONE ? -ESTALE :
		    is_full(s, word) ? -EOVERFLOW : 0;
	while (r == 0 && !atomic_compare_exchange_strong(
				 &s->cell.word, &word,
				 (word + ONE) & ~MPR_WAITERS));
	if (r == 0 && word & MPR_WAITERS)
		mpr_wake_n(&k, 1);
	mpr_wake_end(&k);
	return r;
}

int
mproc_semaphore_release(mproc_semaphore *semaphore)
{
	struct mpr_semaphore *s = semaphore_of(semaphore);
	uint64_t word;

	if (mpr_unlikely(!s))
		return -EINVAL;
	word = atomic_load_explicit(&s->cell.word, memory_order_relaxed);
	do {
		if (mpr_unlikely(word & (MPR_WAITERS | MPR_GONE | UNDO)))
			return release_slowly(s, word);
		if (mpr_unlikely(is_full(s, word)))
			return -EOVERFLOW;
		/* seq_cst: who announces its wait and then looks sees this, or
		 * its flag makes it fail. */
	} while (mpr_unlikely(!atomic_compare_exchange_weak(
			&s->cell.word, &word, word + ONE)));
	return 0;
}

int
mproc_semaphore_value(const mproc_semaphore *semaphore)
{
	struct mpr_semaphore *s =
		(struct mpr_semaphore *)(uintptr_t)semaphore;
	uint64_t word;

	if (!s)
		return -EINVAL;
	word = atomic_load(&s->cell.word);
	if (word & MPR_GONE)
		return mpr_remote_has(s) ?
			       mpr_remote_ask_simply(MPR_CELL_SEMAPHORE, s,
						     MPR_OP_VALUE) : -ESTALE;
	return (int)value_of(mpr_arena_of(s), s, word);
}

/* A max of 0 is none. */
static int
check(uint64_t value, uint64_t max)
{
	if (value > INT_MAX || max > INT_MAX || (max && value > max))
		return mpr_fail(-EINVAL, "a semaphore of %llu permits, at most "
				"%llu", (unsigned long long)value,
				(unsigned long long)max);
	return 0;
}

int
mproc_semaphore_init(mproc_semaphore *semaphore, unsigned value, unsigned max)
{
	struct mpr_semaphore *s = semaphore_of(semaphore);
	int r;

	if (!s)
		return mpr_fail(-EINVAL, "semaphore is NULL");
	if (mpr_remote_has(s))
		return mpr_fail(-EINVAL, "%p is a manager's semaphore", (void *)s);
	r = check(value, max);
	if (r < 0)
		return r;
	atomic_init(&s->cell.generation, 0);
	atomic_init(&s->cell.first, 0);
	atomic_init(&s->max, max);
	atomic_init(&s->permits, 0);
	/* Release, for who gets the pointer by whatever way. */
	atomic_store(&s->cell.word, value * ONE);
	return 0;
}

static int
check_options(const struct mproc_semaphore_opts *o)
{
	if (o->undo && (!o->value || o->value > MPR_PERMITS_MAX ||
			(o->max && o->max != o->value)))
		return mpr_fail(-EINVAL, "with .undo .value is %u, not 1 to %u, "
				"or .max is %u", o->value, MPR_PERMITS_MAX,
				o->max);
	return check(o->value, o->max);
}

static int
make_permits(struct mpr_semaphore *s, unsigned n)
{
	/* mpr_cell_create_in() made it one. */
	struct mpr_self *self = mpr_self_of(s);

	atomic_store_explicit(&s->permits, n, memory_order_relaxed);
	return mpr_permits_make(self->arena, self, mpr_cell_blocks(s), n);
}

int
mproc_semaphore_create(mproc_semaphore **ret_semaphore,
		       const struct mproc_semaphore_opts *opts)
{
	struct mproc_semaphore_opts o;
	struct mpr_semaphore *s;
	void *cell;
	int r;

	if (!ret_semaphore)
		return mpr_fail(-EINVAL, "ret_semaphore is NULL");
	r = mpr_opts_read(&o, sizeof(o), opts);
	if (r == 0)
		r = check_options(&o);
	if (r == 0)
		r = mpr_cell_create_in(o.arena, MPR_CELL_SEMAPHORE, &cell);
	if (r < 0)
		return r;
	s = cell;
	atomic_store_explicit(&s->max, o.max, memory_order_relaxed);
	r = o.undo ? make_permits(s, o.value) : 0;
	mpr_cell_open(s, r < 0 ? MPR_GONE : o.undo ? UNDO : o.value * ONE);
	if (r < 0)
		return r;
	*ret_semaphore = cell;
	return 0;
}

void
mproc_semaphore_destroy(mproc_semaphore *semaphore)
{
	mpr_cell_destroy(MPR_CELL_SEMAPHORE, semaphore, 0);
}
