/* SPDX-License-Identifier: MIT */
/*
 * pidfds name one process for ever: no signal and no wait reaches another that
 * got its id.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
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
	/* Both by the same function: see struct mpr_child_bond. */
	syscall(SYS_prctl, PR_SET_PDEATHSIG, bond->signal, 0, 0, 0);
	/* It may have died before we asked to be told. */
	if (syscall(SYS_getppid) != bond->parent)
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

static struct timespec
until(int64_t deadline, int64_t at_most)
{
	int64_t now = mproc_now();
	int64_t ns = deadline > now ? deadline - now : 0;

	if (ns > at_most)
		ns = at_most;
	return (struct timespec){ .tv_sec = (time_t)(ns / 1000000000),
				  .tv_nsec = (long)(ns % 1000000000) };
}

int
mpr_child_pause(int64_t deadline)
{
	struct timespec time = until(deadline, 1000000);

	ppoll(NULL, 0, &time, NULL);
	return mproc_now() >= deadline ? -ETIMEDOUT : 0;
}

int
mpr_child_wait(int fd, int64_t deadline)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	struct timespec time;
	int r;

	do {
		/* The number may be another's by now: look at it again. */
		time = until(deadline, 1000000000);
		r = ppoll(&pfd, 1, &time, NULL);
	} while (r < 0 && errno == EINTR);
	if (r == 0)
		return mproc_now() >= deadline ? -ETIMEDOUT : 0;
	if (r < 0 || !(pfd.revents & POLLIN))
		return mpr_child_pause(deadline);
	return 0;
}

bool
mpr_child_is_gone(int fd, pid_t pid)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	struct timespec now = { 0 };

	if (ppoll(&pfd, 1, &now, NULL) >= 0 && !(pfd.revents & POLLNVAL))
		return pfd.revents & POLLIN;
	return kill(pid, 0) < 0 && errno == ESRCH;
}

static int64_t
to_ns(const struct timeval *t)
{
	return (int64_t)t->tv_sec * 1000000000 + (int64_t)t->tv_usec * 1000;
}

/* Not waitid(3), which has no way to ask for the usage. */
static int
wait_for(int type, int id, siginfo_t *info, int options, struct rusage *usage)
{
	long r;

	do {
		info->si_pid = 0;
		r = syscall(SYS_waitid, type, id, info,
			    WEXITED | WNOHANG | options, usage);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

/*
 * Whether @pid is a child of ours that nobody has reaped. Then the id is its
 * own, and it can be waited for and signalled by it, whatever has become of
 * the pidfd. Returns 0 if it has ended, -EAGAIN if it runs, -ECHILD if it is
 * no child of ours any more; then, says the pidfd, the id may be another's.
 */
static int
find(int fd, pid_t pid)
{
	siginfo_t info, other;
	int r = wait_for(P_PID, pid, &info, WNOWAIT, NULL);

	if (r < 0 || wait_for(P_PIDFD, fd, &other, WNOWAIT, NULL) == -ECHILD)
		return -ECHILD;
	return info.si_pid == pid ? 0 : -EAGAIN;
}

int
mpr_child_reap(int fd, pid_t pid, struct mpr_child_end *ret_end)
{
	struct rusage usage;
	siginfo_t info;
	int r;

	r = find(fd, pid);
	if (r < 0)
		return r;
	if (wait_for(P_PID, pid, &info, 0, &usage) < 0)
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
send_signal(int fd, pid_t pid, int signal)
{
	/* If it has ended there is nothing to do; if it is not ours to reap,
	 * only the pidfd is sure not to name a stranger. */
	switch (find(fd, pid)) {
	case 0:
		return 0;
	case -EAGAIN:
		return kill(pid, signal) == 0 ? 0 : -errno;
	}
	if (mpr_child_is_gone(fd, pid) ||
	    syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0) == 0)
		return 0;
	return errno == ESRCH || errno == EBADF ? 0 : -errno;
}

int
mpr_child_terminate(int fd, pid_t pid)
{
	return send_signal(fd, pid, SIGTERM);
}

int
mpr_child_kill(int fd, pid_t pid)
{
	return send_signal(fd, pid, SIGKILL);
}

void *
mpr_child_page(void)
{
	void *page = mmap(NULL, MPR_CHILD_PAGE, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? NULL : page;
}
