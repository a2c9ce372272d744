/* SPDX-License-Identifier: MIT */
/*
 * How deep scenarios are explored, and what is said about it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "explore_run.h"

const char *const explore_mode_names[EXPLORE_MODES] = {
	[EXPLORE_PLAIN] = "interleavings",
	[EXPLORE_KILLS] = "kills",
	[EXPLORE_WEAK] = "weak memory",
	[EXPLORE_WEAK_KILLS] = "weak memory and kills",
};

enum level {
	QUICK,
	NORMAL,
	FULL,
	LEVELS
};

static enum level
level(void)
{
	const char *name = getenv("MPT_LEVEL");

	if (name && strcmp(name, "quick") == 0)
		return QUICK;
	return name && strcmp(name, "full") == 0 ? FULL : NORMAL;
}

struct explore_bounds
explore_bounds_of(enum explore_mode mode)
{
	static const struct explore_bounds bounds[EXPLORE_MODES][LEVELS] = {
		[EXPLORE_PLAIN] = { { 2, 0, 0 }, { 3, 0, 0 }, { 4, 0, 0 } },
		[EXPLORE_KILLS] = { { 1, 1, 0 }, { 2, 1, 0 }, { 3, 1, 0 } },
		[EXPLORE_WEAK] = { { 1, 0, 1 }, { 2, 0, 2 }, { 3, 0, 2 } },
		[EXPLORE_WEAK_KILLS] = { { 0, 1, 1 }, { 1, 1, 1 }, { 2, 1, 1 } },
	};

	return bounds[mode][level()];
}

static void
report(const struct explore_scenario *s, const struct explore_bounds *b,
       const struct explore_result *result)
{
	printf("# %s (%u preemptions, %u crashes, %u stale): %llu schedules, "
	       "%llu steps, longest %u, %.2f s\n", s->name, b->preemptions,
	       b->crashes, b->stale, (unsigned long long)result->schedules,
	       (unsigned long long)result->steps, result->longest,
	       result->seconds);
}

void
explore_must_pass(const struct explore_scenario *s,
		  const struct explore_bounds *b)
{
	struct explore_result result;

	explore(s, b, &result);
	report(s, b, &result);
	if (result.failure[0]) {
		explore_trace(s, b);
		fail_msg("%s", result.failure);
	}
}

void
explore_must_fail(const struct explore_scenario *s,
		  const struct explore_bounds *b, explore_mutant *mutant)
{
	struct explore_result result;

	explore_mutate(mutant);
	explore(s, b, &result);
	explore_mutate(NULL);
	report(s, b, &result);
	if (!result.failure[0])
		fail_msg("nothing was noticed");
	printf("# caught by %s\n", result.failure);
}
