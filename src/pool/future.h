/* SPDX-License-Identifier: MIT */
/*
 * Futures, as those who wait for them see them.
 */
#ifndef MPR_POOL_FUTURE_H
#define MPR_POOL_FUTURE_H

#include "pool/pool_shm.h"
#include "sync/news.h"

/* A future as a call found it. */
struct mpr_future_use {
	struct mpr_pool_use pool;
	struct mproc_future *f;
	uint64_t id;
};

/* Returns 0, -EINVAL, -EFAULT, -ESTALE. */
int mpr_future_look_up(mproc_future *f, struct mpr_future_use *ret_u);

/* Without a look: how it is waited for together with others, by whichever threads of this
 * process. Returns 0, or as mpr_future_look_up(). */
int mpr_future_note(mproc_future *f, struct mpr_news *ret_seen);

/* The same, once what has to be done before a wait is done, as mproc_future_wait() does
 * it; but with @is_enough, if something else need not be waited for, no task is run.
 * Returns 1 if it is done, 0 if not; or an error. */
int mpr_future_see(mproc_future *f, bool is_enough, struct mpr_news *ret_seen);

/* Whether both are of one future, and not of two that lay there in turn. */
bool mpr_future_is_one(const struct mpr_news *a, const struct mpr_news *b);

/* Whether one that is not done needs something of the calling thread, if that were to
 * wait for it; and that, whatever comes of it. */
bool mpr_future_needs_care(const struct mpr_future_use *u);
void mpr_future_take_care(const struct mpr_future_use *u);

/* As mproc_future_wait(). */
int mpr_future_wait(const struct mpr_future_use *u, mproc_timeout timeout);

/* As mproc_future_cancel() and mproc_future_close(), for this one: after its pool was freed
 * another one may lie there. */
int mpr_future_cancel(const struct mpr_future_use *u, unsigned flags);
void mpr_future_close(const struct mpr_future_use *u);

/* As mproc_future_wait_many(); all are in one arena. */
int mpr_future_wait_many(const struct mpr_future_use *uses, int n, int mode,
			 mproc_timeout timeout);

/* The word; 0 if another future, or nothing, is there by now. */
uint64_t mpr_future_word_of(const struct mpr_future_use *u);

/* The result of one that is DONE, as mproc_future_get(). */
int mpr_future_read(const struct mpr_future_use *u, void *out, size_t size,
		    size_t *ret_len);

#endif
