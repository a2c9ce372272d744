/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>

#include "base/fault.h"
#include "os/fds.h"
#include "os/gather.h"

int
mpr_gather_open(void)
{
	int fd = mpr_fault(MPR_FAULT_DUP) ? -1 : epoll_create1(EPOLL_CLOEXEC);

	return fd < 0 ? -errno : mpr_fds_above_stdio(fd);
}

int
mpr_gather_add(int gather, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(gather, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

void
mpr_gather_drop(int gather, int fd)
{
	(void)epoll_ctl(gather, EPOLL_CTL_DEL, fd, NULL);
}
