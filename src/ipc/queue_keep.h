/* SPDX-License-Identifier: MIT */
/*
 * Queues that keep a message as its taker's until it is done: what a thread
 * holds, and dead letters.
 */
#ifndef MPR_IPC_QUEUE_KEEP_H
#define MPR_IPC_QUEUE_KEEP_H

#include <stdbool.h>
#include <stddef.h>

#include "ipc/attachment.h"
#include "ipc/queue_get.h"

/* Room for one message more. Returns 0 or -ENOMEM. */
int mpr_held_make_room(struct mpr_attachment *at);

/* The message that has been taken, the newest one. */
void mpr_held_add(struct mpr_attachment *at, const struct mpr_taken *t);

/* The newest one, which the thread does not hold any more: it is the caller's. */
struct mpr_taken mpr_held_take_newest(struct mpr_attachment *at);

/* Gives back all that the thread holds, for others to take. */
void mpr_held_return(struct mpr_attachment *at);

/* Whether there are messages that are not done and that this thread does not
 * hold: they may come back. */
bool mpr_may_return(struct mpr_attachment *at);

/* Whether there is a message that has come back, or a dead letter in a queue of
 * these, that was not there when this was last asked in vain. */
bool mpr_has_kept(struct mpr_attachment *at);

/* The queue of dead letters is gone: the thread gives back its seat in the
 * queue where they lay. For who holds no attachment but @at. */
void mpr_dead_letters_end(const struct mpr_attachment *at);

/* Takes a dead letter. Returns as a get of one message or, for @to->n, of
 * several. */
int mpr_take_dead_letter(struct mpr_attachment *at, const struct mpr_sink *to,
			 size_t *ret_len);

#endif
