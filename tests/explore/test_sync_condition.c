/* SPDX-License-Identifier: MIT */
/*
 * Conditions in all schedules, and the mutation gate.
 *
 * That who waits says which lock it wants next has no mutant: without it nobody
 * is moved there, and all else is the same.
 */
#include "base/macros.h"
#include "sync/holder.h"
#include "sync/wait.h"
#include "sync_run.h"

/* Waiting. */

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

/* Who is woken does not see that it was chosen. */
static void
not_looked_at_again(struct explore_access *a)
{
	uint64_t name = mpr_arena_name(world_arena(), sync_cell(0));

	if (is(a, EXPLORE_LOAD, SYNC_WAIT) &&
	    follows(a, EXPLORE_LOAD, SYNC_PARKER))
		answer(a, name << 2 | MPR_WAIT_WAITING);
}

/* Notifying. */

static void
chosen_without_comparing(struct explore_access *a)
{
	if (is(a, EXPLORE_CAS, SYNC_WAIT) && a->value)
		a->fault = EXPLORE_BLIND;
}

static void
woken_in_vain(struct explore_access *a)
{
	if (is(a, EXPLORE_ADD, SYNC_PARKER))
		a->fault = EXPLORE_DROPPED;
}

/* Those who are moved to the lock are not expected there. */
static void
not_expected(struct explore_access *a)
{
	if (is(a, EXPLORE_CAS, SYNC_LOCK) &&
	    !follows(a, EXPLORE_STORE, SYNC_WAIT))
		a->value &= ~MPR_WAITERS;
}

static void
flag_cleared_without_comparing(struct explore_access *a)
{
	if (is(a, EXPLORE_CAS, SYNC_OBJECT) && !(a->value & MPR_WAITERS))
		a->fault = EXPLORE_BLIND;
}

/* Destroying. */

/* Fiber 0, which has waited for the first one, does not pass on what it was chosen
 * for by who notifies those of the second one. */
static void
not_passed_on(struct explore_access *a)
{
	if (a->fiber == 0 && is(a, EXPLORE_LOAD, SYNC_WAIT))
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

static void
call_not_noted(struct explore_access *a)
{
	if (is(a, EXPLORE_STORE, SYNC_CALLS))
		a->fault = EXPLORE_DROPPED;
}

static void
call_not_read(struct explore_access *a)
{
	if (is(a, EXPLORE_LOAD, SYNC_CALLS))
		answer(a, 0);
}

/* Order. */

static void
released_relaxed(struct explore_access *a)
{
	if (is(a, EXPLORE_CAS, SYNC_LOCK) && !(a->value & MPR_HELD))
		a->order = memory_order_relaxed;
}

#define IN(name) sync_condition_cases[SYNC_CONDITION_##name]

static const struct sync_gate gates[] = {
	GATE(waiter_not_flagged, IN(ONE), PLAIN),
	GATE(not_announced, IN(ONE), PLAIN),
	GATE(announced_late, IN(ONE), PLAIN),
	GATE(not_looked_at_again, IN(AFTERWARDS), PLAIN),
	GATE(chosen_without_comparing, IN(TIMED), PLAIN),
	GATE(woken_in_vain, IN(ONE), PLAIN),
	GATE(not_expected, IN(ONE), PLAIN),
	GATE(flag_cleared_without_comparing, IN(OFTEN), PLAIN),
	GATE(woken_in_vain, IN(DESTROYED), PLAIN),
	GATE(not_passed_on, IN(DESTROYED_AFTERWARDS), PLAIN),
	GATE(nothing_noted, IN(DESTROYED_RECOVERED), KILLS),
	GATE(nothing_noted, IN(AFTERWARDS_RECOVERED), KILLS),
	GATE(note_not_read, IN(AFTERWARDS_RECOVERED), KILLS),
	GATE(call_not_noted, IN(RECOVERED), KILLS),
	GATE(call_not_read, IN(RECOVERED), KILLS),
	GATE(released_relaxed, IN(ONE), WEAK),
};

int
main(void)
{
	return sync_run(sync_condition_cases, SYNC_CONDITION_CASES, gates,
			MPR_ARRAY_LEN(gates));
}
