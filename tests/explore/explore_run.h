/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the explored sources share: how deep scenarios are
 * explored, and what is said about it.
 */
#ifndef EXPLORE_RUN_H
#define EXPLORE_RUN_H

#include "explorer.h"

enum explore_mode {
	EXPLORE_PLAIN,	    /* interleavings */
	EXPLORE_KILLS,	    /* and one crash */
	EXPLORE_WEAK,	    /* stale reads */
	EXPLORE_WEAK_KILLS, /* and one crash */
	EXPLORE_MODES
};

extern const char *const explore_mode_names[EXPLORE_MODES];

/* Bounds of a mode, by MPT_LEVEL (quick, normal, full). */
struct explore_bounds explore_bounds_of(enum explore_mode mode);

/* Runs a scenario within these bounds and prints what that took. Fails the
 * test, after a trace, if a schedule fails. */
void explore_must_pass(const struct explore_scenario *s,
		       const struct explore_bounds *b);

/* Runs a scenario with a mutant. Fails the test if no schedule does. */
void explore_must_fail(const struct explore_scenario *s,
		       const struct explore_bounds *b, explore_mutant *mutant);

#endif
