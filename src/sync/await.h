/* SPDX-License-Identifier: MIT */
/*
 * Waiting until an object lets the caller go on: the loop of all objects that
 * have nobody to be asked by name. It is sync/wait.h in the order that loses no
 * wake-up, whoever is killed where.
 *
 * What the object is, only its look() knows. It is called without a wait first,
 * then with the wait announced, before and after each sleep.
 */
#ifndef MPR_SYNC_AWAIT_H
#define MPR_SYNC_AWAIT_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "sync/cell.h"
#include "sync/holder.h"
#include "sync/wait.h"

/* The first member of what an object's functions know of one call. */
struct mpr_await {
	/*
	 * Takes what there is to be had. @waits: the call has announced itself,
	 * so if it is to sleep, the object's flag for that must be set, before
	 * the look. Returns 0 or more: it has it; -EBUSY: it has to sleep;
	 * another error.
	 */
	int (*look)(struct mpr_await *aw, bool waits);
	const char *what; /* a noun, for messages */
	struct mpr_cell *cell; /* the object */
	enum mpr_wait_kind kind; /* what a wake-up means */
	int owner; /* whose death matters: mpr_wait_announce() */
	/* Set by mpr_await_begin(). */
	struct mpr_self *self;
	uint32_t generation;
};

/* Before the object is looked at. Returns 0, or why this thread is no
 * participant. */
int mpr_await_begin(struct mpr_await *aw);

/* Returns what look() does, but -EAGAIN, -ETIMEDOUT or -EINTR for -EBUSY, and
 * -ESHUTDOWN for -ESTALE once it has waited. */
int mpr_await(struct mpr_await *aw, mproc_timeout timeout);

/* Whether the object with the word @word is not the one that it was. @word was
 * read after mpr_await_begin(). */
static inline bool
mpr_await_is_stale(const struct mpr_await *aw, uint64_t word)
{
	return word & MPR_GONE ||
	       atomic_load(&aw->cell->generation) != aw->generation;
}

#endif
