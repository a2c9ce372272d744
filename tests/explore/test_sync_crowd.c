/* SPDX-License-Identifier: MIT */
/*
 * Crowds in all schedules, and the mutation gate.
 */
#include "base/macros.h"
#include "sync/crowd.h"
#include "sync/holder.h"
#include "sync_run.h"

/* Notifying. */

/* Whoever has the place by now. */
static void
called_without_comparing(struct explore_access *a)
{
	if (a->fiber == 1 && is(a, EXPLORE_CAS, SYNC_CROWD))
		a->fault = EXPLORE_BLIND;
}

static void
called_whatever_it_waits_for(struct explore_access *a)
{
	if (a->fiber == 1 && is(a, EXPLORE_LOAD, SYNC_CROWD_NAME))
		answer(a, mpr_arena_name(world_arena(), sync_cell(0)));
}

static void
woken_in_vain(struct explore_access *a)
{
	if (is(a, EXPLORE_ADD, SYNC_PARKER))
		a->fault = EXPLORE_DROPPED;
}

/* Waiting. */

static void
crowd_not_flagged(struct explore_access *a)
{
	if (is(a, EXPLORE_CAS, SYNC_OBJECT))
		a->value &= ~MPR_WAITERS;
}

static void
joined_after_the_flag(struct explore_access *a)
{
	if (is(a, EXPLORE_ADD, SYNC_CROWD))
		a->fault = EXPLORE_DROPPED;
}

/* A place does not say that another crowd has it. */
static void
not_numbered(struct explore_access *a)
{
	if (is(a, EXPLORE_LOAD, SYNC_CROWD) &&
	    follows(a, EXPLORE_CAS, SYNC_CROWD_OWNER))
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
crowds_of_the_dead_not_found(struct explore_access *a)
{
	if (a->fiber == 3 && is(a, EXPLORE_LOAD, SYNC_CROWD_OWNER))
		answer(a, 0);
}

#define IN(name) sync_crowd_cases[SYNC_CROWD_##name]

static const struct sync_gate gates[] = {
	GATE(called_without_comparing, IN(AGAIN), DEEP),
	GATE(called_whatever_it_waits_for, IN(ELSEWHERE), DEEP),
	GATE(woken_in_vain, IN(ONE), PLAIN),
	GATE(crowd_not_flagged, IN(ONE), PLAIN),
	GATE(joined_after_the_flag, IN(ONE), PLAIN),
	GATE(not_numbered, IN(ELSEWHERE), DEEP),
	GATE(nothing_noted, IN(ALONE_RECOVERED), KILLS),
	GATE(crowds_of_the_dead_not_found, IN(RECOVERED), KILLS),
};

int
main(void)
{
	return sync_run(sync_crowd_cases, SYNC_CROWD_CASES, gates,
			MPR_ARRAY_LEN(gates));
}
