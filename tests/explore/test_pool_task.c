/* SPDX-License-Identifier: MIT */
/*
 * What becomes of a task, in all schedules, and the mutation gate.
 */
#include "base/macros.h"
#include "pool/pool_shm.h"
#include "pool_task.h"
#include "sync_run.h"

static bool
makes(const struct explore_access *a, enum mpr_future_state state)
{
	return is(a, EXPLORE_CAS, SYNC_OBJECT) &&
	       mpr_future_state(a->value) == state;
}

static void
taken_without_comparing(struct explore_access *a)
{
	if (makes(a, MPR_FUTURE_RUNNING))
		a->fault = EXPLORE_BLIND;
}

static void
taken_in_two_steps(struct explore_access *a)
{
	if (makes(a, MPR_FUTURE_RUNNING))
		a->fault = EXPLORE_SPLIT;
}

static void
done_without_comparing(struct explore_access *a)
{
	if (makes(a, MPR_FUTURE_DONE))
		a->fault = EXPLORE_BLIND;
}

static void
waiter_not_flagged(struct explore_access *a)
{
	if (is(a, EXPLORE_CAS, SYNC_OBJECT))
		a->value &= ~MPR_WAITERS;
}

static void
woken_in_vain(struct explore_access *a)
{
	if (is(a, EXPLORE_ADD, SYNC_PARKER))
		a->fault = EXPLORE_DROPPED;
}

static void
closed_without_comparing(struct explore_access *a)
{
	if (is(a, EXPLORE_CAS, SYNC_OBJECT) && a->value & MPR_FUTURE_ABANDONED)
		a->fault = EXPLORE_BLIND;
}

static void
closing_forgotten(struct explore_access *a)
{
	if (is(a, EXPLORE_CAS, SYNC_OBJECT))
		a->value &= ~MPR_FUTURE_ABANDONED;
}

static void
cancel_forgotten(struct explore_access *a)
{
	if (makes(a, MPR_FUTURE_RUNNING) || makes(a, MPR_FUTURE_QUEUED))
		a->value &= ~MPR_FUTURE_CANCELED;
}

static void
done_relaxed(struct explore_access *a)
{
	if (makes(a, MPR_FUTURE_DONE))
		a->order = memory_order_relaxed;
}

static void
seen_relaxed(struct explore_access *a)
{
	if (is(a, EXPLORE_LOAD, SYNC_OBJECT))
		a->order = memory_order_relaxed;
}

#define IN(name) pool_task_cases[POOL_TASK_##name]

static const struct sync_gate gates[] = {
	GATE(taken_without_comparing, IN(RUN_AGAIN), PLAIN),
	GATE(taken_in_two_steps, IN(RUN_AGAIN), PLAIN),
	GATE(done_without_comparing, IN(CANCELED), PLAIN),
	GATE(waiter_not_flagged, IN(RUN), PLAIN),
	GATE(woken_in_vain, IN(RUN), PLAIN),
	GATE(closed_without_comparing, IN(CLOSED), PLAIN),
	GATE(closing_forgotten, IN(CLOSED), PLAIN),
	GATE(cancel_forgotten, IN(CANCELED), PLAIN),
	GATE(done_relaxed, IN(RUN), WEAK),
	GATE(seen_relaxed, IN(RUN), WEAK),
};

int
main(void)
{
	return sync_run(pool_task_cases, POOL_TASK_CASES, gates,
			MPR_ARRAY_LEN(gates));
}
