/* SPDX-License-Identifier: MIT */
/*
 * What the queue's mutation gates are written with.
 */
#ifndef QUEUE_MUTANTS_H
#define QUEUE_MUTANTS_H

#include <stddef.h>

#include "explorer.h"
#include "queue_world.h"

static inline bool
is(const struct explore_access *a, enum queue_part part,
   enum explore_kind kind, enum queue_word id)
{
	return queue_part_of(a->fiber) == part && a->kind == kind &&
	       a->id == (unsigned)id;
}

/* Whether the fiber's access before this one was that. */
static inline bool
follows(const struct explore_access *a, enum explore_kind kind,
	enum queue_word id)
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
#define WEAK { .preemptions = 2, .stale = 1 }
#define DEEP_WEAK { .preemptions = 3, .stale = 1 }
#define TWICE_WEAK { .preemptions = 2, .stale = 2 } /* who looks twice */
#define DEEP_KILLS { .preemptions = 2, .crashes = 1 }
#define KILLS { .preemptions = 1, .crashes = 1 }

struct gate {
	const char *name;
	explore_mutant *mutant;
	enum queue_case_name in;
	struct explore_bounds bounds;
};

#define GATE(mutant, in, bounds) { #mutant, mutant, in, bounds }

/* Runs a test for each gate: in some schedule its mutant must be noticed. Returns
 * what main() does. */
int queue_run_gates(const struct gate *gates, size_t n);

#endif
