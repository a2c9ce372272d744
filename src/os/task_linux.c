/* SPDX-License-Identifier: MIT */
/*
 * /proc/TID/stat: field 3 is the state, field 20 the number of threads, field 22
 * the start time. A thread's own directory exists although only processes are
 * listed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/single_threaded.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/macros.h"
#include "os/generation.h"
#include "os/syscall_arch.h"
#include "os/task.h"

/* Whether /proc is there and speaks of our own PID namespace. */
static bool
proc_is_ours(void)
{
	char text[24];
	ssize_t n = readlink("/proc/self", text, sizeof(text) - 1);

	if (n <= 0)
		return false;
	text[n] = '\0';
	return strtol(text, NULL, 10) == getpid();
}

struct fields {
	char state;
	uint64_t threads;
	uint64_t start;
};

/* Returns 0 and what a stat file says; -ENOENT if there is no such thread any
 * more; another error if it cannot be read. */
static int
read_fields(const char *path, struct fields *ret)
{
	char text[512], *field;
	ssize_t n;
	int fd;

	fd = mpr_fault(MPR_FAULT_OPEN) ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		n = errno == ESRCH ? 0 : -1;
	close(fd);
	if (n <= 0)
		return n == 0 ? -ENOENT : -ENOSYS;
	text[n] = '\0';
	/* The name, field 2, may hold anything: look for its end from behind. */
	field = strrchr(text, ')');
	if (!field || field[1] != ' ')
		return -ENOSYS;
	field += 2;
	ret->state = *field;
	for (int i = 3; i < 22 && field; i++) {
		if (i == 20)
			ret->threads = strtoull(field, NULL, 10);
		field = strchr(field, ' ');
		if (field)
			field++;
	}
	if (!field)
		return -ENOSYS;
	ret->start = strtoull(field, NULL, 10);
	return 0;
}

/* Returns 0 and what is said of @tid; -ENOENT if there is no such thread;
 * -ENOSYS if nothing can be said: no /proc, no descriptor, not allowed to see
 * it. */
static int
read_stat(pid_t tid, struct fields *ret)
{
	char path[40];
	int r;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)tid);
	r = read_fields(path, ret);
	/* hidepid= hides what exists; kill() does not. */
	if (r == -ENOENT && (kill(tid, 0) == 0 || errno != ESRCH))
		return -ENOSYS;
	return r == 0 || r == -ENOENT ? r : -ENOSYS;
}

uint64_t
mpr_task_start_time(pid_t tid)
{
	struct fields fields;

	return read_stat(tid, &fields) == 0 ? fields.start : 0;
}

uint64_t
mpr_task_own_start_time(void)
{
	struct fields fields;

	return read_fields("/proc/thread-self/stat", &fields) == 0 ?
		       fields.start : 0;
}

static bool
has_ended(const struct fields *fields)
{
	return fields->state == 'Z' || fields->state == 'X';
}

unsigned
mpr_task_threads(void)
{
	struct stat st;

	if (__libc_single_threaded)
		return 1;
	/* A directory has a link for itself, one for its parent, and one for each
	 * directory in it. */
	return stat("/proc/self/task", &st) < 0 || st.st_nlink < 3 ?
		       0 : (unsigned)st.st_nlink - 2;
}

bool
mpr_task_are_last(unsigned n)
{
	struct fields fields;

	/* The first thread counts for as long as there are others. */
	return read_fields("/proc/self/stat", &fields) == 0 &&
	       has_ended(&fields) && fields.threads == 1 + n;
}

/* 0: not known yet. Children have it from who has forked them. */
MPR_CHILD_DATA static _Atomic uint64_t ns_of_tick;

MPR_CHILD_PATH uint64_t
mpr_task_now(void)
{
	struct timespec now;
	uint64_t tick = atomic_load_explicit(&ns_of_tick, memory_order_relaxed);

	if (!tick) {
		tick = 1000000000 / (uint64_t)sysconf(_SC_CLK_TCK);
		atomic_store_explicit(&ns_of_tick, tick, memory_order_relaxed);
	}
	/* Which the kernel takes start times from, and rounds down. */
	mpr_syscall_clock(CLOCK_BOOTTIME, &now);
	return ((uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec) /
	       tick;
}

enum mpr_task_state
mpr_task_probe(pid_t tid, uint64_t time)
{
	int saved = errno;
	enum mpr_task_state answer = MPR_TASK_RUNS;
	struct fields fields;
	int r;

	r = proc_is_ours() ? read_stat(tid, &fields) : -ENOSYS;
	if (r == -ENOENT)
		answer = MPR_TASK_GONE;
	else if (r < 0)
		answer = MPR_TASK_UNKNOWN;
	else if (has_ended(&fields))
		answer = MPR_TASK_GONE;
	else if (time == 0)
		answer = MPR_TASK_UNKNOWN;
	else if (fields.start > time)
		answer = MPR_TASK_GONE;
	errno = saved;
	return answer;
}

/* Whether the process @pid has ended, where there are pidfds: 1, 0, or an error. */
static int
ask_pidfd(pid_t pid)
{
	struct pollfd ended = { .events = POLLIN };
	int r;

	ended.fd = mpr_fault(MPR_FAULT_PIDFD) ?
			   -1 : (int)syscall(SYS_pidfd_open, pid, 0);
	if (ended.fd < 0)
		return errno == ESRCH ? 1 : -errno;
	r = poll(&ended, 1, 0);
	close(ended.fd);
	return r;
}

/* Whether the process @pid has ended, by what needs no descriptor: it was waited for,
 * or the caller can wait for it. That an id is used again does not show. */
static bool
has_ended_for_us(pid_t pid)
{
	siginfo_t info = { 0 };

	if (kill(pid, 0) < 0 && errno == ESRCH)
		return true;
	/* The first thread is not reported before the others have ended. */
	return !mpr_fault(MPR_FAULT_WAITID) &&
	       waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) ==
		       0 && info.si_pid == pid;
}

bool
mpr_task_process_ended(pid_t pid, uint64_t start)
{
	int saved = errno, r = ask_pidfd(pid);
	struct fields fields;

	if (r <= 0 && (r < 0 || start)) {
		int found = proc_is_ours() ? read_stat(pid, &fields) : -ENOSYS;

		/* The first thread stays for as long as there are others. */
		if (found == -ENOENT)
			r = 1;
		else if (found == 0)
			r = (has_ended(&fields) && fields.threads <= 1) ||
			    (start && fields.start > start);
		else if (r < 0)
			r = has_ended_for_us(pid);
	}
	errno = saved;
	return r > 0;
}

MPR_CHILD_PATH uint64_t
mpr_task_namespace(void)
{
	_Atomic uint64_t *known;
	uint64_t namespace;
	struct stat st;

	mpr_generation(); /* makes the page ours */
	known = &atomic_load(&mpr_process_page)->pid_namespace;
	namespace = atomic_load_explicit(known, memory_order_relaxed);
	if (namespace == 0 && stat("/proc/self/ns/pid", &st) == 0) {
		namespace = st.st_ino;
		atomic_store_explicit(known, namespace, memory_order_relaxed);
	}
	return namespace;
}

MPR_CHILD_PATH bool
mpr_task_inherit_namespace(pid_t parent, uint64_t namespace)
{
	_Atomic uint64_t *known;

	/* Who is in a new one does not see its parent there: to it that has the id 0. */
	if (mpr_syscall(SYS_getppid, 0, 0) != parent)
		return false;
	mpr_generation_begin(); /* makes the page ours */
	known = &atomic_load(&mpr_process_page)->pid_namespace;
	atomic_store_explicit(known, namespace, memory_order_relaxed);
	return true;
}

MPR_CHILD_PATH uint64_t
mpr_task_preempted(void)
{
	struct rusage u;

	return getrusage(RUSAGE_SELF, &u) == 0 ? (uint64_t)u.ru_nivcsw : 0;
}

MPR_CHILD_PATH pid_t
mpr_task_pid(void)
{
	return (pid_t)mpr_syscall(SYS_getpid, 0, 0);
}

MPR_CHILD_PATH pid_t
mpr_task_tid(void)
{
	return (pid_t)mpr_syscall(SYS_gettid, 0, 0);
}

MPR_CHILD_PATH void
mpr_task_yield(void)
{
	mpr_syscall(SYS_sched_yield, 0, 0);
}
