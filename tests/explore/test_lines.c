/* SPDX-License-Identifier: MIT */
/*
 * Lines that consumers write to without a change, and that producers claim, in all
 * schedules; and the mutation gate of that.
 *
 * For the only consumer it makes no difference when it writes to a group of lines,
 * as these are those of its next messages. So there is no mutant for that.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "explore_run.h"
#include "lane_world.h"

enum lines_case {
	LINES_ONE_CONSUMER,
	LINES_TWO_CONSUMERS,
	LINES_BATCH_ONE_CONSUMER,
	LINES_BATCH_TWO_CONSUMERS,
	LINES_LONG,
	LINES_LONG_CONSUMER_HEIR,
	LINES_CASES
};

/* A group is 64 bytes. The frame of the first message ends where one begins, and the
 * last ones lie where that was. */
#define OVER_A_GROUP { 8, 56, 120, 56, 24 }

static const struct lane_case cases[LINES_CASES] = {
	[LINES_ONE_CONSUMER] = {
		.name = "lines, one consumer",
		.capacity = 256,
		.start = 48,
		.roles = {
			{ LANE_PRODUCES, 5, OVER_A_GROUP, .sleeps = true },
			{ LANE_CONSUMES, 5, .mortal = true },
		},
	},
	[LINES_TWO_CONSUMERS] = {
		.name = "lines, two consumers",
		.capacity = 256,
		.start = 48,
		.roles = {
			{ LANE_PRODUCES, 5, OVER_A_GROUP, .sleeps = true },
			{ LANE_CONSUMES_SHARED, 1, .mortal = true },
			{ LANE_CONSUMES_SHARED, 3, .mortal = true },
		},
	},
	[LINES_BATCH_ONE_CONSUMER] = {
		.name = "lines, batches, one consumer",
		.capacity = 256,
		.start = 48,
		.roles = {
			{ LANE_PRODUCES, 5, OVER_A_GROUP, .batch = 2,
			  .sleeps = true },
			{ LANE_CONSUMES, 3, .batch = 2, .mortal = true },
		},
	},
	[LINES_BATCH_TWO_CONSUMERS] = {
		.name = "lines, batches, two consumers",
		.capacity = 256,
		.start = 48,
		.roles = {
			{ LANE_PRODUCES, 5, OVER_A_GROUP, .batch = 2,
			  .sleeps = true },
			{ LANE_CONSUMES_SHARED, 1, .batch = 2, .mortal = true },
			{ LANE_CONSUMES_SHARED, 2, .batch = 2, .mortal = true },
		},
	},
	/* Each lies where the one before it was. */
	[LINES_LONG] = {
		.name = "long messages, one consumer",
		.capacity = 256,
		.roles = {
			{ LANE_PRODUCES, 2, { 128, 132 }, .sleeps = true },
			{ LANE_CONSUMES, 3, .mortal = true },
		},
	},
	[LINES_LONG_CONSUMER_HEIR] = {
		.name = "long messages, one consumer and its heir",
		.capacity = 256,
		.roles = {
			{ LANE_PRODUCES, 2, { 128, 128 }, .tries = 2 },
			{ LANE_CONSUMES, 1, .mortal = true },
			{ LANE_CONSUMES, 2, .heir_of = 1 + 1 },
		},
	},
};

/* A line of a message that the producer may be overwriting by then. */
static void
line_written_late(struct explore_access *a)
{
	if (a->kind == EXPLORE_STORE && a->id == LANE_FRAMES && a->fiber != 0)
		a->fault = EXPLORE_LATE;
}

/* By a load and a store, as of the only consumer. */
static void
line_of_several_split(struct explore_access *a)
{
	if (a->kind == EXPLORE_OR && a->id == LANE_FRAMES)
		a->fault = EXPLORE_SPLIT;
}

static void
copy_after_claim(struct explore_access *a)
{
	if (a->kind == EXPLORE_COPY_OUT)
		a->fault = EXPLORE_DELAYED;
}

static void
head_stored_relaxed(struct explore_access *a)
{
	if (a->kind == EXPLORE_STORE && a->id == LANE_HEAD)
		a->order = memory_order_relaxed;
}

#define PLAIN { .preemptions = 2 }
#define WEAK { .preemptions = 2, .stale = 1 }

static const struct gate {
	const char *name;
	explore_mutant *mutant;
	enum lines_case in;
	struct explore_bounds bounds;
} gates[] = {
	{ "line_written_late", line_written_late, LINES_LONG, PLAIN },
	{ "line_of_several_split", line_of_several_split, LINES_TWO_CONSUMERS,
	  PLAIN },
	{ "line_of_several_split", line_of_several_split,
	  LINES_BATCH_TWO_CONSUMERS, PLAIN },
	{ "copy_after_claim", copy_after_claim, LINES_LONG, PLAIN },
	{ "head_stored_relaxed", head_stored_relaxed, LINES_LONG, WEAK },
};

enum {
	GATES = sizeof(gates) / sizeof(gates[0]),
	EXPLORATIONS = LINES_CASES * EXPLORE_MODES,
};

static void
no_schedule_fails(void **state)
{
	unsigned i = (unsigned)(uintptr_t)*state;
	struct explore_bounds bounds =
		explore_bounds_of((enum explore_mode)(i % EXPLORE_MODES));

	/* So many words take many steps. */
	if (bounds.preemptions)
		bounds.preemptions--;
	explore_must_pass(lane_scenario(&cases[i / EXPLORE_MODES]), &bounds);
}

static void
is_caught(void **state)
{
	const struct gate *gate = &gates[(uintptr_t)*state];

	explore_must_fail(lane_scenario(&cases[gate->in]), &gate->bounds,
			  gate->mutant);
}

int
main(void)
{
	static char titles[EXPLORATIONS + GATES][96];
	struct CMUnitTest tests[EXPLORATIONS + GATES];

	for (unsigned i = 0; i < EXPLORATIONS; i++) {
		snprintf(titles[i], sizeof(titles[i]), "%s: %s",
			 cases[i / EXPLORE_MODES].name,
			 explore_mode_names[i % EXPLORE_MODES]);
		tests[i] = (struct CMUnitTest){
			.name = titles[i],
			.test_func = no_schedule_fails,
			.initial_state = (void *)(uintptr_t)i,
		};
	}
	for (unsigned i = 0; i < GATES; i++) {
		unsigned at = EXPLORATIONS + i;

		snprintf(titles[at], sizeof(titles[at]),
			 "mutant %s is caught: %s", gates[i].name,
			 cases[gates[i].in].name);
		tests[at] = (struct CMUnitTest){
			.name = titles[at],
			.test_func = is_caught,
			.initial_state = (void *)(uintptr_t)i,
		};
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
