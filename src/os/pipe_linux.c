/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "os/fds.h"
#include "os/pipe.h"
#include "os/thread.h"

int
mpr_pipe_open(int ret_fds[2])
{
	int r;

	if (mpr_fault(MPR_FAULT_DUP) || pipe2(ret_fds, O_CLOEXEC) < 0)
		return -errno;
	r = mpr_fds_pair_above_stdio(ret_fds);
	if (r == 0)
		(void)fcntl(ret_fds[0], F_SETFL, O_NONBLOCK);
	return r;
}

int
mpr_pipe_read(int fd, char *buf, size_t size)
{
	int before = mpr_thread_forbid_cancel();
	ssize_t n;

	do
		n = read(fd, buf, size < INT_MAX ? size : INT_MAX);
	while (n < 0 && errno == EINTR);
	mpr_thread_allow_cancel(before);
	return n < 0 ? -errno : (int)n;
}

int
mpr_pipe_held(int fd)
{
	int n = 0;

	return ioctl(fd, FIONREAD, &n) < 0 ? 0 : n;
}

void
mpr_pipe_wait(struct pollfd *fds, unsigned n, int ms)
{
	const struct timespec time = { .tv_sec = ms / 1000,
				       .tv_nsec = ms % 1000 * 1000000L };
	int before = mpr_thread_forbid_cancel();

	(void)ppoll(fds, n, &time, NULL);
	mpr_thread_allow_cancel(before);
}
