/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "explore_run.h"
#include "sync_run.h"

enum { TESTS_MAX = 120 };

static struct test {
	const struct sync_case *in;
	enum explore_mode mode;
	struct explore_bounds bounds; /* with a mutant */
	explore_mutant *mutant;
	char title[120];
} all[TESTS_MAX];

static struct CMUnitTest tests[TESTS_MAX];
static size_t n;

static void
no_schedule_fails(void **state)
{
	const struct test *t = *state;
	struct explore_bounds bounds = explore_bounds_of(t->mode);
	unsigned fewer = t->in->fewer;

	if (bounds.crashes)
		fewer += t->in->fewer_kills;
	bounds.preemptions -= fewer < bounds.preemptions ? fewer :
							   bounds.preemptions;
	explore_mutate(NULL);
	explore_must_pass(sync_scenario(t->in), &bounds);
}

static void
is_caught(void **state)
{
	const struct test *t = *state;

	explore_must_fail(sync_scenario(t->in), &t->bounds, t->mutant);
}

static struct test *
add(const struct sync_case *in, CMUnitTestFunction function)
{
	struct test *t = &all[n];

	if (n == TESTS_MAX)
		abort();
	t->in = in;
	tests[n++] = (struct CMUnitTest){
		.name = t->title,
		.test_func = function,
		.initial_state = t,
	};
	return t;
}

static bool
has_kills(enum explore_mode mode)
{
	return mode == EXPLORE_KILLS || mode == EXPLORE_WEAK_KILLS;
}

int
sync_run(const struct sync_case *cases, size_t n_cases,
	 const struct sync_gate *gates, size_t n_gates)
{
	struct test *t;

	for (size_t i = 0; i < n_cases * EXPLORE_MODES; i++) {
		enum explore_mode mode = (enum explore_mode)(i % EXPLORE_MODES);

		if (cases[i / EXPLORE_MODES].patient && !has_kills(mode))
			continue;
		t = add(&cases[i / EXPLORE_MODES], no_schedule_fails);
		t->mode = mode;
		snprintf(t->title, sizeof(t->title), "%s: %s", t->in->name,
			 explore_mode_names[t->mode]);
	}
	for (size_t i = 0; i < n_gates; i++) {
		t = add(gates[i].in, is_caught);
		t->bounds = gates[i].bounds;
		t->mutant = gates[i].mutant;
		snprintf(t->title, sizeof(t->title), "mutant %s is caught: %s",
			 gates[i].name, t->in->name);
	}
	return _cmocka_run_group_tests("tests", tests, n, NULL, NULL);
}
