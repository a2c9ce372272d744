/* SPDX-License-Identifier: MIT */
/*
 * How a future comes to be: all that it is to be is written before it is linked, and
 * then it is announced.
 */
#ifndef MPR_POOL_SUBMIT_H
#define MPR_POOL_SUBMIT_H

#include "os/module.h"
#include "pool/pool_shm.h"

struct mpr_submission {
	enum mpr_future_kind kind;
	mpr_function *fn;
	uint64_t code; /* of that, once it is submitted */
	size_t len; /* bytes behind the future, which fill() writes */
	void (*fill)(const struct mpr_submission *s, const struct mpr_pool_use *u,
		     struct mproc_future *f, uint64_t word);
};

/* For a call that submits and waits. Returns 0; -ECHILD in a child that a signal handler
 * has forked since it began, in the process of @generation: what was submitted is its
 * parent's. */
int mpr_submit_is_ours(uint64_t generation);

/* Returns 0, or as mproc_pool_submit(). */
int mpr_submit(const struct mpr_pool_use *u, struct mpr_self *self,
	       struct mpr_submission *s, struct mproc_future **ret_f);

/* mproc_pool_submit() for who has found the pool: it is that one, or fails. */
int mpr_submit_task(const struct mpr_pool_use *u, mproc_task *fn, const void *in,
		    size_t len, mproc_future **ret_f);

#endif
