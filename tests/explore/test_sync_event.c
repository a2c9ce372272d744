/* SPDX-License-Identifier: MIT */
/*
 * Events in all schedules, and the mutation gate.
 */
#include "base/macros.h"
#include "sync/holder.h"
#include "sync_run.h"

/* src/sync/event.c */
#define SET UINT64_C(1)
#define MANY UINT64_C(2)
#define ONE_TIME (UINT64_C(1) << 22)

static bool
sets(const struct explore_access *a)
{
	return is(a, EXPLORE_CAS, SYNC_OBJECT) && a->value & SET;
}

/* Falling asleep. */

static void
waiter_not_flagged(struct explore_access *a)
{
	if (is(a, EXPLORE_CAS, SYNC_OBJECT))
		a->value &= ~MPR_WAITERS;
}

static void
not_announced(struct explore_access *a)
{
	if (is(a, EXPLORE_STORE, SYNC_WAIT))
		a->fault = EXPLORE_DROPPED;
}

static void
announced_late(struct explore_access *a)
{
	if (is(a, EXPLORE_STORE, SYNC_WAIT))
		a->fault = EXPLORE_LATE;
}

static void
not_looked_at_again(struct explore_access *a)
{
	if (is(a, EXPLORE_LOAD, SYNC_OBJECT) &&
	    follows(a, EXPLORE_STORE, SYNC_WAIT))
		a->fault = EXPLORE_CACHED;
}

/* Setting. */

static void
not_counted(struct explore_access *a)
{
	if (sets(a))
		a->value -= ONE_TIME;
}

static void
set_without_comparing(struct explore_access *a)
{
	if (sets(a))
		a->fault = EXPLORE_BLIND;
}

static void
woken_in_vain(struct explore_access *a)
{
	if (is(a, EXPLORE_ADD, SYNC_PARKER))
		a->fault = EXPLORE_DROPPED;
}

static void
waiters_looked_for_in_vain(struct explore_access *a)
{
	if (is(a, EXPLORE_LOAD, SYNC_WAIT) &&
	    follows(a, EXPLORE_CAS, SYNC_OBJECT))
		answer(a, 0);
}

/* Deaths. */

static void
nothing_noted(struct explore_access *a)
{
	if (is(a, EXPLORE_STORE, SYNC_WAKES))
		a->fault = EXPLORE_DROPPED;
}

static void
note_not_read(struct explore_access *a)
{
	if (is(a, EXPLORE_LOAD, SYNC_WAKES) && a->order == memory_order_seq_cst)
		answer(a, 0);
}

/* For many. */

static void
many_not_flagged(struct explore_access *a)
{
	if (is(a, EXPLORE_CAS, SYNC_OBJECT))
		a->value &= ~MANY;
}

static void
many_not_announced(struct explore_access *a)
{
	if (is(a, EXPLORE_STORE, SYNC_MANY))
		a->fault = EXPLORE_DROPPED;
}

static void
many_announced_late(struct explore_access *a)
{
	if (is(a, EXPLORE_STORE, SYNC_MANY))
		a->fault = EXPLORE_LATE;
}

static void
many_not_looked_for(struct explore_access *a)
{
	if (is(a, EXPLORE_LOAD, SYNC_MANY))
		answer(a, 0);
}

static void
many_announced_relaxed(struct explore_access *a)
{
	if (is(a, EXPLORE_STORE, SYNC_MANY))
		a->order = memory_order_relaxed;
}

static void
many_looked_for_relaxed(struct explore_access *a)
{
	if (is(a, EXPLORE_LOAD, SYNC_MANY))
		a->order = memory_order_relaxed;
}

/* Order. */

static void
set_relaxed(struct explore_access *a)
{
	if (sets(a))
		a->order = memory_order_relaxed;
}

static void
looked_at_relaxed(struct explore_access *a)
{
	if (is(a, EXPLORE_LOAD, SYNC_OBJECT))
		a->order = memory_order_relaxed;
}

static void
announced_relaxed(struct explore_access *a)
{
	if (is(a, EXPLORE_STORE, SYNC_WAIT))
		a->order = memory_order_relaxed;
}

#define IN(name) sync_event_cases[SYNC_EVENT_##name]

static const struct sync_gate gates[] = {
	GATE(waiter_not_flagged, IN(ONE), PLAIN),
	GATE(not_announced, IN(ONE), PLAIN),
	GATE(announced_late, IN(ONE), PLAIN),
	GATE(not_looked_at_again, IN(TWO), DEEP),
	GATE(not_counted, IN(AT_ONCE), PLAIN),
	GATE(set_without_comparing, IN(ONE), PLAIN),
	GATE(woken_in_vain, IN(ONE), PLAIN),
	GATE(waiters_looked_for_in_vain, IN(ONE), PLAIN),
	GATE(nothing_noted, IN(RECOVERED), KILLS),
	GATE(note_not_read, IN(RECOVERED), KILLS),
	GATE(set_relaxed, IN(ONE), WEAK),
	GATE(looked_at_relaxed, IN(ONE), WEAK),
	GATE(announced_relaxed, IN(TWO), DEEP_WEAK),
	GATE(many_not_flagged, IN(MANY), PLAIN),
	GATE(many_not_announced, IN(MANY), PLAIN),
	GATE(many_announced_late, IN(MANY), PLAIN),
	GATE(many_not_looked_for, IN(MANY), PLAIN),
	GATE(not_counted, IN(MANY_AT_ONCE), PLAIN),
	GATE(nothing_noted, IN(MANY_RECOVERED), KILLS),
	GATE(many_announced_relaxed, IN(MANY_AT_ONCE), DEEP_WEAK),
	GATE(many_looked_for_relaxed, IN(MANY_AT_ONCE), DEEP_WEAK),
};

int
main(void)
{
	return sync_run(sync_event_cases, SYNC_EVENT_CASES, gates,
			MPR_ARRAY_LEN(gates));
}
