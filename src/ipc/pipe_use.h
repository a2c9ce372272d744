/* SPDX-License-Identifier: MIT */
/*
 * What a queue asks, if it is one direction of a pipe. Unlike a queue that is shut
 * down, a direction can be over for one process and not for another.
 */
#ifndef MPR_IPC_PIPE_USE_H
#define MPR_IPC_PIPE_USE_H

#include <stdbool.h>

#include "base/macros.h"
#include "ipc/attachment.h"

/* Finds the pipe that the queue of @at belongs to, if any. */
void mpr_pipe_attach(struct mpr_attachment *at);

/* Whether this process holds one of its ends. */
bool mpr_pipe_is_used(const struct mpr_attachment *at);

bool mpr_pipe_has_ended(const struct mpr_attachment *at, bool sends);

/*
 * Whether the calling process has nothing to send to, or to receive from: the other
 * end is gone for it, or it does not hold its own. What was sent before is in the
 * lanes then. Who is about to sleep asks this after a rare fence.
 */
static inline bool
mpr_pipe_is_over(const struct mpr_attachment *at, bool sends)
{
	return mpr_unlikely(at->pipe != NULL) && mpr_pipe_has_ended(at, sends);
}

#endif
