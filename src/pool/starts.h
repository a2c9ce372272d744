/* SPDX-License-Identifier: MIT */
/*
 * When a keeper starts workers again, and when it gives up. Those that end as soon as they
 * were started are started a little later each time. If they die in the initializer, and
 * nobody comes through it, that would go on for ever, and no task would be done.
 */
#ifndef MPR_POOL_STARTS_H
#define MPR_POOL_STARTS_H

#include "pool/pool_shm.h"

/* Of a worker. */
struct mpr_worker_start {
	int64_t at;
	uint64_t done; /* tasks of that number, by then */
};

struct mpr_starts {
	int64_t not_before; /* no worker is started before that */
	unsigned brief; /* lives, one after the other */
	unsigned lost; /* deaths in the initializer, one after the other */
};

/* One is started @now. */
void mpr_worker_start_note(struct mpr_worker_start *s,
			   const struct mpr_pool_worker *record, int64_t now);

/* One that was started so has ended, and @record, or NULL, is as it has left it. */
void mpr_starts_note_end(struct mpr_starts *starts,
			 const struct mpr_worker_start *s,
			 const struct mpr_pool_worker *record);

/* Whether each worker that there is to be has died in the initializer as often as anybody
 * would try, and nobody is there that has come through it. */
bool mpr_starts_are_in_vain(const struct mpr_starts *starts,
			    const struct mpr_pool_use *u);

#endif
