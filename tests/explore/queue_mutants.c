/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "explore_run.h"
#include "queue_mutants.h"

enum { GATES_MAX = 80 };

static void
is_caught(void **state)
{
	const struct gate *gate = *state;

	explore_must_fail(queue_scenario(&queue_cases[gate->in]),
			  &gate->bounds, gate->mutant);
}

int
queue_run_gates(const struct gate *gates, size_t n)
{
	static struct gate copies[GATES_MAX];
	static char titles[GATES_MAX][120];
	static struct CMUnitTest tests[GATES_MAX];

	if (n > GATES_MAX)
		abort();
	for (size_t i = 0; i < n; i++) {
		copies[i] = gates[i];
		snprintf(titles[i], sizeof(titles[i]), "mutant %s is caught: %s",
			 gates[i].name, queue_cases[gates[i].in].name);
		tests[i] = (struct CMUnitTest){
			.name = titles[i],
			.test_func = is_caught,
			.initial_state = &copies[i],
		};
	}
	return _cmocka_run_group_tests("tests", tests, n, NULL, NULL);
}
