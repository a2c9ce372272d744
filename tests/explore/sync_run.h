/* SPDX-License-Identifier: MIT */
/*
 * What the tests of locks and the like have in common: the cases of one kind of
 * object, each with plain interleavings, with a crash anywhere, and with the
 * memory order that C11 gives and no more; and the mutation gate, which shows
 * that they are not blind: with one access made wrong, some schedule must fail.
 */
#ifndef SYNC_RUN_H
#define SYNC_RUN_H

#include <stddef.h>

#include "explorer.h"
#include "sync_world.h"

static inline bool
is(const struct explore_access *a, enum explore_kind kind, enum sync_word id)
{
	return a->kind == kind && a->id == (unsigned)id;
}

/* Whether the fiber's access before this one was that. */
static inline bool
follows(const struct explore_access *a, enum explore_kind kind,
	enum sync_word id)
{
	return a->kind_before == kind && a->id_before == (unsigned)id;
}

static inline void
answer(struct explore_access *a, uint64_t value)
{
	a->fault = EXPLORE_ANSWERED;
	a->value = value;
}

#define PLAIN { .preemptions = 2 }
#define DEEP { .preemptions = 3 }
#define KILLS { .preemptions = 1, .crashes = 1 }
#define DEEP_KILLS { .preemptions = 2, .crashes = 1 }
#define WEAK { .preemptions = 1, .stale = 1 }
#define DEEP_WEAK { .preemptions = 2, .stale = 1 }

struct sync_gate {
	const char *name;
	explore_mutant *mutant;
	const struct sync_case *in;
	struct explore_bounds bounds;
};

#define GATE(mutant, in, bounds) { #mutant, mutant, &in, bounds }

/* Runs a test for each way to explore a case, and for each gate. Returns what
 * main() does. */
int sync_run(const struct sync_case *cases, size_t n_cases,
	     const struct sync_gate *gates, size_t n_gates);

#endif
