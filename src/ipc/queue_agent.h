/* SPDX-License-Identifier: MIT */
/*
 * Queues used on behalf of others, by who waits for none of them: an attachment that is
 * another thread's (mpr_attachment_make()), which sleeps and does nothing else. Each call
 * here is one attempt. Who finds nothing, or no room, says that the other thread waits,
 * and tries once more; when that is woken, it unsays it and tries again. So one thread can
 * wait in any number of queues, to put and to get, and each of them sees one participant
 * that sleeps.
 *
 * What is taken of a queue that keeps messages is not in the attachment, but the caller's,
 * as it knows for whom that was.
 */
#ifndef MPR_IPC_QUEUE_AGENT_H
#define MPR_IPC_QUEUE_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "ipc/attachment.h"
#include "ipc/queue_get.h"

/* Puts as many of @n messages as there is room for. Returns as mproc_queue_put_many()
 * that does not wait; -EAGAIN if there is no room, and then at->lacks says why. Memory
 * may come from what was taken by it if at->others_have; nobody else can know. */
int mpr_put_for(struct mpr_attachment *at, const struct iovec *msgs, int n);

/* A wait for room. All zero: there is none. */
struct mpr_put_wait {
	uint64_t since; /* in the line for a block */
	int lacks;
};

/* There was no room for a message of @len bytes. */
void mpr_put_await(struct mpr_attachment *at, size_t len, struct mpr_put_wait *w);

/* Whether there may be some since; or there is no wait. */
bool mpr_put_is_told(const struct mpr_attachment *at, const struct mpr_put_wait *w);

/* The wait is over, or is begun anew. Returns whether a block was offered. */
bool mpr_put_unawait(struct mpr_attachment *at, struct mpr_put_wait *w);

/* A block was offered that the last attempt, with the result @r, has not used. */
void mpr_put_pass_on(struct mpr_attachment *at, int r);

/* From now on what is taken may be put back: no get says that the queue is empty for good
 * until that is over. For queues that do not keep messages, before each take. Where there
 * is no memory for a lane it cannot be said, and after a shutdown nothing be put back. */
void mpr_put_owe(struct mpr_attachment *at);

/* Nothing of what was taken can come back. @told: those who wait for that are told; or
 * nothing was taken since it was said, and who has seen it just then looks again by
 * itself. */
void mpr_put_owe_nothing(struct mpr_attachment *at, bool told);

/* As mpr_put_for(), for what is owed: also after a shutdown. */
int mpr_put_back_for(struct mpr_attachment *at, const struct iovec *msgs, int n);

/* What a message of @len bytes takes of a lane. */
size_t mpr_put_lane_len(const struct mpr_attachment *at, size_t len);

/* One message, or several, without a wait. Returns as a get, but -EBUSY if others were
 * always faster; -EMSGSIZE without a text. *@ret: what was taken of a queue that keeps
 * messages, which is one; or a dead letter, which is at->origin's. */
int mpr_get_for(struct mpr_attachment *at, const struct mpr_sink *to, size_t *ret_len,
		struct mpr_taken *ret);

/* Nothing was there. */
void mpr_get_await(struct mpr_attachment *at);

/* Whether somebody has chosen to wake us since. */
bool mpr_get_is_told(const struct mpr_attachment *at);

/* The wait is over. Returns the same. */
bool mpr_get_unawait(struct mpr_attachment *at);

/* Then, unless nothing is there any more: another one may have to be woken. */
void mpr_get_pass_on(struct mpr_attachment *at);

/* What was taken is left by who is gone: as if a thread had died that had it, but nobody
 * knows which. Returns false if it is not what it was. */
bool mpr_message_leave(const struct mpr_attachment *at, struct mpr_taken *t);

/* After that, and after mpr_message_lay_back(), once for any number of them: others may
 * have them. If nobody comes to it, the death of who has @at is recovered with the
 * same. */
void mpr_messages_left(const struct mpr_attachment *at);

/* Whether all messages are done but those that were taken through this attachment. Returns
 * as mproc_queue_join(), -EAGAIN if they are not; then who has it is woken when more of
 * them are. */
int mpr_join_for(struct mpr_attachment *at);

#endif
