/* SPDX-License-Identifier: MIT */
/*
 * The mutation gate of locks and the like: with one access made wrong, some
 * schedule must fail. Otherwise test_sync.c is blind there.
 *
 * That who gives up has another one look has no mutant, as it is done by the same
 * accesses as a release. Without it "one of three may give up" fails. That a
 * waiter says whom it waits for has none, as recovery also finds the holder in
 * the lock's word, where that lies in the arena.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/macros.h"
#include "explore_run.h"
#include "sync/holder.h"
#include "sync_world.h"

static bool
is(const struct explore_access *a, enum explore_kind kind, enum sync_word id)
{
	return a->kind == kind && a->id == (unsigned)id;
}

static bool
follows(const struct explore_access *a, enum explore_kind kind,
	enum sync_word id)
{
	return a->kind_before == kind && a->id_before == (unsigned)id;
}

static void
answer(struct explore_access *a, uint64_t value)
{
	a->fault = EXPLORE_ANSWERED;
	a->value = value;
}

/* Taking and releasing. */

static void
taken_without_comparing(struct explore_access *a)
{
	if (is(a, EXPLORE_CAS, SYNC_LOCK) && a->value & MPR_HELD)
		a->fault = EXPLORE_BLIND;
}

static void
taken_in_two_steps(struct explore_access *a)
{
	if (is(a, EXPLORE_CAS, SYNC_LOCK) && a->value & MPR_HELD)
		a->fault = EXPLORE_SPLIT;
}

static void
death_not_told(struct explore_access *a)
{
	if (is(a, EXPLORE_CAS, SYNC_LOCK))
		a->value &= ~MPR_DIED;
}

/* Falling asleep. */

static void
waiter_not_flagged(struct explore_access *a)
{
	if (is(a, EXPLORE_CAS, SYNC_LOCK))
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
	if (is(a, EXPLORE_ADD, SYNC_EVENT))
		a->fault = EXPLORE_DROPPED;
}

static void
waiters_looked_for_in_vain(struct explore_access *a)
{
	if (is(a, EXPLORE_LOAD, SYNC_WAIT) &&
	    follows(a, EXPLORE_CAS, SYNC_LOCK))
		answer(a, 0);
}

/* Deaths. */

static void
nothing_noted(struct explore_access *a)
{
	if (is(a, EXPLORE_STORE, SYNC_NOTE))
		a->fault = EXPLORE_DROPPED;
}

static void
note_not_read(struct explore_access *a)
{
	if (is(a, EXPLORE_LOAD, SYNC_NOTE) && a->order == memory_order_seq_cst)
		answer(a, 0);
}

#define PLAIN { .preemptions = 2 }
#define DEEP { .preemptions = 3 }
#define KILLS { .preemptions = 2, .crashes = 1 }

static const struct gate {
	const char *name;
	explore_mutant *mutant;
	enum sync_case_name in;
	struct explore_bounds bounds;
} gates[] = {
#define GATE(mutant, in, bounds) { #mutant, mutant, in, bounds }
	GATE(taken_without_comparing, SYNC_TWO, PLAIN),
	GATE(taken_in_two_steps, SYNC_TWO, PLAIN),
	GATE(death_not_told, SYNC_TWO, KILLS),
	GATE(waiter_not_flagged, SYNC_TWO, PLAIN),
	GATE(not_announced, SYNC_TWO, PLAIN),
	GATE(announced_late, SYNC_THREE, DEEP),
	GATE(woken_in_vain, SYNC_TWO, PLAIN),
	GATE(waiters_looked_for_in_vain, SYNC_TWO, PLAIN),
	GATE(nothing_noted, SYNC_RECOVERED, KILLS),
	GATE(note_not_read, SYNC_RECOVERED, KILLS),
};

static void
is_caught(void **state)
{
	const struct gate *gate = *state;

	explore_must_fail(sync_scenario(&sync_cases[gate->in]), &gate->bounds,
			  gate->mutant);
}

int
main(void)
{
	static struct gate copies[MPR_ARRAY_LEN(gates)];
	static char titles[MPR_ARRAY_LEN(gates)][120];
	struct CMUnitTest tests[MPR_ARRAY_LEN(gates)];

	for (size_t i = 0; i < MPR_ARRAY_LEN(gates); i++) {
		copies[i] = gates[i];
		snprintf(titles[i], sizeof(titles[i]), "mutant %s is caught: %s",
			 gates[i].name, sync_cases[gates[i].in].name);
		tests[i] = (struct CMUnitTest){
			.name = titles[i],
			.test_func = is_caught,
			.initial_state = &copies[i],
		};
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
