/* SPDX-License-Identifier: MIT */
/*
 * Connections, whatever carries them: which kind one is shows by where its address
 * leads. Ends of pipes lie in the arena, connections over sockets in private memory.
 */
#include "arena/table.h"
#include "base/macros.h"
#include "ipc/conn.h"
#include "ipc/pipe.h"
#include "ipc/pipe_view.h"
#include "ipc/queue_fast.h"
#include "ipc/socket_conn.h"

/* Returns NULL if it is an end of a pipe, or nothing at all. */
static inline struct mpr_socket_conn *
over_socket(mproc_conn *c)
{
	struct mpr_socket_conn *s = (struct mpr_socket_conn *)c;

	return !mproc_is_shared(c) && mpr_socket_conn_is(s) ? s : NULL;
}

static MPR_NOINLINE int
send_whole(mproc_conn *c, const void *buf, size_t len, mproc_timeout timeout)
{
	const struct iovec whole = { (void *)(uintptr_t)buf, len };
	struct mpr_socket_conn *s = over_socket(c);

	return s ? mpr_socket_conn_sendv(s, &whole, 1, timeout) :
		   mpr_pipe_send(c, buf, len, timeout);
}

/* The same when a put has begun. */
static MPR_NOINLINE int
send_anew(const struct mpr_attachment *at, mproc_conn *c, const void *buf,
	  size_t len, mproc_timeout timeout)
{
	mpr_put_leave(at, at->producer.tail, 0);
	return send_whole(c, buf, len, timeout);
}

/*
 * The frequent case first, by an end of a pipe. Whether the process still holds that
 * is asked when consumers can see that a message may come. So either they wait for
 * it, or another thread has closed the end, or given it away, and nothing is sent.
 */
int
mproc_conn_send(mproc_conn *c, const void *buf, size_t len,
		mproc_timeout timeout)
{
	struct mpr_pipe_view *v = mpr_pipe_view_at_hand(c, MPR_PIPE_OUT);
	struct mpr_attachment *at;
	struct mpr_lane *lane;
	uint64_t tail;

	if (mpr_unlikely(!v || !mpr_pipe_view_has_peer(v)))
		return send_whole(c, buf, len, timeout);
	at = v->at[MPR_PIPE_OUT];
	if (mpr_unlikely(!mpr_put_is_frequent(at, buf, len)))
		return send_whole(c, buf, len, timeout);
	lane = at->producer.lane;
	tail = at->producer.tail;
	mpr_put_announce(lane);
	if (mpr_unlikely(!mpr_pipe_view_holds(v) || mpr_put_is_closed(at)))
		return send_anew(at, c, buf, len, timeout);
	return mpr_put_frequent(at, lane, tail, buf, len);
}

int
mproc_conn_sendv(mproc_conn *c, const struct iovec *parts, int n,
		 mproc_timeout timeout)
{
	struct mpr_socket_conn *s = over_socket(c);

	return s ? mpr_socket_conn_sendv(s, parts, n, timeout) :
		   mpr_pipe_sendv(c, parts, n, timeout);
}

static MPR_NOINLINE int
recv_whole(mproc_conn *c, void *buf, size_t size, size_t *ret_len,
	   mproc_timeout timeout)
{
	struct mpr_socket_conn *s = over_socket(c);

	return s ? mpr_socket_conn_recv(s, buf, size, ret_len, timeout) :
		   mpr_pipe_recv(c, buf, size, ret_len, timeout);
}

/* Likewise. */
int
mproc_conn_recv(mproc_conn *c, void *buf, size_t size, size_t *ret_len,
		mproc_timeout timeout)
{
	struct mpr_pipe_view *v = mpr_pipe_view_at_hand(c, MPR_PIPE_IN);
	struct mpr_attachment *at;
	struct mpr_consumer *from;
	struct mpr_lane *lane;
	size_t len;

	if (mpr_unlikely(!v))
		return recv_whole(c, buf, size, ret_len, timeout);
	at = v->at[MPR_PIPE_IN];
	if (mpr_unlikely(!mpr_pipe_view_holds(v) ||
			 !mpr_get_is_frequent(at, buf, size)))
		return recv_whole(c, buf, size, ret_len, timeout);
	from = &at->consumers[at->cursor];
	lane = from->lane;
	if (mpr_unlikely(mpr_get_claim(from, lane, buf, size, &len) < 0))
		return recv_whole(c, buf, size, ret_len, timeout);
	if (ret_len)
		*ret_len = len;
	return mpr_get_taken(at, lane);
}

int
mproc_conn_send_fd(mproc_conn *c, int fd, mproc_timeout timeout)
{
	struct mpr_socket_conn *s = over_socket(c);

	return s ? mpr_socket_conn_send_fd(s, fd, timeout) :
		   mpr_pipe_send_fd(c, fd, timeout);
}

int
mproc_conn_recv_fd(mproc_conn *c, mproc_timeout timeout)
{
	struct mpr_socket_conn *s = over_socket(c);

	return s ? mpr_socket_conn_recv_fd(s, timeout) :
		   mpr_pipe_recv_fd(c, timeout);
}

int
mproc_conn_poll(mproc_conn *c, mproc_timeout timeout)
{
	struct mpr_socket_conn *s = over_socket(c);

	return s ? mpr_socket_conn_poll(s, timeout) : mpr_pipe_poll(c, timeout);
}

int
mproc_conn_fd(mproc_conn *c)
{
	struct mpr_socket_conn *s = over_socket(c);

	return s ? mpr_socket_conn_fd(s) : mpr_pipe_fd(c);
}

int
mpr_conn_source(mproc_conn *c, struct mpr_conn_source *ret)
{
	*ret = (struct mpr_conn_source){ .socket = over_socket(c) };
	return ret->socket ? 0 : mpr_pipe_source(c, ret);
}

void
mproc_conn_close(mproc_conn *c)
{
	struct mpr_socket_conn *s;

	if (!c)
		return;
	s = over_socket(c);
	if (s)
		mpr_socket_conn_close(s);
	else
		mpr_pipe_close(c);
}
