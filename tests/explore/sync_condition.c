/* SPDX-License-Identifier: MIT */
/*
 * Conditions in all schedules. Under a lock some add items and notify, others
 * take one each, and wait while there is none. Nobody sleeps on the condition
 * while there is an item, unless somebody was killed that owed a notification;
 * nobody at all sleeps for the lock. While nobody dies, as many are notified as
 * can be, and those and no others come back as notified. All that sync_lock.c
 * asks of locks is asked here too. Nobody sleeps on a condition that is destroyed,
 * and who does so on another one made at its place has its notifications.
 */
#include <errno.h>
#include <limits.h>

#include "sync/cell.h"
#include "sync/lock.h"
#include "sync/wait.h"
#include "sync_world.h"

/* How a fiber notifies. */
enum {
	ONE_BY_ONE, /* for each item, with the lock */
	AFTERWARDS, /* the same without it */
	TOGETHER,   /* all items at once, and so many */
	ALL,	    /* all items at once, and all */
};

static struct {
	mproc_condition *at;
	mproc_lock *lock;
	unsigned items;
	unsigned waiting;  /* who were not notified */
	unsigned notified; /* as those say who did it */
	unsigned told;	   /* as those say who waited */
	bool owes[EXPLORE_FIBERS];
	bool locked; /* somebody wanted the lock only, and has had it */
	bool destroyed; /* the first condition is, or is about to be */
	bool remade;
	bool is_over[EXPLORE_FIBERS]; /* what it waited for was destroyed */
} known;

static sync_part destroys;

static const struct mpr_cell *
cell(void)
{
	return sync_cell(0);
}

static bool
is_gone(int r)
{
	return known.destroyed && (r == -ESTALE || r == -ESHUTDOWN);
}

/* With the lock. Returns why it came back. */
static int
wait_once(unsigned me, const struct sync_role *role)
{
	int r;

	known.waiting++;
	known.owes[me] = false;
	sync_lock_gives(me);
	sync_call(me);
	r = mproc_condition_wait(known.at, known.lock, sync_timeout(role));
	sync_return(me);
	known.is_over[me] = false;
	known.owes[me] = true;
	sync_lock_took(me, r > 0 ? r : 0);
	explore_check(r >= 0 || sync_may_fail(role, r) || is_gone(r));
	known.told += r == 0;
	known.waiting -= r < 0;
	return r;
}

static void
take_item(unsigned me, const struct sync_role *role)
{
	int r;

	r = mproc_lock_acquire(known.lock, MPROC_FOREVER);
	explore_check(r >= 0 || (r == -EINTR && sync_may_fail(role, r)));
	if (r < 0)
		return;
	known.owes[me] = true;
	sync_lock_took(me, r);
	while (r >= 0 && !known.items)
		r = wait_once(me, role);
	if (known.items && !is_gone(r))
		known.items--;
	known.owes[me] = false;
	sync_lock_gives(me);
	explore_check(mproc_lock_release(known.lock) == 0);
}

static void
takes(unsigned me, const struct sync_role *role)
{
	for (unsigned i = 0; i < role->n; i++)
		take_item(me, role);
}

/* Whether a wait may end by itself. */
static bool
may_any_fail(void)
{
	for (unsigned f = 0; f < world_fibers(); f++)
		if (sync_now->roles[f].timed)
			return true;
	return sync_has(sync_interrupts);
}

/* So many, or all if that is 0. */
static void
notify(unsigned n, bool has_lock)
{
	unsigned most = n && n < known.waiting ? n : known.waiting, woken;
	int r;

	r = n ? mproc_condition_notify(known.at, n) :
		mproc_condition_notify_all(known.at);
	explore_check(r >= 0 || is_gone(r));
	/* Those who wait for the first condition may be chosen for the second
	 * one, and pass that on. */
	if (sync_has(destroys))
		return;
	woken = (unsigned)r;
	explore_check(!n || woken <= n);
	if (has_lock && !sync_any_killed()) {
		explore_check(woken <= most);
		explore_check(woken == most || may_any_fail());
	}
	known.notified += woken;
	known.waiting -= woken;
}

static void
add_items(unsigned me, unsigned items, unsigned n, bool afterwards)
{
	int r;

	r = mproc_lock_acquire(known.lock, MPROC_FOREVER);
	explore_check(r >= 0);
	sync_lock_took(me, r);
	known.owes[me] = true;
	known.items += items;
	if (!afterwards) {
		notify(n, true);
		known.owes[me] = false;
	}
	sync_lock_gives(me);
	explore_check(mproc_lock_release(known.lock) == 0);
	if (afterwards) {
		notify(n, false);
		known.owes[me] = false;
	}
}

static void
adds(unsigned me, const struct sync_role *role)
{
	if (role->how == TOGETHER || role->how == ALL) {
		add_items(me, role->n, role->how == ALL ? 0 : role->n, false);
		return;
	}
	for (unsigned i = 0; i < role->n; i++)
		add_items(me, 1, 1, role->how == AFTERWARDS);
}

/* The lock, for itself. */
static void
locks(unsigned me, const struct sync_role *role)
{
	for (unsigned i = 0; i < role->n; i++) {
		int r = mproc_lock_acquire(known.lock, MPROC_FOREVER);

		explore_check(r >= 0);
		sync_lock_took(me, r);
		sync_lock_gives(me);
		explore_check(mproc_lock_release(known.lock) == 0);
	}
	known.locked = true;
}

static bool
waits_for_condition(unsigned fiber)
{
	uint64_t name = mpr_arena_name(world_arena(), known.at);

	return sync_wait_word(fiber) == (name << 2 | MPR_WAIT_WAITING);
}

/* The condition, and makes another one in its place. */
static void
destroys(unsigned me, const struct sync_role *role)
{
	mproc_condition *other;

	(void)me;
	(void)role;
	explore_point();
	known.destroyed = true;
	mproc_condition_destroy(known.at);
	for (unsigned f = 0; f < world_fibers(); f++)
		known.is_over[f] = waits_for_condition(f);
	explore_check(mproc_condition_create(&other) == 0);
	explore_check(other == known.at);
	known.remade = true;
}

/* Or it is not going to be. */
static bool
is_remade(unsigned unused)
{
	(void)unused;
	return known.remade || sync_any_killed();
}

/* Whether the second fiber waits, and the first one wants the lock; or they will
 * not do so any more. */
static bool
is_waiting(unsigned unused)
{
	(void)unused;
	return sync_wait_word(1) || explore_killed(1);
}

static bool
is_wanted(unsigned unused)
{
	(void)unused;
	return sync_wait_word(0) || known.locked || sync_any_killed();
}

static void
begin(void)
{
	known.at = sync_cell(0);
	known.lock = sync_cell(1);
	known.locked = known.destroyed = known.remade = false;
	known.items = known.waiting = known.notified = known.told = 0;
	for (unsigned f = 0; f < EXPLORE_FIBERS; f++)
		known.owes[f] = known.is_over[f] = false;
	explore_share(SYNC_OBJECT, &cell()->word, 8, "condition");
	sync_lock_begin(known.lock, SYNC_LOCK);
}

/* Whether somebody was killed that knew of an item, and others did not. */
static bool
has_debt(void)
{
	for (unsigned f = 0; f < world_fibers(); f++)
		if (known.owes[f] && explore_killed(f))
			return true;
	return false;
}

static bool
may_sleep(unsigned fiber)
{
	if (explore_newest(&cell()->word) & MPR_GONE || known.is_over[fiber])
		return false;
	return waits_for_condition(fiber) && (!known.items || has_debt());
}

static void
end(void)
{
	explore_check(known.told == known.notified || sync_any_killed() ||
		      sync_has(destroys));
}

static const struct sync_object condition = {
	.kind = MPR_CELL_CONDITION,
	.begin = begin,
	.end = end,
	.may_sleep = may_sleep,
	.has_calls = true,
};

#define TAKES_SOME(times) { .run = takes, .n = times, .mortal = true }
#define TAKES TAKES_SOME(1)
/* The same for those of whom one like the other may be killed. */
#define ALSO_TAKES { .run = takes, .n = 1 }
#define TAKES_TIMED { .run = takes, .n = 1, .timed = true, .mortal = true }
#define ADDS(items, manner) \
	{ .run = adds, .n = items, .how = manner, .mortal = true }
#define ADDS_WHEN(begins) \
	{ .run = adds, .when = begins, .n = 1, .mortal = true }
#define TAKES_WHEN(begins) { .run = takes, .when = begins, .n = 1 }
#define DESTROYS { .run = destroys, .mortal = true }
#define LOCKS_WHEN(begins) \
	{ .run = locks, .when = begins, .n = 1, .mortal = true }
#define LOCKS { .run = locks, .n = 1, .mortal = true }

const struct sync_case sync_condition_cases[SYNC_CONDITION_CASES] = {
	[SYNC_CONDITION_ONE] = {
		.name = "one waits, one notifies",
		.object = &condition,
		.roles = { TAKES, ADDS(1, ONE_BY_ONE) },
	},
	[SYNC_CONDITION_AFTERWARDS] = {
		.name = "one waits, one notifies without the lock",
		.object = &condition,
		.roles = { TAKES, ADDS(1, AFTERWARDS) },
	},
	[SYNC_CONDITION_OFTEN] = {
		.name = "one waits often, one notifies without the lock",
		.object = &condition,
		.roles = { TAKES_SOME(3), ADDS(3, AFTERWARDS) },
		.fewer = 1,
	},
	[SYNC_CONDITION_TWO] = {
		.name = "two wait, and are notified one by one",
		.object = &condition,
		.roles = { TAKES, ALSO_TAKES, ADDS(2, ONE_BY_ONE) },
		.fewer = 1,
	},
	[SYNC_CONDITION_TWO_AFTERWARDS] = {
		.name = "two wait, and are notified without the lock",
		.object = &condition,
		.roles = { TAKES, ALSO_TAKES, ADDS(2, AFTERWARDS) },
		.fewer = 1,
	},
	[SYNC_CONDITION_ALL] = {
		.name = "two wait, and all are notified",
		.object = &condition,
		.roles = { TAKES, ALSO_TAKES, ADDS(2, ALL) },
		.fewer = 1,
	},
	[SYNC_CONDITION_SOME] = {
		.name = "three wait, and two are notified",
		.object = &condition,
		.roles = { TAKES, ALSO_TAKES, ALSO_TAKES, ADDS(2, TOGETHER) },
		.fewer = 2,
	},
	[SYNC_CONDITION_LOCKED] = {
		.name = "one waits, one notifies, one wants the lock",
		.object = &condition,
		.roles = { TAKES, ADDS(1, ONE_BY_ONE), LOCKS },
		.fewer = 1,
	},
	[SYNC_CONDITION_LOCKED_BEFORE] = {
		.name = "one wants the lock that another one is moved to",
		.object = &condition,
		.roles = { LOCKS_WHEN(is_waiting), TAKES,
			   ADDS_WHEN(is_wanted) },
		.fewer_kills = 1,
	},
	[SYNC_CONDITION_LOCKED_HASTY] = {
		.name = "one waits, one notifies, a starved one wants the lock",
		.object = &condition,
		.roles = { TAKES, ADDS(1, ONE_BY_ONE), LOCKS },
		.hasty = true,
		.fewer = 1,
	},
	[SYNC_CONDITION_TIMED] = {
		.name = "one of two may give up waiting for a notification",
		.object = &condition,
		.roles = { TAKES_TIMED, TAKES, ADDS(1, ONE_BY_ONE) },
		.fewer = 1,
	},
	[SYNC_CONDITION_INTERRUPTED] = {
		.name = "one of two that wait to be notified is interrupted",
		.object = &condition,
		.roles = { TAKES, TAKES, ADDS(1, ONE_BY_ONE),
			   { .run = sync_interrupts, .victim = 1 } },
		.fewer = 2,
	},
	[SYNC_CONDITION_DESTROYED] = {
		.name = "one waits, and another one for a condition that is made "
			"in its place",
		.object = &condition,
		.roles = { TAKES, DESTROYS, TAKES_WHEN(is_remade),
			   ADDS(1, ONE_BY_ONE) },
		.fewer = 2,
	},
	[SYNC_CONDITION_DESTROYED_AFTERWARDS] = {
		.name = "the same, and one notifies without the lock",
		.object = &condition,
		.roles = { TAKES, DESTROYS, TAKES_WHEN(is_remade),
			   ADDS(1, AFTERWARDS) },
		.fewer = 2,
	},
	[SYNC_CONDITION_DESTROYED_RECOVERED] = {
		.name = "a condition is destroyed, and another one recovers",
		.object = &condition,
		.roles = { TAKES, ALSO_TAKES, DESTROYS, SYNC_RECOVERS },
		.patient = true,
		.fewer = 2,
	},
	[SYNC_CONDITION_RECOVERED] = {
		.name = "notifications, and another one recovers",
		.object = &condition,
		.roles = { TAKES, ALSO_TAKES, ADDS(1, ONE_BY_ONE),
			   SYNC_RECOVERS },
		.patient = true,
		.fewer = 1,
	},
	[SYNC_CONDITION_LOCKED_RECOVERED] = {
		.name = "one waits, one notifies, a starved one wants the lock, "
			"and another one recovers",
		.object = &condition,
		.roles = { TAKES, ADDS(1, ONE_BY_ONE), LOCKS, SYNC_RECOVERS },
		.hasty = true,
		.patient = true,
		.fewer = 1,
	},
	[SYNC_CONDITION_AFTERWARDS_RECOVERED] = {
		.name = "notifications without the lock, and another one "
			"recovers",
		.object = &condition,
		.roles = { TAKES, ALSO_TAKES, ADDS(1, AFTERWARDS),
			   SYNC_RECOVERS },
		.patient = true,
		.fewer = 1,
	},
};
