/* SPDX-License-Identifier: MIT */
/*
 * Locks and the like that another process has: what the functions ask it to do when
 * they were given a handle (arena/remote.h) in place of an object. No frequent path
 * looks for that: a handle's word is that of an object which was destroyed, so those
 * end in a slower one, and this is asked there.
 */
#ifndef MPR_SYNC_REMOTE_H
#define MPR_SYNC_REMOTE_H

#include <mproc/lock.h>

#include "arena/arena.h"
#include "arena/remote.h"

/* Operations; the numbers stand in docs/spec/wire.md. @thread: which of the client's
 * it is. */
enum mpr_remote_sync_op {
	MPR_OP_ACQUIRE = 64,	  /* thread, for how long: ns, -1 for ever */
	MPR_OP_RELEASE = 65,	  /* thread */
	MPR_OP_CONSISTENT = 66,	  /* thread */
	MPR_OP_IS_CONSISTENT = 67,
	MPR_OP_OWNER = 68,
	/* Of no object: */
	MPR_OP_WITHDRAW = 69, /* the number of a request */
	MPR_OP_LEAVE = 70,    /* thread */
	/* Of semaphores and events, beside the first ones: */
	MPR_OP_VALUE = 71,
	MPR_OP_EVENT_SET = 72,
	MPR_OP_EVENT_CLEAR = 73,
	MPR_OP_EVENT_IS_SET = 74,
	MPR_OP_CONDITION_WAIT = 128, /* thread, the lock's number, ns as above */
	MPR_OP_CONDITION_NOTIFY = 129, /* how many, 2^32 - 1 for all */
	MPR_OP_BARRIER_WAIT = 130,   /* thread, ns as above */
	MPR_OP_BARRIER_ENROLL = 131, /* thread */
	MPR_OP_BARRIER_ABORT = 132,
	MPR_OP_BARRIER_RESET = 133,
	MPR_OP_BARRIER_WAITING = 134,
	MPR_OP_BARRIER_BROKEN = 135,
};

/* In the place of a kind of cells: queues are none. */
#define MPR_QUEUE_CELL ((enum mpr_cell_kind)(MPR_CELL_KINDS + 1))

/* What calls are about, for who is asked: a number above 0; or a negative error, with
 * the text, if nothing would be told of the thread's end. */
int64_t mpr_remote_thread(void);

/* From now on the owner is told when threads end that have a number, until it is
 * forgotten. */
void mpr_remote_meet(struct mpr_remote_owner *owner);

/* Before it goes. @is_copy: it is another process's, which alone tells it. */
void mpr_remote_forget(struct mpr_remote_owner *owner, bool is_copy);

/* For how long, as a request says it. */
int64_t mpr_remote_time(mproc_timeout timeout);

/* Has it done by who has what the handle @handle leads to, which is of @kind. Returns
 * the result; -EBADMSG if it leads to something else; -ESTALE if it leads nowhere any
 * more; those of the owner. */
int mpr_remote_ask(enum mpr_cell_kind kind, const void *handle,
		   struct mpr_remote_ask *ask);

/* An operation that has the calling thread alone for its argument. */
int mpr_remote_ask_as(enum mpr_cell_kind kind, const void *handle, unsigned op);

/* One with nothing. */
int mpr_remote_ask_simply(enum mpr_cell_kind kind, const void *handle, unsigned op);

/* One that waits. */
int mpr_remote_ask_to_wait(enum mpr_cell_kind kind, const void *handle, unsigned op,
			   mproc_timeout timeout);

/* Who has it; see mproc_lock_owner(). */
int mpr_remote_owner_of(enum mpr_cell_kind kind, const void *handle,
			struct mproc_owner *ret_owner);

/* If @object is a handle, or has been one, ends what it leads to, and returns true. */
bool mpr_remote_destroy(enum mpr_cell_kind kind, const void *object);

#endif
