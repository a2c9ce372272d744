/* SPDX-License-Identifier: MIT */
/*
 * A thing that the watcher watches: a queue, or one direction of a pipe, for all
 * entries that are for it (ipc/watched.h), as the thread has one seat there; or an
 * object of which there will be news, as one entry has seen it.
 *
 * The watcher waits for all of them at once, as ipc/queue_watch.h and sync/many.h
 * say:
 *
 *	each: if (!mpr_target_is_ready(t)) mpr_target_begin(t, &many);
 *	mpr_target_announce(&many, self); mpr_fence_rare(arena);
 *	each: if (!mpr_target_goes_on(t)) mpr_target_end(t, &many);
 */
#ifndef MPR_IPC_TARGET_H
#define MPR_IPC_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "ipc/queue_watch.h"
#include "ipc/watched.h"
#include "sync/news.h"

struct mpr_target {
	/* A queue that is OPEN as @open says; */
	mproc_queue *q;
	uint64_t open;
	struct mpr_watch watch;
	/* or an object, which may be looked at through its one entry alone, and its
	 * bit while it is waited for. */
	void *object;
	uint64_t bit;

	/* The watcher's. */
	struct mpr_watched *entries;
	unsigned place; /* sync/told.h */
	struct mpr_target *next_in_place;
	struct mpr_target *next_look; /* in this round */
	bool looks;
	struct mpr_target *next, *previous; /* of all, in a ring */
};

/* Of the objects that are waited for. */
struct mpr_target_many {
	const mproc_arena *arena;
	uint64_t bits;
	uint64_t announced;
	unsigned n[64]; /* with each bit */
};

/* Whether it is a queue that the thread is attached to, and has been destroyed. */
bool mpr_target_is_gone(const struct mpr_target *t);

/* Attaches the thread to the queue, unless it is. Returns 0; -ESTALE if it is not
 * there any more; or as mpr_attachment_get() does. */
int mpr_target_enter(struct mpr_target *t);

/* Gives back what the thread has of it. */
void mpr_target_leave(struct mpr_target *t, struct mpr_target_many *many);

/* What the thread has of the queue that the dead letters in it come from; or
 * NULL. */
struct mpr_attachment *mpr_target_origin(const struct mpr_target *t);

/* Whether there is a reason to look: somebody has woken us for it. */
bool mpr_target_is_told(const struct mpr_target *t);

bool mpr_target_is_ready(const struct mpr_target *t);

void mpr_target_begin(struct mpr_target *t, struct mpr_target_many *many);

/* Where it has begun, before the fence. */
void mpr_target_announce(struct mpr_target_many *many, struct mpr_self *self);

/* After the fence. Returns false if it is ready. */
bool mpr_target_goes_on(struct mpr_target *t);

/* It is not waited for any more. Also where it has not begun. */
void mpr_target_end(struct mpr_target *t, struct mpr_target_many *many);

#endif
