/* SPDX-License-Identifier: MIT */
/*
 * A pipe in shared memory: a header with two ends, each with its holders, and one
 * queue for each direction. Or there are no queues, and those who hold an end have a
 * socket (ipc/socket_end.h).
 *
 * Headers are type-stable, as those of queues are: linked into the arena's list
 * for ever, and used again for other pipes.
 *
 *   FREE --create--> BUSY,me --> OPEN --nobody holds an end--> GONE
 *   BUSY and its owner dead --> GONE
 *   GONE --its queues are GONE--> FREE
 *
 * What always holds:
 *   I1  A queue of a pipe is named by it, and names it, before it is OPEN.
 *   I2  Who gives an end to others holds it itself, so an end that nobody holds
 *       is never held again.
 *   I3  A hold that ends says so as long as not all is done about it: those who
 *       sleep are to be woken, and the pipe may have to go. Whoever finds such a
 *       hold does all that.
 *   I4  Which hold counts is asked relative to a process: an end is gone for it
 *       if no other one holds it.
 */
#ifndef MPR_IPC_PIPE_SHM_H
#define MPR_IPC_PIPE_SHM_H

#include <assert.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

#include <mproc/pipe.h>
#include <mproc/queue.h>

#include "arena/arena.h"
#include "base/owner.h"
#include "ipc/pipe_holds.h"

#define MPR_PIPE_MAGIC UINT64_C(0x6570697065706970)

enum mpr_pipe_state {
	MPR_PIPE_FREE = 0,
	MPR_PIPE_BUSY = 1,
	MPR_PIPE_OPEN = 2,
	MPR_PIPE_GONE = 3,
};

/* What moves the messages. */
enum mpr_pipe_sockets {
	MPR_PIPE_QUEUES = 0,
	MPR_PIPE_SOCKETS = 1,	      /* a socket at each end, and no queues */
	MPR_PIPE_SOCKETS_ONE_WAY = 2, /* and the first end does not send */
};

/* An end, which is what a user has the address of. */
struct mproc_conn {
	/* 1: another process than the creator has held it. */
	alignas(MPR_APART) _Atomic uint32_t passed;
	uint32_t pad0;
	uint64_t pad1[7];
	struct mpr_holds holds;
};

struct mpr_pipe {
	alignas(MPR_APART) uint64_t magic;
	_Atomic uint64_t state; /* owner word */
	_Atomic uint64_t next;	/* of the arena's list */
	_Atomic uint64_t creator; /* as the word of a hold */
	/* Offsets of the queues of what each end sends; 0: it does not. */
	_Atomic uint64_t queue[2];
	/* In which the ids of its holders mean something (os/task.h). */
	_Atomic uint64_t pid_namespace;
	_Atomic uint64_t sockets; /* an enum mpr_pipe_sockets */
	uint64_t pad0[8];
	struct mproc_conn end[2];
};

static_assert(sizeof(struct mproc_conn) == 128, "shared layout");
static_assert(offsetof(struct mproc_conn, holds) == 64, "shared layout");
static_assert(sizeof(struct mpr_pipe) == 384, "shared layout");
static_assert(offsetof(struct mpr_pipe, end) == 128, "shared layout");

/* A walk over all headers of the arena, whatever their state; start with all
 * zero. */
struct mpr_pipe_walk {
	struct mpr_pipe *last;
	unsigned n;
};

#define MPR_PIPES_MAX (1 << 20)

/* The next header, or NULL. */
struct mpr_pipe *mpr_pipe_next(const mproc_arena *a, struct mpr_pipe_walk *walk);

/* The header of which @c is an end, whatever its state, and which. Returns 0,
 * -EINVAL, -EFAULT. */
int mpr_pipe_of(const mproc_conn *c, mproc_arena **ret_a,
		struct mpr_pipe **ret_pipe, unsigned *ret_side);

/* The queue of what the end @side sends, or NULL. */
mproc_queue *mpr_pipe_queue(const mproc_arena *a, const struct mpr_pipe *pipe,
			    unsigned side);

static inline bool
mpr_pipe_has_sockets(const struct mpr_pipe *pipe)
{
	return atomic_load(&pipe->sockets) != MPR_PIPE_QUEUES;
}

/* Whether its end @side sends. */
static inline bool
mpr_pipe_socket_sends(const struct mpr_pipe *pipe, unsigned side)
{
	return side == 1 || atomic_load(&pipe->sockets) == MPR_PIPE_SOCKETS;
}

static inline bool
mpr_pipe_is_open(const struct mpr_pipe *pipe)
{
	return mpr_owner_state(atomic_load(&pipe->state)) == MPR_PIPE_OPEN;
}

/* Whether for the process of @mine, which holds the other end, the end @side is
 * gone. */
bool mpr_pipe_is_gone(const mproc_arena *a, struct mpr_pipe *pipe,
		      unsigned side, uint64_t mine);

/* The hold at @at, which was @word, ends: for whoever has ended it, or has proof
 * that its process has ended. Does nothing if it has ended already. */
void mpr_pipe_end_hold(mproc_arena *a, struct mpr_pipe *pipe,
		       _Atomic uint64_t *at, uint64_t word);

/* Does all that is to be done about a hold that ends. */
void mpr_pipe_settle(mproc_arena *a, struct mpr_pipe *pipe,
		     _Atomic uint64_t *at, uint64_t word);

/* GONE to FREE. */
void mpr_pipe_clear(mproc_arena *a, struct mpr_pipe *pipe);

#endif
