/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/courier.h"
#include "os/fds.h"
#include "os/rights.h"

typedef MPR_RIGHTS_ROOM(MPR_COURIER_FDS) rights;

int
mpr_courier_pair(int ret_fds[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_fds) < 0)
		return -errno;
	return mpr_fds_pair_above_stdio(ret_fds);
}

int
mpr_courier_send(int fd, const void *message, size_t len, const int *fds, int n)
{
	struct iovec part = { (void *)(uintptr_t)message, len };
	struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };
	rights room;
	ssize_t sent;

	if (n)
		mpr_rights_put(&header, &room, fds, (size_t)n);
	do
		sent = sendmsg(fd, &header, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent >= 0)
		return 0;
	return errno == ECONNRESET || errno == ENOTCONN ? -EPIPE : -errno;
}

bool
mpr_courier_await(int fd, int ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, ms) > 0;
}

bool
mpr_courier_await_beside(int fd, int life)
{
	struct pollfd fds[2] = { { .fd = fd, .events = POLLIN },
				 { .fd = life, .events = POLLIN } };
	int r;

	do
		r = poll(fds, 2, -1);
	while (r < 0 && errno == EINTR);
	/* What cannot be polled can be waited for. */
	return r < 0 || fds[0].revents;
}

static int
receive(int fd, void *message, size_t len, int *ret_fds, int flags)
{
	struct iovec part = { message, len };
	struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };
	rights room;
	ssize_t got;
	int n;

	mpr_rights_expect(&header, &room, MPR_COURIER_FDS);
	do
		got = recvmsg(fd, &header, MSG_CMSG_CLOEXEC | flags);
	while (got < 0 && errno == EINTR);
	if (got <= 0)
		return got == 0 || errno == ECONNRESET ? -EPIPE : -errno;
	n = (int)mpr_rights_take(&header, ret_fds, MPR_COURIER_FDS);
	if ((size_t)got == len && !(header.msg_flags & MSG_TRUNC))
		return n;
	while (n > 0)
		close(ret_fds[--n]);
	return -EMSGSIZE;
}

int
mpr_courier_receive(int fd, void *message, size_t len, int *ret_fds)
{
	return receive(fd, message, len, ret_fds, 0);
}

int
mpr_courier_take(int fd, void *message, size_t len, int *ret_fds)
{
	return receive(fd, message, len, ret_fds, MSG_DONTWAIT);
}
