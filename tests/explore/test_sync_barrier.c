/* SPDX-License-Identifier: MIT */
/*
 * Barriers in all schedules, and the mutation gate.
 *
 * That who changes the word notes that has no mutant: who waits is told of any
 * death.
 */
#include "base/macros.h"
#include "sync/barrier.h"
#include "sync/notes.h"
#include "sync_run.h"

/* The word says that one more has come, or that it was the last one. */
static bool
arrives(const struct explore_access *a)
{
	return is(a, EXPLORE_CAS, SYNC_OBJECT) &&
	       a->value & MPR_BARRIER_WAITING;
}

static bool
completes(const struct explore_access *a)
{
	return is(a, EXPLORE_CAS, SYNC_OBJECT) &&
	       a->value & MPR_BARRIER_PHASE &&
	       !(a->value & MPR_BARRIER_WAITING);
}

static void
arrived_in_two_steps(struct explore_access *a)
{
	if (arrives(a))
		a->fault = EXPLORE_SPLIT;
}

static void
changed_without_comparing(struct explore_access *a)
{
	if (is(a, EXPLORE_CAS, SYNC_OBJECT))
		a->fault = EXPLORE_BLIND;
}

/* Resets. */

static void
reset_not_counted(struct explore_access *a)
{
	if (is(a, EXPLORE_CAS, SYNC_OBJECT) &&
	    a->value & MPR_BARRIER_RESETTING)
		a->value -= MPR_BARRIER_RESET;
}

/* Destroying. */

/* The word of one that is made is what that of the last one was. */
static void
begun_as_before(struct explore_access *a)
{
	if (is(a, EXPLORE_STORE, SYNC_OBJECT))
		a->value &= ~MPR_BARRIER_RESETS;
}

/* Falling asleep. */

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

/* Waking. */

static void
woken_in_vain(struct explore_access *a)
{
	if (is(a, EXPLORE_ADD, SYNC_PARKER))
		a->fault = EXPLORE_DROPPED;
}

static void
waiters_looked_for_in_vain(struct explore_access *a)
{
	if (is(a, EXPLORE_LOAD, SYNC_WAIT))
		answer(a, 0);
}

/* Deaths. */

static void
owner_not_said(struct explore_access *a)
{
	if (is(a, EXPLORE_STORE, SYNC_OWNER))
		a->fault = EXPLORE_DROPPED;
}

/* Order. */

static void
arrived_relaxed(struct explore_access *a)
{
	if (arrives(a))
		a->order = memory_order_relaxed;
}

static void
completed_relaxed(struct explore_access *a)
{
	if (completes(a))
		a->order = memory_order_relaxed;
}

static void
looked_at_relaxed(struct explore_access *a)
{
	if (is(a, EXPLORE_LOAD, SYNC_OBJECT))
		a->order = memory_order_relaxed;
}

#define IN(name) sync_barrier_cases[SYNC_BARRIER_##name]

static const struct sync_gate gates[] = {
	GATE(arrived_in_two_steps, IN(THREE), PLAIN),
	GATE(changed_without_comparing, IN(ENROLLED), PLAIN),
	GATE(reset_not_counted, IN(RESET), PLAIN),
	GATE(not_announced, IN(ENROLLED), PLAIN),
	GATE(announced_late, IN(ENROLLED), PLAIN),
	GATE(not_looked_at_again, IN(ENROLLED), PLAIN),
	GATE(woken_in_vain, IN(ENROLLED), PLAIN),
	GATE(waiters_looked_for_in_vain, IN(ENROLLED), PLAIN),
	GATE(begun_as_before, IN(DESTROYED), WEAK),
	GATE(woken_in_vain, IN(DESTROYED), PLAIN),
	GATE(owner_not_said, IN(RECOVERED), KILLS),
	GATE(arrived_relaxed, IN(ENROLLED), WEAK),
	GATE(completed_relaxed, IN(ENROLLED), WEAK),
	GATE(looked_at_relaxed, IN(ENROLLED), WEAK),
};

int
main(void)
{
	return sync_run(sync_barrier_cases, SYNC_BARRIER_CASES, gates,
			MPR_ARRAY_LEN(gates));
}
