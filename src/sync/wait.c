/* SPDX-License-Identifier: MIT */
#include "os/clock.h"
#include "sync/crowd.h"
#include "sync/holder.h"
#include "sync/many.h"
#include "sync/park.h"
#include "sync/scope.h"
#include "sync/wait.h"

static inline _Atomic uint64_t *
word_of(const mproc_arena *a, unsigned slot)
{
	return (_Atomic uint64_t *)mpr_arena_at(a, MPR_WAITS_AT) + slot;
}

static inline uint64_t
make_word(uint64_t name, enum mpr_wait_state state)
{
	return name << 2 | state;
}

static inline enum mpr_wait_state
state_of(uint64_t word)
{
	return (enum mpr_wait_state)(word & 3);
}

void
mpr_wait_begin(struct mpr_wait *w, struct mpr_self *self, const void *object,
	       enum mpr_wait_kind kind)
{
	*w = (struct mpr_wait){
		.self = self,
		.object = object,
		.name = mpr_arena_name(self->arena, object),
		.generation = self->generation,
		.kind = kind,
		.since = mproc_now(),
		.before = atomic_load_explicit(&self->shared->wakes,
					       memory_order_relaxed),
	};
	w->kind_before = (enum mpr_wait_kind)atomic_load_explicit(
		&self->shared->wait_kind, memory_order_relaxed);
	atomic_store_explicit(&self->shared->wait_kind, kind,
			      memory_order_relaxed);
	if (kind == MPR_WAIT_CALL)
		atomic_store(&self->shared->calls, w->name);
	atomic_store(&self->shared->wakes, w->name);
}

void
mpr_wait_finish(struct mpr_wait *w)
{
	struct mpr_participant *p = w->self->shared;

	atomic_store_explicit(&p->wakes, w->before, memory_order_release);
	atomic_store_explicit(&p->wait_kind, w->kind_before,
			      memory_order_relaxed);
	if (w->kind == MPR_WAIT_CALL)
		atomic_store_explicit(&p->calls, 0, memory_order_release);
}

void
mpr_wait_then(struct mpr_wait *w, const void *next)
{
	w->then = mpr_arena_name(w->self->arena, next);
}

/* Before it sleeps: the ticket, and what others see of its wait. */
static void
get_ready(struct mpr_wait *w)
{
	struct mpr_participant *p = w->self->shared;

	w->ticket = mpr_park_ticket(w->self);
	atomic_store_explicit(&p->wait_since, (uint64_t)w->since,
			      memory_order_relaxed);
	atomic_store_explicit(&p->wait_object, w->name, memory_order_relaxed);
}

void
mpr_wait_announce(struct mpr_wait *w, int owner)
{
	struct mpr_participant *p = w->self->shared;
	uint64_t whose = owner == -2 ? MPR_WAIT_ANYONE : (uint64_t)(owner + 1);

	get_ready(w);
	atomic_store_explicit(&p->wait_kind, w->kind, memory_order_relaxed);
	atomic_store_explicit(&p->wait_owner, whose, memory_order_relaxed);
	atomic_store_explicit(&p->wait_then, w->then, memory_order_relaxed);
	/* seq_cst, before the look at the object: see wait.h. */
	atomic_store(word_of(w->self->arena, w->self->slot),
		     make_word(w->name, MPR_WAIT_WAITING));
}

int
mpr_wait_sleep(struct mpr_wait *w, int64_t deadline)
{
	return mpr_park(w->self, w->object, w->ticket, deadline);
}

bool
mpr_wait_again(struct mpr_wait *w)
{
	get_ready(w);
	/* seq_cst, after the ticket was read: who chooses it later changes
	 * that. */
	return atomic_load(word_of(w->self->arena, w->self->slot)) ==
	       make_word(w->name, MPR_WAIT_WAITING);
}

bool
mpr_wait_end(struct mpr_wait *w)
{
	struct mpr_participant *p = w->self->shared;
	uint64_t word;

	word = atomic_exchange(word_of(w->self->arena, w->self->slot), 0);
	atomic_store_explicit(&p->wait_owner, 0, memory_order_relaxed);
	atomic_store_explicit(&p->wait_object, 0, memory_order_relaxed);
	return word >> 2 == w->name && state_of(word) >= MPR_WAIT_CHOSEN;
}

bool
mpr_wait_is_foreign(struct mpr_wait *w)
{
	uint64_t generation = mpr_generation_peek();

	if (mpr_likely(w->generation == generation))
		return false;
	/* Who begins anew looks before it sleeps: a wake-up is not lost with that. */
	if (w->self->generation == generation)
		(void)mpr_wait_end(w);
	return true;
}

bool
mpr_wait_end_unless_moved(struct mpr_wait *w, bool *ret_moved)
{
	uint64_t waiting = make_word(w->name, MPR_WAIT_WAITING);

	/* Nobody moves it but from WAITING. */
	if (atomic_compare_exchange_strong(
		    word_of(w->self->arena, w->self->slot), &waiting, 0)) {
		mpr_wait_end(w);
		return false;
	}
	/* Or a signal handler has waited meanwhile, and what we were told then is
	 * lost: let the caller look. */
	*ret_moved = waiting >> 2 != w->name;
	return *ret_moved || mpr_wait_end(w);
}

/* A walk over those who wait for the same, by name. */
struct walk {
	const mproc_arena *arena;
	uint64_t name;
	uint64_t doors; /* bits of a name that do not matter */
	struct mpr_scope scope;
	uint64_t held; /* the name that some may be moved to, or 0 */
	unsigned ahead; /* but so many after the first are woken instead */
	unsigned chosen; /* or moved, so far */
	uint64_t *once; /* whom it has chosen already, or NULL */
	bool calls; /* crowds, too */
	uint64_t *calls_once;
	unsigned slot; /* the next one to look at */
	unsigned high;
};

static struct walk
walk_from(const mproc_arena *a, uint64_t name,
	  const struct mpr_participant *of)
{
	return (struct walk){
		.arena = a,
		.name = name,
		.scope = mpr_scope(name, of),
		.high = mpr_participants_high(a),
	};
}

/* At whatever door of the object. */
static struct walk
walk_doors(const mproc_arena *a, uint64_t name,
	   const struct mpr_participant *of)
{
	struct walk walk = walk_from(a, name & ~MPR_DOORS, of);

	walk.doors = MPR_DOORS;
	return walk;
}

/* What becomes of the word of one that waits for @name and is chosen, or
 * moved. */
static uint64_t
chosen_word(const struct walk *walk, uint64_t name,
	    const struct mpr_participant *p)
{
	uint64_t then = atomic_load_explicit(&p->wait_then,
					     memory_order_relaxed);

	bool is_ahead = walk->chosen && walk->chosen <= walk->ahead;

	return walk->held && then == walk->held && !is_ahead ?
		       make_word(walk->held, MPR_WAIT_WAITING) :
		       make_word(name, MPR_WAIT_CHOSEN);
}

/* The next one that waits, and its word; false at the end. */
static bool
next_waiter(struct walk *walk, struct mpr_waiter *ret, uint64_t *ret_word)
{
	while (walk->slot < walk->high) {
		unsigned slot = walk->slot++;
		uint64_t word = atomic_load(word_of(walk->arena, slot));
		struct mpr_participant *p;
		uint64_t ident;

		if ((word >> 2 & ~walk->doors) != walk->name || !state_of(word))
			continue;
		p = mpr_participant_at(walk->arena, slot);
		ident = atomic_load(&p->ident);
		/* The dead leave their words. */
		if (!mpr_scope_lives(walk->arena, slot, ident) ||
		    !mpr_scope_includes(&walk->scope, p))
			continue;
		*ret = (struct mpr_waiter){
			.slot = slot,
			.ident = ident,
			.since = (int64_t)atomic_load_explicit(
				&p->wait_since, memory_order_relaxed),
		};
		*ret_word = word;
		return true;
	}
	return false;
}

/* Someone else who waits for the object. */
static bool
find_other(const struct mpr_self *self, const void *object,
	   struct mpr_waiter *ret)
{
	struct walk walk = walk_from(self->arena,
				     mpr_arena_name(self->arena, object),
				     self->shared);
	uint64_t word;

	while (next_waiter(&walk, ret, &word))
		if (ret->slot != self->slot)
			return true;
	return false;
}

bool
mpr_wait_others(const struct mpr_self *self, const void *object)
{
	struct mpr_waiter w;

	return find_other(self, object, &w);
}

bool
mpr_wait_succeed(const struct mpr_self *self, const void *object)
{
	struct mpr_waiter w;

	if (!find_other(self, object, &w))
		return false;
	/* seq_cst, before the object names us: if we die after that, recovery
	 * finds it. If it is about to say itself whom it waits for, it looks once
	 * more after that. */
	atomic_store(&mpr_participant_at(self->arena, w.slot)->wait_owner,
		     self->slot + 1);
	return true;
}

unsigned
mpr_wait_count(const mproc_arena *a, const void *object, int64_t *ret_since)
{
	struct mpr_self *self = mpr_self_in(a);
	struct walk walk = walk_doors(a, mpr_arena_name(a, object),
				      self ? self->shared : NULL);
	struct mpr_waiter w;
	unsigned n = 0;
	uint64_t word;

	*ret_since = 0;
	for (; next_waiter(&walk, &w, &word); n++)
		if (!*ret_since || w.since < *ret_since)
			*ret_since = w.since;
	return n;
}

bool
mpr_waits_for(const mproc_arena *a, unsigned slot, const void *object)
{
	uint64_t word = atomic_load(word_of(a, slot));

	return word >> 2 == mpr_arena_name(a, object) && state_of(word);
}

void
mpr_wake_begin(struct mpr_wake *k, const mproc_arena *a, struct mpr_self *self,
	       const void *object)
{
	*k = (struct mpr_wake){
		.arena = a,
		.self = self,
		.object = object,
	};
	if (!self)
		return;
	k->before = atomic_load_explicit(&self->shared->wakes,
					 memory_order_relaxed);
	/* Release, and the change after it is seq_cst: who sees the change of
	 * the dead sees its note. */
	atomic_store_explicit(&self->shared->wakes, mpr_arena_name(a, object),
			      memory_order_release);
}

void
mpr_wake_end(struct mpr_wake *k)
{
	if (k->self)
		atomic_store_explicit(&k->self->shared->wakes, k->before,
				      memory_order_release);
}

static struct walk
walk_of(const struct mpr_wake *k)
{
	struct walk walk = walk_from(k->arena,
				     mpr_arena_name(k->arena, k->object),
				     k->self ? k->self->shared : NULL);

	if (k->held)
		walk.held = mpr_arena_name(k->arena, k->held);
	walk.ahead = k->ahead;
	walk.once = k->once;
	walk.calls = k->calls;
	walk.calls_once = k->calls_once;
	return walk;
}

static bool
is_again(const struct walk *walk, unsigned slot)
{
	return walk->once && walk->once[slot / 64] >> slot % 64 & 1;
}

static bool
find_first(struct walk walk, struct mpr_waiter *ret)
{
	uint64_t word;
	struct mpr_waiter w;
	bool found = false;

	while (next_waiter(&walk, &w, &word)) {
		if (state_of(word) != MPR_WAIT_WAITING ||
		    (found && w.since >= ret->since) ||
		    is_again(&walk, w.slot))
			continue;
		*ret = w;
		found = true;
	}
	return found;
}

/* Returns false if it does not wait any more. */
static bool
choose(const struct walk *walk, uint64_t name, const struct mpr_waiter *w)
{
	const mproc_arena *a = walk->arena;
	struct mpr_participant *p = mpr_participant_at(a, w->slot);
	uint64_t word = make_word(name, MPR_WAIT_WAITING);
	uint64_t chosen = chosen_word(walk, name, p);
	bool still_there;

	/* Also before: if we are killed after that, it looks soon all the same. */
	if (state_of(chosen) == MPR_WAIT_WAITING)
		mpr_unpark_to_glance(a, w->slot);
	if (!atomic_compare_exchange_strong(word_of(a, w->slot), &word, chosen))
		return false;
	/* Recovery makes it DEAD, then looks whether it was chosen: if that was
	 * too early to see it, we see it here. seq_cst, all. And the slot may be
	 * another's, who waits for what has the same name in its process. Before
	 * it is woken: later it may have used this and left, which is no reason
	 * to choose another one. */
	still_there = atomic_load(&p->ident) == w->ident;
	if (state_of(chosen) == MPR_WAIT_CHOSEN)
		mpr_unpark(a, w->slot);
	else
		mpr_unpark_to_glance(a, w->slot);
	return still_there;
}

static void
set_bit(uint64_t *bits, unsigned i)
{
	if (bits)
		bits[i / 64] |= UINT64_C(1) << i % 64;
}

/* Those who wait longest, of one participant, or up to @most of one crowd. Returns how
 * many. */
static unsigned
choose_first(struct walk walk, unsigned most)
{
	struct mpr_crowd_found crowd;
	struct mpr_waiter w;
	unsigned n = 0;

	while (!n) {
		bool one = find_first(walk, &w);

		if (walk.calls &&
		    mpr_crowds_first(walk.arena, walk.name, walk.calls_once,
				     &crowd) &&
		    (!one || crowd.since < w.since)) {
			set_bit(walk.calls_once, crowd.at);
			n = mpr_crowd_call(walk.arena, &crowd, most);
			continue;
		}
		if (!one)
			return 0;
		set_bit(walk.once, w.slot);
		n = choose(&walk, walk.name, &w);
	}
	return n;
}

bool
mpr_wake_first(const struct mpr_wake *k, struct mpr_waiter *ret)
{
	return find_first(walk_of(k), ret);
}

bool
mpr_wake_one(const struct mpr_wake *k, const struct mpr_waiter *w)
{
	struct walk walk = walk_of(k);

	return choose(&walk, walk.name, w);
}

void *
mpr_wake_next(const struct mpr_wake *k, const struct mpr_waiter *w, uint64_t len)
{
	/* Any process can write there. */
	uint64_t then = atomic_load_explicit(
		&mpr_participant_at(k->arena, w->slot)->wait_then,
		memory_order_relaxed);

	return then % 8 == 0 && mpr_arena_has(k->arena, then, len) ?
		       mpr_arena_at(k->arena, then) : NULL;
}

unsigned
mpr_wake_n(const struct mpr_wake *k, unsigned n)
{
	struct walk walk = walk_of(k);
	unsigned more;

	do {
		more = walk.chosen < n ? choose_first(walk, n - walk.chosen) : 0;
		walk.chosen += more;
	} while (more);
	return walk.chosen;
}

static unsigned
choose_all(struct walk walk)
{
	struct mpr_waiter w;
	uint64_t word;

	while (next_waiter(&walk, &w, &word))
		if (state_of(word) == MPR_WAIT_WAITING)
			walk.chosen += choose(&walk, word >> 2, &w);
	if (walk.calls)
		walk.chosen += mpr_crowds_call_all(walk.arena, walk.name);
	return walk.chosen;
}

unsigned
mpr_wake_all(const struct mpr_wake *k)
{
	return choose_all(walk_of(k));
}

/* Those who wait for the object called @name, at whatever door, as @of means it.
 * They look, and if it was in vain, sleep again. */
static void
wake_for_a_look(const mproc_arena *a, uint64_t name,
		const struct mpr_participant *of)
{
	struct walk walk = walk_doors(a, name, of);
	struct mpr_waiter w;
	uint64_t word;

	while (next_waiter(&walk, &w, &word))
		mpr_unpark(a, w.slot);
	mpr_many_wake(a, name, of);
	mpr_crowds_look(a, walk.name);
}

void
mpr_wake_many(const struct mpr_wake *k)
{
	mpr_many_wake(k->arena, mpr_arena_name(k->arena, k->object),
		      k->self ? k->self->shared : NULL);
}

void
mpr_wake_for_a_look(const struct mpr_wake *k)
{
	wake_for_a_look(k->arena, mpr_arena_name(k->arena, k->object),
			k->self ? k->self->shared : NULL);
}

#define LOOK 100000000 /* ns */
#define RARELY 10 /* of so many looks one */
#define REPLACED 255 /* for wait_kind */

/* Whether who is chosen as @word says is the next one to take something. Who was
 * called may have been moved since, to wait for its turn. */
static bool
is_turn(const struct mpr_participant *p, uint64_t word)
{
	switch (atomic_load(&p->wait_kind)) {
	case MPR_WAIT_TURN:
		return true;
	case MPR_WAIT_CALL:
		return word >> 2 != atomic_load(&p->calls);
	}
	/* Or it has been replaced. */
	return false;
}

/* For one that lives, and may stand still. @wakes_too: also if it was going to wake
 * others, however many. */
static void
look_after(const mproc_arena *a, unsigned slot, bool wakes_too)
{
	struct mpr_participant *p = mpr_participant_at(a, slot);
	uint64_t word = atomic_load(word_of(a, slot));
	uint64_t wakes = atomic_load(&p->wakes);

	/* About to wake others, or just waking them: what it waits for is noted
	 * too, and what it is called for while it waits for the lock. */
	if (wakes_too && wakes && wakes != word >> 2 &&
	    wakes != atomic_load(&p->calls))
		wake_for_a_look(a, wakes, p);
	if (state_of(word) == MPR_WAIT_CHOSEN) {
		atomic_compare_exchange_strong(word_of(a, slot), &word,
					       word | MPR_WAIT_OVERDUE);
		return;
	}
	if (state_of(word) != MPR_WAIT_OVERDUE)
		return;
	/* Who has chosen it may have come to an end before it woke it. */
	mpr_unpark(a, slot);
	if (!is_turn(p, word))
		return;
	/* Once, until it sleeps again. */
	atomic_store(&p->wait_kind, REPLACED);
	(void)choose_first(walk_from(a, word >> 2, p), 1);
	/* Those at other doors may go on as well, once it does not. */
	wake_for_a_look(a, word >> 2, p);
}

void
mpr_waits_look(const mproc_arena *a)
{
	_Atomic int64_t *looked_at = &a->shm->waits_looked_at;
	int64_t last = atomic_load(looked_at), now = mproc_now();
	unsigned high = mpr_participants_high(a);
	bool rarely = now / LOOK % RARELY == 0;

	/* Any process can write there. */
	if ((last > now - LOOK && last <= now) ||
	    !atomic_compare_exchange_strong(looked_at, &last, now))
		return;
	for (unsigned slot = 0; slot < high; slot++)
		if (mpr_scope_lives(a, slot, atomic_load(
				    &mpr_participant_at(a, slot)->ident)))
			look_after(a, slot, rarely);
}

/* The slot of who holds the object called @name, or -1. Somebody who lives waits for
 * it, so its memory is there. */
static int
holder_of(const mproc_arena *a, uint64_t name)
{
	uint64_t offset = name & ~MPR_DOORS, word;

	if (!mpr_arena_has(a, offset, sizeof(word)))
		return -1;
	word = atomic_load((_Atomic uint64_t *)mpr_arena_at(a, offset));
	return word & MPR_HELD ? (int)mpr_holder_slot(word) : -1;
}

bool
mpr_waits_for_an_owner(const struct mpr_self *self)
{
	const struct mpr_participant *p = self->shared;
	/* seq_cst, after it has said when it glances: mpr_unpark_to_glance(). */
	uint64_t word = atomic_load(word_of(self->arena, self->slot));

	if (!state_of(word))
		return false;
	/* Relaxed: its own. Or it was moved there. */
	return atomic_load_explicit(&p->wait_owner, memory_order_relaxed) ||
	       atomic_load_explicit(&p->wait_then, memory_order_relaxed) ==
		       word >> 2;
}

unsigned
mpr_wait_owners(const struct mpr_self *self, unsigned ret[MPR_WAIT_OWNERS])
{
	const mproc_arena *a = self->arena;
	uint64_t said = atomic_load_explicit(&self->shared->wait_owner,
					     memory_order_relaxed);
	int holder;
	unsigned n = 0;

	if (!mpr_waits_for_an_owner(self))
		return 0;
	holder = holder_of(a, atomic_load(word_of(a, self->slot)) >> 2);
	if (holder >= 0)
		ret[n++] = (unsigned)holder;
	if (said && said != MPR_WAIT_ANYONE && said != (uint64_t)holder + 1)
		ret[n++] = (unsigned)said - 1;
	return n;
}

/* Those who wait for the death of the one in @slot. */
static void
tell_of(const mproc_arena *a, unsigned slot)
{
	unsigned high = mpr_participants_high(a);

	for (unsigned i = 0; i < high; i++) {
		struct mpr_participant *p = mpr_participant_at(a, i);
		uint64_t word = atomic_load(word_of(a, i)), owner;

		/* What the dead waited for may have been freed since. */
		if (!state_of(word) ||
		    !mpr_scope_lives(a, i, atomic_load(&p->ident)))
			continue;
		owner = atomic_load(&p->wait_owner);
		if (owner == slot + 1 || owner == MPR_WAIT_ANYONE ||
		    holder_of(a, word >> 2) == (int)slot)
			mpr_unpark(a, i);
	}
}

/* All who wait for what is called @name, as the dead @of meant it. Then for a look, as
 * who did this before us may have died over it. */
static void
notify_all(const mproc_arena *a, uint64_t name, const struct mpr_participant *of)
{
	struct walk walk = walk_from(a, name, of);

	walk.calls = true;
	choose_all(walk);
	wake_for_a_look(a, name, of);
}

void
mpr_waits_recover(mproc_arena *a, unsigned slot, uint64_t ident)
{
	struct mpr_participant *p = mpr_participant_at(a, slot);
	uint64_t word = atomic_load(word_of(a, slot));
	uint64_t note = atomic_load(&p->wakes);
	uint64_t calls = atomic_load(&p->calls);
	uint64_t owner = mpr_holder_of(slot, ident);
	unsigned at;

	if (!mpr_participant_still_dead(a, slot, ident))
		return;
	/* Also whom it has chosen and not woken. */
	if (note)
		wake_for_a_look(a, note, p);
	/* It may have been moved there, and chosen. */
	if (state_of(word) && word >> 2 != note)
		wake_for_a_look(a, word >> 2, p);
	/* It may have been the one that was called, or those of its crowds. */
	if (calls)
		notify_all(a, calls, p);
	for (at = 0; mpr_crowds_next_of(a, owner, &at, &calls); at++) {
		notify_all(a, calls, p);
		if (!mpr_participant_still_dead(a, slot, ident))
			return;
		mpr_crowd_bury(a, at, owner);
	}
	tell_of(a, slot);
}

void
mpr_waits_left(mproc_arena *a, unsigned slot)
{
	tell_of(a, slot);
}
