/* SPDX-License-Identifier: MIT */
/*
 * Semaphores in all schedules, and the mutation gate. The giver is fiber 0.
 *
 * That who is chosen and gives up has another one chosen has no mutant, as it
 * looks once more before, and takes what there is. With .undo a note is not
 * needed, as all who wait are told of any death.
 */
#include "base/macros.h"
#include "sync/holder.h"
#include "sync_run.h"

/* Taking a permit, and giving one, without owners. */
static bool
takes(const struct explore_access *a)
{
	return is(a, EXPLORE_CAS, SYNC_OBJECT) &&
	       follows(a, EXPLORE_LOAD, SYNC_OBJECT) &&
	       a->value < a->value_before;
}

static bool
gives(const struct explore_access *a)
{
	return is(a, EXPLORE_CAS, SYNC_OBJECT) &&
	       follows(a, EXPLORE_LOAD, SYNC_OBJECT) &&
	       a->value > a->value_before && !(a->value & MPR_WAITERS);
}

static void
taken_without_comparing(struct explore_access *a)
{
	if (takes(a))
		a->fault = EXPLORE_BLIND;
}

static void
given_in_two_steps(struct explore_access *a)
{
	if (gives(a))
		a->fault = EXPLORE_SPLIT;
}

static void
owned_without_comparing(struct explore_access *a)
{
	if (is(a, EXPLORE_CAS, SYNC_PERMIT) && a->value)
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
	if (is(a, EXPLORE_LOAD, SYNC_WAIT) && a->fiber == 0)
		answer(a, 0);
}

/* Who has got one has no other one chosen. */
static void
not_passed_on(struct explore_access *a)
{
	if (is(a, EXPLORE_LOAD, SYNC_WAIT) && a->fiber != 0)
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

/* That any death matters. */
static void
owner_not_said(struct explore_access *a)
{
	if (is(a, EXPLORE_STORE, SYNC_OWNER))
		a->fault = EXPLORE_DROPPED;
}

/* Order. */

static void
given_relaxed(struct explore_access *a)
{
	if (gives(a))
		a->order = memory_order_relaxed;
}

static void
taken_relaxed(struct explore_access *a)
{
	if (takes(a))
		a->order = memory_order_relaxed;
}

static void
given_by_owner_relaxed(struct explore_access *a)
{
	if (is(a, EXPLORE_CAS, SYNC_PERMIT) && !a->value)
		a->order = memory_order_relaxed;
}

#define IN(name) sync_semaphore_cases[SYNC_SEMAPHORE_##name]

static const struct sync_gate gates[] = {
	GATE(taken_without_comparing, IN(USED), PLAIN),
	GATE(given_in_two_steps, IN(GIVEN_BY_TWO), PLAIN),
	GATE(owned_without_comparing, IN(UNDO), PLAIN),
	GATE(waiter_not_flagged, IN(GIVEN), PLAIN),
	GATE(waiter_not_flagged, IN(UNDO), PLAIN),
	GATE(not_announced, IN(GIVEN), PLAIN),
	GATE(not_looked_at_again, IN(GIVEN), DEEP),
	GATE(woken_in_vain, IN(GIVEN), PLAIN),
	GATE(waiters_looked_for_in_vain, IN(GIVEN), PLAIN),
	GATE(not_passed_on, IN(GIVEN), DEEP),
	GATE(woken_in_vain, IN(UNDO_DESTROYED), PLAIN),
	GATE(nothing_noted, IN(RECOVERED), KILLS),
	GATE(note_not_read, IN(RECOVERED), KILLS),
	GATE(owner_not_said, IN(UNDO_RECOVERED), KILLS),
	GATE(given_relaxed, IN(GIVEN), WEAK),
	GATE(taken_relaxed, IN(GIVEN), WEAK),
	GATE(given_by_owner_relaxed, IN(UNDO), WEAK),
};

int
main(void)
{
	return sync_run(sync_semaphore_cases, SYNC_SEMAPHORE_CASES, gates,
			MPR_ARRAY_LEN(gates));
}
