/* SPDX-License-Identifier: MIT */
/*
 * The mutation gate: with one access of the lane made wrong, some schedule
 * must fail. Otherwise test_lane.c is blind there.
 *
 * One edge has no mutant: a producer that loads head relaxed (P1). What that
 * would allow, stores that take effect before a load on which they depend, the
 * explorer's memory does not do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/macros.h"
#include "explore_run.h"
#include "lane_world.h"
#include "ring/frame.h"

static bool
is(const struct explore_access *a, enum explore_kind kind, enum lane_word id)
{
	return a->kind == kind && a->id == (unsigned)id;
}

/* P2: the tail may be seen before the frame. */
static void
tail_stored_relaxed(struct explore_access *a)
{
	if (is(a, EXPLORE_STORE, LANE_TAIL))
		a->order = memory_order_relaxed;
}

/* C1, its other end. */
static void
tail_loaded_relaxed(struct explore_access *a)
{
	if (is(a, EXPLORE_LOAD, LANE_TAIL))
		a->order = memory_order_relaxed;
}

/* C3: the bytes may be overwritten while they are copied. */
static void
head_stored_relaxed(struct explore_access *a)
{
	if (is(a, EXPLORE_STORE, LANE_HEAD))
		a->order = memory_order_relaxed;
}

static void
claim_without_release(struct explore_access *a)
{
	if (is(a, EXPLORE_CAS, LANE_HEAD))
		a->order = memory_order_acquire;
}

/* P1 and C2: a header of later may be seen with the head of before. */
static void
no_fence_at_refresh(struct explore_access *a)
{
	if (a->kind == EXPLORE_FENCE)
		a->fault = EXPLORE_DROPPED;
}

static void
header_loaded_relaxed(struct explore_access *a)
{
	if (is(a, EXPLORE_LOAD, LANE_FRAMES))
		a->order = memory_order_relaxed;
}

/* The claim without its proof that the copy is good. */
static void
claim_blind(struct explore_access *a)
{
	if (is(a, EXPLORE_CAS, LANE_HEAD))
		a->fault = EXPLORE_BLIND;
}

static void
claim_split(struct explore_access *a)
{
	if (is(a, EXPLORE_CAS, LANE_HEAD))
		a->fault = EXPLORE_SPLIT;
}

static void
copy_after_claim(struct explore_access *a)
{
	if (a->kind == EXPLORE_COPY_OUT)
		a->fault = EXPLORE_DELAYED;
}

/* What a consumer found at head is believed without a second look at head. */
static bool
looks_again(const struct explore_access *a)
{
	return is(a, EXPLORE_LOAD, LANE_HEAD) &&
	       a->kind_before == EXPLORE_LOAD && a->id_before == LANE_FRAMES;
}

/* The last one of "two consumers, one with a small buffer". */
static bool
is_long_message(uint64_t header)
{
	return mpr_frame_kind(header) == MPR_FRAME_MESSAGE &&
	       mpr_frame_len(header) == 20;
}

static void
nonsense_believed(struct explore_access *a)
{
	if (looks_again(a) && !is_long_message(a->value_before))
		a->fault = EXPLORE_CACHED;
}

static void
too_long_believed(struct explore_access *a)
{
	if (looks_again(a) && is_long_message(a->value_before))
		a->fault = EXPLORE_CACHED;
}

/* What was seen is not looked at again by who only asks for its length. */
static void
length_believed(struct explore_access *a)
{
	if (a->fiber == 1 && looks_again(a) &&
	    mpr_frame_kind(a->value_before) == MPR_FRAME_MESSAGE)
		a->fault = EXPLORE_CACHED;
}

/* The words of a reference are believed as they are. */
static bool
is_use(uint64_t word)
{
	return word & LANE_USE && word < 2 * LANE_USE;
}

static void
reference_believed(struct explore_access *a)
{
	if (looks_again(a) && is_use(a->value_before))
		a->fault = EXPLORE_CACHED;
}

/* C2, for the second of them, and the third. */
static void
use_loaded_relaxed(struct explore_access *a)
{
	if (is(a, EXPLORE_LOAD, LANE_FRAMES) &&
	    a->kind_before == EXPLORE_LOAD && a->id_before == LANE_FRAMES)
		a->order = memory_order_relaxed;
}

static void
use_not_stored(struct explore_access *a)
{
	if (is(a, EXPLORE_STORE, LANE_FRAMES) && is_use(a->value))
		a->fault = EXPLORE_DROPPED;
}

static void
pad_not_marked(struct explore_access *a)
{
	if (is(a, EXPLORE_STORE, LANE_FRAMES) &&
	    mpr_frame_kind(a->value) == MPR_FRAME_PAD)
		a->fault = EXPLORE_DROPPED;
}

static void
count_not_stored(struct explore_access *a)
{
	if (is(a, EXPLORE_STORE, LANE_COUNT))
		a->fault = EXPLORE_DROPPED;
}

/* Someone takes a later want than the one that he has looked at. */
static void
want_taken_blind(struct explore_access *a)
{
	if (is(a, EXPLORE_CAS, LANE_WANT))
		a->fault = EXPLORE_BLIND;
}

static void
want_not_taken(struct explore_access *a)
{
	if (is(a, EXPLORE_LOAD, LANE_WANT))
		a->fault = EXPLORE_CACHED;
}

static void
no_barrier_before_sleep(struct explore_access *a)
{
	if (a->kind == EXPLORE_BARRIER)
		a->fault = EXPLORE_DROPPED;
}

#define PLAIN { .preemptions = 2 }
#define WEAK { .preemptions = 2, .stale = 1 }

struct gate {
	const char *name;
	explore_mutant *mutant;
	enum lane_case_name in;
	struct explore_bounds bounds;
};

#define GATE(mutant, in, bounds) { #mutant, mutant, in, bounds }

static const struct gate gates[] = {
	GATE(tail_stored_relaxed, LANE_ONE_CONSUMER, WEAK),
	GATE(tail_stored_relaxed, LANE_TWO_CONSUMERS, WEAK),
	GATE(tail_loaded_relaxed, LANE_ONE_CONSUMER, WEAK),
	GATE(tail_loaded_relaxed, LANE_TWO_CONSUMERS, WEAK),
	GATE(head_stored_relaxed, LANE_ONE_CONSUMER, WEAK),
	GATE(claim_without_release, LANE_TWO_CONSUMERS_WRAP, WEAK),
	GATE(no_fence_at_refresh, LANE_TWO_CONSUMERS_WRAP, WEAK),
	GATE(no_fence_at_refresh, LANE_TWO_CONSUMERS_LITTLE_ROOM, WEAK),
	GATE(header_loaded_relaxed, LANE_TWO_CONSUMERS_WRAP, WEAK),
	GATE(claim_blind, LANE_TWO_CONSUMERS, PLAIN),
	GATE(claim_split, LANE_TWO_CONSUMERS, PLAIN),
	GATE(copy_after_claim, LANE_ONE_CONSUMER, PLAIN),
	GATE(copy_after_claim, LANE_TWO_CONSUMERS_WRAP, PLAIN),
	GATE(nonsense_believed, LANE_TWO_CONSUMERS_WRAP, PLAIN),
	GATE(too_long_believed, LANE_TWO_CONSUMERS_LITTLE_ROOM, PLAIN),
	GATE(length_believed, LANE_TWO_CONSUMERS_ONE_LOOKS, PLAIN),
	GATE(pad_not_marked, LANE_ONE_CONSUMER, PLAIN),
	GATE(count_not_stored, LANE_LENGTH, PLAIN),
	GATE(want_taken_blind, LANE_SLEEP_LARGEST, PLAIN),
	GATE(want_not_taken, LANE_SLEEP_TWO_CONSUMERS, PLAIN),
	GATE(no_barrier_before_sleep, LANE_SLEEP_ONE_CONSUMER, WEAK),
	GATE(no_barrier_before_sleep, LANE_SLEEP_TWO_CONSUMERS, WEAK),
	GATE(tail_stored_relaxed, LANE_PARTS, WEAK),
	GATE(tail_stored_relaxed, LANE_IN_PLACE, WEAK),
	GATE(tail_loaded_relaxed, LANE_IN_PLACE, WEAK),
	GATE(head_stored_relaxed, LANE_IN_PLACE, WEAK),
	GATE(copy_after_claim, LANE_IN_PLACE, PLAIN),
	GATE(no_fence_at_refresh, LANE_IN_PLACE_TWO_CONSUMERS, WEAK),
	GATE(count_not_stored, LANE_IN_PLACE_CONSUMER_HEIR, PLAIN),
	GATE(no_barrier_before_sleep, LANE_IN_PLACE_SLEEP, WEAK),
	GATE(tail_stored_relaxed, LANE_BATCH_ONE_CONSUMER, WEAK),
	GATE(tail_stored_relaxed, LANE_BATCH_TWO_CONSUMERS, WEAK),
	GATE(tail_loaded_relaxed, LANE_BATCH_ONE_CONSUMER, WEAK),
	GATE(tail_loaded_relaxed, LANE_BATCH_TWO_CONSUMERS, WEAK),
	GATE(head_stored_relaxed, LANE_BATCH_ONE_CONSUMER, WEAK),
	GATE(claim_without_release, LANE_BATCH_TWO_CONSUMERS_WRAP, WEAK),
	GATE(no_fence_at_refresh, LANE_BATCH_LITTLE_ROOM, WEAK),
	GATE(header_loaded_relaxed, LANE_BATCH_LITTLE_ROOM, WEAK),
	GATE(claim_blind, LANE_BATCH_TWO_CONSUMERS, PLAIN),
	GATE(claim_split, LANE_BATCH_TWO_CONSUMERS, PLAIN),
	GATE(claim_blind, LANE_BATCH_AND_SINGLY, PLAIN),
	GATE(copy_after_claim, LANE_BATCH_ONE_CONSUMER, PLAIN),
	GATE(copy_after_claim, LANE_BATCH_TWO_CONSUMERS_WRAP, PLAIN),
	GATE(nonsense_believed, LANE_BATCH_OVERWRITTEN, PLAIN),
	GATE(too_long_believed, LANE_BATCH_LITTLE_ROOM, PLAIN),
	GATE(pad_not_marked, LANE_BATCH_ONE_CONSUMER, PLAIN),
	GATE(count_not_stored, LANE_BATCH_LENGTH, PLAIN),
	GATE(want_not_taken, LANE_BATCH_SLEEP_TWO_CONSUMERS, PLAIN),
	GATE(no_barrier_before_sleep, LANE_BATCH_SLEEP_ONE_CONSUMER, WEAK),
	GATE(no_barrier_before_sleep, LANE_BATCH_SLEEP_TWO_CONSUMERS, WEAK),
	GATE(reference_believed, LANE_REFERENCES, PLAIN),
	GATE(use_loaded_relaxed, LANE_REFERENCES, WEAK),
	GATE(no_fence_at_refresh, LANE_REFERENCES, WEAK),
	GATE(use_not_stored, LANE_REFERENCES, PLAIN),
	GATE(tail_stored_relaxed, LANE_REFERENCES_ONE_CONSUMER, WEAK),
};

enum { GATES = sizeof(gates) / sizeof(gates[0]) };

static void
is_caught(void **state)
{
	const struct gate *gate = *state;

	explore_must_fail(lane_scenario(&lane_cases[gate->in]), &gate->bounds,
			  gate->mutant);
}

int
main(void)
{
	static struct gate copies[GATES];
	static char titles[GATES][96];
	struct CMUnitTest tests[GATES];

	for (int i = 0; i < GATES; i++) {
		copies[i] = gates[i];
		snprintf(titles[i], sizeof(titles[i]), "mutant %s is caught: %s",
			 gates[i].name, lane_cases[gates[i].in].name);
		tests[i] = (struct CMUnitTest){
			.name = titles[i],
			.test_func = is_caught,
			.initial_state = &copies[i],
		};
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
