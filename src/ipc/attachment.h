/* SPDX-License-Identifier: MIT */
/*
 * An attachment: what one thread needs privately to use a queue. Its seat, its
 * lane if it puts, its view of all lanes if it gets.
 *
 * Attachments are found by the queue's address in a thread-local cache; a hit
 * costs a few loads. They are given back when the thread ends, when it notices
 * that the queue is gone, and dropped without a word in a forked child, where
 * they are the parent's.
 */
#ifndef MPR_IPC_ATTACHMENT_H
#define MPR_IPC_ATTACHMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena/participant.h"
#include "base/macros.h"
#include "ipc/message_block.h"
#include "ipc/message_copy.h"
#include "ipc/queue_shm.h"
#include "os/generation.h"
#include "ring/lane.h"

struct mpr_pipe;

struct mpr_attachment {
	mproc_queue *q;
	uint64_t generation; /* of the process that it belongs to */
	uint64_t open;	     /* the queue's state word when we attached */
	mproc_arena *arena;
	const _Atomic uint32_t *light_fences; /* the arena's */
	struct mpr_self *self;
	_Atomic uint64_t *seat;
	size_t capacity;
	size_t max_message;
	size_t lane_limit; /* messages of so many bytes lie in blocks */
	size_t short_limit; /* and of so many are not short, or do so */
	uint64_t max_items;
	bool single_consumer;
	bool keeps;	   /* what it takes, until it is done */
	bool dead_letters; /* that is what it takes */
	bool ordered;	   /* among all lanes */
	bool is_consumer; /* it has called get */
	bool is_awaited;  /* it is in the list of a wait for many (wait/shared.c) */
	bool is_apart;	  /* of none of a thread's own; mpr_attachment_make() */
	bool others_have; /* and others will be done with what was taken by it */
	bool puts_back;	  /* and what was taken is put now; queue_agent.h */
	struct mpr_attachment *origin; /* and dead letters come from there; or NULL */
	int lacks;	  /* what the last put has found too little of; queue_agent.h */

	/* Of a direction of a pipe: that, and which of its ends sends. */
	struct mpr_pipe *pipe; /* or NULL */
	unsigned sender;
	/* Where views of its ends have this attachment, for what comes in there and for
	 * what goes out (ipc/pipe_view.h); or NULL. */
	struct mpr_attachment **viewed[2];

	struct mpr_producer producer; /* lane is NULL before the first put */
	struct mpr_written writes; /* the block that it writes, if any */
	struct mpr_copy_way way; /* how it copies to blocks */
	bool puts_block; /* in a put of its own, not between two calls */
	struct mpr_message_blocks blocks;
	struct mpr_held held;
	uint64_t returned_seen; /* the queue's, when none was left that had */

	_Atomic uint64_t *role; /* the queue's, if we are its consumer */
	struct mpr_consumer *consumers; /* one for each lane */
	unsigned n_consumers;
	unsigned room;	 /* for consumers */
	/* See ipc/turns.h. */
	unsigned cursor;  /* the lane whose turn it is */
	unsigned quantum; /* messages to take from it before its turn is over */
	unsigned ahead;	  /* the other lane that was looked at last */
	unsigned left;	  /* lanes that may still have a turn in this round */
	unsigned patience; /* how long polling pays; see ipc/poll.h */
	int64_t look_after; /* ns of a sleep for room; see ipc/queue_put.c */
	/* What yields said; see ipc/poll.h. */
	struct mpr_yields yields;
	uint64_t others_put; /* bytes, when the last long one was over */
	int64_t others_put_at;
	uint64_t puts_seen; /* mpr_thread_puts when we last waited in get */
	int64_t looked;	    /* when we last looked for more in all lanes */
	bool paced;	    /* and paused before that */
	unsigned unpaced;   /* looks that are to come without */
	int64_t until;	    /* of the last wait: its deadline; 0: it was none */

	/* What a peek shows, until it is released (ipc/queue_hold.c): in the
	 * lane at cursor, or in copy, which has room for all a lane can hold.
	 * quantum is 0 meanwhile, which is what get looks at. */
	const void *shown; /* NULL: nothing */
	size_t shown_len;
	struct mpr_taken shown_block; /* if it lies in one */
	unsigned quantum_aside;
	unsigned char *copy; /* NULL before the first peek of a message */

	struct mpr_attachment *next; /* of this thread's */
	struct mpr_attachment *previous;
	struct mpr_attachment *next_in_bucket;
};

#define MPR_ATTACHMENTS_HOT 4

struct mpr_attachments {
	struct mpr_attachment *hot[MPR_ATTACHMENTS_HOT];
	struct mpr_attachment *all;
	uint64_t generation;
	/* For threads that use many queues: by the queue's address. */
	struct mpr_attachment **buckets; /* NULL: none yet, look through all */
	unsigned n_buckets; /* a power of two */
	unsigned n;
	unsigned n_swept; /* how many were left by the last sweep */
};

extern MPR_THREAD_LOCAL struct mpr_attachments mpr_attachments;

static inline unsigned
mpr_attachment_index(const mproc_queue *q)
{
	return (unsigned)((uintptr_t)q >> 8) % MPR_ATTACHMENTS_HOT;
}

/* Whether @q can be a queue's header, in an arena that this process has;
 * nothing is said about its state. Returns 0, -EINVAL, -EFAULT. */
int mpr_queue_check(mproc_queue *q, mproc_arena **ret_a);

int mpr_attachment_find(mproc_queue *q, struct mpr_attachment **ret_at);

/*
 * Whether a signal handler has forked us while we waited, or copied a long message, and
 * has returned: all that is the attachment's is our parent's. That ends with -ECHILD then,
 * which the user does not see: who called begins anew, with an attachment of its own, and
 * as long as mpr_attachment_rest() says. That is asked first.
 */
static inline bool
mpr_attachment_is_copy(const struct mpr_attachment *at)
{
	return at->generation != mpr_generation_peek();
}

static inline mproc_timeout
mpr_attachment_rest(const struct mpr_attachment *at)
{
	return at->until ? mproc_until(at->until) : MPROC_NOWAIT;
}

/*
 * Whether the user has been given an address in what the attachment keeps: a
 * message is reserved, or shown. Then it is kept even if the queue is found to
 * be gone, until the user gives the address back.
 */
static inline bool
mpr_attachment_is_held(const struct mpr_attachment *at)
{
	return at->producer.reserved || at->shown;
}

/* The calling thread's attachment to @q, even if the queue is gone, or NULL. */
struct mpr_attachment *mpr_attachment_present(const mproc_queue *q);

/* How far all lanes were ever filled: more whenever a message has been put.
 * Unlike the lanes' counts that is never ahead of the message, nor goes
 * back. */
uint64_t mpr_queue_filled(const struct mpr_attachment *at);

/* The error for a queue that is destroyed. */
int mpr_queue_stale(const mproc_queue *q);

/*
 * The calling thread's attachment to @q if it is at hand, and nothing forbids
 * the fast path through it: a kernel without heavy fences does, for one. Or
 * NULL, which says nothing. The queue's state has not been looked at.
 */
static inline struct mpr_attachment *
mpr_attachment_at_hand(const mproc_queue *q)
{
	struct mpr_attachment *at =
		mpr_attachments.hot[mpr_attachment_index(q)];

	return mpr_likely(at && at->q == q &&
			  mpr_generation_is(at->generation) &&
			  !atomic_load_explicit(at->light_fences,
						memory_order_relaxed)) ?
		       at : NULL;
}

/*
 * The calling thread's attachment to @q, made if need be. Returns 0; -EINVAL,
 * -EFAULT, -ESTALE; -EAGAIN, -ENOMEM, -ENOSPC if the thread cannot have one;
 * -EBADMSG.
 */
static inline int
mpr_attachment_get(mproc_queue *q, struct mpr_attachment **ret_at)
{
	struct mpr_attachment *at =
		mpr_attachments.hot[mpr_attachment_index(q)];

	if (mpr_likely(at && at->q == q &&
		       at->generation == mpr_generation() &&
		       /* Relaxed: an old value is as if we had come earlier;
			* our seat keeps the memory. */
		       atomic_load_explicit(&q->state, memory_order_relaxed) ==
			       at->open)) {
		*ret_at = at;
		return 0;
	}
	return mpr_attachment_find(q, ret_at);
}

/*
 * One more, which is @self's, who may be another thread that lets the caller: it is found
 * by nobody, and no call that waits, or asks for the calling thread's attachment, is made
 * with it. To a queue of dead letters it has one to the queue that they come from. Returns
 * as mpr_attachment_get().
 */
int mpr_attachment_make(mproc_queue *q, struct mpr_self *self,
			struct mpr_attachment **ret_at);

/* What is left of such a one in a forked child. */
void mpr_attachment_forget(struct mpr_attachment *at);

/* Gives the thread a lane to produce in. Returns 0, -ENOMEM, -ENOSPC,
 * -EBADMSG. */
int mpr_attachment_add_producer(struct mpr_attachment *at);

/* The same, but its memory is not there before it is needed. */
int mpr_attachment_add_lane(struct mpr_attachment *at);

/*
 * Allocates more of the lane's memory, where its tail is about to come: as much
 * again as since the thread got the lane, but no more than 8 MiB, so that there
 * is at most twice what was needed. Returns 0, -ENOMEM, -ENOSPC.
 */
int mpr_attachment_back(struct mpr_attachment *at);

/* Makes the thread a consumer of the queue. Returns 0, or -EBUSY if there may
 * be only one and there is. */
int mpr_attachment_add_consumer(struct mpr_attachment *at);

/* It is none any more: another one may be the only one. */
void mpr_attachment_end_consumer(struct mpr_attachment *at);

/* Looks for lanes that were linked since. Returns how many, -ENOMEM, or
 * -EBADMSG. */
int mpr_attachment_find_lanes(struct mpr_attachment *at);

/* Gives back one attachment of the calling thread; it is freed. */
void mpr_attachment_drop(struct mpr_attachment *at);

/* Gives back those to pipes that are gone, or that this process does not use any
 * more; but looks only when there are twice as many as were left. For calls that
 * have nothing in their hands. */
void mpr_attachments_sweep(void);

/* Gives back all attachments of the calling thread to queues in @a. */
void mpr_attachments_leave(const mproc_arena *a);

#endif
