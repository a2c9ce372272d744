/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <stdalign.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/courier.h"
#include "os/fds.h"

/* What comes along with a message. */
union control {
	alignas(struct cmsghdr) char
		bytes[CMSG_SPACE(MPR_COURIER_FDS * sizeof(int))];
};

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
	size_t bytes = (size_t)n * sizeof(*fds);
	union control control = { { 0 } };
	struct iovec part = { (void *)(uintptr_t)message, len };
	struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };
	struct cmsghdr *c;
	ssize_t sent;

	if (n) {
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(bytes);
		c = CMSG_FIRSTHDR(&header);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(bytes);
		memcpy(CMSG_DATA(c), fds, bytes);
	}
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

/* Returns how many there are; all of them, as the buffer may have room for more. */
static int
take_fds(struct msghdr *header, int *ret_fds)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(header);
	size_t n;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return 0;
	n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	if (n > MPR_COURIER_FDS)
		n = MPR_COURIER_FDS;
	memcpy(ret_fds, CMSG_DATA(c), n * sizeof(int));
	return (int)n;
}

int
mpr_courier_receive(int fd, void *message, size_t len, int *ret_fds)
{
	union control control;
	struct iovec part = { message, len };
	struct msghdr header = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t got;
	int n;

	do
		got = recvmsg(fd, &header, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got <= 0)
		return got == 0 || errno == ECONNRESET ? -EPIPE : -errno;
	n = take_fds(&header, ret_fds);
	if ((size_t)got == len && !(header.msg_flags & MSG_TRUNC))
		return n;
	while (n > 0)
		close(ret_fds[--n]);
	return -EMSGSIZE;
}
