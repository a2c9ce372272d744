/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/error.h"
#include "os/clock.h"
#include "os/interrupt.h"
#include "sync/holder.h"
#include "sync/lock.h"
#include "sync/remote.h"
#include "sync/spin.h"
#include "sync/value.h"
#include "sync/wait.h"

#define STARVED 1000000 /* ns */
#define OVERDUE 50 /* ms */
#define LOOKS 100

static struct mpr_lock *
lock_of(mproc_lock *lock)
{
	return (struct mpr_lock *)lock;
}

/* What is behind const is only read. */
static struct mpr_lock *
look_at(const mproc_lock *lock)
{
	return (struct mpr_lock *)(uintptr_t)lock;
}

static inline void
name(struct mpr_lock *l, const struct mpr_self *self)
{
	atomic_store_explicit(&l->named, mpr_holder_named(self),
			      memory_order_relaxed);
}

static uint64_t
who_is(const mproc_arena *a, const struct mpr_lock *l, uint64_t word)
{
	return mpr_holder_who(a, word, atomic_load(&l->named));
}

/* One thread's attempt to get a lock. */
struct attempt {
	const mproc_arena *arena;
	struct mpr_self *self;
	struct mpr_lock *l;
	uint32_t generation;
	uint64_t word; /* as it was last seen to be held */
	bool waits; /* and may have been chosen */
};

static uint32_t
now_ms(void)
{
	return (uint32_t)(mproc_now() / 1000000);
}

/* Whether it was handed to somebody long ago. */
static bool
is_overdue(const struct mpr_lock *l)
{
	return now_ms() - atomic_load(&l->cell.first) > OVERDUE;
}

/* What becomes of a held lock's flags if it may be taken from its holder;
 * otherwise 0, -EDEADLK, -EBUSY, or -ESTALE in *@ret_r. */
static bool
may_take(const struct attempt *t, uint64_t word, uint64_t *flags, int *ret_r)
{
	bool is_mine = mpr_holder_name(word) == mpr_holder(t->self);
	unsigned slot = mpr_holder_slot(word);

	*ret_r = is_mine ? -EDEADLK : -EBUSY;
	if (word & MPR_HANDED)
		return is_mine || is_overdue(t->l) ||
		       mpr_holder_is_dead(t->arena, word) ||
		       !mpr_waits_for(t->arena, slot, t->l);
	if (is_mine || !mpr_holder_is_dead(t->arena, word))
		return false;
	/* It may have died while it freed what has this lock. */
	if (mpr_value_has_ended(t->arena, t->l)) {
		*ret_r = -ESTALE;
		return false;
	}
	*flags |= MPR_DIED;
	return true;
}

/*
 * We have it. Between our look for others who wait and the CAS it may have been
 * another's: some have come to wait then, and who released it has chosen us, as
 * we had waited for longer. So once more: who comes from now on sees us.
 */
static void
look_for_others(const struct attempt *t)
{
	uint64_t word = atomic_load(&t->l->cell.word);

	if (!mpr_wait_succeed(t->self, t->l))
		return;
	while (mpr_holder_name(word) == mpr_holder(t->self) &&
	       !atomic_compare_exchange_strong(&t->l->cell.word, &word,
					       word | MPR_WAITERS))
		;
}

/* Destroyed since the call began, and maybe made again. */
static bool
is_another(const struct attempt *t)
{
	return atomic_load(&t->l->cell.generation) != t->generation;
}

/* Returns 0; MPROC_OWNER_DIED; -EBUSY, -EDEADLK, -ESTALE. */
static int
try(struct attempt *t)
{
	struct mpr_lock *l = t->l;
	uint64_t word = atomic_load(&l->cell.word), flags, who, ours;
	int r;

	do {
		flags = word & (MPR_WAITERS | MPR_DIED);
		who = 0;
		if (word & MPR_GONE || is_another(t))
			return -ESTALE;
		if (word & MPR_HELD) {
			t->word = word;
			if (!may_take(t, word, &flags, &r))
				return r;
			if (!(word & MPR_HANDED))
				who = who_is(t->arena, l, word);
		}
		/* Others who wait count on us: who released it has cleared the
		 * flag and chosen us, or they waited for the one before. */
		if ((t->waits || flags & MPR_WAITERS) &&
		    mpr_wait_succeed(t->self, l))
			flags |= MPR_WAITERS;
		ours = mpr_holder(t->self) | flags;
		/* That took long: a value may have ended, and its memory, zero
		 * like a lock that is free, be somebody's. */
		if (is_another(t))
			return -ESTALE;
		/* seq_cst, as all that waiters look at; acquire pairs with the
		 * CAS that released it. */
	} while (!atomic_compare_exchange_strong(&l->cell.word, &word, ours));
	/* In these few instructions. Nothing else is written there. */
	if (is_another(t)) {
		mpr_lock_release_for(l, t->self, false);
		return -ESTALE;
	}
	name(l, t->self);
	if (t->waits && !(flags & MPR_WAITERS))
		look_for_others(t);
	if (!(flags & MPR_DIED))
		return 0;
	if (word & MPR_HELD && !(word & MPR_HANDED))
		atomic_store(&l->died, who);
	who = atomic_load(&l->died);
	if (!who)
		return mpr_fail(MPROC_OWNER_DIED, "who ended while it held lock "
				"%p is not known", (void *)l);
	return mpr_fail(MPROC_OWNER_DIED, "thread %u of process %u ended while "
			"it held lock %p", (unsigned)(who & 0xffffffff),
			(unsigned)(who >> 32), (void *)l);
}

/* Has whoever releases it know that somebody waits. Returns whether t->word was
 * still so. */
static bool
flag_waiter(struct attempt *t, bool starved)
{
	uint64_t flags = MPR_WAITERS | (starved ? MPR_STARVED : 0);

	return (t->word & flags) == flags ||
	       atomic_compare_exchange_strong(&t->l->cell.word, &t->word,
					      t->word | flags);
}

/* Announces the wait and looks once more. -EBUSY: the sleep is next. */
static int
announce(struct attempt *t, struct mpr_wait *w, bool starved)
{
	int owner, looks = 0, r;

	do {
		owner = (int)mpr_holder_slot(t->word);
		/* It goes from hand to hand while we look. */
		if (looks++ > LOOKS)
			owner = -2;
		mpr_wait_announce(w, owner);
		do
			r = try(t);
		while (r == -EBUSY && !flag_waiter(t, starved));
		/* Its death must find our word about whom we wait for. */
	} while (r == -EBUSY && owner != -2 &&
		 mpr_holder_slot(t->word) != (unsigned)owner);
	return r;
}

/* One sleep. Returns what try() does; *@ret_why is 0, or why the wait is to
 * end if the lock was not to be had. */
static int
sleep_once(struct attempt *t, struct mpr_wait *w, int64_t deadline, int *ret_why)
{
	bool starved = t->waits && mproc_now() - w->since > STARVED;
	int r;

	*ret_why = 0;
	/* From the announcement on we may be chosen. */
	t->waits = true;
	r = announce(t, w, starved);
	if (r == -EBUSY)
		*ret_why = mpr_wait_sleep(w, deadline);
	if (mpr_wait_is_foreign(w))
		return -ECHILD;
	mpr_wait_end(w);
	return r == -EBUSY ? try(t) : r;
}

/* We give up, and may have been chosen, or the only one that knows who holds
 * the lock. */
static void
have_another_look(const struct attempt *t)
{
	struct mpr_wake k;

	mpr_wake_begin(&k, t->arena, t->self, t->l);
	mpr_wake_n(&k, 1);
	mpr_wake_end(&k);
}

static int
wait_for(struct attempt *t, int64_t deadline)
{
	struct mpr_wait w;
	int r = -EBUSY, why = 0;
	unsigned looks = 0;

	while (r == -EBUSY && mpr_spin(&t->l->cell.word, MPR_HELD, &looks))
		r = try(t);
	if (r != -EBUSY)
		return r;
	mpr_wait_begin(&w, t->self, t->l, MPR_WAIT_TURN);
	while (r == -EBUSY && why == 0)
		r = sleep_once(t, &w, deadline, &why);
	if (r == -ECHILD)
		return r;
	if (r < 0)
		have_another_look(t);
	mpr_wait_finish(&w);
	if (r == -EBUSY && why == -EINTR)
		mpr_interrupt_answer();
	return r == -EBUSY ? why : r;
}

/* Once for each process in which it goes on. */
static int
acquire_as(mproc_arena *a, struct attempt t, mproc_timeout timeout,
	   int64_t deadline)
{
	int r;

	r = mpr_self(a, &t.self);
	if (r < 0)
		return r;
	r = try(&t);
	if (r == -EBUSY)
		r = timeout.ns ? wait_for(&t, deadline) : -EAGAIN;
	if (r == -ESTALE)
		return mpr_fail(t.waits ? -ESHUTDOWN : r,
				"lock %p was destroyed", (void *)t.l);
	if (r == -EDEADLK)
		return mpr_fail(r, "this thread holds lock %p", (void *)t.l);
	return r;
}

static int
acquire_that(struct attempt t, mproc_timeout timeout)
{
	int64_t deadline;
	mproc_arena *a;
	int r;

	r = mpr_arena_get_of(t.l, &a);
	if (r < 0)
		return r;
	t.arena = a;
	deadline = timeout.ns ? mpr_deadline(timeout) : 0;
	/* A signal handler may have forked while we slept. */
	do
		r = acquire_as(a, t, timeout, deadline);
	while (r == -ECHILD);
	return r;
}

/* A recursive lock, whose handle leads to one, comes here too. */
static enum mpr_cell_kind
remote_kind(const void *handle)
{
	const struct mpr_remote *remote = mpr_remote_at(handle);

	return remote && remote->kind == MPR_CELL_RLOCK ? MPR_CELL_RLOCK :
							  MPR_CELL_LOCK;
}

static MPR_NOINLINE int
acquire_slowly(struct mpr_lock *l, mproc_timeout timeout)
{
	struct attempt t = { .l = l };

	if (!l)
		return mpr_fail(-EINVAL, "lock is NULL");
	if (mpr_remote_has(l))
		return mpr_remote_ask_to_wait(remote_kind(l), l, MPR_OP_ACQUIRE,
					      timeout);
	t.generation = atomic_load(&l->cell.generation);
	return acquire_that(t, timeout);
}

/* @self as the calling thread, or NULL. */
static inline int
acquire(struct mpr_lock *l, const struct mpr_self *self, mproc_timeout timeout)
{
	uint64_t word = 0;

	/* Acquire pairs with the release in mproc_lock_release(): what the last
	 * holder wrote is there. Release, with mpr_holder_is_dead(): who sees
	 * that we hold it sees that we live. */
	if (mpr_unlikely(!l || !self ||
			 !atomic_compare_exchange_strong_explicit(
				 &l->cell.word, &word, mpr_holder(self),
				 memory_order_acq_rel, memory_order_relaxed)))
		return acquire_slowly(l, timeout);
	name(l, self);
	return 0;
}

static MPR_NOINLINE int
acquire_anywhere(struct mpr_lock *l, mproc_timeout timeout)
{
	return acquire(l, mpr_self_of(l), timeout);
}

int
mproc_lock_acquire(mproc_lock *lock, mproc_timeout timeout)
{
	struct mpr_lock *l = lock_of(lock);

	return mpr_arenas_are_many() ? acquire_anywhere(l, timeout) :
				       acquire(l, mpr_self_at_once(), timeout);
}

int
mpr_lock_take_back(struct mpr_lock *l, uint32_t generation)
{
	struct attempt t = { .l = l, .generation = generation, .waits = true };
	int r;

	mpr_interrupt_hold();
	r = acquire_that(t, MPROC_FOREVER);
	mpr_interrupt_unhold();
	/* Somebody has scribbled, and we hold it by that. */
	return r == -EDEADLK ? 0 : r;
}

void
mpr_lock_expect_waiters(struct mpr_lock *l)
{
	uint64_t word = atomic_load(&l->cell.word);

	while (!atomic_compare_exchange_strong(&l->cell.word, &word,
					       word | MPR_WAITERS))
		;
}

int
mpr_lock_try_for(struct mpr_lock *l, struct mpr_self *holder)
{
	struct attempt t = {
		.arena = holder->arena,
		.self = holder,
		.l = l,
		.generation = atomic_load(&l->cell.generation),
	};

	return try(&t);
}

/* Whether @self, which may be NULL, holds it as @word says. */
static int
check_holder(const struct mpr_lock *l, const struct mpr_self *self, uint64_t word)
{
	mproc_arena *a = mpr_arena_of(l);

	if (word & MPR_GONE)
		return mpr_fail(-ESTALE, "lock %p was destroyed", (const void *)l);
	if (self && !(word & MPR_HANDED) &&
	    mpr_holder_name(word) == mpr_holder(self))
		return 0;
	if (!(word & MPR_HELD) || !a)
		return mpr_fail(-EPERM, "nobody holds lock %p", (const void *)l);
	return mpr_fail(-EPERM, "process %u holds lock %p",
			(unsigned)(who_is(a, l, word) >> 32), (const void *)l);
}

int
mpr_lock_check_held(const struct mpr_lock *l)
{
	return check_holder(l, mpr_self_of(l), atomic_load(&l->cell.word));
}

/*
 * Hands the lock, which has the word @word, to the one who waits longest, with @flags
 * besides. Returns false if it was not to be.
 */
static bool
hand_over(struct mpr_lock *l, const struct mpr_wake *k, uint64_t word, uint64_t flags)
{
	struct mpr_waiter w;

	if (!mpr_wake_first(k, &w))
		return false;
	atomic_store(&l->cell.first, now_ms());
	if (!atomic_compare_exchange_strong(
		    &l->cell.word, &word, mpr_holder_of(w.slot, w.ident) |
		    MPR_HANDED | (word & (MPR_WAITERS | MPR_DIED)) | flags))
		return false;
	/* It is not ours any more, and may be gone. If that one does not wait
	 * any more, anyone may take it. */
	if (!mpr_wake_one(k, &w))
		mpr_wake_n(k, 1);
	return true;
}

int
mpr_lock_release_for(struct mpr_lock *l, const struct mpr_self *holder, bool died)
{
	uint64_t word = atomic_load(&l->cell.word), flags = died ? MPR_DIED : 0;
	struct mpr_wake k;
	int r;

	r = check_holder(l, holder, word);
	if (r < 0)
		return r;
	/* Nobody else has it now. If we are killed before it is released, who finds
	 * that out writes it anew. */
	if (died)
		atomic_store(&l->died, 0);
	/* The note is that of who runs this. */
	mpr_wake_begin(&k, mpr_arena_of(l), mpr_self_of(l), l);
	/* Each time: it may be destroyed, and its place be another lock. */
	for (; r == 0; r = check_holder(l, holder, word)) {
		if (word & MPR_STARVED && hand_over(l, &k, word, flags))
			break;
		/* seq_cst, before the look for those who wait. */
		if (atomic_compare_exchange_strong(&l->cell.word, &word,
						   (word & MPR_DIED) | flags)) {
			if (word & MPR_WAITERS)
				mpr_wake_n(&k, 1);
			break;
		}
	}
	mpr_wake_end(&k);
	return r;
}

static MPR_NOINLINE int
release_slowly(struct mpr_lock *l)
{
	if (!l)
		return mpr_fail(-EINVAL, "lock is NULL");
	if (mpr_remote_has(l))
		return mpr_remote_ask_as(remote_kind(l), l, MPR_OP_RELEASE);
	return mpr_lock_release_for(l, mpr_self_of(l), false);
}

static inline int
release(struct mpr_lock *l, const struct mpr_self *self)
{
	uint64_t word;

	if (mpr_unlikely(!l || !self))
		return release_slowly(l);
	word = mpr_holder(self);
	/* Release pairs with the acquire of the next holder. */
	if (mpr_unlikely(!atomic_compare_exchange_strong_explicit(
		    &l->cell.word, &word, 0, memory_order_release,
		    memory_order_relaxed)))
		return release_slowly(l);
	return 0;
}

static MPR_NOINLINE int
release_anywhere(struct mpr_lock *l)
{
	return release(l, mpr_self_of(l));
}

int
mproc_lock_release(mproc_lock *lock)
{
	struct mpr_lock *l = lock_of(lock);

	return mpr_arenas_are_many() ? release_anywhere(l) :
				       release(l, mpr_self_at_once());
}

int
mpr_lock_consistent_for(struct mpr_lock *l, const struct mpr_self *holder)
{
	uint64_t word = atomic_load(&l->cell.word);
	int r;

	do {
		r = check_holder(l, holder, word);
		if (r < 0)
			return r;
	} while (!atomic_compare_exchange_strong(&l->cell.word, &word,
						 word & ~MPR_DIED));
	return 0;
}

int
mproc_lock_consistent(mproc_lock *lock)
{
	struct mpr_lock *l = lock_of(lock);

	if (!l)
		return mpr_fail(-EINVAL, "lock is NULL");
	if (mpr_remote_has(l))
		return mpr_remote_ask_as(remote_kind(l), l, MPR_OP_CONSISTENT);
	return mpr_lock_consistent_for(l, mpr_self_of(l));
}

bool
mproc_lock_is_consistent(const mproc_lock *lock)
{
	mproc_arena *a = mpr_arena_of(lock);
	uint64_t word;

	if (!lock)
		return true;
	if (mpr_remote_has(lock))
		return mpr_remote_ask_simply(remote_kind(lock), lock,
					     MPR_OP_IS_CONSISTENT) != 0;
	word = atomic_load(&look_at(lock)->cell.word);
	return !(word & MPR_DIED) && !(a && mpr_holder_has_died(a, word));
}

int
mproc_lock_owner(const mproc_lock *lock, struct mproc_owner *ret_owner)
{
	const struct mpr_lock *l = look_at(lock);
	mproc_arena *a;
	uint64_t word;
	int r;

	if (!l || !ret_owner)
		return mpr_fail(-EINVAL, "lock or ret_owner is NULL");
	if (mpr_remote_has(l))
		return mpr_remote_owner_of(remote_kind(l), l, ret_owner);
	r = mpr_arena_get_of(l, &a);
	if (r < 0)
		return r;
	word = atomic_load(&l->cell.word);
	if (word & MPR_GONE)
		return mpr_fail(-ESTALE, "lock %p was destroyed", (const void *)l);
	mpr_holder_describe(a, word, atomic_load(&l->named),
			    atomic_load(&l->died), ret_owner);
	ret_owner->waiters = mpr_wait_count(a, l, &ret_owner->since);
	return 0;
}

int
mproc_lock_create(mproc_lock **ret_lock)
{
	void *lock;
	int r;

	if (!ret_lock)
		return mpr_fail(-EINVAL, "ret_lock is NULL");
	r = mpr_cell_create(MPR_CELL_LOCK, &lock);
	if (r < 0)
		return r;
	mpr_cell_open(lock, 0);
	*ret_lock = lock;
	return 0;
}

void
mproc_lock_destroy(mproc_lock *lock)
{
	mpr_cell_destroy(MPR_CELL_LOCK, lock, 0);
}
