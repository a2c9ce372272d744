/* SPDX-License-Identifier: MIT */
/*
 * What is known of a connection over a socket; for ipc/socket_* only.
 */
#ifndef MPR_IPC_SOCKET_CONN_PRIV_H
#define MPR_IPC_SOCKET_CONN_PRIV_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/macros.h"
#include "ipc/limit.h"
#include "ipc/socket_conn.h"
#include "ipc/wire.h"
#include "os/generation.h"
#include "os/socket.h"
#include "os/turn.h"

#define MPR_SOCKET_CONN_KEPT 4096 /* bytes of a message that need no memory */

struct mpr_socket_conn {
	uint64_t magic;
	int fd;
	bool sliced; /* calls that block do so for a slice only */
	bool passes_fds;
	_Atomic uint64_t generation;

	/* The message that is being sent. */
	struct mpr_turn sending;
	uint64_t out_len;
	uint64_t out_done; /* with what stands before it; 0: none */
	uint64_t out_sum;  /* of what is through, when a call has stopped there */
	bool out_lost;	   /* a parent's thread was sending when we were forked */

	/* And the one that is being received. */
	struct mpr_turn receiving;
	struct mpr_wire_head head;
	bool in_known; /* its length is */
	uint64_t in_len;
	uint64_t in_have;
	bool in_lost;
	bool asked;    /* nothing has come yet, and what comes may be a challenge */
	_Atomic int in_error; /* for ever */
	/* A descriptor that a call for a message has met; or MPR_SOCKET_NO_FD, or
	 * MPR_SOCKET_LOST_FD. */
	_Atomic int in_fd;
	unsigned char *kept; /* what a call has left when it stopped in the middle */
	size_t kept_size;
	unsigned char kept_here[MPR_SOCKET_CONN_KEPT];
};

void mpr_socket_conn_adopt_now(struct mpr_socket_conn *c);

/* Each call begins with it: in a forked child nobody else has a turn. */
static inline void
mpr_socket_conn_adopt(struct mpr_socket_conn *c)
{
	/* Acquire: with the generation come the turns. */
	if (mpr_unlikely(atomic_load_explicit(&c->generation,
					      memory_order_acquire) !=
			 mpr_generation()))
		mpr_socket_conn_adopt_now(c);
}

int mpr_socket_conn_take_later(struct mpr_turn *turn, struct mpr_limit *limit);

static inline int
mpr_socket_conn_take(struct mpr_turn *turn, struct mpr_limit *limit)
{
	return mpr_likely(mpr_turn_try(turn)) ?
		       0 :
		       mpr_socket_conn_take_later(turn, limit);
}

/* Whether the next call on the socket is to wait by itself, which takes fewer calls. It
 * is known until when then, if not for ever. */
static inline bool
mpr_socket_conn_may_block(const struct mpr_socket_conn *c,
			  struct mpr_limit *limit)
{
	return mpr_likely(c->sliced && !limit->waited &&
			  limit->timeout.ns >= MPR_SOCKET_SLICE &&
			  (limit->timeout.ns == MPR_NEVER ||
			   mpr_limit_begin(limit) == 0));
}

/* Returns -ENOTSUP, with a text. */
int mpr_socket_conn_no_fds(void);

/* Waits for one of @events. Returns 0, -EAGAIN, -ETIMEDOUT, -EINTR or -EBADF. */
int mpr_socket_conn_await(const struct mpr_socket_conn *c, short events,
			  struct mpr_limit *limit);

#endif
