/* SPDX-License-Identifier: MIT */
/*
 * Bells: a descriptor of this process that is readable while one of the things
 * that ring it may be ready, and which of them those are. For who waits for things
 * in shared memory and descriptors at once.
 *
 * It is the watcher (ipc/watcher.h) that rings. Who owns the bell takes what has
 * rung, looks for itself whether that is ready, and arms it again if it is not. In
 * between the thing is not watched.
 *
 * Opening one costs two system calls, watching a thing or taking one that has rung
 * a lock of this process. The first thing that is watched in an arena may start its
 * watcher. Any thread may call any of these; none waits for anything but the process
 * lock, and mpr_bell_open() for a fork. None is a cancellation point.
 *
 * A forked child has none of its parent's bells. Their owner tells that by its own
 * generation, and does not use them: in the child their memory is used again.
 */
#ifndef MPR_IPC_BELL_H
#define MPR_IPC_BELL_H

#include <mproc/queue.h>

#include "sync/news.h"

struct mpr_bell;
struct mpr_watched;

/* Returns 0, -EMFILE, -ENFILE, -ENOMEM; -ENOSYS or -EPERM where there are no
 * eventfds. */
int mpr_bell_open(struct mpr_bell **ret_b);

/* Not to be read, nor closed. */
int mpr_bell_fd(const struct mpr_bell *b);

/*
 * Has the queue at @q, or one direction of a pipe, ring @b when a get may say
 * anything else than that nothing is there (ipc/queue_watch.h): also at once, and
 * if it is destroyed. It is armed. @cookie is the owner's. Returns 0; -EINVAL,
 * -EFAULT, -ESTALE; -EAGAIN, -ENOMEM.
 */
int mpr_bell_watch_queue(struct mpr_bell *b, mproc_queue *q, void *cookie,
			 struct mpr_watched **ret_e);

/*
 * The same for the object that was seen as @seen: it rings if there is news of it, or
 * it is to be taken care of. Its address has been checked. Returns 0; -EAGAIN,
 * -ENOMEM; and as the arena's making does.
 */
int mpr_bell_watch_news(struct mpr_bell *b, const struct mpr_news *seen,
			void *cookie, struct mpr_watched **ret_e);

/*
 * Takes the one that rang first: it does not ring any more until it is armed.
 * Returns NULL if there is none, and the descriptor is not readable then. *@ret_error
 * is why it cannot be watched, or 0: -ESTALE if it is gone; -EAGAIN, -ENOLCK,
 * -ENOMEM, -ENOSPC, -EBADMSG if the watcher cannot take part in it.
 */
struct mpr_watched *mpr_bell_next(struct mpr_bell *b, int *ret_error);

/* The same, but it goes behind all others that have rung: the descriptor stays
 * readable until it is armed. */
struct mpr_watched *mpr_bell_turn(struct mpr_bell *b, int *ret_error);

void *mpr_bell_cookie(const struct mpr_watched *e);

/* Has one that has rung ring again. No look is needed afterwards: if there is
 * something by now, it rings. */
void mpr_bell_arm(struct mpr_watched *e);

/* The same for one of which there was no news, as it was seen then. */
void mpr_bell_arm_news(struct mpr_watched *e, const struct mpr_news *seen);

/* It does not ring any more, and is nobody's. */
void mpr_bell_unwatch(struct mpr_watched *e);

/* After the last mpr_bell_unwatch(). */
void mpr_bell_close(struct mpr_bell *b);

#endif
