/* SPDX-License-Identifier: MIT */
/*
 * Locks in all schedules, and the mutation gate.
 *
 * That who gives up has another one look has no mutant, as it is done by the same
 * accesses as a release. Without it "one of three may give up" fails. That a
 * waiter says whom it waits for has none, as recovery also finds the holder in
 * the lock's word, where that lies in the arena.
 */
#include "base/macros.h"
#include "sync/holder.h"
#include "sync_run.h"

/* Taking and releasing. */

static void
taken_without_comparing(struct explore_access *a)
{
	if (is(a, EXPLORE_CAS, SYNC_OBJECT) && a->value & MPR_HELD)
		a->fault = EXPLORE_BLIND;
}

static void
taken_in_two_steps(struct explore_access *a)
{
	if (is(a, EXPLORE_CAS, SYNC_OBJECT) && a->value & MPR_HELD)
		a->fault = EXPLORE_SPLIT;
}

static void
death_not_told(struct explore_access *a)
{
	if (is(a, EXPLORE_CAS, SYNC_OBJECT))
		a->value &= ~MPR_DIED;
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

/* Order. */

static void
released_relaxed(struct explore_access *a)
{
	if (is(a, EXPLORE_CAS, SYNC_OBJECT) && !(a->value & MPR_HELD))
		a->order = memory_order_relaxed;
}

static void
taken_relaxed(struct explore_access *a)
{
	if (is(a, EXPLORE_CAS, SYNC_OBJECT) && a->value & MPR_HELD)
		a->order = memory_order_relaxed;
}

#define IN(name) sync_lock_cases[SYNC_LOCK_##name]

static const struct sync_gate gates[] = {
	GATE(taken_without_comparing, IN(TWO), PLAIN),
	GATE(taken_in_two_steps, IN(TWO), PLAIN),
	GATE(death_not_told, IN(TWO), DEEP_KILLS),
	GATE(waiter_not_flagged, IN(TWO), PLAIN),
	GATE(not_announced, IN(TWO), PLAIN),
	GATE(announced_late, IN(THREE), DEEP),
	GATE(woken_in_vain, IN(TWO), PLAIN),
	GATE(waiters_looked_for_in_vain, IN(TWO), PLAIN),
	GATE(nothing_noted, IN(RECOVERED), DEEP_KILLS),
	GATE(note_not_read, IN(RECOVERED), DEEP_KILLS),
	GATE(released_relaxed, IN(TWO), WEAK),
	GATE(taken_relaxed, IN(TWO), WEAK),
};

int
main(void)
{
	return sync_run(sync_lock_cases, SYNC_LOCK_CASES, gates,
			MPR_ARRAY_LEN(gates));
}
