/* SPDX-License-Identifier: MIT */
/*
 * Semaphores in all schedules. No permit is lost or made up, but for those of
 * who was killed in the middle of taking or giving one; with .undo none is lost
 * at all. Nobody sleeps while there is one. Who has one sees what was written
 * before it was given.
 */
#include <errno.h>

#include "sync/cell.h"
#include "sync/holder.h"
#include "sync_world.h"

/* src/sync/semaphore.c */
#define UNDO UINT64_C(1)
#define ONE (UINT64_C(1) << 32)

enum { UNDONE = 1 }; /* of a case: how its semaphore is */

/* As in src/sync/semaphore.c and src/sync/permits.c. */
struct semaphore {
	struct mpr_cell cell;
	uint32_t max, permits;
	uint64_t pad[4];
	uint64_t blocks;
};

struct permits {
	uint64_t next, n;
	_Atomic uint64_t words[6];
};

static_assert(sizeof(struct semaphore) == SYNC_CELL, "a cell");
static_assert(sizeof(struct permits) == SYNC_CELL, "a cell");

static struct {
	mproc_semaphore *at;
	_Atomic uint64_t told; /* before one is given to others */
	unsigned has[EXPLORE_FIBERS];
	unsigned taken, given;	    /* by calls that have returned */
	unsigned giving;	    /* by calls that may have done so */
	bool gives[EXPLORE_FIBERS]; /* the call that the fiber is in */
	bool destroyed;
} known;

static bool
is_undone(void)
{
	return sync_now->how == UNDONE;
}

static unsigned
living_holders(void)
{
	unsigned n = 0;

	for (unsigned f = 0; f < world_fibers(); f++)
		if (!is_undone() || !explore_killed(f))
			n += known.has[f];
	return n;
}

static bool
may_be_gone(int r)
{
	return known.destroyed && (r == -ESTALE || r == -ESHUTDOWN);
}

/* Returns whether it has got one. */
static bool
take(unsigned me, const struct sync_role *role)
{
	int r;

	known.gives[me] = false;
	sync_call(me);
	r = mproc_semaphore_acquire(known.at, sync_timeout(role));
	sync_return(me);
	if (r < 0) {
		explore_check(sync_may_fail(role, r) || may_be_gone(r));
		return false;
	}
	known.taken++;
	known.has[me]++;
	explore_check(known.taken <= sync_now->value + known.giving ||
		      is_undone());
	return true;
}

static void
give(unsigned me)
{
	int r;

	known.gives[me] = true;
	known.giving++;
	sync_call(me);
	r = mproc_semaphore_release(known.at);
	sync_return(me);
	explore_check(r == 0 || may_be_gone(r));
	known.given++;
}

/* As a lock for so many at a time. */
static void
uses(unsigned me, const struct sync_role *role)
{
	for (unsigned i = 0; i < role->n; i++) {
		if (!take(me, role))
			continue;
		explore_check(living_holders() <= sync_now->value);
		if (sync_now->value == 1)
			sync_data_change();
		else
			explore_point();
		known.has[me]--;
		give(me);
	}
}

static void
gives(unsigned me, const struct sync_role *role)
{
	for (unsigned i = 0; i < role->n; i++) {
		explore_store(&known.told, 1, memory_order_relaxed);
		give(me);
	}
}

static void
takes(unsigned me, const struct sync_role *role)
{
	for (unsigned i = 0; i < role->n; i++)
		if (take(me, role))
			explore_check(explore_load(&known.told,
						   memory_order_relaxed));
}

static void
destroys(unsigned me, const struct sync_role *role)
{
	(void)me;
	(void)role;
	explore_point();
	known.destroyed = true;
	mproc_semaphore_destroy(known.at);
}

static void
begin(void)
{
	struct semaphore *s = sync_cell(0);
	struct permits *p = sync_cell(1);
	unsigned n = sync_now->value;

	known.at = sync_cell(0);
	known.told = 0;
	known.taken = known.given = known.giving = 0;
	known.destroyed = false;
	for (unsigned f = 0; f < EXPLORE_FIBERS; f++)
		known.has[f] = 0;
	atomic_init(&s->cell.word, is_undone() ? UNDO : n * ONE);
	if (is_undone()) {
		s->permits = n;
		s->blocks = mpr_arena_offset(world_arena(), p);
		p->n = n;
		explore_share(SYNC_PERMIT, p->words, 8 * n, "permit");
	}
	explore_share(SYNC_OBJECT, &s->cell.word, 8, "semaphore");
	if (n)
		sync_data_share();
	else
		explore_share(SYNC_DATA, &known.told, 8, "told");
}

static uint64_t
word(void)
{
	struct semaphore *s = sync_cell(0);

	return explore_newest(&s->cell.word);
}

/* Only while there is none. Whoever has one gives it back. */
static bool
may_sleep(unsigned fiber)
{
	(void)fiber;
	return !is_undone() && !(word() & MPR_GONE) && word() < ONE;
}

/* How many were killed while they took one, or gave one. */
static int
killed(bool while_giving)
{
	int n = 0;

	for (unsigned f = 0; f < world_fibers(); f++)
		n += sync_is_killed_inside(f) &&
		     known.gives[f] == while_giving;
	return n;
}

static void
end(void)
{
	struct permits *p = sync_cell(1);
	int sum = (int)(sync_now->value + known.given) - (int)known.taken;
	int now = (int)(word() / ONE);

	if (known.destroyed)
		return;
	if (!is_undone()) {
		explore_check(now >= sum - killed(false));
		explore_check(now <= sum + killed(true));
		return;
	}
	for (unsigned i = 0; i < sync_now->value; i++) {
		uint64_t holder = explore_newest(&p->words[i]);

		explore_check(!holder ||
			      explore_killed(mpr_holder_slot(holder)));
	}
}

static const struct sync_object semaphore = {
	.kind = MPR_CELL_SEMAPHORE,
	.begin = begin,
	.end = end,
	.may_sleep = may_sleep,
};

#define USES(times) { .run = uses, .n = times, .mortal = true }
#define USES_TIMED { .run = uses, .n = 1, .timed = true, .mortal = true }
#define GIVES(times) { .run = gives, .n = times, .mortal = true }
#define TAKES(times) { .run = takes, .n = times, .mortal = true }
#define TAKES_TIMED { .run = takes, .n = 1, .timed = true, .mortal = true }

const struct sync_case sync_semaphore_cases[SYNC_SEMAPHORE_CASES] = {
	[SYNC_SEMAPHORE_USED] = {
		.name = "two use a semaphore of one, twice",
		.object = &semaphore,
		.value = 1,
		.roles = { USES(2), USES(2) },
	},
	[SYNC_SEMAPHORE_USED_BY_THREE] = {
		.name = "three use a semaphore of two",
		.object = &semaphore,
		.value = 2,
		.roles = { USES(1), USES(1), USES(1) },
		.fewer_kills = 1,
	},
	[SYNC_SEMAPHORE_GIVEN] = {
		.name = "one gives what two take",
		.object = &semaphore,
		.roles = { GIVES(2), TAKES(1), TAKES(1) },
		.fewer_kills = 1,
	},
	[SYNC_SEMAPHORE_GIVEN_BY_TWO] = {
		.name = "two give what two take",
		.object = &semaphore,
		.roles = { GIVES(1), GIVES(1), TAKES(1), TAKES(1) },
		.fewer = 1,
	},
	[SYNC_SEMAPHORE_TIMED] = {
		.name = "one of two may give up waiting for a permit",
		.object = &semaphore,
		.roles = { GIVES(1), TAKES_TIMED, TAKES(1) },
		.fewer_kills = 1,
	},
	[SYNC_SEMAPHORE_INTERRUPTED] = {
		.name = "one of two that wait for a permit is interrupted",
		.object = &semaphore,
		.roles = { GIVES(1), TAKES(1), TAKES(1),
			   { .run = sync_interrupts, .victim = 1 } },
		.fewer = 1,
	},
	[SYNC_SEMAPHORE_DESTROYED] = {
		.name = "a semaphore is destroyed",
		.object = &semaphore,
		.roles = { GIVES(1), TAKES(1),
			   { .run = destroys, .mortal = true } },
	},
	[SYNC_SEMAPHORE_RECOVERED] = {
		.name = "permits, and another one recovers",
		.object = &semaphore,
		.roles = { GIVES(2), TAKES(1), TAKES(1), SYNC_RECOVERS },
		.patient = true,
		.fewer_kills = 1,
	},
	[SYNC_SEMAPHORE_UNDO] = {
		.name = "two use a permit with an owner, twice",
		.object = &semaphore,
		.how = UNDONE,
		.value = 1,
		.roles = { USES(2), USES(1) },
	},
	[SYNC_SEMAPHORE_UNDO_THREE] = {
		.name = "three use two permits with owners",
		.object = &semaphore,
		.how = UNDONE,
		.value = 2,
		.roles = { USES(1), USES(1), USES(1) },
		.fewer = 1,
	},
	[SYNC_SEMAPHORE_UNDO_TIMED] = {
		.name = "one of three may give up waiting for an owned permit",
		.object = &semaphore,
		.how = UNDONE,
		.value = 1,
		.roles = { USES(1), USES_TIMED, USES(1) },
		.fewer = 1,
	},
	[SYNC_SEMAPHORE_UNDO_DESTROYED] = {
		.name = "a semaphore whose permit has an owner is destroyed",
		.object = &semaphore,
		.how = UNDONE,
		.value = 1,
		.roles = { USES(1), USES(1),
			   { .run = destroys, .mortal = true } },
		.fewer = 1,
	},
	[SYNC_SEMAPHORE_UNDO_RECOVERED] = {
		.name = "owned permits, and another one recovers",
		.object = &semaphore,
		.how = UNDONE,
		.value = 1,
		.roles = { USES(1), USES(1), USES(1), SYNC_RECOVERS },
		.patient = true,
		.fewer = 1,
	},
};
