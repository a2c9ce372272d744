/* SPDX-License-Identifier: MIT */
/*
 * What is in a waitset, and how it is found: by what it is for who adds and removes,
 * by a number for what the kernel says. Under the set's turn.
 *
 * An item is waited for in one of three ways. One in shared memory rings the set's
 * bell (ipc/bell.h), and counts as one that has rung until it is found not to be
 * ready. One with a descriptor is in the set of the kernel (os/epoll.h), as the bell
 * is. One for which neither says all, is looked at in each wait: processes that the
 * kernel has no descriptor for, and connections over sockets that were told to be
 * ready, as what is wrong with those the socket does not say again.
 */
#ifndef MPR_WAIT_WAITSET_H
#define MPR_WAIT_WAITSET_H

#include <stdbool.h>
#include <stdint.h>

#include <mproc/wait.h>

#include "ipc/bell.h"
#include "os/turn.h"
#include "wait/thing.h"

struct mpr_waitset_item {
	struct mproc_waitable what;
	struct mpr_thing thing;
	uint64_t id;
	struct mpr_watched *watched; /* NULL: not in shared memory */
	struct mpr_news seen;
	uint64_t round; /* the one that it was last looked at in */
	struct mpr_waitset_item *next_in_bucket;
	/* Those that are looked at in each wait, in a ring. */
	struct mpr_waitset_item *next_look, *previous_look; /* NULL: not */
};

struct mproc_waitset {
	uint64_t generation; /* of the process that it belongs to */
	int fd; /* the kernel's set */
	struct mpr_turn turn;
	/* Under the turn. */
	struct mpr_bell *bell; /* NULL: nothing is in shared memory yet */
	uint64_t round;
	struct mpr_waitset_item *looks;
	unsigned n_looks;
	unsigned n_pausing; /* processes that have no descriptor */
	struct mpr_waitset_item *cares; /* who waits has something to do for it; NULL */
	/* By number: its low half is the index; and by what they are. */
	struct mpr_waitset_item **items, **buckets;
	unsigned size; /* of both, a power of two, or 0 */
	unsigned n;
	unsigned next_free; /* where to begin to look for a free one */
	uint32_t serial;
};

/* The number that stands for the bell. */
#define MPR_WAITSET_BELL UINT64_MAX

/* Adds what @what says, with nothing that waits for it yet. Returns 0; -EEXIST,
 * -ENOMEM. */
int mpr_waitset_enter(mproc_waitset *w, const struct mproc_waitable *what,
		      struct mpr_waitset_item **ret_item);

/* Takes it out and frees it. */
void mpr_waitset_drop(mproc_waitset *w, struct mpr_waitset_item *item);

/* NULL if it is not there. */
struct mpr_waitset_item *mpr_waitset_find(const mproc_waitset *w,
					  const struct mproc_waitable *what);
struct mpr_waitset_item *mpr_waitset_numbered(const mproc_waitset *w,
					      uint64_t id);

/* From now on it is looked at in each wait, or is not. */
void mpr_waitset_look_at(mproc_waitset *w, struct mpr_waitset_item *item);
void mpr_waitset_look_away(mproc_waitset *w, struct mpr_waitset_item *item);

/* Those that are ready, in @items, up to @n of them. Returns how many; or 0, and then
 * *@ret_why is why one of them cannot be waited for, or 0. If there is something to do
 * for one before it is waited for, @w->cares is that one. */
int mpr_waitset_collect(mproc_waitset *w, struct mproc_waitable *items, int n,
			int *ret_why);

#endif
