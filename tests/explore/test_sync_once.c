/* SPDX-License-Identifier: MIT */
/*
 * Onces in all schedules, and the mutation gate.
 *
 * That who waits is told of any death, and that who changes the word notes that,
 * have one mutant together: each does what the other one does.
 */
#include "base/macros.h"
#include "sync/holder.h"
#include "sync_run.h"

#define DONE (UINT64_C(1) << 22) /* src/sync/once.c */

static bool
begins(const struct explore_access *a)
{
	return is(a, EXPLORE_CAS, SYNC_OBJECT) && a->value & MPR_HELD &&
	       !(a->value & MPR_WAITERS);
}

static void
begun_without_comparing(struct explore_access *a)
{
	if (begins(a))
		a->fault = EXPLORE_BLIND;
}

static void
begun_in_two_steps(struct explore_access *a)
{
	if (begins(a))
		a->fault = EXPLORE_SPLIT;
}

static void
ended_without_comparing(struct explore_access *a)
{
	if (is(a, EXPLORE_CAS, SYNC_OBJECT) && a->value & DONE)
		a->fault = EXPLORE_BLIND;
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

/* The one that fails is fiber 0. */
static void
failure_not_told(struct explore_access *a)
{
	if (is(a, EXPLORE_LOAD, SYNC_WAIT) && a->fiber == 0)
		answer(a, 0);
}

/* Deaths. */

static void
nothing_said(struct explore_access *a)
{
	if (is(a, EXPLORE_STORE, SYNC_OWNER) ||
	    is(a, EXPLORE_STORE, SYNC_WAKES))
		a->fault = EXPLORE_DROPPED;
}

/* Order. */

static void
done_relaxed(struct explore_access *a)
{
	if (is(a, EXPLORE_CAS, SYNC_OBJECT) && a->value & DONE)
		a->order = memory_order_relaxed;
}

static void
looked_at_relaxed(struct explore_access *a)
{
	if (is(a, EXPLORE_LOAD, SYNC_OBJECT))
		a->order = memory_order_relaxed;
}

#define IN(name) sync_once_cases[SYNC_ONCE_##name]

static const struct sync_gate gates[] = {
	GATE(begun_without_comparing, IN(TWO), PLAIN),
	GATE(begun_in_two_steps, IN(TWO), PLAIN),
	GATE(ended_without_comparing, IN(TWO), PLAIN),
	GATE(waiter_not_flagged, IN(TWO), PLAIN),
	GATE(not_announced, IN(TWO), PLAIN),
	GATE(not_looked_at_again, IN(THREE), PLAIN),
	GATE(woken_in_vain, IN(TWO), PLAIN),
	GATE(waiters_looked_for_in_vain, IN(TWO), PLAIN),
	GATE(failure_not_told, IN(FAILED), PLAIN),
	GATE(nothing_said, IN(RECOVERED), KILLS),
	GATE(done_relaxed, IN(TWO), WEAK),
	GATE(looked_at_relaxed, IN(TWO), WEAK),
};

int
main(void)
{
	return sync_run(sync_once_cases, SYNC_ONCE_CASES, gates,
			MPR_ARRAY_LEN(gates));
}
