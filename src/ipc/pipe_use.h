/* SPDX-License-Identifier: MIT */
/*
 * What a queue asks, if it is one direction of a pipe. Unlike a queue that is shut
 * down, a direction can be over for one process and not for another.
 */
#ifndef MPR_IPC_PIPE_USE_H
#define MPR_IPC_PIPE_USE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "ipc/attachment.h"

/* Finds the pipe that the queue of @at belongs to, if any. */
void mpr_pipe_attach(struct mpr_attachment *at);

/* Whether this process holds one of its ends. */
bool mpr_pipe_is_used(const struct mpr_attachment *at);

uint32_t mpr_pipe_end_of(const struct mpr_attachment *at, bool sends);

/*
 * What the pipe's state is to the calling process, as if its queue were shut down:
 * MPROC_IMMEDIATE if that does not hold its end; MPROC_DRAIN if the other one is gone
 * for it, and what was sent before is in the lanes; or 0. Who is about to sleep asks
 * this after a rare fence.
 */
static inline uint32_t
mpr_pipe_closing(const struct mpr_attachment *at, bool sends)
{
	return mpr_unlikely(at->pipe != NULL) ? mpr_pipe_end_of(at, sends) : 0;
}

static inline bool
mpr_pipe_is_over(const struct mpr_attachment *at, bool sends)
{
	return mpr_pipe_closing(at, sends) != 0;
}

#endif
