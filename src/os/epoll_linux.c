/* SPDX-License-Identifier: MIT */
/*
 * Not by close(2) and epoll_wait(2), at which a thread may be cancelled; and not by
 * epoll_create1(2) then either, as in waker_linux.c. Ours bear a mark as the wakers do,
 * and another one than they.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fault.h"
#include "os/epoll.h"
#include "os/fds.h"

#define MARK SIGSTKFLT

/* poll(2) and epoll(7) mean the same by the same bits. */
#define BITS (POLLIN | POLLPRI | POLLOUT | POLLERR | POLLHUP | POLLRDNORM | \
	      POLLRDBAND | POLLWRNORM | POLLWRBAND | POLLRDHUP)

static_assert(POLLIN == EPOLLIN && POLLPRI == EPOLLPRI &&
		       POLLOUT == EPOLLOUT && POLLERR == EPOLLERR &&
		       POLLHUP == EPOLLHUP && POLLRDNORM == EPOLLRDNORM &&
		       POLLRDBAND == EPOLLRDBAND && POLLWRNORM == EPOLLWRNORM &&
		       POLLWRBAND == EPOLLWRBAND && POLLRDHUP == EPOLLRDHUP,
	       "the kernel's");

int
mpr_epoll_open(void)
{
	long set = mpr_fault(MPR_FAULT_EPOLL) ? -1 :
		   syscall(SYS_epoll_create1, EPOLL_CLOEXEC);
	int r;

	if (set < 0)
		return -errno;
	if (fcntl((int)set, F_SETSIG, MARK) < 0) {
		r = -errno;
		syscall(SYS_close, set);
		return r;
	}
	return mpr_fds_above_stdio((int)set);
}

/* What is ours is marked, and has no name, so that it has no type either. */
static bool
is_ours(int fd)
{
	struct stat st;

	return fcntl(fd, F_GETSIG) == MARK && fstat(fd, &st) == 0 &&
	       (st.st_mode & S_IFMT) == 0;
}

void
mpr_epoll_close(int set)
{
	int saved = errno;

	if (is_ours(set))
		syscall(SYS_close, set);
	errno = saved;
}

int
mpr_epoll_add(int set, int fd, short events, uint64_t id)
{
	struct epoll_event e = {
		.events = (uint32_t)events & BITS,
		.data = { .u64 = id },
	};

	return epoll_ctl(set, EPOLL_CTL_ADD, fd, &e) < 0 ? -errno : 0;
}

void
mpr_epoll_remove(int set, int fd)
{
	int saved = errno;

	epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL);
	errno = saved;
}

int
mpr_epoll_look(int set, struct mpr_epoll_ready *ready, int n, int ms)
{
	struct epoll_event events[MPR_EPOLL_MOST];
	int most = n < MPR_EPOLL_MOST ? n : MPR_EPOLL_MOST;
	long got = syscall(SYS_epoll_pwait, set, events, most, ms, NULL,
			   (size_t)0);

	if (got < 0)
		return errno == EINTR ? 0 : -errno;
	for (long i = 0; i < got; i++)
		ready[i] = (struct mpr_epoll_ready){
			.id = events[i].data.u64,
			.revents = (short)(events[i].events & BITS),
		};
	return (int)got;
}
