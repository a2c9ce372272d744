/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <mproc/core.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/macros.h"
#include "os/fds.h"
#include "os/interrupt.h"
#include "os/rights.h"
#include "os/socket.h"
#include "os/socket_file.h"
#include "os/socket_name.h"
#include "os/thread.h"

#define FLAGS (SOCK_STREAM | SOCK_CLOEXEC)

/* Since Linux 6.16. Processors that number the one so number the other so. */
#if !defined(SO_PASSRIGHTS) && SO_ZEROCOPY == 60
#define SO_PASSRIGHTS 83
#endif

/* How long connecting to a full local listener sleeps before it looks for
 * interrupts. */
#define SLICE 20000 /* us */

/* Also by those who connect to it. Where the kernel does not know that, the receiver's
 * calls have no room for any. */
static void
refuse_fds(int fd)
{
#ifdef SO_PASSRIGHTS
	int off = 0;

	(void)setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off));
#else
	(void)fd;
#endif
}

static int
make(int family, int flags, bool passes_fds)
{
	int fd = mpr_fault(MPR_FAULT_SOCKET) ? -1 :
					       socket(family, FLAGS | flags, 0);
	int r = fd < 0 ? -errno : mpr_fds_above_stdio(fd);

	if (r < 0)
		return mpr_fail(r, "making a socket: %s", mproc_strerror(r));
	if (family == AF_UNIX && !passes_fds)
		refuse_fds(r);
	return r;
}

/* No bytes are to wait for more: messages are sent whole. */
static void
set_up(int fd, int family)
{
	int on = 1;

	if (family != AF_UNIX)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static int
fail_at(const struct mpr_socket_name *name, int r, const char *what)
{
	char text[MPR_SOCKET_TEXT];

	mpr_socket_describe(name, text);
	return mpr_fail(r, "%s %s: %s", what, text, strerror(-r));
}

static int
bind_and_listen(int fd, const struct mpr_socket_name *name, int backlog)
{
	int on = 1;

	if (name->at.any.sa_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (name->at.any.sa_family != AF_UNIX)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (mpr_fault(MPR_FAULT_BIND) ||
	    bind(fd, &name->at.any, name->len) < 0 || listen(fd, backlog) < 0)
		return -errno;
	return 0;
}

static int
listen_at(const struct mpr_socket_name *name, unsigned mode, int backlog,
	  bool passes_fds, struct mpr_socket_place *ret_place)
{
	struct mpr_socket_name bound = { .len = sizeof(bound.at) };
	int fd = make(name->at.any.sa_family, SOCK_NONBLOCK, passes_fds), r;

	if (fd < 0)
		return fd;
	*ret_place = (struct mpr_socket_place){ .is_file = false };
	if (mpr_socket_path(name)) {
		r = mpr_socket_file_listen(fd, name, mode, backlog, ret_place);
	} else {
		r = bind_and_listen(fd, name, backlog);
		if (r < 0)
			fail_at(name, r, "listening at");
	}
	if (r == 0 && getsockname(fd, &bound.at.any, &bound.len) < 0)
		r = -errno;
	if (r < 0) {
		close(fd);
		return r;
	}
	mpr_socket_describe(mpr_socket_path(name) ? name : &bound,
			    ret_place->address);
	return fd;
}

int
mpr_socket_listen(const char *address, unsigned mode, int backlog, bool passes_fds,
		  struct mpr_socket_place *ret_place)
{
	struct mpr_socket_name names[MPR_SOCKET_NAMES];
	int before = mpr_thread_forbid_cancel(), n, r;

	n = r = mpr_socket_names(address, true, names);
	for (int i = 0; i < n; i++) {
		r = listen_at(&names[i], mode, backlog, passes_fds, ret_place);
		/* A machine may lack one of the families. */
		if (r != -EAFNOSUPPORT && r != -EADDRNOTAVAIL)
			break;
	}
	mpr_thread_allow_cancel(before);
	return r;
}

int
mpr_socket_accept(int fd)
{
	int before = mpr_thread_forbid_cancel(), family = AF_UNIX, new;
	socklen_t len = sizeof(family);

	/* Who has left meanwhile is nobody's error. */
	do
		new = mpr_fault(MPR_FAULT_ACCEPT) ?
			      -1 :
			      accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	while (new < 0 && (errno == EINTR || errno == ECONNABORTED ||
			   errno == EPROTO));
	new = new < 0 ? -errno : mpr_fds_above_stdio(new);
	if (new >= 0) {
		(void)getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len);
		set_up(new, family);
	}
	mpr_thread_allow_cancel(before);
	return new == -ENOBUFS ? -ENOMEM : new;
}

/* A full listener has us sleep in the call, in slices, so that there is no gap in
 * which somebody else is let in first. */
static int
connect_local(int fd, const struct mpr_socket_name *name, int64_t deadline)
{
	struct timeval slice = { .tv_usec = SLICE };
	int64_t left;

	for (;;) {
		left = deadline ? (deadline - mproc_now()) / 1000 : 0;
		if (deadline && left <= 0)
			return -ETIMEDOUT;
		slice.tv_usec = left < SLICE ? (suseconds_t)left : SLICE;
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &slice,
				 sizeof(slice));
		if (connect(fd, &name->at.any, name->len) == 0)
			return 0;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		if (!deadline)
			return -EAGAIN;
		if (mpr_interrupt_pending()) {
			mpr_interrupt_answer();
			return -EINTR;
		}
	}
}

static_assert(MPR_SOCKET_IN == POLLIN && MPR_SOCKET_OUT == POLLOUT &&
		      MPR_SOCKET_HUP == POLLHUP,
	      "as poll(2) has them");

int
mpr_socket_await(int fd, short events, int64_t deadline)
{
	struct pollfd fds[2] = {
		{ .fd = fd, .events = (short)(events | POLLHUP | POLLERR) },
	};
	int r;

	/* At first, too: a handler may have raised one in the call that said that
	 * nothing is there. */
	while (!mpr_interrupt_pending()) {
		r = mpr_interrupt_poll(fds, 1, deadline);
		if (fds[0].revents & fds[0].events)
			return 0;
		if (r < 0)
			return r;
	}
	mpr_interrupt_answer();
	return -EINTR;
}

bool
mpr_socket_is_ready(int fd, short events)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	int before = mpr_thread_forbid_cancel(), r;

	r = poll(&pfd, 1, 0);
	mpr_thread_allow_cancel(before);
	return r > 0 && !(pfd.revents & POLLNVAL);
}

static int
await_connection(int fd, int64_t deadline)
{
	socklen_t len = sizeof(int);
	int error = 0, r;

	r = deadline ? mpr_socket_await(fd, MPR_SOCKET_OUT, deadline) : -EAGAIN;
	if (r < 0)
		return r;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return -error;
}

static int
connect_tcp(int fd, const struct mpr_socket_name *name, int64_t deadline)
{
	if (connect(fd, &name->at.any, name->len) == 0)
		return 0;
	if (errno != EINPROGRESS && errno != EINTR)
		return -errno;
	return await_connection(fd, deadline);
}

static int
connect_to(const struct mpr_socket_name *name, bool passes_fds, int64_t deadline)
{
	bool local = name->at.any.sa_family == AF_UNIX;
	int fd = make(name->at.any.sa_family,
		      local && deadline ? 0 : SOCK_NONBLOCK, passes_fds), r;

	if (fd < 0)
		return fd;
	if (mpr_fault(MPR_FAULT_CONNECT))
		r = -errno;
	else
		r = local ? connect_local(fd, name, deadline) :
			    connect_tcp(fd, name, deadline);
	if (r == 0) {
		(void)fcntl(fd, F_SETFL, 0); /* which connecting takes, but no more */
		set_up(fd, name->at.any.sa_family);
		return fd;
	}
	close(fd);
	if (r != -EAGAIN && r != -ETIMEDOUT && r != -EINTR)
		fail_at(name, r, "connecting to");
	return r;
}

int
mpr_socket_connect(const char *address, bool passes_fds, int64_t deadline)
{
	struct mpr_socket_name names[MPR_SOCKET_NAMES];
	int before = mpr_thread_forbid_cancel(), n, r;

	n = r = mpr_socket_names(address, false, names);
	for (int i = 0; i < n; i++) {
		r = connect_to(&names[i], passes_fds, deadline);
		if (r >= 0 || r == -EAGAIN || r == -EINTR)
			break;
	}
	mpr_thread_allow_cancel(before);
	return r;
}

bool
mpr_socket_slice(int fd)
{
	const struct timeval slice = { .tv_usec = MPR_SOCKET_SLICE / 1000 };

	return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &slice, sizeof(slice)) ==
		       0 &&
	       setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &slice, sizeof(slice)) ==
		       0;
}

ssize_t
mpr_socket_failed(ssize_t r)
{
	switch (r) {
	case -EINTR: /* the caller may have to do something about it */
	case -EAGAIN:
		return -EAGAIN;
	case -ECONNRESET:
	case -ENOTCONN:
	case -ETIMEDOUT:
	case -EHOSTUNREACH:
	case -ENETUNREACH:
		return -EPIPE;
	case -ENOBUFS:
		return -ENOMEM;
	default:
		return r;
	}
}

ssize_t
mpr_socket_send(int fd, const struct iovec *parts, size_t n, bool block)
{
	const struct msghdr message = {
		.msg_iov = (struct iovec *)(uintptr_t)parts,
		.msg_iovlen = n < IOV_MAX ? n : IOV_MAX,
	};
	int flags = MSG_NOSIGNAL | (block ? 0 : MSG_DONTWAIT);
	ssize_t sent;

	sent = mpr_fault(MPR_FAULT_SEND) ?
		       -errno :
		       mpr_socket_call_sendmsg(fd, &message, flags);
	return sent < 0 ? mpr_socket_failed(sent) : sent;
}

void
mpr_socket_expect_life(int fd)
{
	int on = 1, idle = 20, every = 10, times = 4, silence = 60000;

	/* Those of one machine are told by the kernel, and take none of these. */
	if (setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle)) < 0)
		return;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof(every));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &times, sizeof(times));
	/* What was sent, and is not acknowledged. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence,
			 sizeof(silence));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

int
mpr_socket_pair(int ret_fds[2])
{
	int r = mpr_fault(MPR_FAULT_SOCKET) ?
			-1 :
			socketpair(AF_UNIX, FLAGS, 0, ret_fds);

	return r < 0 ? -errno : mpr_fds_pair_above_stdio(ret_fds);
}

int
mpr_socket_send_fd(int fd, int sent, unsigned char byte)
{
	struct iovec part = { &byte, 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	MPR_RIGHTS_ROOM(1) room;
	ssize_t n;

	mpr_rights_put(&message, &room, &sent, 1);
	n = mpr_fault(MPR_FAULT_SEND) ?
		    -errno :
		    mpr_socket_call_sendmsg(fd, &message,
					    MSG_NOSIGNAL | MSG_DONTWAIT);
	return n < 0 ? (int)mpr_socket_failed(n) : 0;
}

int
mpr_socket_peek_fd(int fd)
{
	/* One byte more: a look ends at the byte with a descriptor, but one that has
	 * all its bytes goes on to see whether the next one has. */
	char bytes[2];
	struct iovec part = { bytes, sizeof(bytes) };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	ssize_t n;

	n = mpr_fault(MPR_FAULT_RECEIVE) ?
		    -errno :
		    mpr_socket_call_recvmsg(fd, &message,
					    MSG_PEEK | MSG_DONTWAIT);
	if (n <= 0)
		return n == 0 ? -EPIPE : (int)mpr_socket_failed(n);
	/* There is no room for it in this call, so none is made. */
	return n == 1 && message.msg_flags & MSG_CTRUNC;
}

int
mpr_socket_take_fd(struct msghdr *message)
{
	bool more = message->msg_flags & MSG_CTRUNC;
	int fd;

	if (!mpr_rights_take(message, &fd, 1))
		return more ? MPR_SOCKET_LOST_FD : MPR_SOCKET_NO_FD;
	if (more) {
		mpr_fds_close(fd);
		return MPR_SOCKET_MANY_FDS;
	}
	fd = mpr_fds_above_stdio(fd);
	return fd < 0 ? MPR_SOCKET_LOST_FD : fd;
}

void
mpr_socket_hang_up(int fd)
{
	(void)shutdown(fd, SHUT_RDWR);
}

int
mpr_socket_peer(int fd, uid_t *ret_uid, pid_t *ret_pid)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -errno;
	*ret_uid = peer.uid;
	*ret_pid = peer.pid;
	return 0;
}

bool
mpr_socket_trusts(uid_t uid)
{
	return uid == geteuid() || uid == 0;
}
