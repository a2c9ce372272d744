/* SPDX-License-Identifier: MIT */
/*
 * What this process wants to be told of while none of its threads waits for it:
 * entries, between those who ask and the watcher (ipc/watcher.h).
 *
 * An entry is for one queue or object of news. It has a descriptor of its own
 * (ipc/watched_fd.c), or is one of many that ring the same bell (ipc/bell.c).
 *
 *   FREE --asked for a descriptor--> ASKED --watched, nothing there--> QUIET
 *                 ASKED --watched, something there--> READY
 *                 ASKED --cannot be watched--> FAILED --told--> FREE
 *   FREE --asked for a bell--> QUIET
 *   QUIET --something there, or it cannot be watched--> READY
 *   READY --a get has found nothing, or armed again--> QUIET
 *   any --closed--> CLOSED --not watched any more--> FREE
 *
 * An entry is set to READY before its descriptor can be seen to be readable: a get
 * that finds nothing in between would leave it so, and nobody look any more. Who
 * makes one QUIET does not have to look once more: the watcher is woken and does.
 *
 * There is a watcher in each arena that something is watched in. What is watched
 * keeps its arena mapped, also one that is closed.
 *
 * While all entries for a queue are READY, nobody waits for it, and nobody has to
 * be woken.
 *
 * All of that is under the process lock, so that a descriptor is never written to
 * while it is closed. What was changed is noted in a list, which the watcher takes
 * from; nobody walks over all entries but who finds them to be its parent's, or
 * starts a watcher. Entries are used again, and never freed: a forked child, whose
 * parent's other threads may have been at any point of this, can walk over them.
 */
#ifndef MPR_IPC_WATCHED_H
#define MPR_IPC_WATCHED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <mproc/queue.h>

#include "arena/arena.h"
#include "sync/news.h"

struct mpr_bell;
struct mpr_target;

enum mpr_watched_state {
	MPR_WATCHED_FREE = 0,
	MPR_WATCHED_ASKED,
	MPR_WATCHED_FAILED,
	MPR_WATCHED_QUIET,
	MPR_WATCHED_READY,
	MPR_WATCHED_CLOSED,
};

struct mpr_watched {
	struct mpr_watched *next; /* of all there are; constant */

	/* Under the process lock; the state is also read without it. */
	_Atomic unsigned state;
	int fd; /* its own; -1: none */
	int error; /* FAILED, READY: why it cannot be watched; or 0 */
	mproc_arena *arena;
	mproc_queue *q; /* NULL: it is something of which there is news */
	uint64_t open; /* the queue's state word; or see ipc/watched_fd.h */
	struct mpr_news seen; /* object NULL: it is a queue */
	struct mpr_watched *next_free;
	struct mpr_watched *next_noted;
	bool is_noted; /* for the watcher */
	/* Of those with a descriptor, by what they are for. */
	struct mpr_watched *next_in_bucket;
	/* Of those with a bell: those that have rung it. */
	struct mpr_bell *bell;
	void *cookie;
	struct mpr_watched *next_rung;
	struct mpr_watched *previous_rung;
	bool has_rung;

	/* The watcher's own. */
	struct mpr_target *target; /* that it is watched as; or NULL */
	struct mpr_watched *next_of_target;
};

static inline unsigned
mpr_watched_state(const struct mpr_watched *e)
{
	/* Acquire pairs with the release of who changes it: the rest of the
	 * entry was written before. */
	return atomic_load_explicit(&e->state, memory_order_acquire);
}

/* Takes the process lock, and forgets what is the parent's in a forked child. */
void mpr_watched_lock(void);

/* Gives it back. The watchers for which something was noted begin a new round. */
void mpr_watched_unlock(void);

/* The rest of those who ask; under the lock. */

/* Has a watcher in @a. Returns 0, -EAGAIN, -ENOMEM. */
int mpr_watched_start(mproc_arena *a);

/* Whether there is one. */
bool mpr_watched_runs(const mproc_arena *a);

/* A FREE entry, for something in @a, or NULL without memory. It is for who puts it
 * into another state before the lock is given back. */
struct mpr_watched *mpr_watched_new(mproc_arena *a);

/* The watcher is to look at it: it was closed, or there may be something that
 * nobody has waited for. */
void mpr_watched_note(struct mpr_watched *e, unsigned state);

/* FAILED to FREE. */
void mpr_watched_give_up(struct mpr_watched *e);

/* The same for the descriptor of @q; or if that is NULL, of what was @seen. */
struct mpr_watched *mpr_watched_new_fd(mproc_arena *a, mproc_queue *q,
				       const struct mpr_news *seen);

/* The descriptor of the queue or whatever at @object, in any state but FREE; or
 * NULL. */
struct mpr_watched *mpr_watched_find_fd(const void *object);

/* Whether some entry's descriptor is @fd. */
bool mpr_watched_has_fd(int fd);

/* What the watcher in @a does with entries; each takes the lock. */

/* What an entry said when it was taken; it may say something else at once. */
struct mpr_watched_now {
	unsigned state;
	mproc_queue *q;
	uint64_t open;
	void *object;
};

/* Takes one that was noted. Returns NULL if there is none. */
struct mpr_watched *mpr_watched_take(const mproc_arena *a,
				     struct mpr_watched_now *ret_now);

/* Whether there is news of the object of @e, or it is to be taken care of. Not once
 * @e is CLOSED: whose object it was may have freed that. */
bool mpr_watched_has_news(const struct mpr_watched *e, bool waits);

/* ASKED or QUIET to READY, as there is something. */
void mpr_watched_make_ready(struct mpr_watched *e);

/* The same as it cannot be watched: the error is told by the next call. Who has a
 * descriptor already gets it from a get. */
void mpr_watched_fail(struct mpr_watched *e, int error);

/* ASKED to QUIET: a message will be noticed. */
void mpr_watched_settle(struct mpr_watched *e);

/* CLOSED to FREE: it is not watched any more. */
void mpr_watched_make_free(struct mpr_watched *e);

/* Whether the watcher is needed no more, at @now. If so, it has ended, and another
 * one is started for whoever asks. Otherwise *@ret_until is when that will be so,
 * unless something happens before. */
bool mpr_watched_is_over(const mproc_arena *a, int64_t now, int64_t *ret_until);

/* The watcher is woken in @slot. Returns false if it is over before it has begun: a
 * signal handler has forked while the thread was started, the child goes on from there,
 * and has had another one start since. */
bool mpr_watched_began(const mproc_arena *a, unsigned slot);

/* It ends all the same: because of @error, before it has begun; or with 0 as the
 * process does, and nothing is watched any more. */
void mpr_watched_ended(const mproc_arena *a, int error);

/* The last that it does: if @a is closed, it may be unmapped now. */
void mpr_watched_left(mproc_arena *a);

/* Whether there are only threads of the library's own left in this process. */
bool mpr_watched_are_last(void);

#endif
