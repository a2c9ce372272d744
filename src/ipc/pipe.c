/* SPDX-License-Identifier: MIT */
/*
 * Pipes: what is sent and received at their ends. What moves the messages is the
 * queue of each direction, or a socket; this file knows who may use it, and what it
 * means that there is nobody on the other side.
 */
#include <errno.h>

#include "base/error.h"
#include "base/macros.h"
#include "ipc/attachment.h"
#include "ipc/handover.h"
#include "ipc/pipe.h"
#include "ipc/pipe_shm.h"
#include "ipc/pipe_view.h"
#include "ipc/queue_fd.h"
#include "ipc/queue_get.h"
#include "ipc/queue_put.h"
#include "ipc/queue_shm.h"
#include "ipc/socket_end.h"

static inline int
answer(const mproc_conn *c, int r)
{
	return mpr_likely(r >= 0) ? r : mpr_pipe_judge(c, r);
}

int
mpr_pipe_send(mproc_conn *c, const void *buf, size_t len, mproc_timeout timeout)
{
	struct mpr_pipe_view *v;
	const struct iovec whole = { (void *)(uintptr_t)buf, len };
	int r = mpr_pipe_view_sender(c, &v);

	if (mpr_unlikely(r < 0))
		return r;
	if (mpr_unlikely(r == MPR_PIPE_OVER_SOCKET))
		return mpr_socket_conn_sendv(v->socket, &whole, 1, timeout);
	return answer(c, mpr_put(v->queue[MPR_PIPE_OUT], buf, len, timeout));
}

int
mpr_pipe_sendv(mproc_conn *c, const struct iovec *parts, int n,
	       mproc_timeout timeout)
{
	struct mpr_pipe_view *v;
	int r = mpr_pipe_view_sender(c, &v);

	if (r < 0)
		return r;
	if (r == MPR_PIPE_OVER_SOCKET)
		return mpr_socket_conn_sendv(v->socket, parts, n, timeout);
	return answer(c, mproc_queue_putv(v->queue[MPR_PIPE_OUT], parts, n,
					  timeout));
}

int
mpr_pipe_recv(mproc_conn *c, void *buf, size_t size, size_t *ret_len,
	      mproc_timeout timeout)
{
	struct mpr_pipe_view *v;
	int r = mpr_pipe_view_receiver(c, &v);

	if (mpr_unlikely(r < 0))
		return r;
	if (mpr_unlikely(r == MPR_PIPE_OVER_SOCKET))
		return mpr_socket_conn_recv(v->socket, buf, size, ret_len,
					    timeout);
	return answer(c, mproc_queue_get(v->queue[MPR_PIPE_IN], buf, size,
					 ret_len, timeout));
}

int
mpr_pipe_poll(mproc_conn *c, mproc_timeout timeout)
{
	struct mpr_sink to = { .looks = true };
	struct mpr_attachment *at;
	struct mpr_pipe_view *v;
	size_t len;
	int r = mpr_pipe_view_receiver(c, &v);

	if (r < 0)
		return r;
	if (r == MPR_PIPE_OVER_SOCKET)
		return mpr_socket_conn_poll(v->socket, timeout);
	r = mpr_attachment_get(v->queue[MPR_PIPE_IN], &at);
	if (r == 0)
		r = mpr_get_become_consumer(at);
	if (r == 0)
		r = mpr_get_next(at, &to, &len, timeout);
	if (r == -ECHILD)
		return mpr_pipe_poll(c, mpr_attachment_rest(at));
	r = answer(c, r);
	return r == -EPIPE ? 0 : r;
}

static int
passes_none(void)
{
	return mpr_fail(-ENOTSUP, "no descriptors go through shared memory: make "
			"the pipe with .sockets to pass some");
}

int
mpr_pipe_send_fd(mproc_conn *c, int fd, mproc_timeout timeout)
{
	struct mpr_pipe_view *v;
	int r = mpr_pipe_view_sender(c, &v);

	return r == MPR_PIPE_OVER_SOCKET ?
		       mpr_socket_conn_send_fd(v->socket, fd, timeout) :
	       r == 0 ? passes_none() : r;
}

int
mpr_pipe_recv_fd(mproc_conn *c, mproc_timeout timeout)
{
	struct mpr_pipe_view *v;
	int r = mpr_pipe_view_receiver(c, &v);

	return r == MPR_PIPE_OVER_SOCKET ? mpr_socket_conn_recv_fd(v->socket, timeout) :
	       r == 0		? passes_none() : r;
}

int
mpr_pipe_fd(mproc_conn *c)
{
	struct mpr_pipe_view *v;
	int r = mpr_pipe_view_receiver(c, &v);

	return r == MPR_PIPE_OVER_SOCKET ? mpr_socket_conn_fd(v->socket) :
	       r < 0		? r : answer(c, mproc_queue_fd(v->queue[MPR_PIPE_IN]));
}

int
mpr_pipe_source(mproc_conn *c, struct mpr_conn_source *ret)
{
	struct mpr_pipe_view *v;
	int r = mpr_pipe_view_receiver(c, &v);

	if (r < 0)
		return r;
	*ret = (struct mpr_conn_source){
		.q = r == MPR_PIPE_OVER_SOCKET ? NULL : v->queue[MPR_PIPE_IN],
		.socket = r == MPR_PIPE_OVER_SOCKET ? v->socket : NULL,
	};
	return 0;
}

/* What the calling thread has of a direction that its process does not use any
 * more. */
static void
drop(const mproc_queue *q)
{
	struct mpr_attachment *at = q ? mpr_attachment_present(q) : NULL;

	if (at)
		mpr_attachment_drop(at);
}

uint64_t
mpr_pipe_word(const mproc_conn *c)
{
	struct mpr_pipe *pipe;
	mproc_arena *a;
	unsigned side;

	return mpr_pipe_of(c, &a, &pipe, &side) < 0 || !mpr_pipe_is_open(pipe) ?
		       0 : atomic_load(&pipe->state);
}

void
mpr_pipe_leave(mproc_conn *c, uint64_t word)
{
	struct mpr_self *self;
	struct mpr_pipe_view view, *v = &view;
	uint64_t mine;
	bool other;

	/* Not what the thread remembers: without memory for that it can close. */
	if (mpr_pipe_view_fill(c, v) < 0 || (word && v->open != word))
		return;
	mine = v->mine;
	/* Only who takes part can free what there is. Where it cannot, that is
	 * done by who makes the next queue. */
	(void)mpr_self(v->arena, &self);
	/* Another thread may be faster; or use it for the first time. */
	while (!atomic_compare_exchange_strong(v->hold, &mine,
					       mine | MPR_HOLD_ENDING))
		if (!mpr_hold_is(mine, v->mine))
			return;
	other = mpr_hold_find(v->arena, &v->pipe->end[!v->side].holds, mine);
	if (v->queue[MPR_PIPE_IN])
		mpr_queue_fd_close(v->queue[MPR_PIPE_IN]);
	if (mpr_pipe_has_sockets(v->pipe))
		mpr_socket_end_close(c, v->open);
	if (!other) {
		drop(v->queue[MPR_PIPE_IN]);
		drop(v->queue[MPR_PIPE_OUT]);
	}
	mpr_pipe_settle(v->arena, v->pipe, v->hold, mine | MPR_HOLD_ENDING);
}

void
mpr_pipe_close(mproc_conn *c)
{
	mpr_pipe_leave(c, 0);
}
