/* SPDX-License-Identifier: MIT */
/*
 * How deep the cases are explored, and what is said about it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lane_world.h"

const char *const lane_mode_names[LANE_MODES] = {
	[LANE_PLAIN] = "interleavings",
	[LANE_KILLS] = "kills",
	[LANE_WEAK] = "weak memory",
	[LANE_WEAK_KILLS] = "weak memory and kills",
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
lane_bounds(enum lane_mode mode)
{
	static const struct explore_bounds bounds[LANE_MODES][LEVELS] = {
		[LANE_PLAIN] = { { 2, 0, 0 }, { 3, 0, 0 }, { 4, 0, 0 } },
		[LANE_KILLS] = { { 1, 1, 0 }, { 2, 1, 0 }, { 3, 1, 0 } },
		[LANE_WEAK] = { { 1, 0, 1 }, { 2, 0, 2 }, { 3, 0, 2 } },
		[LANE_WEAK_KILLS] = { { 0, 1, 1 }, { 1, 1, 1 }, { 2, 1, 1 } },
	};

	return bounds[mode][level()];
}

static void
report(const struct lane_case *c, const struct explore_bounds *b,
       const struct explore_result *result)
{
	printf("# %s (%u preemptions, %u crashes, %u stale): %llu schedules, "
	       "%llu steps, longest %u, %.2f s\n", c->name, b->preemptions,
	       b->crashes, b->stale, (unsigned long long)result->schedules,
	       (unsigned long long)result->steps, result->longest,
	       result->seconds);
}

void
lane_must_pass(const struct lane_case *c, const struct explore_bounds *b)
{
	const struct explore_scenario *s = lane_scenario(c);
	struct explore_result result;

	explore(s, b, &result);
	report(c, b, &result);
	if (result.failure[0]) {
		explore_trace(s, b);
		fail_msg("%s", result.failure);
	}
}

void
lane_must_fail(const struct lane_case *c, const struct explore_bounds *b,
	       explore_mutant *mutant)
{
	struct explore_result result;

	explore_mutate(mutant);
	explore(lane_scenario(c), b, &result);
	explore_mutate(NULL);
	report(c, b, &result);
	if (!result.failure[0])
		fail_msg("nothing was noticed");
	printf("# caught by %s\n", result.failure);
}
