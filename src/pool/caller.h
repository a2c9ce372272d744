/* SPDX-License-Identifier: MIT */
/*
 * The calling thread as a worker of an inline pool, for as long as its call takes. It
 * has a record, as all workers have, so that what it had can be completed if it is killed;
 * and has that before its future can be found, so that nothing waits there that nobody
 * is going to run.
 */
#ifndef MPR_POOL_CALLER_H
#define MPR_POOL_CALLER_H

#include "pool/task.h"

struct mpr_caller {
	struct mpr_worker worker;
	bool nested; /* in a task of the same pool, whose record it is */
};

/* Takes a record. Returns 0; -EAGAIN if there is none; -ESTALE if the pool was freed;
 * or as mpr_self(). */
int mpr_caller_enter(const struct mpr_pool_use *u, struct mpr_caller *ret_c);

/* Runs @f, which has @word, and sees to it that it is done then. In a child that was
 * forked since mpr_caller_enter() this does nothing, and the next one neither. */
void mpr_caller_run(struct mpr_caller *c, struct mproc_future *f, uint64_t word);

/* Gives the record back. */
void mpr_caller_leave(struct mpr_caller *c);

/* Whether the calling thread is in a task of the pool, whichever backend that has. */
bool mpr_caller_is_in(const struct mpr_pool_use *u);

#endif
