/* SPDX-License-Identifier: MIT */
/*
 * Eventfds. Not by write(2) and close(2), at which a thread may be cancelled;
 * and not by eventfd(2) then either, or ThreadSanitizer would take one that was
 * closed and opened again for the same.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fault.h"
#include "os/fds.h"
#include "os/waker.h"

int
mpr_waker_open(void)
{
	long fd = mpr_fault(MPR_FAULT_EVENTFD) ? -1 :
		  syscall(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? -errno : mpr_fds_above_stdio((int)fd);
}

/* Whether it is ours still: what has no name has no type either. */
static bool
is_nameless(int fd)
{
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == 0;
}

void
mpr_waker_wake(int fd)
{
	const uint64_t one = 1;
	int saved = errno;

	/* That one who is woken already cannot be woken more is no error. */
	if (is_nameless(fd))
		syscall(SYS_write, fd, &one, sizeof(one));
	errno = saved;
}

void
mpr_waker_close(int fd)
{
	int saved = errno;

	if (is_nameless(fd))
		syscall(SYS_close, fd);
	errno = saved;
}
