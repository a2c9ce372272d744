/* SPDX-License-Identifier: MIT */
/*
 * Workers: forked by the keeper, they take hints, run tasks and complete them.
 */
#ifndef MPR_POOL_WORKER_H
#define MPR_POOL_WORKER_H

#include "os/child.h"
#include "pool/pool_shm.h"
#include "process/self.h"

/* What a worker is forked with. */
struct mpr_working {
	struct mpr_pool_use use;
	unsigned number;
	uint64_t ticket; /* in its record */
	uint64_t keeper; /* the word of the one that forks it */
	const struct mpr_child_ears *ears; /* the keeper's */
};

/* Runs the initializer. Returns false if it has failed, and with it the pool; and in a
 * child that it has forked. */
bool mpr_worker_initialize(const struct mpr_pool_use *u);

/* What worker @w is called. */
void mpr_worker_name(const struct mpr_pool_use *u, unsigned w,
		     char name[MPR_NAME_MAX]);

/* The entry. */
int mpr_worker_run(void *working);

#endif
