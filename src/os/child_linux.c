/* SPDX-License-Identifier: MIT */
/*
 * pidfds name one process for ever: no signal and no wait reaches another that
 * got its id.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "os/child.h"
#include "os/clock.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

pid_t
mpr_child_fork(void)
{
	pid_t pid = fork();

	return pid < 0 ? -errno : pid;
}

/* Ours, since we were started; only a started process has the handler. */
static pid_t followed;

static void
on_parent_death(int signal)
{
	(void)signal;
	if (getppid() != followed)
		_exit(128 + SIGKILL);
}

void
mpr_child_bond(struct mpr_child_bond *ret_bond)
{
	sigset_t mask;

	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	*ret_bond = (struct mpr_child_bond){
		.parent = getpid(),
		.signal = SIGRTMAX,
		.blocked = sigismember(&mask, SIGRTMAX) == 1,
	};
}

void
mpr_child_follow(const struct mpr_child_bond *bond)
{
	struct sigaction action = {
		.sa_handler = on_parent_death,
		.sa_flags = SA_RESTART,
	};
	sigset_t mask;

	followed = bond->parent;
	sigaction(bond->signal, &action, NULL);
	if (bond->blocked) {
		sigemptyset(&mask);
		sigaddset(&mask, bond->signal);
		pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
	}
	prctl(PR_SET_PDEATHSIG, bond->signal);
	/* It may have died before we asked to be told. */
	if (getppid() != bond->parent)
		_exit(128 + SIGKILL);
}

noreturn void
mpr_child_exit(int code)
{
	_exit(code);
}

int
mpr_child_open(pid_t pid)
{
	long fd = syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -errno : (int)fd;
}

void
mpr_child_close(int fd)
{
	int saved = errno;

	close(fd);
	errno = saved;
}

int
mpr_child_wait(int fd, int64_t deadline)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	struct timespec left;
	int64_t now, ns;
	int r;

	for (;;) {
		if (deadline == MPR_NEVER) {
			r = ppoll(&pfd, 1, NULL, NULL);
		} else {
			now = mproc_now();
			ns = deadline > now ? deadline - now : 0;
			left.tv_sec = (time_t)(ns / 1000000000);
			left.tv_nsec = (long)(ns % 1000000000);
			r = ppoll(&pfd, 1, &left, NULL);
		}
		if (r > 0)
			return 0;
		if (r == 0)
			return -ETIMEDOUT;
	}
}

static int64_t
to_ns(const struct timeval *t)
{
	return (int64_t)t->tv_sec * 1000000000 + (int64_t)t->tv_usec * 1000;
}

int
mpr_child_reap(int fd, struct mpr_child_end *ret_end)
{
	struct rusage usage;
	siginfo_t info;
	long r;

	do {
		info.si_pid = 0;
		/* Not waitid(3), which has no way to ask for the usage. */
		r = syscall(SYS_waitid, P_PIDFD, fd, &info, WEXITED | WNOHANG,
			    &usage);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return -ECHILD;
	if (info.si_pid == 0)
		return -EAGAIN;
	*ret_end = (struct mpr_child_end){
		.code = info.si_code == CLD_EXITED ? info.si_status : -1,
		.signal = info.si_code == CLD_EXITED ? 0 : info.si_status,
		.core = info.si_code == CLD_DUMPED,
		.user_ns = to_ns(&usage.ru_utime),
		.system_ns = to_ns(&usage.ru_stime),
		.max_rss = (int64_t)usage.ru_maxrss * 1024,
	};
	return 0;
}

void
mpr_child_reap_blocking(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static int
send_signal(int fd, int signal)
{
	if (syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0) == 0 ||
	    errno == ESRCH)
		return 0;
	return -errno;
}

int
mpr_child_terminate(int fd)
{
	return send_signal(fd, SIGTERM);
}

int
mpr_child_kill(int fd)
{
	return send_signal(fd, SIGKILL);
}

void *
mpr_child_page(void)
{
	void *page = mmap(NULL, MPR_CHILD_PAGE, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? NULL : page;
}
