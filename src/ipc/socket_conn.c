/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <stddef.h>

#include "base/alloc.h"
#include "base/error.h"
#include "ipc/socket_conn_priv.h"
#include "os/fds.h"
#include "os/generation.h"
#include "os/socket.h"
#include "os/thread.h"

static_assert(offsetof(struct mpr_socket_conn, magic) == 0,
	      "see mpr_socket_conn_is()");

void
mpr_socket_conn_give(struct mpr_socket_conn *c, int fd)
{
	c->fd = fd;
	c->sliced = mpr_socket_slice(fd);
}

int
mpr_socket_conn_make(struct mpr_socket_conn **ret_c, int fd, bool asked,
		     bool passes_fds)
{
	struct mpr_socket_conn *c = mpr_zalloc(sizeof(*c));

	if (!c)
		return mpr_fail(-ENOMEM, "no memory for a connection");
	c->magic = MPR_SOCKET_CONN_MAGIC;
	c->fd = -1;
	c->in_fd = MPR_SOCKET_NO_FD;
	if (fd >= 0)
		mpr_socket_conn_give(c, fd);
	c->generation = mpr_generation();
	c->asked = asked;
	c->passes_fds = passes_fds;
	mpr_turn_init(&c->sending);
	mpr_turn_init(&c->receiving);
	*ret_c = c;
	return 0;
}

/* The threads that had a turn are the parent's, and go on there with a message of
 * which nobody here knows how much has gone through. */
static void
adopt(struct mpr_socket_conn *c)
{
	c->out_lost |= mpr_turn_is_taken(&c->sending);
	c->in_lost |= mpr_turn_is_taken(&c->receiving);
	mpr_turn_init(&c->sending);
	mpr_turn_init(&c->receiving);
}

MPR_NOINLINE void
mpr_socket_conn_adopt_now(struct mpr_socket_conn *c)
{
	uint64_t ours = mpr_generation();

	mpr_process_lock();
	if (atomic_load_explicit(&c->generation, memory_order_relaxed) != ours) {
		adopt(c);
		atomic_store_explicit(&c->generation, ours,
				      memory_order_release);
	}
	mpr_process_unlock();
}

MPR_NOINLINE int
mpr_socket_conn_take_later(struct mpr_turn *turn, struct mpr_limit *limit)
{
	int r = mpr_limit_begin(limit);

	return r < 0 ? r : mpr_turn_take(turn, limit->deadline);
}

int
mpr_socket_conn_no_fds(void)
{
	return mpr_fail(-ENOTSUP, "no descriptors go over this connection: it was "
			"made without .pass_fds");
}

int
mpr_socket_conn_await(const struct mpr_socket_conn *c, short events,
		      struct mpr_limit *limit)
{
	int r = mpr_limit_begin(limit);

	limit->waited = true;
	return r < 0 ? r : mpr_socket_await(c->fd, events, limit->deadline);
}

bool
mpr_socket_conn_is_over(struct mpr_socket_conn *c)
{
	mpr_socket_conn_adopt(c);
	return c->in_lost || c->in_error || c->in_fd != MPR_SOCKET_NO_FD;
}

int
mpr_socket_conn_may_move(struct mpr_socket_conn *c)
{
	struct mpr_turn *const turns[] = { &c->sending, &c->receiving };
	bool idle = true;
	int r = 0;

	mpr_socket_conn_adopt(c);
	for (int i = 0; i < 2; i++) {
		if (!mpr_turn_try(turns[i]))
			return mpr_fail(-EBUSY, "another thread is in a call for "
					"the connection");
		if (i == 0)
			idle = !c->out_lost && !c->out_done;
		else
			idle = idle && !c->in_lost && !c->head.have &&
			       c->in_fd == MPR_SOCKET_NO_FD;
		r = c->in_error;
		mpr_turn_give(turns[i]);
	}
	if (r < 0)
		return mpr_fail(r, "what came of the connection was no message");
	return idle ? 0 : mpr_fail(-EBUSY, "a message, or a descriptor, has been "
				   "sent or received in part");
}

int
mpr_socket_conn_poll(struct mpr_socket_conn *c, mproc_timeout timeout)
{
	struct mpr_limit limit = mpr_limit(timeout);

	/* What has ended for ever is told at once, too. */
	if (mpr_socket_conn_is_over(c) ||
	    mpr_socket_is_ready(c->fd, MPR_SOCKET_IN))
		return 0;
	return mpr_socket_conn_await(c, MPR_SOCKET_IN, &limit);
}

int
mpr_socket_conn_fd(const struct mpr_socket_conn *c)
{
	return c->fd;
}

unsigned
mpr_socket_conn_fds(const struct mpr_socket_conn *c, int ret_fds[2])
{
	int met = atomic_load(&c->in_fd);

	ret_fds[0] = c->fd;
	ret_fds[1] = met;
	return met >= 0 ? 2 : 1;
}

int
mpr_socket_conn_release(struct mpr_socket_conn *c)
{
	int fd = c->fd;

	c->fd = -1;
	mpr_socket_conn_close(c);
	return fd;
}

void
mpr_socket_conn_close(struct mpr_socket_conn *c)
{
	int before = mpr_thread_forbid_cancel();

	mpr_socket_conn_adopt(c);
	mpr_turn_destroy(&c->sending);
	mpr_turn_destroy(&c->receiving);
	if (c->fd >= 0)
		mpr_fds_close(c->fd);
	if (c->in_fd >= 0)
		mpr_fds_close(c->in_fd);
	free(c->kept);
	c->magic = 0;
	free(c);
	mpr_thread_allow_cancel(before);
}
