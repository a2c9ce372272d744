/* SPDX-License-Identifier: MIT */
/*
 * A message is read into the buffer of who receives it. What has come of it when a
 * call has to stop is kept, in memory that was there before the first byte was taken.
 */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "ipc/auth.h"
#include "ipc/socket_conn_priv.h"
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

/* Returns how many bytes came, or a negative error. */
static ssize_t
read_some(struct mpr_socket_conn *c, void *to, size_t size,
	  struct mpr_limit *limit)
{
	bool block = mpr_socket_conn_may_block(c, limit);
	ssize_t n;
	int r;

	while ((n = mpr_socket_receive(c->fd, to, size, block)) == -EAGAIN) {
		r = mpr_socket_conn_await(c, MPR_SOCKET_IN, limit);
		if (r < 0)
			return r;
		block = false;
	}
	/* If that was not all, it has waited. */
	if (block && (size_t)n < size)
		limit->waited = true;
	if (n == 0 || n == -EPIPE)
		return ended(c);
	return n < 0 ? mpr_fail((int)n, "receiving a message: %s",
				mproc_strerror((int)n)) : n;
}

static int
read_head(struct mpr_socket_conn *c, struct mpr_limit *limit)
{
	unsigned char bytes[MPR_WIRE_LONG];
	ssize_t n;
	int r;

	while (!c->in_known) {
		n = read_some(c, bytes, mpr_wire_missing(&c->head), limit);
		if (n < 0)
			return (int)n;
		r = mpr_wire_feed(&c->head, bytes, (size_t)n, &c->in_len);
		if (r < 0) {
			c->in_error = r;
			return r;
		}
		c->in_known = r > 0;
	}
	return 0;
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
			      (size_t)(c->in_len - c->in_have), limit);
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

static int
recv_in_turn(struct mpr_socket_conn *c, void *buf, size_t size, size_t *ret_len,
	     struct mpr_limit *limit)
{
	int r;

	if (c->in_lost)
		return mpr_fail(-EBUSY, "another thread was receiving a message when "
				"this process was forked");
	if (c->in_error)
		return mpr_fail(c->in_error, "what came of the connection was no "
				"message: see the first error");
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
