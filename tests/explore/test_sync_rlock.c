/* SPDX-License-Identifier: MIT */
/*
 * Recursive locks in all schedules, and the mutation gate. What they have in common
 * with locks has its mutants in test_sync_lock.c.
 */
#include "base/macros.h"
#include "sync/holder.h"
#include "sync_run.h"

/* Its holder takes it once more. */
static void
not_counted(struct explore_access *a)
{
	if (is(a, EXPLORE_STORE, SYNC_NESTED) && a->value)
		a->fault = EXPLORE_DROPPED;
}

/* Whoever takes it first has it as often as the one before. */
static void
not_begun_anew(struct explore_access *a)
{
	if (is(a, EXPLORE_STORE, SYNC_NESTED) && !a->value &&
	    !follows(a, EXPLORE_LOAD, SYNC_NESTED))
		a->fault = EXPLORE_DROPPED;
}

/* The first release is the last one. */
static void
released_at_once(struct explore_access *a)
{
	if (is(a, EXPLORE_LOAD, SYNC_NESTED))
		answer(a, 0);
}

/* Who waits takes it for its own. */
static void
taken_for_ones_own(struct explore_access *a)
{
	if (is(a, EXPLORE_LOAD, SYNC_OBJECT) &&
	    a->order == memory_order_relaxed)
		answer(a, mpr_holder_of(a->fiber, (a->fiber + 1) << 2));
}

/* And writes that only after it has taken it once more. */
static void
begun_anew_late(struct explore_access *a)
{
	if (is(a, EXPLORE_STORE, SYNC_NESTED) && !a->value)
		a->fault = EXPLORE_LATE;
}

static void
woken_in_vain(struct explore_access *a)
{
	if (is(a, EXPLORE_ADD, SYNC_PARKER))
		a->fault = EXPLORE_DROPPED;
}

static void
released_relaxed(struct explore_access *a)
{
	if (is(a, EXPLORE_CAS, SYNC_OBJECT) && !(a->value & MPR_HELD))
		a->order = memory_order_relaxed;
}

#define IN(name) sync_rlock_cases[SYNC_RLOCK_##name]

static const struct sync_gate gates[] = {
	GATE(not_counted, IN(TWO), PLAIN),
	GATE(not_begun_anew, IN(TWO), KILLS),
	GATE(released_at_once, IN(TWO), PLAIN),
	GATE(taken_for_ones_own, IN(TWO), PLAIN),
	GATE(begun_anew_late, IN(TWO), PLAIN),
	GATE(woken_in_vain, IN(TWO), PLAIN),
	GATE(released_relaxed, IN(TWO), WEAK),
};

int
main(void)
{
	return sync_run(sync_rlock_cases, SYNC_RLOCK_CASES, gates,
			MPR_ARRAY_LEN(gates));
}
