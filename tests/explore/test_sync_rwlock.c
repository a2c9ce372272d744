/* SPDX-License-Identifier: MIT */
/*
 * Locks for readers and writers in all schedules, and the mutation gate.
 */
#include "base/macros.h"
#include "sync/rwlock.h"
#include "sync_run.h"

/* A writer puts its name in the word. */
static bool
wants(const struct explore_access *a)
{
	return is(a, EXPLORE_CAS, SYNC_OBJECT) && a->value & MPR_WANTS;
}

static bool
leaves(const struct explore_access *a)
{
	return is(a, EXPLORE_CAS, SYNC_OBJECT) && !(a->value & MPR_HELD);
}

/* A reader says that it reads. */
static bool
reads(const struct explore_access *a)
{
	return is(a, EXPLORE_CAS, SYNC_NOTE) && a->value;
}

static void
wanted_without_comparing(struct explore_access *a)
{
	if (wants(a))
		a->fault = EXPLORE_BLIND;
}

static void
wanted_in_two_steps(struct explore_access *a)
{
	if (wants(a))
		a->fault = EXPLORE_SPLIT;
}

/* Reader and writer look for each other. */

static void
readers_not_seen(struct explore_access *a)
{
	if (is(a, EXPLORE_LOAD, SYNC_NOTE) && a->order == memory_order_seq_cst)
		answer(a, 0);
}

static void
noted_late(struct explore_access *a)
{
	if (reads(a))
		a->fault = EXPLORE_LATE;
}

static void
writer_not_seen(struct explore_access *a)
{
	if (is(a, EXPLORE_LOAD, SYNC_OBJECT) && follows(a, EXPLORE_CAS, SYNC_NOTE))
		answer(a, 0);
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

/* The last reader, which is fiber 0, does not see that a writer waits for it. */
static void
drain_not_seen(struct explore_access *a)
{
	if (a->fiber == 0 && is(a, EXPLORE_LOAD, SYNC_OBJECT) &&
	    follows(a, EXPLORE_LOAD, SYNC_NOTE))
		answer(a, 0);
}

/* The notes of those who read or wait do not say of which lock at this place. */
static void
generation_not_noted(struct explore_access *a)
{
	if (is(a, EXPLORE_CAS, SYNC_NOTE) || is(a, EXPLORE_STORE, SYNC_NOTE))
		a->value &= ~MPR_NOTE_GENERATION;
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

/* Whose death would end the wait. */
static void
owner_not_said(struct explore_access *a)
{
	if (is(a, EXPLORE_STORE, SYNC_OWNER))
		a->fault = EXPLORE_DROPPED;
}

/* Order. */

static void
noted_relaxed(struct explore_access *a)
{
	if (reads(a))
		a->order = memory_order_relaxed;
}

static void
wanted_relaxed(struct explore_access *a)
{
	if (wants(a))
		a->order = memory_order_relaxed;
}

static void
left_relaxed(struct explore_access *a)
{
	if (leaves(a))
		a->order = memory_order_relaxed;
}

static void
looked_at_relaxed(struct explore_access *a)
{
	if (is(a, EXPLORE_LOAD, SYNC_OBJECT))
		a->order = memory_order_relaxed;
}

static void
readers_looked_at_relaxed(struct explore_access *a)
{
	if (is(a, EXPLORE_LOAD, SYNC_NOTE))
		a->order = memory_order_relaxed;
}

#define IN(name) sync_rwlock_cases[SYNC_RWLOCK_##name]

static const struct sync_gate gates[] = {
	GATE(wanted_without_comparing, IN(TWO_WRITERS), PLAIN),
	GATE(wanted_in_two_steps, IN(TWO_WRITERS), PLAIN),
	GATE(readers_not_seen, IN(ONE_EACH), PLAIN),
	GATE(noted_late, IN(ONE_EACH), PLAIN),
	GATE(writer_not_seen, IN(ONE_EACH), PLAIN),
	GATE(death_not_told, IN(TWO_WRITERS), KILLS),
	GATE(waiter_not_flagged, IN(TWO_WRITERS), PLAIN),
	GATE(not_announced, IN(TWO_WRITERS), PLAIN),
	GATE(announced_late, IN(TWO_WRITE), DEEP),
	GATE(woken_in_vain, IN(ONE_EACH), PLAIN),
	GATE(drain_not_seen, IN(ONE_EACH), PLAIN),
	GATE(woken_in_vain, IN(HELD_DESTROYED), PLAIN),
	GATE(generation_not_noted, IN(HELD_DESTROYED), PLAIN),
	GATE(nothing_noted, IN(DESTROYED_RECOVERED), KILLS),
	GATE(nothing_noted, IN(THREE_RECOVERED), DEEP_KILLS),
	GATE(note_not_read, IN(THREE_RECOVERED), DEEP_KILLS),
	GATE(owner_not_said, IN(READERS_RECOVERED), KILLS),
	GATE(noted_relaxed, IN(ONE_EACH), WEAK),
	GATE(wanted_relaxed, IN(ONE_EACH), WEAK),
	GATE(left_relaxed, IN(ONE_EACH), WEAK),
	GATE(looked_at_relaxed, IN(ONE_EACH), WEAK),
	GATE(readers_looked_at_relaxed, IN(ONE_EACH), WEAK),
};

int
main(void)
{
	return sync_run(sync_rwlock_cases, SYNC_RWLOCK_CASES, gates,
			MPR_ARRAY_LEN(gates));
}
