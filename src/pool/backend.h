/* SPDX-License-Identifier: MIT */
/*
 * What workers are, for who begins them, sees their end and has them end: the keeper. All
 * else is the same for processes and threads.
 */
#ifndef MPR_POOL_BACKEND_H
#define MPR_POOL_BACKEND_H

#include "pool/keeping.h"
#include "pool/worker.h"

struct mpr_backend {
	/* Begins one that is called @name. Returns 0 or a negative error. */
	int (*begin)(const struct mpr_working *w, const char *name,
		     void **ret_worker);
	/* Whether it has ended; then ret_end->code is 0 if that was in order. */
	bool (*has_ended)(void *worker, struct mproc_exit *ret_end);
	/* Frees what it was, and what is in *ret_end. */
	void (*close)(void *worker);
	/* Ends it, wherever it is. NULL: that cannot be done. */
	void (*kill)(void *worker);
	/* Whether there is more to tell of an end than that it was one. */
	bool has_exits;
};

extern const struct mpr_backend mpr_backend_processes;
extern const struct mpr_backend mpr_backend_threads;

/* A keeper that is a thread of this process, as its workers are. */
struct mpr_keeper_thread;

/* Starts one that takes the place of @starter, the caller's word, and waits until it has.
 * Returns 0 or a negative error. */
int mpr_keeper_thread_start(struct mpr_keeper_thread **ret_t,
			    const struct mpr_pool_use *u, struct mpr_self *self,
			    uint64_t starter);

/* Its pool has ended, and so does it. */
void mpr_keeper_thread_join(struct mpr_keeper_thread *t);

#endif
