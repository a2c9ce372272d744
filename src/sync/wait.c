/* SPDX-License-Identifier: MIT */
#include "arena/death.h"
#include "os/clock.h"
#include "os/task.h"
#include "sync/park.h"
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
mpr_wait_begin(struct mpr_wait *w, struct mpr_self *self, const void *object)
{
	*w = (struct mpr_wait){
		.self = self,
		.object = object,
		.name = mpr_arena_name(self->arena, object),
		.since = mproc_now(),
	};
}

void
mpr_wait_announce(struct mpr_wait *w, int owner)
{
	struct mpr_participant *p = w->self->shared;
	uint32_t whose = owner == -2 ? MPR_WAIT_ANYONE : (uint32_t)(owner + 1);

	w->ticket = mpr_park_ticket(w->self);
	atomic_store_explicit(&p->wait_since, (uint64_t)w->since,
			      memory_order_relaxed);
	atomic_store_explicit(&p->wait_object, w->name, memory_order_relaxed);
	atomic_store_explicit(&p->wait_owner, whose, memory_order_relaxed);
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
mpr_wait_end(struct mpr_wait *w)
{
	struct mpr_participant *p = w->self->shared;
	uint64_t word;

	word = atomic_exchange(word_of(w->self->arena, w->self->slot), 0);
	atomic_store_explicit(&p->wait_owner, 0, memory_order_relaxed);
	atomic_store_explicit(&p->wait_object, 0, memory_order_relaxed);
	return word == make_word(w->name, MPR_WAIT_CHOSEN);
}

/* What is outside the arena is another object in each process. Two with the
 * same pid, in different namespaces, are told apart where the caller knows its
 * own. */
static bool
is_of_process(const struct mpr_participant *p, uint32_t pid, uint64_t namespace)
{
	return atomic_load(&p->pid) == pid &&
	       (!namespace || atomic_load(&p->pid_namespace) == namespace);
}

/* As far as the life word says: who is dead and not recovered from would make
 * others wait for that. */
static bool
lives(const mproc_arena *a, unsigned slot, uint64_t ident)
{
	return mpr_participant_state(ident) == MPR_PARTICIPANT_LIVE &&
	       !mpr_participant_is_dead(a, slot, ident, false);
}

/* A walk over those who wait for the same, by name. */
struct walk {
	const mproc_arena *arena;
	uint64_t name;
	uint32_t pid; /* 0: whatever the process is */
	uint64_t namespace;
	unsigned slot; /* the next one to look at */
	unsigned high;
};

static struct walk
walk_from(const mproc_arena *a, uint64_t name,
	  const struct mpr_participant *of)
{
	struct walk walk = {
		.arena = a,
		.name = name,
		.high = mpr_participants_high(a),
	};

	if (name & MPR_NAME_PRIVATE) {
		walk.pid = of ? atomic_load(&of->pid) :
				(uint32_t)mpr_task_pid();
		walk.namespace = of ? atomic_load(&of->pid_namespace) : 0;
	}
	return walk;
}

/* The next one that waits, its slot in *@ret_slot, and its state; NULL at the
 * end. */
static struct mpr_participant *
next_waiter(struct walk *walk, unsigned *ret_slot, enum mpr_wait_state *ret)
{
	while (walk->slot < walk->high) {
		unsigned slot = walk->slot++;
		uint64_t word = atomic_load(word_of(walk->arena, slot));
		struct mpr_participant *p;

		if (word >> 2 != walk->name || !state_of(word))
			continue;
		p = mpr_participant_at(walk->arena, slot);
		/* The dead leave their words. */
		if (!lives(walk->arena, slot, atomic_load(&p->ident)) ||
		    (walk->pid &&
		     !is_of_process(p, walk->pid, walk->namespace)))
			continue;
		*ret_slot = slot;
		*ret = state_of(word);
		return p;
	}
	return NULL;
}

bool
mpr_wait_others(const mproc_arena *a, const struct mpr_self *self,
		const void *object)
{
	struct walk walk = walk_from(a, mpr_arena_name(a, object),
				     self ? self->shared : NULL);
	enum mpr_wait_state state;
	unsigned slot;

	while (next_waiter(&walk, &slot, &state))
		if (!self || slot != self->slot)
			return true;
	return false;
}

unsigned
mpr_wait_count(const mproc_arena *a, const void *object, int64_t *ret_since)
{
	struct mpr_self *self = mpr_self_if_joined();
	struct walk walk = walk_from(a, mpr_arena_name(a, object),
				     self ? self->shared : NULL);
	struct mpr_participant *p;
	enum mpr_wait_state state;
	unsigned slot, n = 0;

	*ret_since = 0;
	for (; (p = next_waiter(&walk, &slot, &state)); n++) {
		int64_t since = (int64_t)atomic_load(&p->wait_since);

		if (!*ret_since || since < *ret_since)
			*ret_since = since;
	}
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
	return walk_from(k->arena, mpr_arena_name(k->arena, k->object),
			 k->self ? k->self->shared : NULL);
}

static int
find_first(struct walk walk, int64_t *ret_since)
{
	struct mpr_participant *p;
	enum mpr_wait_state state;
	unsigned slot;
	int first = -1;

	*ret_since = 0;
	while ((p = next_waiter(&walk, &slot, &state))) {
		int64_t since = (int64_t)atomic_load_explicit(
			&p->wait_since, memory_order_relaxed);

		if (state != MPR_WAIT_WAITING ||
		    (first >= 0 && since >= *ret_since))
			continue;
		first = (int)slot;
		*ret_since = since;
	}
	return first;
}

static bool
choose(const mproc_arena *a, uint64_t name, unsigned slot)
{
	struct mpr_participant *p = mpr_participant_at(a, slot);
	uint64_t word = make_word(name, MPR_WAIT_WAITING);
	uint64_t ident = atomic_load(&p->ident);

	if (!lives(a, slot, ident) ||
	    !atomic_compare_exchange_strong(word_of(a, slot), &word,
					    make_word(name, MPR_WAIT_CHOSEN)))
		return false;
	mpr_unpark(a, slot);
	/* Recovery makes it DEAD, then looks whether it was chosen: if that was
	 * too early to see it, we see it here. seq_cst, all. */
	return atomic_load(&p->ident) == ident;
}

/* Returns whether there was one. */
static bool
choose_first(struct walk walk)
{
	int64_t since;
	int slot;

	while ((slot = find_first(walk, &since)) >= 0)
		if (choose(walk.arena, walk.name, (unsigned)slot))
			return true;
	return false;
}

int
mpr_wake_first(const struct mpr_wake *k, int64_t *ret_since)
{
	return find_first(walk_of(k), ret_since);
}

bool
mpr_wake_one(const struct mpr_wake *k, unsigned slot)
{
	return choose(k->arena, mpr_arena_name(k->arena, k->object), slot);
}

unsigned
mpr_wake_n(const struct mpr_wake *k, unsigned n)
{
	struct walk walk = walk_of(k);
	unsigned woken = 0;

	while (woken < n && choose_first(walk))
		woken++;
	return woken;
}

unsigned
mpr_wake_all(const struct mpr_wake *k)
{
	struct walk walk = walk_of(k);
	enum mpr_wait_state state;
	unsigned slot, woken = 0;

	while (next_waiter(&walk, &slot, &state))
		woken += state == MPR_WAIT_WAITING &&
			 choose(walk.arena, walk.name, slot);
	return woken;
}

/* Those who wait for the death of the one in @slot. */
static void
tell_of(const mproc_arena *a, unsigned slot)
{
	unsigned high = mpr_participants_high(a);

	for (unsigned i = 0; i < high; i++) {
		uint32_t owner;

		if (!state_of(atomic_load(word_of(a, i))))
			continue;
		owner = atomic_load_explicit(
			&mpr_participant_at(a, i)->wait_owner,
			memory_order_relaxed);
		if (owner == slot + 1 || owner == MPR_WAIT_ANYONE)
			mpr_unpark(a, i);
	}
}

void
mpr_waits_recover(mproc_arena *a, unsigned slot, uint64_t ident)
{
	struct mpr_participant *p = mpr_participant_at(a, slot);
	uint64_t word = atomic_load(word_of(a, slot));
	uint64_t note = atomic_load(&p->wakes);
	enum mpr_wait_state state;
	struct walk walk;
	unsigned i;

	if (!mpr_participant_still_dead(a, slot, ident))
		return;
	if (state_of(word) == MPR_WAIT_CHOSEN)
		choose_first(walk_from(a, word >> 2, p));
	/* Also those whom it has chosen and not woken. They look, and if it was
	 * in vain, sleep again. */
	if (note) {
		walk = walk_from(a, note, p);
		while (next_waiter(&walk, &i, &state))
			mpr_unpark(a, i);
	}
	tell_of(a, slot);
}

void
mpr_waits_left(mproc_arena *a, unsigned slot)
{
	tell_of(a, slot);
}
