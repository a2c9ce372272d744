/* SPDX-License-Identifier: MIT */
/*
 * What a thread knows of an end of a pipe that its process holds, so that it need not
 * look for holds and queues in each call. One is good as long as the process is the
 * same, the word of its hold is, and, for what goes through shared memory, the queue
 * is not gone: a pipe ends before its header or its queues become others'.
 */
#ifndef MPR_IPC_PIPE_VIEW_H
#define MPR_IPC_PIPE_VIEW_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <mproc/pipe.h>

#include "arena/arena.h"
#include "base/macros.h"
#include "ipc/attachment.h"
#include "ipc/pipe_shm.h"
#include "ipc/socket_conn.h"
#include "os/generation.h"

/* Directions of an end. */
enum {
	MPR_PIPE_IN = 0,
	MPR_PIPE_OUT = 1,
};

struct mpr_pipe_view {
	const mproc_conn *c; /* NULL: of none */
	uint64_t generation; /* of the process */
	_Atomic uint64_t *hold; /* the process's */
	uint64_t mine;		/* what is there */
	/* Another process's hold of the other end, if it is still there. */
	_Atomic uint64_t *peer;
	uint64_t peers;
	/* To the queues, from the first call for each on; NULL again when the thread
	 * has given it back. */
	struct mpr_attachment *at[2];
	mproc_queue *queue[2]; /* NULL: not this way */

	uint64_t open; /* the pipe's state */
	mproc_arena *arena;
	struct mpr_pipe *pipe;
	unsigned side;
	bool ways[2]; /* of a socket: whether it comes in, and goes out */
	struct mpr_socket_conn *socket; /* NULL: it goes through the queues */
	uint64_t pad0;
};

/* Their addresses as those of the ends: a place is found by an and of these. */
static_assert(sizeof(struct mpr_pipe_view) == sizeof(mproc_conn), "fast places");

/* Ends lie 128 bytes apart. Their table is no thread-local variable itself: there
 * is little room for those in programs that load this library later. */
#define MPR_PIPE_VIEWS 8
extern MPR_THREAD_LOCAL struct mpr_pipe_view *mpr_pipe_views; /* never NULL */

/* Where the view of @c is, if there is one. */
static inline struct mpr_pipe_view *
mpr_pipe_view_place(const mproc_conn *c)
{
	return &mpr_pipe_views[(uintptr_t)c / sizeof(*c) % MPR_PIPE_VIEWS];
}

/*
 * Whether the process still holds the end as @v has it; the queue's state is asked after
 * that. An old value is as if we had come earlier. Acquire pairs with the CAS that
 * adds a hold: if this is the same word of a later pipe, the queue is seen to be gone.
 */
static inline bool
mpr_pipe_view_holds(const struct mpr_pipe_view *v)
{
	return mpr_likely(atomic_load_explicit(v->hold, memory_order_acquire) ==
			  v->mine);
}

/*
 * The calling thread's view of @c if it is at hand, with an attachment for @direction,
 * and nothing forbids the fast path through that. Or NULL, which says nothing. Who
 * holds the end has not been looked at, nor the queue's state.
 */
static inline struct mpr_pipe_view *
mpr_pipe_view_at_hand(const mproc_conn *c, int direction)
{
	const struct mpr_attachment *at;
	struct mpr_pipe_view *v;

	v = mpr_pipe_view_place(c);
	at = v->at[direction];
	/* Of NULL there is no view with an attachment. */
	return mpr_likely(v->c == c && at && mpr_generation_is(v->generation) &&
			  !atomic_load_explicit(at->light_fences,
						memory_order_relaxed)) ?
		       v : NULL;
}

/* Whether another process holds the other end as it did when we asked last. Relaxed:
 * an old value is as if we had come earlier. */
static inline bool
mpr_pipe_view_has_peer(const struct mpr_pipe_view *v)
{
	return mpr_likely(atomic_load_explicit(v->peer, memory_order_relaxed) ==
			  v->peers);
}

/* All of @c but what the thread keeps, for who has no memory for that. Returns 0,
 * -EINVAL, -EFAULT, -ESTALE, -EBADMSG. */
int mpr_pipe_view_fill(const mproc_conn *c, struct mpr_pipe_view *v);

/* The calling thread's view of @c. Returns as above, or why the thread cannot take
 * part. */
int mpr_pipe_view_get(const mproc_conn *c, struct mpr_pipe_view **ret_v);

/*
 * The same for who sends or receives, with an attachment. Returns also
 * MPR_PIPE_OVER_SOCKET if it goes over a socket; -EPERM if the end does not do that;
 * -EPIPE if there is nobody to send to.
 */
#define MPR_PIPE_OVER_SOCKET 1
int mpr_pipe_view_sender(const mproc_conn *c, struct mpr_pipe_view **ret_v);
int mpr_pipe_view_receiver(const mproc_conn *c, struct mpr_pipe_view **ret_v);

/* What a call for the queue has said, in words of the connection. */
int mpr_pipe_judge(const mproc_conn *c, int r);

#endif
