/* SPDX-License-Identifier: MIT */
/*
 * Getting, for those who want messages elsewhere than in the user's buffer.
 */
#ifndef MPR_IPC_QUEUE_GET_H
#define MPR_IPC_QUEUE_GET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "ipc/attachment.h"

/*
 * Where messages go: one into the buffer; if n is not 0, up to n; if ret_p is
 * not NULL, it receives where the next one is to be read: in its lane, at
 * cursor, for the single consumer; for one of several in the buffer; or in a
 * block, which is shown_block then. Or it only looks whether there is one, for one
 * of several consumers of a queue that keeps nothing and has no order.
 */
struct mpr_sink {
	void *buf;
	size_t size;
	struct iovec *msgs;
	int n;
	const void **ret_p;
	bool looks;
};

/* Makes the attachment one of a consumer, if it is none yet. Returns 0, or
 * -EBUSY if it has a message shown, or may not be a consumer. */
int mpr_get_become_consumer(struct mpr_attachment *at);

/*
 * Whether a message may still come in @lane of a queue that was shut down: its
 * producer is inside a put, or may put back what it has taken. One that died there
 * is recovered here and now. The caller has executed the rare side's fence.
 */
bool mpr_get_may_come(mproc_arena *a, const struct mpr_lane *lane);

/* The next message, or several; waits and fails as a get does, also with -ECHILD: see
 * mpr_attachment_is_copy(). */
int mpr_get_next(struct mpr_attachment *at, const struct mpr_sink *to,
		 size_t *ret_len, mproc_timeout timeout);

/*
 * Head of @c is not where the single consumer has left it: a signal handler has forked
 * that in the middle of a message, and of the two this is not the one that has taken it.
 * Returns -ECHILD in the copy; -EAGAIN in the consumer, which is behind that message now.
 */
int mpr_get_catch_up(const struct mpr_attachment *at, struct mpr_consumer *c);

/*
 * The message that the reference at head of @c stands for. A single consumer
 * that does not keep it reads it and then takes it: killed before that, nothing
 * has happened, and to look at it changes nothing. Others take it first.
 *
 * Returns 0; -ENOENT if the reference is passed, -EAGAIN if someone else has
 * passed it; -EMSGSIZE, -EBADMSG; -ECHILD.
 */
int mpr_get_block(struct mpr_attachment *at, struct mpr_consumer *c,
		  const struct mpr_sink *to, size_t *ret_len);

/* What there is besides the lanes: messages that have come back, or dead
 * letters, for a queue that has them. Returns as a get of one message or, for
 * @to->n, of several. */
int mpr_get_kept(struct mpr_attachment *at, const struct mpr_sink *to,
		 size_t *ret_len);

/* The first message in the order of all lanes (queue_order.c). Returns as a get
 * of one message or, for @to->n, of several. */
int mpr_get_first(struct mpr_attachment *at, const struct mpr_sink *to,
		  size_t *ret_len);

/* Takes the message of @len bytes that lies in the lane at cursor, and was
 * shown to the single consumer. */
void mpr_get_release(struct mpr_attachment *at, size_t len);

/* Takes the message that was shown in a block. */
void mpr_get_release_block(struct mpr_attachment *at);

#endif
