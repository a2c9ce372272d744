/* SPDX-License-Identifier: MIT */
/*
 * Crowds in all schedules (sync/crowd.h): clients that wait at a condition by one who
 * serves them, and whom others notify. As many are called as are notified, and whoever
 * was called is told: nobody sleeps over it.
 *
 * Who serves them is woken itself, so it is one fiber here.
 */
#include <string.h>

#include "sync/cell.h"
#include "sync/condition.h"
#include "sync/crowd.h"
#include "sync_world.h"

#define PLACES 1 /* for crowds, that are used */
#define LOCK 2	 /* the cell */

static struct {
	unsigned notified; /* as those say who did it */
	unsigned told;	   /* as those say who waited */
	bool begun[EXPLORE_FIBERS]; /* to notify */
	bool waits[EXPLORE_FIBERS]; /* has said that it does */
	bool has_waited; /* the one of the family */
	struct mpr_crowd crowds[EXPLORE_FIBERS];
} known;

static mproc_condition *
condition_at(unsigned i)
{
	return sync_cell(i);
}

static void
gather(unsigned me, unsigned at, unsigned n)
{
	struct mpr_crowd *crowd = &known.crowds[me];

	explore_check(mpr_crowd_begin(crowd, mpr_self_in(world_arena()),
				      condition_at(at), 0) == 0);
	for (unsigned i = 0; i < n; i++)
		explore_check(mpr_crowd_join(crowd) == 0);
	known.waits[me] = true;
}

/* All of them go, but those who were called. */
static void
scatter(unsigned me, unsigned n)
{
	struct mpr_crowd *crowd = &known.crowds[me];
	unsigned parted = 0;

	while (parted < n && mpr_crowd_part(crowd))
		parted++;
	n -= parted;
	known.told += n;
	explore_check(mpr_crowd_take(crowd) == (int)n);
	mpr_crowd_end(crowd);
	known.waits[me] = false;
}

static bool
has_begun(unsigned unused)
{
	(void)unused;
	return known.begun[1] || explore_killed(1);
}

/* Until all were called. Nobody notifies those who are elsewhere. */
static void
stays(unsigned me, unsigned at, unsigned n)
{
	struct mpr_crowd *crowd = &known.crowds[me];

	while (n) {
		int called;

		explore_check(mpr_crowds_await(mpr_self_in(world_arena())) == 0);
		called = mpr_crowd_take(crowd);
		explore_check(called >= 0 && (unsigned)called <= n);
		explore_check(at == 0 || !called);
		known.told += (unsigned)called;
		n -= (unsigned)called;
	}
	known.waits[me] = false;
	mpr_crowd_end(crowd);
}

static void
gathers(unsigned me, const struct sync_role *role)
{
	gather(me, 0, role->n);
	stays(me, 0, role->n);
}

/* They go while somebody notifies, and others come, there or elsewhere. */
static void
gathers_again(unsigned me, const struct sync_role *role)
{
	gather(me, 0, 1);
	explore_wait(has_begun);
	scatter(me, 1);
	gather(me, role->how, role->n);
	stays(me, role->how, role->n);
}

/* One of the family. */
static void
waits(unsigned me, const struct sync_role *role)
{
	int r = mproc_lock_acquire(sync_cell(LOCK), MPROC_FOREVER);

	(void)role;
	explore_check(r == 0);
	known.waits[me] = true;
	r = mproc_condition_wait(condition_at(0), sync_cell(LOCK), MPROC_FOREVER);
	known.waits[me] = false;
	known.has_waited = true;
	explore_check(r == 0);
	known.told++;
	explore_check(mproc_lock_release(sync_cell(LOCK)) == 0);
}

/* Or has done so. */
static bool
is_waiting(unsigned unused)
{
	(void)unused;
	return sync_wait_word(2) || known.has_waited;
}

static void
notifies(unsigned me, const struct sync_role *role)
{
	bool some = known.waits[0] && sync_has(gathers);
	int r;

	known.begun[me] = true;
	sync_call(me);
	r = mproc_condition_notify(condition_at(0), role->n);
	sync_return(me);
	explore_check(r >= 0 && (unsigned)r <= role->n);
	explore_check(r > 0 || !some || sync_any_killed());
	known.notified += (unsigned)r;
}

static void
begin_place(struct mpr_crowd_place *place)
{
	memset(place, 0, sizeof(*place));
	explore_share(SYNC_CROWD, &place->count, 8, "crowd");
	explore_share(SYNC_CROWD_NAME, &place->name, 8, "crowd's name");
	explore_share(SYNC_CROWD_OWNER, &place->owner, 8, "crowd's owner");
}

static void
begin(void)
{
	for (unsigned f = 0; f < EXPLORE_FIBERS; f++) {
		known.begun[f] = known.waits[f] = false;
		known.crowds[f] = (struct mpr_crowd){ .place = NULL };
	}
	known.notified = known.told = 0;
	known.has_waited = false;
	for (unsigned i = 0; i < 2; i++)
		explore_share(SYNC_OBJECT, sync_cell(i), 8, "condition");
	sync_lock_begin(sync_cell(LOCK), SYNC_LOCK);
	explore_share(SYNC_CROWDS, &world_arena()->shm->crowds_high, 8, "crowds");
	for (unsigned i = 0; i < PLACES; i++)
		begin_place(mpr_crowd_at(world_arena(), i));
}

static void
end(void)
{
	explore_check(known.told == known.notified || sync_any_killed());
}

/* Nobody has called it; and none of a crowd has died that may have been called. */
static bool
may_sleep(unsigned fiber)
{
	const struct mpr_crowd_place *place = known.crowds[fiber].place;

	if (!known.waits[fiber])
		return false;
	if (place)
		return !(explore_newest(&place->count) & MPR_CROWD_CALLED);
	return !(explore_killed(0) && known.waits[0]);
}

static const struct sync_object crowd = {
	.kind = MPR_CELL_CONDITION,
	.begin = begin,
	.end = end,
	.may_sleep = may_sleep,
	.has_calls = true,
};

#define GATHERS(many) { .run = gathers, .n = many, .mortal = true }
#define GATHERS_WHEN(begins) \
	{ .run = gathers, .when = begins, .n = 1, .mortal = true }
#define GATHERS_AGAIN(where) { .run = gathers_again, .how = where, .n = 1 }
#define NOTIFIES(most) { .run = notifies, .n = most, .mortal = true }
#define WAITS { .run = waits }

const struct sync_case sync_crowd_cases[SYNC_CROWD_CASES] = {
	[SYNC_CROWD_ONE] = {
		.name = "one of a crowd is notified",
		.object = &crowd,
		.roles = { GATHERS(1), NOTIFIES(1) },
	},
	[SYNC_CROWD_AGAIN] = {
		.name = "a crowd goes and another one comes while one notifies",
		.object = &crowd,
		.roles = { GATHERS_AGAIN(0), NOTIFIES(1) },
	},
	[SYNC_CROWD_ELSEWHERE] = {
		.name = "a crowd goes and waits elsewhere while one notifies",
		.object = &crowd,
		.roles = { GATHERS_AGAIN(1), NOTIFIES(1) },
	},
	[SYNC_CROWD_TWICE] = {
		.name = "two of a crowd are notified by two",
		.object = &crowd,
		.roles = { GATHERS(2), NOTIFIES(1), NOTIFIES(1) },
		.fewer = 1,
	},
	[SYNC_CROWD_BESIDE] = {
		.name = "a crowd and one of the family are notified",
		.object = &crowd,
		.roles = { GATHERS(1), NOTIFIES(2), WAITS },
		.fewer = 1,
		.fewer_kills = 1,
	},
	[SYNC_CROWD_ALONE_RECOVERED] = {
		.name = "one of a crowd is notified, and another one recovers",
		.object = &crowd,
		.roles = { GATHERS(1), NOTIFIES(1), SYNC_RECOVERS },
		.patient = true,
	},
	[SYNC_CROWD_RECOVERED] = {
		.name = "a crowd and one of the family, and another one recovers",
		.object = &crowd,
		.roles = { GATHERS_WHEN(is_waiting), NOTIFIES(1), WAITS,
			   SYNC_RECOVERS },
		.patient = true,
		.fewer = 1,
	},
};
