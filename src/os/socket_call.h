/* SPDX-License-Identifier: MIT */
/*
 * The calls of the kernel that move a message of a connection. They return what it
 * does: how many bytes, or a negative error. For os/ only.
 *
 * In the C library they are cancellation points. To forbid that around each of them
 * takes as long as all else that is done for a short message, so they go to the kernel
 * directly. ThreadSanitizer, which has to see who hears of what through a socket, sees
 * the C library's.
 */
#ifndef MPR_OS_SOCKET_CALL_H
#define MPR_OS_SOCKET_CALL_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "base/macros.h"
#include "os/syscall_arch.h"
#include "os/thread.h"

/* Some have one number for all calls of sockets. */
#if !defined(MPR_THREAD_SANITIZER) && defined(SYS_sendto) && \
	defined(SYS_recvfrom) && defined(SYS_sendmsg) && defined(SYS_recvmsg)

static MPR_INLINE ssize_t
mpr_socket_call_send(int fd, const void *bytes, size_t n, int flags)
{
	return mpr_syscall_6(SYS_sendto, fd, (long)(uintptr_t)bytes, (long)n,
			     flags, 0, 0);
}

static MPR_INLINE ssize_t
mpr_socket_call_sendmsg(int fd, const struct msghdr *message, int flags)
{
	return mpr_syscall_6(SYS_sendmsg, fd, (long)(uintptr_t)message, flags,
			     0, 0, 0);
}

static MPR_INLINE ssize_t
mpr_socket_call_recv(int fd, void *to, size_t n, int flags)
{
	return mpr_syscall_6(SYS_recvfrom, fd, (long)(uintptr_t)to, (long)n,
			     flags, 0, 0);
}

static MPR_INLINE ssize_t
mpr_socket_call_recvmsg(int fd, struct msghdr *message, int flags)
{
	return mpr_syscall_6(SYS_recvmsg, fd, (long)(uintptr_t)message, flags,
			     0, 0, 0);
}

#else

static inline ssize_t
mpr_socket_called(ssize_t n, int before)
{
	if (n < 0)
		n = -errno;
	mpr_thread_allow_cancel(before);
	return n;
}

static MPR_INLINE ssize_t
mpr_socket_call_send(int fd, const void *bytes, size_t n, int flags)
{
	int before = mpr_thread_forbid_cancel();

	return mpr_socket_called(send(fd, bytes, n, flags), before);
}

static MPR_INLINE ssize_t
mpr_socket_call_sendmsg(int fd, const struct msghdr *message, int flags)
{
	int before = mpr_thread_forbid_cancel();

	return mpr_socket_called(sendmsg(fd, message, flags), before);
}

static MPR_INLINE ssize_t
mpr_socket_call_recv(int fd, void *to, size_t n, int flags)
{
	int before = mpr_thread_forbid_cancel();

	return mpr_socket_called(recv(fd, to, n, flags), before);
}

static MPR_INLINE ssize_t
mpr_socket_call_recvmsg(int fd, struct msghdr *message, int flags)
{
	int before = mpr_thread_forbid_cancel();

	return mpr_socket_called(recvmsg(fd, message, flags), before);
}

#endif
#endif
