/* SPDX-License-Identifier: MIT */
/*
 * A wait for others who are about to come: looks, without a sleep, as long as that may
 * be worth it. Where they share the CPU with who waits they come as it yields.
 */
#ifndef MPR_SYNC_LINGER_H
#define MPR_SYNC_LINGER_H

#include <stdbool.h>

#include "sync/yields.h"

struct mpr_linger {
	struct mpr_yields *yields;
	unsigned yields_left;
	unsigned looks_left; /* with nothing but a pause before each */
	int64_t turns; /* ns that the CPU may be gone for as all of them have it */
	int64_t deadline;
};

/* For @others at most; @yields: the calling thread's. */
void mpr_linger_begin(struct mpr_linger *l, struct mpr_yields *yields,
		      unsigned others, int64_t deadline);

/* Waits until the next look. Returns false when it is time to sleep: also once the
 * deadline has passed, which the sleep finds. A yield has no bound; that it was one
 * over the deadline shows after it. */
bool mpr_linger_on(struct mpr_linger *l);

#endif
