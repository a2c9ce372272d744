/* SPDX-License-Identifier: MIT */
/*
 * The queue in all schedules: each case of queue_cases.c, with plain
 * interleavings, with a crash anywhere, and with the memory order that C11
 * gives and no more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "explore_run.h"
#include "queue_world.h"

struct exploration {
	enum queue_case_name name;
	enum explore_mode mode;
	char title[96];
};

static bool
has_lost_races(enum queue_case_name name)
{
	return name == QUEUE_LOST_RACES || name == QUEUE_LOST_RACES_INTERRUPT;
}

static void
no_schedule_fails(void **state)
{
	const struct exploration *e = *state;
	const struct queue_case *c = &queue_cases[e->name];
	struct explore_bounds bounds = explore_bounds_of(e->mode);

	if (c->is_large && bounds.preemptions)
		bounds.preemptions--;
	if (c->is_huge && bounds.preemptions)
		bounds.preemptions--;
	explore_mutate(has_lost_races(e->name) ? queue_lose_races : NULL);
	explore_must_pass(queue_scenario(c), &bounds);
}

int
main(void)
{
	static struct exploration explorations[QUEUE_CASES * EXPLORE_MODES];
	struct CMUnitTest tests[QUEUE_CASES * EXPLORE_MODES];

	for (int i = 0; i < QUEUE_CASES * EXPLORE_MODES; i++) {
		struct exploration *e = &explorations[i];

		e->name = (enum queue_case_name)(i / EXPLORE_MODES);
		e->mode = (enum explore_mode)(i % EXPLORE_MODES);
		snprintf(e->title, sizeof(e->title), "%s: %s",
			 queue_cases[e->name].name, explore_mode_names[e->mode]);
		tests[i] = (struct CMUnitTest){
			.name = e->title,
			.test_func = no_schedule_fails,
			.initial_state = e,
		};
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
