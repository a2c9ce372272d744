/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "os/clock.h"
#include "sync/condition.h"
#include "sync/crowd.h"
#include "sync/holder.h"
#include "sync/park.h"

static unsigned
high_of(const mproc_arena *a)
{
	/* seq_cst, with raise_high(). */
	uint32_t high = atomic_load(&a->shm->crowds_high);

	return high < MPR_CROWDS_MAX ? high : MPR_CROWDS_MAX;
}

static void
raise_high(const mproc_arena *a, uint32_t high)
{
	uint32_t seen = atomic_load(&a->shm->crowds_high);

	/* seq_cst: who has joined there is found by who notifies after that. */
	while (seen < high && !atomic_compare_exchange_weak(&a->shm->crowds_high,
							    &seen, high))
		;
}

static bool
has_same_number(uint64_t count, uint64_t other)
{
	return count / MPR_CROWD_NUMBER == other / MPR_CROWD_NUMBER;
}

/* That of a new crowd, of which nobody waits. */
static uint64_t
next_number(uint64_t count)
{
	return (count / MPR_CROWD_NUMBER + 1) * MPR_CROWD_NUMBER;
}

/*
 * Notifying.
 */

/* Whether somebody is left there. */
static bool
find_at(const mproc_arena *a, unsigned at, uint64_t name, struct mpr_crowd_found *ret)
{
	struct mpr_crowd_place *place = mpr_crowd_at(a, at);
	/* seq_cst, all, and first: whoever changes the others changes the number
	 * before that, so that mpr_crowd_call() fails. */
	uint64_t count = atomic_load(&place->count), owner;

	if (!mpr_crowd_left(count) || atomic_load(&place->name) != name)
		return false;
	owner = atomic_load(&place->owner);
	if (mpr_holder_is_dead(a, owner))
		return false;
	*ret = (struct mpr_crowd_found){
		.at = at, .owner = owner, .count = count,
		.since = atomic_load_explicit(&place->since, memory_order_relaxed),
	};
	return true;
}

static bool
is_again(const uint64_t *once, unsigned at)
{
	return once && once[at / 64] >> at % 64 & 1;
}

bool
mpr_crowds_first(const mproc_arena *a, uint64_t name, const uint64_t *once,
		 struct mpr_crowd_found *ret)
{
	struct mpr_crowd_found found;
	unsigned high = high_of(a);
	bool some = false;

	for (unsigned at = 0; at < high; at++) {
		if (is_again(once, at) || !find_at(a, at, name, &found) ||
		    (some && found.since >= ret->since))
			continue;
		*ret = found;
		some = true;
	}
	return some;
}

uint32_t
mpr_crowd_call(const mproc_arena *a, const struct mpr_crowd_found *found, uint32_t most)
{
	struct mpr_crowd_place *place = mpr_crowd_at(a, found->at);
	uint64_t count = found->count;
	uint32_t n;

	do {
		if (!has_same_number(count, found->count))
			return 0;
		n = mpr_crowd_left(count);
		if (n > most)
			n = most;
	} while (n && !atomic_compare_exchange_strong(&place->count, &count,
						      count + n));
	if (!n)
		return 0;
	mpr_unpark(a, mpr_holder_slot(found->owner));
	/* Recovery makes it DEAD, then notifies all others: if that was too early, we see
	 * it here, and choose somebody else. */
	return mpr_holder_is_dead(a, found->owner) ? 0 : n;
}

uint32_t
mpr_crowds_call_all(const mproc_arena *a, uint64_t name)
{
	struct mpr_crowd_found found;
	unsigned high = high_of(a);
	uint32_t n = 0;

	for (unsigned at = 0; at < high; at++)
		if (find_at(a, at, name, &found))
			n += mpr_crowd_call(a, &found, MPR_CROWD_MOST);
	return n;
}

void
mpr_crowds_look(const mproc_arena *a, uint64_t name)
{
	struct mpr_crowd_place *place;
	unsigned high = high_of(a);
	uint64_t owner;

	for (unsigned at = 0; at < high; at++) {
		place = mpr_crowd_at(a, at);
		if (!mpr_crowd_waiting(atomic_load(&place->count)) ||
		    atomic_load(&place->name) != name)
			continue;
		owner = atomic_load(&place->owner);
		if (mpr_holder_is_dead(a, owner))
			continue;
		/* If it is another crowd by now, that looks in vain. */
		atomic_fetch_or(&place->count, MPR_CROWD_LOOK);
		mpr_unpark(a, mpr_holder_slot(owner));
	}
}

/*
 * Recovery.
 */

bool
mpr_crowds_next_of(const mproc_arena *a, uint64_t owner, unsigned *at,
		   uint64_t *ret_name)
{
	unsigned high = high_of(a);

	for (; *at < high; (*at)++) {
		struct mpr_crowd_place *place = mpr_crowd_at(a, *at);

		if (atomic_load(&place->owner) != owner)
			continue;
		*ret_name = atomic_load(&place->name);
		return true;
	}
	return false;
}

void
mpr_crowd_bury(const mproc_arena *a, unsigned at, uint64_t owner)
{
	struct mpr_crowd_place *place = mpr_crowd_at(a, at);
	uint64_t count = atomic_load(&place->count);

	/* Whoever has the place next finds nobody waiting there. The number: if it was
	 * freed meanwhile, this fails. */
	do
		if (atomic_load(&place->owner) != owner)
			return;
	while (!atomic_compare_exchange_strong(&place->count, &count,
					       next_number(count)));
	atomic_compare_exchange_strong(&place->owner, &owner, 0);
}

/*
 * Serving.
 */

unsigned
mpr_crowds_count(const mproc_arena *a)
{
	unsigned high = high_of(a), n = 0;

	for (unsigned at = 0; at < high; at++)
		n += atomic_load_explicit(&mpr_crowd_at(a, at)->owner,
					  memory_order_relaxed) != 0;
	return n;
}

/* A free place. */
static int
claim(mproc_arena *a, uint64_t owner, struct mpr_crowd_place **ret)
{
	uint64_t word;
	int r;

	for (unsigned at = 0; at < MPR_CROWDS_MAX; at++) {
		r = mpr_arena_back_table(a, MPR_CROWDS_AT, sizeof(**ret),
					 &a->shm->crowds_backed, at + 1);
		if (r < 0)
			return r;
		*ret = mpr_crowd_at(a, at);
		word = atomic_load(&(*ret)->owner);
		if (word)
			continue;
		/* Before that: who dies after it is recovered from. */
		raise_high(a, at + 1);
		if (atomic_compare_exchange_strong(&(*ret)->owner, &word, owner))
			return 0;
	}
	return -EBUSY;
}

int
mpr_crowd_begin(struct mpr_crowd *crowd, const struct mpr_self *owner,
		mproc_condition *condition, uint32_t generation)
{
	mproc_arena *a = owner->arena;
	struct mpr_crowd_place *place;
	int r = claim(a, mpr_holder(owner), &place);

	if (r < 0)
		return r;
	*crowd = (struct mpr_crowd){
		.arena = a,
		.place = place,
		.condition = condition,
		.generation = generation,
		.number = next_number(atomic_load(&place->count)),
	};
	/* seq_cst, in this order: see find_at(). */
	atomic_store(&place->count, crowd->number);
	atomic_store(&place->name, mpr_arena_name(a, condition));
	mpr_crowd_since(crowd, mproc_now());
	return 0;
}

/* Whether it says what it should; who was called others say. */
static bool
is_sound(const struct mpr_crowd *crowd, uint64_t count)
{
	uint64_t called = count & MPR_CROWD_CALLED;

	return (count & ~(MPR_CROWD_LOOK | MPR_CROWD_CALLED)) ==
		       crowd->number + crowd->waiting * MPR_CROWD_ONE &&
	       called <= crowd->waiting;
}

int
mpr_crowd_join(struct mpr_crowd *crowd)
{
	if (crowd->waiting == MPR_CROWD_MOST)
		return -EBUSY;
	if (!is_sound(crowd, atomic_fetch_add(&crowd->place->count, MPR_CROWD_ONE)))
		return -EBADMSG;
	crowd->waiting++;
	/* Each time: who has found nobody left takes the flag away. */
	if (mpr_condition_flag((struct mpr_condition *)crowd->condition,
			       crowd->generation))
		return 0;
	(void)mpr_crowd_part(crowd);
	return -ESTALE;
}

bool
mpr_crowd_part(struct mpr_crowd *crowd)
{
	uint64_t count = atomic_load(&crowd->place->count);

	do
		if (!is_sound(crowd, count) || !mpr_crowd_left(count))
			return false;
	while (!atomic_compare_exchange_strong(&crowd->place->count, &count,
					       count - MPR_CROWD_ONE));
	crowd->waiting--;
	return true;
}

int
mpr_crowd_take(struct mpr_crowd *crowd)
{
	uint64_t count = atomic_load(&crowd->place->count), called;

	do {
		if (!is_sound(crowd, count))
			return -EBADMSG;
		called = count & MPR_CROWD_CALLED;
		if (!called && !(count & MPR_CROWD_LOOK))
			return 0;
	} while (!atomic_compare_exchange_strong(
		&crowd->place->count, &count,
		(count & ~MPR_CROWD_LOOK) - called * (MPR_CROWD_ONE + 1)));
	crowd->waiting -= (uint32_t)called;
	return (int)called;
}

void
mpr_crowd_since(struct mpr_crowd *crowd, int64_t since)
{
	atomic_store_explicit(&crowd->place->since, since, memory_order_relaxed);
}

void
mpr_crowd_end(struct mpr_crowd *crowd)
{
	/* seq_cst, before another one can have the place: see find_at(). */
	atomic_store(&crowd->place->count, next_number(crowd->number));
	atomic_store(&crowd->place->owner, 0);
	*crowd = (struct mpr_crowd){ .place = NULL };
}

static bool
is_called(const struct mpr_self *owner)
{
	uint64_t me = mpr_holder(owner);
	unsigned high = high_of(owner->arena);

	for (unsigned at = 0; at < high; at++) {
		struct mpr_crowd_place *place = mpr_crowd_at(owner->arena, at);

		if (atomic_load(&place->owner) == me &&
		    atomic_load(&place->count) & (MPR_CROWD_CALLED | MPR_CROWD_LOOK))
			return true;
	}
	return false;
}

int
mpr_crowds_await(struct mpr_self *owner)
{
	int r = 0;

	while (r == 0) {
		uint32_t ticket = mpr_park_ticket(owner);

		if (is_called(owner))
			return 0;
		r = mpr_park(owner, mpr_crowd_at(owner->arena, 0), ticket,
			     MPR_NEVER);
	}
	return r;
}
