/* SPDX-License-Identifier: MIT */
/*
 * Events in all schedules. Who waits goes on when it is set, or was set since,
 * and never for nothing; and sees what was written before that.
 */
#include <errno.h>

#include "sync/cell.h"
#include "sync/event.h"
#include "sync/holder.h"
#include "sync/many.h"
#include "sync/park.h"
#include "sync_world.h"

/* src/sync/event.c */
#define SET UINT64_C(1)
#define MANY UINT64_C(2)
#define ONE_TIME (UINT64_C(1) << 22)

static struct {
	mproc_event *at;
	_Atomic uint64_t told; /* before it is set */
	unsigned begun;	       /* how often somebody began to set it */
	unsigned under_way;    /* how many of these have not come back */
	bool clear;	       /* and cannot have been set since */
	unsigned calls[EXPLORE_FIBERS];
	bool owed[EXPLORE_FIBERS]; /* it was set while this one waited */
	bool destroyed;
} known;

/* Whether @fiber has announced that it waits. */
static bool
is_waiting(unsigned fiber)
{
	return sync_wait_word(fiber) || sync_many_word(fiber);
}

static int
set_once(void)
{
	unsigned calls[EXPLORE_FIBERS];
	int r;

	for (unsigned f = 0; f < world_fibers(); f++)
		calls[f] = is_waiting(f) ? known.calls[f] : 0;
	r = mproc_event_set(known.at);
	for (unsigned f = 0; f < world_fibers(); f++)
		if (r == 0 && calls[f] && calls[f] == known.calls[f])
			known.owed[f] = true;
	return r;
}

static void
sets(unsigned me, const struct sync_role *role)
{
	int r;

	for (unsigned i = 0; i < role->n; i++) {
		explore_store(&known.told, me + 1, memory_order_relaxed);
		known.begun++;
		known.under_way++;
		known.clear = false;
		r = set_once();
		explore_check(r == 0 || (known.destroyed && r == -ESTALE));
		known.under_way--;
	}
}

static void
clears(unsigned me, const struct sync_role *role)
{
	unsigned begun;
	bool alone;
	int r;

	(void)me;
	for (unsigned i = 0; i < role->n; i++) {
		begun = known.begun;
		alone = !known.under_way;
		r = mproc_event_clear(known.at);
		explore_check(r == 0 || (known.destroyed && r == -ESTALE));
		if (alone && begun == known.begun)
			known.clear = true;
	}
}

static void
sets_and_clears(unsigned me, const struct sync_role *role)
{
	sets(me, role);
	clears(me, role);
}

static bool
may_be_gone(int r)
{
	return known.destroyed && (r == -ESTALE || r == -ESHUTDOWN);
}

static void
wait_once(unsigned me, const struct sync_role *role)
{
	unsigned needed = known.begun + known.clear;
	int r;

	known.calls[me]++;
	known.owed[me] = false;
	sync_call(me);
	r = mproc_event_wait(known.at, sync_timeout(role));
	sync_return(me);
	if (r < 0) {
		explore_check(sync_may_fail(role, r) || may_be_gone(r));
		return;
	}
	/* A reader may be late to see that it was cleared. */
	explore_check(known.begun > 0);
	explore_check(known.begun >= needed || !explore_is_plain());
	explore_check(explore_load(&known.told, memory_order_relaxed) > 0);
}

static void
waits(unsigned me, const struct sync_role *role)
{
	for (unsigned i = 0; i < role->n; i++)
		wait_once(me, role);
}

/* As who waits for this one and others. */
static int
wait_for_many(mproc_event *event)
{
	struct mpr_news seen = mpr_event_see(event);
	struct mpr_self *self = &mpr_this_thread;
	uint32_t ticket;
	int r = 0;

	while (!mpr_news_look(&seen, false) && r == 0) {
		ticket = mpr_park_ticket(self);
		mpr_many_announce(self, mpr_many_bit(self->arena, event));
		if (!mpr_news_look(&seen, true))
			r = mpr_park(self, event, ticket, INT64_MAX);
		mpr_many_announce(self, 0);
	}
	return r;
}

static void
waits_for_many(unsigned me, const struct sync_role *role)
{
	unsigned needed;

	for (unsigned i = 0; i < role->n; i++) {
		needed = known.begun + known.clear;
		known.calls[me]++;
		known.owed[me] = false;
		sync_call(me);
		explore_check(wait_for_many(known.at) == 0);
		sync_return(me);
		if (known.destroyed)
			return;
		explore_check(known.begun > 0);
		explore_check(known.begun >= needed || !explore_is_plain());
		explore_check(explore_load(&known.told,
					   memory_order_relaxed) > 0);
	}
}

static void
destroys(unsigned me, const struct sync_role *role)
{
	(void)me;
	(void)role;
	explore_point();
	known.destroyed = true;
	mproc_event_destroy(known.at);
}

static void
begin(void)
{
	struct mpr_cell *cell = sync_cell(0);

	known.at = sync_cell(0);
	known.told = 0;
	known.begun = known.under_way = 0;
	known.clear = true;
	known.destroyed = false;
	for (unsigned f = 0; f < EXPLORE_FIBERS; f++) {
		known.calls[f] = 0;
		known.owed[f] = false;
	}
	explore_share(SYNC_OBJECT, &cell->word, 8, "event");
	explore_share(SYNC_DATA, &known.told, 8, "told");
}

/* Only while it is not set, has not been since, and the next one who sets it
 * knows that somebody waits. */
static bool
may_sleep(unsigned fiber)
{
	struct mpr_cell *cell = sync_cell(0);
	uint64_t word = explore_newest(&cell->word);
	uint64_t flag = sync_now->roles[fiber].run == waits_for_many ?
				MANY : MPR_WAITERS;

	return !known.owed[fiber] && !(word & (SET | MPR_GONE)) && word & flag &&
	       word / ONE_TIME == sync_word_at_sleep(fiber) / ONE_TIME;
}

static const struct sync_object event = {
	.kind = MPR_CELL_EVENT,
	.begin = begin,
	.may_sleep = may_sleep,
};

/* And somebody waits for more than one. */
static const struct sync_object event_and_others = {
	.kind = MPR_CELL_EVENT,
	.begin = begin,
	.may_sleep = may_sleep,
	.has_many = true,
};

#define WAITS(times) { .run = waits, .n = times, .mortal = true }
#define WAITS_TIMED { .run = waits, .n = 1, .timed = true, .mortal = true }
#define SETS(times) { .run = sets, .n = times, .mortal = true }
#define CLEARS(times) { .run = clears, .n = times, .mortal = true }
#define WAITS_FOR_MANY(times)                                                  \
	{ .run = waits_for_many, .n = times, .mortal = true }
#define SETS_AND_CLEARS { .run = sets_and_clears, .n = 1, .mortal = true }

const struct sync_case sync_event_cases[SYNC_EVENT_CASES] = {
	[SYNC_EVENT_ONE] = {
		.name = "one waits for an event",
		.object = &event,
		.roles = { WAITS(1), SETS(1) },
	},
	[SYNC_EVENT_TWO] = {
		.name = "two wait for an event",
		.object = &event,
		.roles = { WAITS(1), WAITS(1), SETS(1) },
		.fewer_kills = 1,
	},
	[SYNC_EVENT_AT_ONCE] = {
		.name = "an event is cleared at once",
		.object = &event,
		.roles = { WAITS(1), WAITS(1), SETS_AND_CLEARS },
		.fewer_kills = 1,
	},
	[SYNC_EVENT_CLEARED] = {
		.name = "an event is set and cleared by others",
		.object = &event,
		.roles = { WAITS(2), SETS(2), CLEARS(1) },
		.fewer_kills = 1,
	},
	[SYNC_EVENT_SET_BY_TWO] = {
		.name = "two set an event",
		.object = &event,
		.roles = { WAITS(2), SETS_AND_CLEARS, SETS(1) },
		.fewer_kills = 1,
	},
	[SYNC_EVENT_TIMED] = {
		.name = "one of two may give up waiting for an event",
		.object = &event,
		.roles = { WAITS_TIMED, WAITS(1), SETS(1) },
		.fewer = 1,
	},
	[SYNC_EVENT_INTERRUPTED] = {
		.name = "one of two is interrupted",
		.object = &event,
		.roles = { WAITS(1), WAITS(1), SETS(1),
			   { .run = sync_interrupts, .victim = 1 } },
		.fewer = 1,
	},
	[SYNC_EVENT_DESTROYED] = {
		.name = "an event is destroyed",
		.object = &event,
		.roles = { WAITS(1), WAITS(1), SETS(1),
			   { .run = destroys, .mortal = true } },
		.fewer = 1,
	},
	[SYNC_EVENT_RECOVERED] = {
		.name = "an event, and another one recovers",
		.object = &event,
		.roles = { WAITS(1), WAITS(1), SETS_AND_CLEARS,
			   SYNC_RECOVERS },
		.patient = true,
		.fewer_kills = 1,
	},
	[SYNC_EVENT_DESTROYED_RECOVERED] = {
		.name = "an event is destroyed, and another one recovers",
		.object = &event,
		.roles = { WAITS(1), WAITS(1),
			   { .run = destroys, .mortal = true },
			   SYNC_RECOVERS },
		.patient = true,
		.fewer_kills = 1,
	},
	[SYNC_EVENT_MANY] = {
		.name = "one waits for an event and others",
		.object = &event_and_others,
		.roles = { WAITS_FOR_MANY(1), SETS(1) },
	},
	[SYNC_EVENT_MANY_AND_ONE] = {
		.name = "one waits for an event and others, one for it alone",
		.object = &event_and_others,
		.roles = { WAITS_FOR_MANY(1), WAITS(1), SETS(1) },
		.fewer_kills = 1,
	},
	[SYNC_EVENT_MANY_AT_ONCE] = {
		.name = "two wait for an event and others, it is cleared at once",
		.object = &event_and_others,
		.roles = { WAITS_FOR_MANY(1), WAITS_FOR_MANY(1),
			   SETS_AND_CLEARS },
		.fewer_kills = 1,
	},
	[SYNC_EVENT_MANY_CLEARED] = {
		.name = "an event and others, set and cleared by others",
		.object = &event_and_others,
		.roles = { WAITS_FOR_MANY(2), SETS(2), CLEARS(1) },
		.fewer_kills = 1,
	},
	[SYNC_EVENT_MANY_DESTROYED] = {
		.name = "an event that some wait for with others is destroyed",
		.object = &event_and_others,
		.roles = { WAITS_FOR_MANY(1), WAITS(1), SETS(1),
			   { .run = destroys, .mortal = true } },
		.fewer = 1,
	},
	[SYNC_EVENT_MANY_RECOVERED] = {
		.name = "an event and others, and another one recovers",
		.object = &event_and_others,
		.roles = { WAITS_FOR_MANY(1), WAITS_FOR_MANY(1),
			   SETS_AND_CLEARS, SYNC_RECOVERS },
		.patient = true,
		.fewer_kills = 1,
	},
	[SYNC_EVENT_MANY_DESTROYED_RECOVERED] = {
		.name = "an event and others, destroyed, and another recovers",
		.object = &event_and_others,
		.roles = { WAITS_FOR_MANY(1), WAITS(1),
			   { .run = destroys, .mortal = true },
			   SYNC_RECOVERS },
		.patient = true,
		.fewer_kills = 1,
	},
};
