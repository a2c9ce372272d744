/* SPDX-License-Identifier: MIT */
/*
 * Locks and the like in all schedules: each case of sync_cases.c, with plain
 * interleavings, with a crash anywhere, and with the memory order that C11 gives
 * and no more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "explore_run.h"
#include "sync_world.h"

struct exploration {
	enum sync_case_name name;
	enum explore_mode mode;
	char title[96];
};

static void
no_schedule_fails(void **state)
{
	const struct exploration *e = *state;
	const struct sync_case *c = &sync_cases[e->name];
	struct explore_bounds bounds = explore_bounds_of(e->mode);

	if (c->is_large && bounds.preemptions)
		bounds.preemptions--;
	explore_mutate(NULL);
	explore_must_pass(sync_scenario(c), &bounds);
}

int
main(void)
{
	static struct exploration explorations[SYNC_CASES * EXPLORE_MODES];
	struct CMUnitTest tests[SYNC_CASES * EXPLORE_MODES];

	for (int i = 0; i < SYNC_CASES * EXPLORE_MODES; i++) {
		struct exploration *e = &explorations[i];

		e->name = (enum sync_case_name)(i / EXPLORE_MODES);
		e->mode = (enum explore_mode)(i % EXPLORE_MODES);
		snprintf(e->title, sizeof(e->title), "%s: %s",
			 sync_cases[e->name].name, explore_mode_names[e->mode]);
		tests[i] = (struct CMUnitTest){
			.name = e->title,
			.test_func = no_schedule_fails,
			.initial_state = e,
		};
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
