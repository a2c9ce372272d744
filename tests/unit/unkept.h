/* SPDX-License-Identifier: MIT */
/*
 * A pool that nobody keeps, and whose workers are the test, as whom it runs tasks.
 */
#ifndef UNIT_UNKEPT_H
#define UNIT_UNKEPT_H

#include "common.h"
#include "pool/entries.h"
#include "pool/keeper_word.h"
#include "pool/pool.h"
#include "pool/worker.h"

struct unkept {
	struct mpr_pool_use use;
	struct mpr_self *self;
	struct mpr_worker workers[3];
};

static inline int
unkept_make(struct unkept *u, unsigned n_workers)
{
	const struct mproc_pool_opts o = {
		.struct_size = sizeof(o),
		.workers = (int)n_workers,
		.retries = 2,
	};
	mproc_arena *a;

	if (mpr_arena_get(&a) < 0 || mpr_self(a, &u->self) < 0 ||
	    mpr_pool_make(&u->use, u->self, &o, mproc_map_loop_near_) < 0)
		return -1;
	mpr_keeper_give_back(&u->use, mpr_keeper_starter(u->self));
	mpr_pool_open(&u->use);
	for (unsigned w = 0; w < n_workers; w++)
		u->workers[w] = (struct mpr_worker){
			.use = u->use,
			.record = mpr_pool_worker_at(&u->use, w),
			.generation = mpr_generation(),
			.holder = mpr_holder(u->self),
			.number = w,
		};
	return 0;
}

static inline int
unkept_free(const struct unkept *u)
{
	return !mpr_entries_exist(&u->use) && mpr_pool_free(&u->use, u->self) ? 0 : -1;
}

#endif
