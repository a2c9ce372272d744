/* SPDX-License-Identifier: MIT */
/*
 * A message is read into the buffer of who receives it. What has come of it when a
 * call has to stop is kept, in memory that was there before the first byte was taken.
 */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/macros.h"
#include "ipc/auth.h"
#include "ipc/socket_conn_priv.h"
#include "os/fds.h"
#include "os/socket.h"

static int
ended(const struct mpr_socket_conn *c)
{
	if (!c->head.have)
		return mpr_fail(-EPIPE, "the other side has closed the connection");
	if (!c->in_known)
		return mpr_fail(-EPIPE, "the connection ended in the middle of a "
				"message's length");
	return mpr_fail(-EPIPE, "the connection ended after %llu of a message's %llu "
			"bytes", (unsigned long long)c->in_have,
			(unsigned long long)c->in_len);
}

/* What begins a message may have a descriptor in its place; beside other bytes there
 * is none, or the kernel closes it. */
static MPR_INLINE ssize_t
receive(struct mpr_socket_conn *c, void *to, size_t size, bool block, int *ret_fd)
{
	return ret_fd ? mpr_socket_receive_fd(c->fd, to, size, block, ret_fd) :
			mpr_socket_receive(c->fd, to, size, block);
}

/* When the first call for it has given @n, which is not all. */
static MPR_NOINLINE ssize_t
read_less(struct mpr_socket_conn *c, void *to, size_t size, int *ret_fd,
	  struct mpr_limit *limit, bool block, ssize_t n)
{
	int r;

	/* It has waited. */
	limit->waited |= block;
	while (n == -EAGAIN) {
		r = mpr_socket_conn_await(c, MPR_SOCKET_IN, limit);
		if (r < 0)
			return r;
		n = receive(c, to, size, false, ret_fd);
	}
	if (n == 0 || n == -EPIPE)
		return ended(c);
	return n < 0 ? mpr_fail((int)n, "receiving a message: %s",
				mproc_strerror((int)n)) : n;
}

/* Returns how many bytes came, or a negative error. */
static MPR_INLINE ssize_t
read_some(struct mpr_socket_conn *c, void *to, size_t size, int *ret_fd,
	  struct mpr_limit *limit)
{
	bool block = mpr_socket_conn_may_block(c, limit);
	ssize_t n = receive(c, to, size, block, ret_fd);

	return mpr_likely(n == (ssize_t)size) ?
		       n :
		       read_less(c, to, size, ret_fd, limit, block, n);
}

/* @fd has come beside the first @n bytes: one and no more stands in the place of a
 * message. */
static int
keep_fd(struct mpr_socket_conn *c, int fd, const unsigned char *bytes, ssize_t n)
{
	if (n == 1 && bytes[0] == MPR_WIRE_FD && fd != MPR_SOCKET_MANY_FDS) {
		c->in_fd = fd;
		return 0;
	}
	if (fd >= 0)
		mpr_fds_close(fd);
	c->in_error = mpr_fail(-EBADMSG, "descriptors came otherwise than one by "
			       "one between messages");
	return c->in_error;
}

static int
met_fd(void)
{
	return mpr_fail(-ENOMSG, "a descriptor comes next, and no message: "
			"mproc_conn_recv_fd() takes it");
}

/* One more piece of its length, which is not known yet. */
static MPR_INLINE int
read_head_piece(struct mpr_socket_conn *c, struct mpr_limit *limit)
{
	unsigned char bytes[MPR_WIRE_LONG];
	int fd = MPR_SOCKET_NO_FD, r;
	ssize_t n;

	n = read_some(c, bytes, mpr_wire_missing(&c->head),
		      c->passes_fds && !c->head.have ? &fd : NULL, limit);
	if (mpr_unlikely(n < 0))
		return (int)n;
	if (mpr_unlikely(fd != MPR_SOCKET_NO_FD)) {
		r = keep_fd(c, fd, bytes, n);
		return r < 0 ? r : met_fd();
	}
	r = mpr_wire_feed(&c->head, bytes, (size_t)n, &c->in_len);
	if (mpr_unlikely(r < 0)) {
		c->in_error = r;
		return r;
	}
	c->in_known = r > 0;
	return 0;
}

/* What is left of it. */
static MPR_NOINLINE int
read_head_on(struct mpr_socket_conn *c, struct mpr_limit *limit)
{
	int r = 0;

	while (r == 0 && !c->in_known)
		r = read_head_piece(c, limit);
	return r;
}

static MPR_INLINE int
read_head(struct mpr_socket_conn *c, struct mpr_limit *limit)
{
	int r;

	/* Most come in one piece. */
	if (mpr_unlikely(c->head.have))
		return read_head_on(c, limit);
	r = read_head_piece(c, limit);
	return mpr_likely(c->in_known || r < 0) ? r : read_head_on(c, limit);
}

/* So that a part of the message can be kept. */
static int
reserve(struct mpr_socket_conn *c)
{
	unsigned char *more;

	if (c->in_len <= sizeof(c->kept_here) || c->in_len <= c->kept_size)
		return 0;
	more = mpr_realloc(c->kept, (size_t)c->in_len);
	if (!more)
		return mpr_fail(-ENOMEM, "no memory for a message of %llu bytes",
				(unsigned long long)c->in_len);
	c->kept = more;
	c->kept_size = (size_t)c->in_len;
	return 0;
}

static unsigned char *
kept(struct mpr_socket_conn *c)
{
	return c->in_len <= sizeof(c->kept_here) ? c->kept_here : c->kept;
}

static int
read_rest(struct mpr_socket_conn *c, unsigned char *to, struct mpr_limit *limit)
{
	uint64_t had = c->in_have;
	ssize_t n = 0;

	if (had)
		memcpy(to, kept(c), (size_t)had);
	while (c->in_have < c->in_len) {
		n = read_some(c, to + c->in_have,
			      (size_t)(c->in_len - c->in_have), NULL, limit);
		if (n < 0)
			break;
		c->in_have += (uint64_t)n;
	}
	if (n < 0 && c->in_have > had)
		memcpy(kept(c) + had, to + had, (size_t)(c->in_have - had));
	return n < 0 ? (int)n : 0;
}

/* Somebody without a key is asked for one: that is no message of a program's. */
static int
check_first(struct mpr_socket_conn *c, const unsigned char *message)
{
	if (!c->asked)
		return 0;
	c->asked = false;
	if (!mpr_auth_is_challenge(message, (size_t)c->in_len))
		return 0;
	c->in_error = mpr_fail(-EACCES, "the other side asks for a key");
	return c->in_error;
}

/* Whether the stream can be gone on with. */
static int
check_stream(const struct mpr_socket_conn *c)
{
	if (c->in_lost)
		return mpr_fail(-EBUSY, "another thread was receiving a message when "
				"this process was forked");
	if (c->in_error)
		return mpr_fail(c->in_error, "what came of the connection was no "
				"message: see the first error");
	return 0;
}

static int
recv_in_turn(struct mpr_socket_conn *c, void *buf, size_t size, size_t *ret_len,
	     struct mpr_limit *limit)
{
	int r = check_stream(c);

	if (r < 0)
		return r;
	if (c->in_fd != MPR_SOCKET_NO_FD)
		return met_fd();
	r = read_head(c, limit);
	if (r < 0)
		return r;
	*ret_len = (size_t)c->in_len;
	if (c->in_len > size)
		return mpr_fail(-EMSGSIZE, "a message of %llu bytes, the buffer has "
				"%zu", (unsigned long long)c->in_len, size);
	r = reserve(c);
	if (r == 0)
		r = read_rest(c, buf, limit);
	if (r < 0)
		return r;
	c->head = (struct mpr_wire_head){ .have = 0 };
	c->in_known = false;
	c->in_have = 0;
	return check_first(c, buf);
}

int
mpr_socket_conn_recv(struct mpr_socket_conn *c, void *buf, size_t size,
		     size_t *ret_len, mproc_timeout timeout)
{
	struct mpr_limit limit = mpr_limit(timeout);
	size_t len = 0;
	int r;

	if (!buf && size)
		return mpr_fail(-EINVAL, "the buffer of %zu bytes is NULL", size);
	mpr_socket_conn_adopt(c);
	r = mpr_socket_conn_take(&c->receiving, &limit);
	if (r < 0)
		return r;
	r = recv_in_turn(c, buf, size, &len, &limit);
	mpr_turn_give(&c->receiving);
	if (ret_len && (r == 0 || r == -EMSGSIZE))
		*ret_len = len;
	return r;
}

/* What comes next, until then. Returns 0 if it is a descriptor. */
static int
await_fd(struct mpr_socket_conn *c, struct mpr_limit *limit)
{
	int r;

	if (c->in_fd != MPR_SOCKET_NO_FD)
		return 0;
	if (c->head.have)
		return mpr_fail(-ENOMSG, "a message has come in part, and no "
				"descriptor");
	while ((r = mpr_socket_peek_fd(c->fd)) == -EAGAIN) {
		r = mpr_socket_conn_await(c, MPR_SOCKET_IN, limit);
		if (r < 0)
			return r;
	}
	if (r == -EPIPE)
		return ended(c);
	if (r < 0)
		return mpr_fail(r, "receiving a descriptor: %s",
				mproc_strerror(r));
	return r ? 0 : mpr_fail(-ENOMSG, "a message comes next, and no descriptor: "
				"mproc_conn_recv() takes it");
}

static int
no_room(const char *what)
{
	return mpr_fail(-EMFILE, "this process has as many descriptors open as it "
			"may: %s", what);
}

static int
recv_fd_in_turn(struct mpr_socket_conn *c, struct mpr_limit *limit)
{
	int r = check_stream(c), fd;

	if (r == 0)
		r = await_fd(c, limit);
	if (r < 0)
		return r;
	if (c->in_fd == MPR_SOCKET_NO_FD) {
		/* The kernel drops what there is no room for. */
		if (mpr_fds_check_room(c->fd) < 0)
			return no_room("the next one waits");
		r = read_head(c, limit);
		/* Another process may have been faster. */
		if (c->in_fd == MPR_SOCKET_NO_FD)
			return r < 0 ? r : await_fd(c, limit);
	}
	fd = c->in_fd;
	c->in_fd = MPR_SOCKET_NO_FD;
	return fd >= 0 ? fd : no_room("one that was received is lost");
}

int
mpr_socket_conn_recv_fd(struct mpr_socket_conn *c, mproc_timeout timeout)
{
	struct mpr_limit limit = mpr_limit(timeout);
	int r;

	if (!c->passes_fds)
		return mpr_socket_conn_no_fds();
	mpr_socket_conn_adopt(c);
	r = mpr_socket_conn_take(&c->receiving, &limit);
	if (r < 0)
		return r;
	r = recv_fd_in_turn(c, &limit);
	mpr_turn_give(&c->receiving);
	return r;
}
