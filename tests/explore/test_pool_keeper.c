/* SPDX-License-Identifier: MIT */
/*
 * Who keeps a pool, in all schedules, and the mutation gate.
 *
 * That who wants the word looks at the phase, too, has a mutant only with a kill: as long
 * as the one lives that has ended the pool, the word says so.
 */
#include "base/macros.h"
#include "pool_keeper.h"
#include "sync_run.h"

static bool
is_claim(const struct explore_access *a)
{
	return is(a, EXPLORE_CAS, SYNC_KEEPER) && a->value & MPR_HANDED;
}

static void
claimed_without_comparing(struct explore_access *a)
{
	if (is_claim(a))
		a->fault = EXPLORE_BLIND;
}

static void
claimed_in_two_steps(struct explore_access *a)
{
	if (is_claim(a))
		a->fault = EXPLORE_SPLIT;
}

/* Whoever has it is taken for dead. */
static void
death_not_proved(struct explore_access *a)
{
	if (is(a, EXPLORE_LOAD, SYNC_IDENT))
		answer(a, 0);
}

static void
pool_not_looked_for(struct explore_access *a)
{
	if (is(a, EXPLORE_LOAD, SYNC_OBJECT))
		answer(a, mpr_pool_word(POOL_FIRST));
}

static void
phase_not_looked_at(struct explore_access *a)
{
	if (is(a, EXPLORE_LOAD, SYNC_PHASE) &&
	    follows(a, EXPLORE_LOAD, SYNC_OBJECT))
		answer(a, (uint64_t)POOL_FIRST << 32 | MPR_POOL_OPEN);
}

static void
end_not_written(struct explore_access *a)
{
	if (is(a, EXPLORE_STORE, SYNC_KEEPER))
		a->fault = EXPLORE_DROPPED;
}

/* What nobody keeps says so in the same way, whichever pool it is. */
static void
nobody_has_no_generation(struct explore_access *a)
{
	if (is(a, EXPLORE_CAS, SYNC_KEEPER) && !(a->value & MPR_HELD) &&
	    !(a->value & MPR_GONE))
		a->value = mpr_keeper_none(POOL_FIRST);
}

#define IN(name) pool_keeper_cases[POOL_KEEPER_##name]

static const struct sync_gate gates[] = {
	GATE(claimed_without_comparing, IN(TWO), PLAIN),
	GATE(claimed_in_two_steps, IN(TWO), PLAIN),
	GATE(claimed_without_comparing, IN(ORPHANED), PLAIN),
	GATE(death_not_proved, IN(TWO), PLAIN),
	GATE(death_not_proved, IN(ORPHANED), PLAIN),
	GATE(pool_not_looked_for, IN(LATE), PLAIN),
	GATE(phase_not_looked_at, IN(ENDED), DEEP_KILLS),
	GATE(claimed_without_comparing, IN(LATE), PLAIN),
	GATE(end_not_written, IN(REMADE), PLAIN),
	GATE(nobody_has_no_generation, IN(LATE), PLAIN),
};

int
main(void)
{
	return sync_run(pool_keeper_cases, POOL_KEEPER_CASES, gates,
			MPR_ARRAY_LEN(gates));
}
