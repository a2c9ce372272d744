/* SPDX-License-Identifier: MIT */
/*
 * Workers: begun by the keeper, they take hints, run tasks and complete them.
 */
#ifndef MPR_POOL_WORKER_H
#define MPR_POOL_WORKER_H

#include "os/child.h"
#include "os/thread.h"
#include "pool/task.h"
#include "process/self.h"

/* What a worker begins with. */
struct mpr_working {
	struct mpr_pool_use use;
	unsigned number;
	struct mpr_pool_worker *record;
	bool limited; /* tasks have a time limit */
	uint64_t ticket; /* in that */
	uint64_t keeper; /* the word of the one that begins it */
	/* A process: the keeper's ears, its id, and where it has that. */
	const struct mpr_child_ears *ears;
	pid_t keeper_pid;
	uint64_t namespace;
	/* A thread: its memory, which is there until it has been joined, and what signals it
	 * is to have blocked. Otherwise NULL. */
	struct mpr_worker *thread;
	const sigset_t *signals;
};

/* Runs the initializer. Returns false if it has failed, and with it the pool; and in a
 * child that it has forked. */
bool mpr_worker_initialize(const struct mpr_pool_use *u);

/* What worker @w is called. */
void mpr_worker_name(const struct mpr_pool_use *u, unsigned w,
		     char name[MPR_NAME_MAX]);

/* The entry, of a process or a thread. */
int mpr_worker_run(void *working);

/* The calling thread is none any more. */
void mpr_worker_forget(void);

#endif
