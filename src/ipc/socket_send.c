/* SPDX-License-Identifier: MIT */
/*
 * A message goes out in as many pieces as the kernel takes. If a call has to stop
 * after the first one, the rest can only be sent by who has the message: the next call
 * is to be given the same one.
 */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/macros.h"
#include "ipc/socket_conn_priv.h"
#include "os/socket.h"

#define PARTS 16 /* that one call of the kernel is given */

/* Messages of up to so many bytes are copied behind their length, which takes less
 * than a list of parts takes the kernel. */
#define SHORT 1024

struct message {
	const struct iovec *parts;
	int n;
	uint64_t len;
	bool whole; /* it is here, behind what stands before it */
	const unsigned char *head;
	size_t head_len;
	unsigned char bytes[MPR_WIRE_LONG + SHORT];
};

/* Says how long it is, and copies it if it is short. What is in @m->parts is asked
 * once: they may lie where others write. */
static int
compose(struct message *m)
{
	unsigned char *body = m->bytes + MPR_WIRE_LONG;

	m->len = 0;
	if (m->n < 0 || (m->n > 0 && !m->parts))
		return mpr_fail(-EINVAL, "%d parts at %p", m->n,
				(const void *)m->parts);
	for (int i = 0; i < m->n; i++) {
		const struct iovec part = m->parts[i];

		if (part.iov_len && !part.iov_base)
			return mpr_fail(-EINVAL, "part %d of %d is NULL, and has "
					"%zu bytes", i, m->n, part.iov_len);
		if (part.iov_len > INT64_MAX - m->len)
			return mpr_fail(-EMSGSIZE, "a message of more than %lld "
					"bytes", (long long)INT64_MAX);
		if (part.iov_len && part.iov_len + m->len <= SHORT)
			memcpy(body + m->len, part.iov_base, part.iov_len);
		m->len += part.iov_len;
	}
	m->whole = m->len <= SHORT;
	m->head_len = mpr_wire_size(m->len);
	m->head = body - m->head_len;
	mpr_wire_put(body - m->head_len, m->len);
	return 0;
}

/* What is left behind the first @done bytes, as far as there is room. Returns how
 * many pieces. */
static size_t
pieces_behind(const struct message *m, uint64_t done, struct iovec ret[PARTS])
{
	size_t n = 0;

	if (done < m->head_len) {
		ret[n++] = (struct iovec){
			(void *)(uintptr_t)(m->head + done),
			m->head_len - (size_t)done,
		};
		done = 0;
	} else {
		done -= m->head_len;
	}
	for (int i = 0; i < m->n && n < PARTS; i++) {
		const struct iovec *part = &m->parts[i];

		if (done >= part->iov_len) {
			done -= part->iov_len;
			continue;
		}
		ret[n++] = (struct iovec){ (char *)part->iov_base + done,
					   part->iov_len - (size_t)done };
		done = 0;
	}
	return n;
}

/* Of the first @len bytes of it; FNV-1a. So that a message which is not the same is
 * noticed, not so that nobody could make one up. */
static uint64_t
sum_of(const struct message *m, uint64_t len)
{
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	for (int i = 0; i < m->n && len; i++) {
		const unsigned char *p = m->parts[i].iov_base;
		size_t here = m->parts[i].iov_len < len ? m->parts[i].iov_len :
							  (size_t)len;

		for (size_t j = 0; j < here; j++)
			sum = (sum ^ p[j]) * UINT64_C(0x100000001b3);
		len -= here;
	}
	return sum;
}

static uint64_t
sum_of_done(const struct mpr_socket_conn *c, const struct message *m)
{
	return sum_of(m, c->out_done < m->head_len ? 0 :
						     c->out_done - m->head_len);
}

/* A message that a call has begun is finished first, and by nobody else. */
static int
check_begun(const struct mpr_socket_conn *c, const struct message *m)
{
	if (c->out_lost)
		return mpr_fail(-EBUSY, "another thread was sending a message when "
				"this process was forked");
	if (!c->out_done || (c->out_len == m->len &&
			     c->out_sum == sum_of_done(c, m)))
		return 0;
	return mpr_fail(-EBUSY, "a message of %llu bytes has been sent in part: it "
			"has to be sent again before another one",
			(unsigned long long)c->out_len);
}

static MPR_NOINLINE ssize_t
send_pieces(const struct mpr_socket_conn *c, const struct message *m, bool block)
{
	struct iovec pieces[PARTS];
	size_t n = pieces_behind(m, c->out_done, pieces);

	return mpr_socket_send(c->fd, pieces, n, block);
}

/* What is left of it, as far as the kernel takes that. */
static inline ssize_t
send_some(const struct mpr_socket_conn *c, const struct message *m, bool block)
{
	size_t done = (size_t)c->out_done;

	return mpr_likely(m->whole) ?
		       mpr_socket_send_bytes(c->fd, m->head + done,
					     m->head_len + (size_t)m->len - done,
					     block) :
		       send_pieces(c, m, block);
}

static int
send_rest(struct mpr_socket_conn *c, const struct message *m,
	  struct mpr_limit *limit)
{
	uint64_t all = m->head_len + m->len;
	ssize_t sent;
	bool block;
	int r = 0;

	c->out_len = m->len;
	while (r == 0 && c->out_done < all) {
		block = mpr_socket_conn_may_block(c, limit);
		sent = send_some(c, m, block);
		/* If that was not all, it has waited. */
		limit->waited |= block;
		if (sent > 0)
			c->out_done += (uint64_t)sent;
		else if (sent == -EAGAIN)
			r = mpr_socket_conn_await(c, MPR_SOCKET_OUT, limit);
		else
			r = (int)sent;
	}
	return r;
}

static int
send_in_turn(struct mpr_socket_conn *c, const struct message *m,
	     struct mpr_limit *limit)
{
	int r = check_begun(c, m);

	if (r < 0)
		return r;
	r = send_rest(c, m, limit);
	if (r == 0 || r == -EPIPE)
		c->out_done = 0;
	else
		c->out_sum = sum_of_done(c, m);
	if (r == -EPIPE)
		return mpr_fail(r, "the other side has closed the connection");
	if (r < 0 && !mpr_limit_is_over(r))
		return mpr_fail(r, "sending a message: %s", mproc_strerror(r));
	return r;
}

int
mpr_socket_conn_sendv(struct mpr_socket_conn *c, const struct iovec *parts, int n,
		      mproc_timeout timeout)
{
	struct mpr_limit limit = mpr_limit(timeout);
	struct message m;
	int r;

	m.parts = parts;
	m.n = n;
	r = compose(&m);
	if (r < 0)
		return r;
	mpr_socket_conn_adopt(c);
	r = mpr_socket_conn_take(&c->sending, &limit);
	if (r < 0)
		return r;
	r = send_in_turn(c, &m, &limit);
	mpr_turn_give(&c->sending);
	return r;
}

/* Nothing may come between the parts of a message. */
static int
send_fd_in_turn(struct mpr_socket_conn *c, int fd, struct mpr_limit *limit)
{
	int r;

	if (c->out_lost || c->out_done)
		return mpr_fail(-EBUSY, "a message has been sent in part: it has to "
				"be sent again before a descriptor");
	while ((r = mpr_socket_send_fd(c->fd, fd, MPR_WIRE_FD)) == -EAGAIN) {
		r = mpr_socket_conn_await(c, MPR_SOCKET_OUT, limit);
		if (r < 0)
			return r;
	}
	if (r == -EPIPE)
		return mpr_fail(r, "the other side has closed the connection");
	if (r == -EPERM)
		return mpr_fail(-ENOTSUP, "the other side takes no descriptors: it "
				"was made without .pass_fds");
	if (r == -ETOOMANYREFS)
		return mpr_fail(r, "this user has as many descriptors on their way "
				"as it may have open, until some are received");
	return r < 0 ? mpr_fail(r, "sending descriptor %d: %s", fd,
				mproc_strerror(r)) : 0;
}

int
mpr_socket_conn_send_fd(struct mpr_socket_conn *c, int fd, mproc_timeout timeout)
{
	struct mpr_limit limit = mpr_limit(timeout);
	int r;

	if (!c->passes_fds)
		return mpr_socket_conn_no_fds();
	mpr_socket_conn_adopt(c);
	r = mpr_socket_conn_take(&c->sending, &limit);
	if (r < 0)
		return r;
	r = send_fd_in_turn(c, fd, &limit);
	mpr_turn_give(&c->sending);
	return r;
}
