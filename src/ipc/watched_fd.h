/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of things in the default arena, one for each thing: of queues
 * (ipc/queue_fd.h), and of what there may be news of. The watcher (ipc/watcher.h) makes
 * them readable.
 *
 * A descriptor belongs to this process, and to an address. If something else lies there
 * by now, its name says so.
 */
#ifndef MPR_IPC_WATCHED_FD_H
#define MPR_IPC_WATCHED_FD_H

#include <mproc/queue.h>

#include "arena/participant.h"
#include "ipc/queue_fd.h"
#include "sync/news.h"

/* What one is for. */
struct mpr_watched_what {
	mproc_queue *q; /* or NULL, and: */
	struct mpr_news seen;
	uint64_t open; /* its name among all that lie there in turn */
};

/*
 * One attempt to have one. Returns it; 0 if there is to be another attempt, as the
 * thread has slept meanwhile, and a signal handler may have forked; or an error, as
 * mproc_queue_fd(). @label: what it is, for texts.
 */
int mpr_watched_fd(const struct mpr_watched_what *what, struct mpr_self *self,
		   const char *label);

/* There was nothing. It is not readable any more, before something comes. */
void mpr_watched_fd_make_quiet(const void *object, uint64_t open);

/* Closes that of @object. Returns whether there was one; *@ret_open is then its name. */
bool mpr_watched_fd_close(const void *object, uint64_t *ret_open);

/* Whether there is one for what is at @object with the name @open; or had another name
 * there. */
bool mpr_watched_fd_has(const void *object, uint64_t open);
bool mpr_watched_fd_has_old(const void *object, uint64_t open);

#endif
