/* SPDX-License-Identifier: MIT */
/*
 * How often, and how soon, something may be started again. Times are absolute,
 * on any clock that never goes back.
 */
#ifndef MPR_PROCESS_RESTARTS_H
#define MPR_PROCESS_RESTARTS_H

#include <stdbool.h>
#include <stdint.h>

/* The latest restarts: no more than @limit within any @period. */
struct mpr_restarts {
	unsigned limit;
	int64_t period;
	uint64_t n;	/* all there have been */
	int64_t *times; /* of the last @limit of them, in turn */
};

/* Returns 0 or -ENOMEM. */
int mpr_restarts_init(struct mpr_restarts *r, unsigned limit, int64_t period);

void mpr_restarts_free(struct mpr_restarts *r);

/* Notes one at @now, or returns false: it would be one too many. A restart that
 * was just @period ago counts. */
bool mpr_restarts_note(struct mpr_restarts *r, int64_t now);

/* How long to wait before the @nth restart in a row: @first, then twice as long
 * each time, but no longer than @most. */
int64_t mpr_backoff(int64_t first, int64_t most, unsigned nth);

#endif
