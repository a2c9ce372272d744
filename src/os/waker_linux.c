/* SPDX-License-Identifier: MIT */
/*
 * Eventfds. Not by write(2) and close(2), at which a thread may be cancelled;
 * and not by eventfd(2) then either, or ThreadSanitizer would take one that was
 * closed and opened again for the same.
 *
 * The kernel gives all eventfds one inode, and epolls and timers too, so that
 * says nothing of whose they are. Ours bear a mark: the signal for when they are
 * ready, which eventfds never send, so that nobody else chooses one.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fault.h"
#include "os/fds.h"
#include "os/waker.h"

#define MARK SIGPWR

int
mpr_waker_open(void)
{
	long fd = mpr_fault(MPR_FAULT_EVENTFD) ? -1 :
		  syscall(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK);
	int r;

	if (fd < 0)
		return -errno;
	if (fcntl((int)fd, F_SETSIG, MARK) < 0) {
		r = -errno;
		syscall(SYS_close, fd);
		return r;
	}
	return mpr_fds_above_stdio((int)fd);
}

/* What is ours is marked, and has no name, so that it has no type either. */
bool
mpr_waker_is_open(int fd)
{
	struct stat st;

	return fd >= 0 && fcntl(fd, F_GETSIG) == MARK && fstat(fd, &st) == 0 &&
	       (st.st_mode & S_IFMT) == 0;
}

void
mpr_waker_wake(int fd)
{
	const uint64_t one = 1;
	int saved = errno;

	/* That one who is woken already cannot be woken more is no error. */
	if (mpr_waker_is_open(fd))
		syscall(SYS_write, fd, &one, sizeof(one));
	errno = saved;
}

void
mpr_waker_reset(int fd)
{
	int saved = errno;
	uint64_t count;

	if (mpr_waker_is_open(fd))
		syscall(SYS_read, fd, &count, sizeof(count));
	errno = saved;
}

void
mpr_waker_close(int fd)
{
	int saved = errno;

	if (mpr_waker_is_open(fd))
		syscall(SYS_close, fd);
	errno = saved;
}
