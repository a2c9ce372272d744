/* SPDX-License-Identifier: MIT */
/*
 * Queues that another process has: what the functions ask it to do when they were given
 * a handle (arena/remote.h) in place of a queue. A handle lies in no arena, which each
 * function finds out before anything else, and asks here then; so calls for queues at
 * hand pay nothing.
 */
#ifndef MPR_IPC_QUEUE_REMOTE_H
#define MPR_IPC_QUEUE_REMOTE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <mproc/queue.h>

#include "arena/remote.h"

/* Operations; the numbers stand in docs/spec/wire.md. @thread: which of the client's it
 * is. Messages are the bytes of all of them one behind the other, and the length of each,
 * in 4 bytes. */
enum mpr_remote_queue_op {
	MPR_OP_QUEUE_PUT = 96, /* thread, ns, lengths, messages */
	MPR_OP_QUEUE_GET = 97, /* thread, ns, room in bytes, how many; 0: a peek */
	MPR_OP_QUEUE_DONE = 98, /* thread */
	MPR_OP_QUEUE_REQUEUE = 99, /* thread */
	MPR_OP_QUEUE_JOIN = 100, /* thread, ns */
	MPR_OP_QUEUE_DEAD_LETTERS = 101,
	MPR_OP_QUEUE_SHUTDOWN = 102, /* flags */
	MPR_OP_QUEUE_STAT = 103,
};

/* The most messages of one request, or answer. */
#define MPR_QUEUE_MANY 4096

/* Whether @q, for which a function was about to return @r, is such a handle. */
static inline bool
mpr_queue_is_remote(const mproc_queue *q, int r)
{
	return r == -EFAULT && mpr_remote_has(q);
}

/* As the public functions of these names; what they check of the user's is checked. @len:
 * of all parts. */
int mpr_queue_remote_put(mproc_queue *q, const struct iovec *parts, int n, size_t len,
			 mproc_timeout timeout);
int mpr_queue_remote_put_many(mproc_queue *q, const struct iovec *msgs, int n,
			      mproc_timeout timeout);
int mpr_queue_remote_get(mproc_queue *q, void *buf, size_t size, size_t *ret_len,
			 mproc_timeout timeout);
int mpr_queue_remote_get_many(mproc_queue *q, void *buf, size_t size,
			      struct iovec *ret_msgs, int n, mproc_timeout timeout);
int mpr_queue_remote_done(mproc_queue *q);
int mpr_queue_remote_requeue(mproc_queue *q);
int mpr_queue_remote_join(mproc_queue *q, mproc_timeout timeout);
int mpr_queue_remote_dead_letters(mproc_queue *q, mproc_queue **ret_dlq);
int mpr_queue_remote_shutdown(mproc_queue *q, unsigned flags);
size_t mpr_queue_remote_len(mproc_queue *q);
int mpr_queue_remote_stat(mproc_queue *q, struct mproc_queue_stat *ret_stat);
void mpr_queue_remote_destroy(mproc_queue *q);

/* Those of one that holds a message (queue_hold.c). */
int mpr_queue_remote_reserve(mproc_queue *q, size_t len, void **ret_p,
			     mproc_timeout timeout);
int mpr_queue_remote_commit(mproc_queue *q, void *p, size_t len);
int mpr_queue_remote_abort(mproc_queue *q, void *p);
int mpr_queue_remote_peek(mproc_queue *q, const void **ret_p, size_t *ret_len,
			  mproc_timeout timeout);
int mpr_queue_remote_release(mproc_queue *q, const void *p);

/* Whether the calling thread has something reserved, or shown, in @q: 0 or -EBUSY. */
int mpr_queue_remote_check_held(const mproc_queue *q, bool shown);

/* Returns -EMSGSIZE: so long is no message. */
int mpr_queue_remote_too_long(size_t len);

/* Takes a message, for a peek: it is malloc()ed, and the caller's. */
int mpr_queue_remote_take(mproc_queue *q, void **ret_bytes, size_t *ret_len,
			  mproc_timeout timeout);

/* Numbers of a message's, the highest byte first. */
void mpr_queue_write_length(unsigned char to[4], size_t len);
size_t mpr_queue_read_length(const unsigned char from[4]);

/* What a snapshot says but the name, in the order of its members: 8 bytes for each. */
#define MPR_QUEUE_FIGURES 16
void mpr_queue_write_stat(unsigned char to[8 * MPR_QUEUE_FIGURES],
			  const struct mproc_queue_stat *stat);
void mpr_queue_read_stat(struct mproc_queue_stat *ret, const unsigned char *from);

#endif
