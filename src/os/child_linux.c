/* SPDX-License-Identifier: MIT */
/*
 * pidfds name one process for ever: no signal and no wait reaches another that
 * got its id. Kernels before 5.3 and some sandboxes have none; there the start
 * time tells a child that is not ours to reap from one that got its id, and its
 * end is found by looking.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "base/macros.h"
#include "os/child.h"
#include "os/clock.h"
#include "os/fds.h"
#include "os/generation.h"
#include "os/interrupt.h"
#include "os/syscall_arch.h"
#include "os/task.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

/* The calling thread is in the function below. What the program forks itself, maybe in
 * a signal handler, takes no lock. */
static MPR_THREAD_LOCAL bool forking;

MPR_CHILD_DATA static _Atomic(void (*)(void)) at_fork;

void
mpr_child_at_fork(void (*fn)(void))
{
	atomic_store(&at_fork, fn);
}

static void
before_fork(void)
{
	if (forking)
		mpr_fork_lock();
}

static void
after_fork(void)
{
	if (forking)
		mpr_fork_unlock();
}

MPR_CHILD_PATH static void
after_fork_in_child(void)
{
	void (*fn)(void) = atomic_load(&at_fork);

	if (forking)
		mpr_fork_lock_forget();
	if (fn)
		fn();
}

/* The program's functions of that kind may take locks under which it closes ends of
 * pipes: the lock is taken behind theirs, which were registered later, and given back
 * first. Without memory for it a child may have a copy too many. */
MPR_CONSTRUCTOR static void
watch_forks(void)
{
	(void)pthread_atfork(before_fork, after_fork, after_fork_in_child);
}

MPR_CHILD_PATH pid_t
mpr_child_fork(void)
{
	pid_t pid;

	forking = true;
	pid = mpr_fault(MPR_FAULT_FORK) ? -1 : fork();
	forking = false;
	return pid < 0 ? -errno : pid;
}

/* Ours, since we were started; only a started process has the handler. */
MPR_CHILD_DATA static pid_t followed;
MPR_CHILD_DATA static bool outlives;
MPR_CHILD_DATA static bool fostered; /* whose thread ends is nobody who knows of us */
MPR_CHILD_DATA static bool looks; /* by the timer */
static timer_t timer;
MPR_CHILD_DATA static _Atomic bool forker_ended;

static void
on_parent_death(int signal, siginfo_t *info, void *unused)
{
	bool gone = getppid() != followed;

	(void)signal;
	(void)unused;
	if (gone && !outlives)
		_exit(128 + SIGKILL);
	/* The kernel sends it in the name of the thread that ends. */
	if (gone || (!fostered && info->si_code == SI_USER &&
		     info->si_pid == followed))
		forker_ended = true;
}

MPR_CHILD_PATH bool
mpr_child_forker_ended(void)
{
	return forker_ended;
}

MPR_IMAGE_PATH void
mpr_child_bond(struct mpr_child_bond *ret_bond)
{
	sigset_t mask;

	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	*ret_bond = (struct mpr_child_bond){
		.parent = getpid(),
		.signal = MPR_CHILD_ORPHANED,
		.blocked = sigismember(&mask, MPR_CHILD_ORPHANED) == 1,
	};
}

/* Where the kernel refuses to tell us of our parent's death, as a sandbox may
 * have it, the same handler looks for itself. */
static bool
look_every_second(int signal)
{
	struct sigevent event = {
		.sigev_notify = SIGEV_SIGNAL,
		.sigev_signo = signal,
	};
	const struct itimerspec every = {
		.it_interval.tv_sec = 1,
		.it_value.tv_sec = 1,
	};

	looks = !mpr_fault(MPR_FAULT_FOLLOW) &&
		timer_create(CLOCK_MONOTONIC, &event, &timer) == 0;
	return looks && timer_settime(timer, 0, &every, NULL) == 0;
}

MPR_CHILD_PATH void
mpr_child_follow(const struct mpr_child_bond *bond)
{
	struct sigaction action = {
		.sa_sigaction = on_parent_death,
		.sa_flags = SA_RESTART | SA_SIGINFO,
	};
	sigset_t mask;

	followed = bond->parent;
	outlives = bond->outlives;
	fostered = bond->fostered;
	/* A spare follows twice; what a forked child finds here is not its own, and
	 * names no timer that it has. */
	if (mpr_unlikely(looks))
		timer_delete(timer);
	looks = false;
	forker_ended = false; /* whoever forked our parent */
	sigaction(bond->signal, &action, NULL);
	if (bond->blocked) {
		sigemptyset(&mask);
		sigaddset(&mask, bond->signal);
		pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
	}
	/* Where we can have neither signal, we must not run, as we would outlive
	 * it. */
	if ((mpr_fault(MPR_FAULT_FOLLOW) ||
	     mpr_syscall(SYS_prctl, PR_SET_PDEATHSIG, bond->signal) < 0) &&
	    !look_every_second(bond->signal))
		_exit(128 + SIGKILL);
	/* It may have died before we asked to be told. */
	if (mpr_syscall(SYS_getppid, 0, 0) == bond->parent)
		return;
	if (!outlives)
		_exit(128 + SIGKILL);
	forker_ended = true;
}

void
mpr_child_unfollow(void)
{
	if (looks)
		timer_delete(timer);
	else
		syscall(SYS_prctl, PR_SET_PDEATHSIG, 0, 0, 0, 0);
}

bool
mpr_child_has_parent(pid_t parent)
{
	return getppid() == parent;
}

MPR_CHILD_PATH noreturn void
mpr_child_exit(int code)
{
	_exit(code);
}

MPR_CHILD_PATH void
mpr_child_show_name(const char *name)
{
	mpr_syscall(SYS_prctl, PR_SET_NAME, (long)(uintptr_t)name);
}

int
mpr_child_enter(const char *directory)
{
	return mpr_fault(MPR_FAULT_CHDIR) || chdir(directory) < 0 ? -errno : 0;
}

int
mpr_child_join_group(pid_t group)
{
	return setpgid(0, group) < 0 ? -errno : 0;
}

int
mpr_child_be_nice(int value)
{
	return setpriority(PRIO_PROCESS, 0, value) < 0 ? -errno : 0;
}

static rlim_t
to_limit(uint64_t value)
{
	return value == UINT64_MAX ? RLIM_INFINITY : (rlim_t)value;
}

int
mpr_child_limit(int resource, uint64_t soft, uint64_t hard)
{
	const struct rlimit limits = { .rlim_cur = to_limit(soft),
				       .rlim_max = to_limit(hard) };

	return setrlimit((enum __rlimit_resource)resource, &limits) < 0 ?
		       -errno : 0;
}

int
mpr_child_environment(const char *const *env)
{
	size_t n = 0, bytes = 0, len;
	char **copy, *text;

	for (; env[n]; n++)
		bytes += strlen(env[n]) + 1;
	/* One piece, which the process keeps: pointers, then strings. */
	copy = mpr_malloc((n + 1) * sizeof(*copy) + bytes);
	if (!copy)
		return -ENOMEM;
	text = (char *)(copy + n + 1);
	for (size_t i = 0; i < n; i++) {
		len = strlen(env[i]) + 1;
		copy[i] = memcpy(text, env[i], len);
		text += len;
	}
	copy[n] = NULL;
	environ = copy;
	return 0;
}

MPR_CHILD_PATH int
mpr_child_open(struct mpr_child *ret_c, pid_t pid)
{
	long fd = mpr_fault(MPR_FAULT_PIDFD) ? -1 :
					       syscall(SYS_pidfd_open, pid, 0);

	*ret_c = (struct mpr_child){ .pid = pid, .fd = (int)fd };
	if (fd >= 0) {
		fd = mpr_fds_above_stdio((int)fd);
		ret_c->fd = fd >= 0 ? (int)fd : -1;
		return fd >= 0 ? 0 : (int)fd;
	}
	if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
		return -errno;
	/* Where someone has reaped it already, the id names no child of ours:
	 * whoever has it now has not started as early as that. */
	ret_c->start_time = errno == ESRCH ? 1 : mpr_task_start_time(pid);
	return 0;
}

MPR_CHILD_PATH void
mpr_child_know(struct mpr_child *ret_c, pid_t pid)
{
	*ret_c = (struct mpr_child){ .pid = pid, .fd = -1 };
}

int
mpr_child_adopt(struct mpr_child *ret_c, pid_t pid, int fd)
{
	fd = mpr_fds_above_stdio(fd);
	if (fd < 0)
		return fd;
	*ret_c = (struct mpr_child){ .pid = pid, .fd = fd };
	return 0;
}

MPR_CHILD_PATH void
mpr_child_close(struct mpr_child *c)
{
	int saved;

	if (c->fd < 0)
		return;
	saved = errno;
	mpr_fds_close(c->fd);
	c->fd = -1;
	errno = saved;
}

MPR_CHILD_PATH void
mpr_child_listen(void (*fn)(int signal), struct mpr_child_ears *ret_ears)
{
	struct sigaction action = { .sa_handler = fn, .sa_flags = SA_RESTART };
	sigset_t others, mask;

	sigfillset(&others);
	sigdelset(&others, MPR_CHILD_ORPHANED);
	sigdelset(&others, SIGABRT);
	sigdelset(&others, SIGBUS);
	sigdelset(&others, SIGFPE);
	sigdelset(&others, SIGILL);
	sigdelset(&others, SIGSEGV);
	sigdelset(&others, SIGSYS);
	sigdelset(&others, SIGTRAP);
	pthread_sigmask(SIG_BLOCK, &others, &ret_ears->mask);
	sigfillset(&action.sa_mask);
	sigaction(SIGCHLD, &action, &ret_ears->before[0]);
	sigaction(SIGTERM, &action, &ret_ears->before[1]);
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigaddset(&mask, SIGTERM);
	pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
}

MPR_CHILD_PATH void
mpr_child_unlisten(const struct mpr_child_ears *ears)
{
	sigaction(SIGCHLD, &ears->before[0], NULL);
	sigaction(SIGTERM, &ears->before[1], NULL);
	pthread_sigmask(SIG_SETMASK, &ears->mask, NULL);
}

#define PAUSE_MAX 64 /* ms */

int
mpr_child_pause(int64_t deadline, unsigned tries)
{
	unsigned ms = tries < 1 ? 1 : tries > PAUSE_MAX ? PAUSE_MAX : tries;
	int64_t now = mproc_now(), ns = (int64_t)ms * 1000000;
	struct timespec time = { 0 };

	if (ns > deadline - now)
		ns = deadline > now ? deadline - now : 0;
	time.tv_nsec = (long)ns;
	ppoll(NULL, 0, &time, NULL);
	return mproc_now() >= deadline ? -ETIMEDOUT : 0;
}

struct pollfd
mpr_child_poll(const struct mpr_child *c)
{
	return (struct pollfd){ .fd = c->fd, .events = POLLIN };
}

struct pollfd
mpr_child_poll_none(void)
{
	return (struct pollfd){ .fd = -1 };
}

static bool
can_poll(const struct pollfd *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (fds[i].fd < 0 && fds[i].events)
			return false;
	return true;
}

int
mpr_child_wait(struct pollfd *fds, unsigned n, int64_t deadline, unsigned tries)
{
	int r = -EBADF;

	/* A number may be another's by now: look at it again and again. */
	if (can_poll(fds, n))
		r = mpr_interrupt_poll(fds, n, deadline);
	if (r != -EBADF)
		return r;
	r = mpr_child_pause(deadline, tries);
	for (unsigned i = 0; i < n; i++)
		fds[i].revents = fds[i].events;
	return r;
}

/* What can be seen of a child without waiting for it. */
static enum mpr_task_state
state_of(const struct mpr_child *c)
{
	struct pollfd pfd = { .fd = c->fd, .events = POLLIN };
	struct timespec now = { 0 };

	/* A pidfd says POLLIN or nothing; whatever else is somebody else's. */
	if (c->fd >= 0 && ppoll(&pfd, 1, &now, NULL) >= 0 &&
	    (!pfd.revents || pfd.revents & POLLIN))
		return pfd.revents ? MPR_TASK_GONE : MPR_TASK_RUNS;
	return mpr_task_probe(c->pid, c->start_time);
}

bool
mpr_child_is_gone(const struct mpr_child *c)
{
	switch (state_of(c)) {
	case MPR_TASK_GONE:
		return true;
	case MPR_TASK_RUNS:
		return false;
	case MPR_TASK_UNKNOWN:
		break;
	}
	return kill(c->pid, 0) < 0 && errno == ESRCH;
}

static int64_t
to_ns(const struct timeval *t)
{
	return (int64_t)t->tv_sec * 1000000000 + (int64_t)t->tv_usec * 1000;
}

static void
note_usage(struct mpr_child_end *end, const struct rusage *usage)
{
	end->user_ns = to_ns(&usage->ru_utime);
	end->system_ns = to_ns(&usage->ru_stime);
	end->max_rss = (int64_t)usage->ru_maxrss * 1024;
}

/* Not waitid(3), which has no way to ask for the usage. */
MPR_CHILD_PATH static int
wait_for(int type, int id, siginfo_t *info, int options, struct rusage *usage)
{
	long r;

	do {
		info->si_pid = 0;
		r = mpr_fault(MPR_FAULT_WAITID) ? -1 :
			    syscall(SYS_waitid, type, id, info,
				    WEXITED | WNOHANG | options, usage);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

/*
 * Whether @c is a child of ours that nobody has reaped. Then the id is its own,
 * and it can be waited for and signalled by it, whatever has become of the
 * pidfd. Returns 0 if it has ended, -EAGAIN if it runs, -ECHILD if it is no
 * child of ours any more; then, says the pidfd, the id may be another's. Another
 * error if the question is refused.
 */
static int
find(const struct mpr_child *c)
{
	siginfo_t info;
	uint64_t start_time;
	int r;

	if (c->fd >= 0) {
		r = wait_for(P_PIDFD, c->fd, &info, WNOWAIT, NULL);
		if (r == -ECHILD || (r == 0 && info.si_pid == c->pid))
			return r;
	}
	/* It runs, or the descriptor is another one by now. */
	r = wait_for(P_PID, c->pid, &info, WNOWAIT, NULL);
	if (r < 0)
		return r;
	if (c->fd < 0 && c->start_time) {
		/* The program's, that got the id of ours. */
		start_time = mpr_task_start_time(c->pid);
		if (start_time && start_time != c->start_time)
			return -ECHILD;
	}
	return info.si_pid == c->pid ? 0 : -EAGAIN;
}

/* Of what is no pidfd, or one of our own children's, the answer is another one. */
MPR_CHILD_PATH void
mpr_child_close_copy(int fd)
{
	siginfo_t info;

	if (wait_for(P_PIDFD, fd, &info, WNOWAIT, NULL) == -ECHILD)
		mpr_fds_close(fd);
}

bool
mpr_child_is_ours(const struct mpr_child *c)
{
	int r = find(c);

	return r == 0 || r == -EAGAIN;
}

/* Where a sandbox refuses waitid(2). Whether the id is still the child's is not
 * so sure: it is asked first whether the child runs. Where nothing can be said,
 * a zombie would never be seen to be one. */
static int
reap_without_waitid(const struct mpr_child *c, struct mpr_child_end *ret_end)
{
	struct rusage usage;
	int status;
	pid_t pid;

	if (state_of(c) == MPR_TASK_RUNS)
		return -EAGAIN;
	do {
		pid = wait4(c->pid, &status, WNOHANG, &usage);
	} while (pid < 0 && errno == EINTR);
	if (pid <= 0)
		return pid == 0 ? -EAGAIN : -ECHILD;
	*ret_end = (struct mpr_child_end){
		.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
		.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
		.core = WIFSIGNALED(status) && WCOREDUMP(status),
	};
	note_usage(ret_end, &usage);
	return 0;
}

int
mpr_child_reap(const struct mpr_child *c, struct mpr_child_end *ret_end)
{
	struct rusage usage;
	siginfo_t info;
	int r;

	r = find(c);
	if (r == 0)
		r = wait_for(P_PID, c->pid, &info, 0, &usage);
	if (r < 0)
		return r == -EAGAIN || r == -ECHILD ?
			       r : reap_without_waitid(c, ret_end);
	if (info.si_pid == 0)
		return -EAGAIN;
	*ret_end = (struct mpr_child_end){
		.code = info.si_code == CLD_EXITED ? info.si_status : -1,
		.signal = info.si_code == CLD_EXITED ? 0 : info.si_status,
		.core = info.si_code == CLD_DUMPED,
	};
	note_usage(ret_end, &usage);
	return 0;
}

void
mpr_child_reap_blocking(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

int
mpr_child_signal(const struct mpr_child *c, int signal)
{
	int r;

	if (signal < 0 || signal > SIGRTMAX)
		return -EINVAL;
	/* If it has ended there is nothing to do; if it is not ours to reap,
	 * only the pidfd is sure not to name a stranger. */
	r = find(c);
	if (r == 0)
		return 0;
	if (r == -EAGAIN ||
	    (r != -ECHILD && c->fd < 0 && !mpr_child_is_gone(c))) {
		r = mpr_fault(MPR_FAULT_KILL) ? -1 : kill(c->pid, signal);
		/* With SIGCHLD ignored it may have gone since we looked. */
		return r == 0 || errno == ESRCH ? 0 : -errno;
	}
	if (c->fd < 0 || mpr_child_is_gone(c) ||
	    syscall(SYS_pidfd_send_signal, c->fd, signal, NULL, 0) == 0)
		return 0;
	return errno == ESRCH || errno == EBADF ? 0 : -errno;
}

MPR_CHILD_PATH void *
mpr_child_pages(size_t size)
{
	void *pages = mpr_fault(MPR_FAULT_MMAP) ? MAP_FAILED :
		      mmap(NULL, size, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (pages == MAP_FAILED)
		return NULL;
	/* A dump would fault in all of it. Kernels without this have larger
	 * dumps. */
	if (!mpr_fault(MPR_FAULT_MADVISE))
		(void)madvise(pages, size, MADV_DONTDUMP);
	return pages;
}

void
mpr_child_pages_free(void *pages, size_t size)
{
	munmap(pages, size);
}
