/* SPDX-License-Identifier: MIT */
/*
 * Stream sockets: of this machine by a path or an abstract name, and TCP. All are
 * closed at exec and lie above 2, and none raises SIGPIPE.
 *
 * Addresses are texts: "unix:/path", "unix:@name" for a name that is no file, and
 * "tcp:host:port", where the host may be in brackets, a name, or empty: all of this
 * machine's.
 */
#ifndef MPR_OS_SOCKET_H
#define MPR_OS_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/fault.h"
#include "base/macros.h"
#include "os/rights.h"
#include "os/socket_call.h"

#define MPR_SOCKET_TEXT 160 /* bytes of an address as text, with a zero */

/* What a listening socket is, besides its descriptor. */
struct mpr_socket_place {
	char address[MPR_SOCKET_TEXT]; /* as it can be connected to */
	bool is_file;
	uint64_t device, inode; /* of the file */
};

/*
 * Listens at @address. @passes_fds as for mpr_socket_connect(). A file gets the
 * permissions @mode whatever the umask, and nobody can connect before it has them. A
 * file that is there is removed if it is a socket of this user's on which nobody
 * listens.
 *
 * Returns the descriptor; -EINVAL, -ENAMETOOLONG if the address is none;
 * -EADDRINUSE; -EADDRNOTAVAIL; -EACCES, -ENOENT, -ENOTDIR, -EROFS, -ENOSPC for the
 * directory; -EHOSTUNREACH if the host's name is not known; -EMFILE, -ENFILE,
 * -ENOMEM. All have a text.
 */
int mpr_socket_listen(const char *address, unsigned mode, int backlog, bool passes_fds,
		      struct mpr_socket_place *ret_place);

/* Removes the file of a listening socket if it is still that one. */
void mpr_socket_remove(const struct mpr_socket_place *place);

/* Returns the descriptor of one who has connected; -EAGAIN if there is none;
 * -EMFILE, -ENFILE, -ENOMEM. */
int mpr_socket_accept(int fd);

/*
 * Connects. Looking up a host's name has its own limits. Unless @passes_fds, no
 * descriptors come over a local socket: who sends one is told so by kernels that can,
 * and otherwise it is closed, but for the byte beside it. Returns the descriptor;
 * -EAGAIN if @deadline is 0 and it cannot be done at once; -ETIMEDOUT; -EINTR after an
 * interrupt; -EINVAL, -ENAMETOOLONG; -ECONNREFUSED, -ENOENT, -EACCES and others as
 * above, with a text.
 */
int mpr_socket_connect(const char *address, bool passes_fds, int64_t deadline);

/* What can be waited for; the end of a connection always is. */
enum {
	MPR_SOCKET_IN = 1,
	MPR_SOCKET_OUT = 4,
	MPR_SOCKET_HUP = 16, /* the other side is gone */
};

/* Waits until @fd is ready. Returns 0; -ETIMEDOUT; -EINTR after an interrupt, which is
 * answered then; -EBADF. */
int mpr_socket_await(int fd, short events, int64_t deadline);

bool mpr_socket_is_ready(int fd, short events);

bool mpr_socket_is_local(const char *address);

/*
 * How long a call that may block does so: most waits are shorter. MPR_SOCKET_SLICE for
 * those of @fd from now on. Returns whether it is so.
 */
#define MPR_SOCKET_SLICE 20000000 /* ns */
bool mpr_socket_slice(int fd);

/* What became of a call for a message that failed with @r. */
ssize_t mpr_socket_failed(ssize_t r);

/* A send and a receive are inline: returning is dear just behind a call of the kernel,
 * which leaves the CPU without an idea of where to. */

/* Returns how many of the @n bytes were sent, at least one, or -EAGAIN, -EPIPE,
 * -ENOMEM. @block: waits for a slice, or until a signal handler has run. */
static MPR_INLINE ssize_t
mpr_socket_send_bytes(int fd, const void *bytes, size_t n, bool block)
{
	int flags = MSG_NOSIGNAL | (block ? 0 : MSG_DONTWAIT);
	ssize_t sent;

	sent = mpr_fault(MPR_FAULT_SEND) ?
		       -errno :
		       mpr_socket_call_send(fd, bytes, n, flags);
	return mpr_likely(sent >= 0) ? sent : mpr_socket_failed(sent);
}

/* The same in @n parts, which take the kernel longer. */
ssize_t mpr_socket_send(int fd, const struct iovec *parts, size_t n, bool block);

/*
 * Returns how many bytes came, at least one; 0 at the end; -EAGAIN; -EPIPE if the
 * connection was broken off. @block: likewise, until all have come.
 */
static MPR_INLINE ssize_t
mpr_socket_receive(int fd, void *buf, size_t size, bool block)
{
	int flags = block ? MSG_WAITALL : MSG_DONTWAIT;
	ssize_t n;

	n = mpr_fault(MPR_FAULT_RECEIVE) ?
		    -errno :
		    mpr_socket_call_recv(fd, buf, size, flags);
	return mpr_likely(n >= 0) ? n : mpr_socket_failed(n);
}

/* The same, but waits for any of them: for a slice. Returns as many as have come. */
static MPR_INLINE ssize_t
mpr_socket_receive_any(int fd, void *buf, size_t size)
{
	ssize_t n;

	n = mpr_fault(MPR_FAULT_RECEIVE) ?
		    -errno :
		    mpr_socket_call_recv(fd, buf, size, 0);
	return mpr_likely(n >= 0) ? n : mpr_socket_failed(n);
}

/* Both directions have come to an end, for all who have it open; the descriptor stays. */
void mpr_socket_hang_up(int fd);

/* Another machine is asked from time to time whether it is there: if not, the connection
 * ends within about a minute. */
void mpr_socket_expect_life(int fd);

/*
 * Local sockets pass descriptors, each beside one byte. One that comes is closed at
 * exec and lies above 2; of several beside the same bytes, all are closed.
 */

/* Makes both ends of a connection. Returns 0, or -EMFILE, -ENFILE, -ENOMEM. */
int mpr_socket_pair(int ret_fds[2]);

/* Sends @sent beside @byte, and does not wait. Returns 0; -EAGAIN; -EPIPE; -EBADF if
 * it is not open; -EINVAL if the kernel does not pass one of its kind; -EPERM if the
 * other side takes none; -ETOOMANYREFS
 * if this user has as many on their way as it may have; -ENOMEM. */
int mpr_socket_send_fd(int fd, int sent, unsigned char byte);

/* Looks, and takes nothing. Returns 1 if a descriptor comes with the next byte, 0 if
 * none does, or -EAGAIN, -EPIPE: also at the end. */
int mpr_socket_peek_fd(int fd);

/* What came beside bytes. */
#define MPR_SOCKET_NO_FD (-1)
#define MPR_SOCKET_LOST_FD (-2)	 /* this process had no room for it */
#define MPR_SOCKET_MANY_FDS (-3) /* and none of them is there */

/* What has come beside the bytes of @message, if something has. */
int mpr_socket_take_fd(struct msghdr *message);

/* As mpr_socket_receive(), up to a byte that has a descriptor with it. */
static MPR_INLINE ssize_t
mpr_socket_receive_fd(int fd, void *buf, size_t size, bool block, int *ret_fd)
{
	int flags = MSG_CMSG_CLOEXEC | (block ? MSG_WAITALL : MSG_DONTWAIT);
	struct iovec part = { buf, size };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	MPR_RIGHTS_ROOM(1) room;
	ssize_t n;

	mpr_rights_expect(&message, &room, 1);
	n = mpr_fault(MPR_FAULT_RECEIVE) ?
		    -errno :
		    mpr_socket_call_recvmsg(fd, &message, flags);
	*ret_fd = MPR_SOCKET_NO_FD;
	if (mpr_unlikely(n < 0))
		return mpr_socket_failed(n);
	if (mpr_unlikely(n > 0 && (message.msg_controllen ||
				   message.msg_flags & MSG_CTRUNC)))
		*ret_fd = mpr_socket_take_fd(&message);
	return n;
}

/* Who has made the other end of a local socket. Returns 0 or a negative error. */
int mpr_socket_peer(int fd, uid_t *ret_uid, pid_t *ret_pid);

/* Whether that is this process's user, or root. */
bool mpr_socket_trusts(uid_t uid);

#endif
