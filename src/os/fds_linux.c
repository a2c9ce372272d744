/* SPDX-License-Identifier: MIT */
/*
 * close_range(2), since Linux 5.9; before that, or where a sandbox refuses it,
 * what /proc lists.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/macros.h"
#include "os/fds.h"

#define FIRST (STDERR_FILENO + 1)

/* What children do with their descriptors goes by syscall(2), which they call anyway:
 * see base/macros.h. And a close so is no cancellation point. */
MPR_CHILD_PATH static void
close_quickly(int fd)
{
#ifdef MPR_THREAD_SANITIZER
	int state;

	/* It takes the next one with the number for this one unless it is told. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	close(fd);
	pthread_setcancelstate(state, NULL);
#else
	syscall(SYS_close, fd);
#endif
}

MPR_CHILD_PATH int
mpr_fds_check(int fd)
{
	return syscall(SYS_fcntl, fd, F_GETFD) < 0 ? -EBADF : 0;
}

MPR_IMAGE_PATH bool
mpr_fds_ends_at_exec(int fd)
{
	int flags = fcntl(fd, F_GETFD);

	return flags >= 0 && flags & FD_CLOEXEC;
}

MPR_IMAGE_PATH void
mpr_fds_end_at_exec(int fd)
{
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
}

MPR_CHILD_PATH void
mpr_fds_close(int fd)
{
	close_quickly(fd);
}

int
mpr_fds_directory(void)
{
	int fd = mpr_fault(MPR_FAULT_OPEN) ?
			 -1 :
			 open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : mpr_fds_above_stdio(fd);
}

MPR_CHILD_PATH int
mpr_fds_enter(int directory)
{
	return mpr_fault(MPR_FAULT_CHDIR) ||
			       syscall(SYS_fchdir, directory) < 0 ?
		       -errno : 0;
}

MPR_CHILD_PATH int
mpr_fds_move_up(int fd, int from)
{
	int up = mpr_fault(MPR_FAULT_DUP) ?
			 -1 :
			 fcntl(fd, F_DUPFD_CLOEXEC, from);

	/* EINVAL: the limit is below that. */
	up = up >= 0 ? up : errno == EINVAL ? -EMFILE : -errno;
	close(fd);
	return up;
}

MPR_CHILD_PATH int
mpr_fds_move_to(int fd, int to)
{
	int r = mpr_fault(MPR_FAULT_DUP) || dup2(fd, to) < 0 ? -errno : to;

	close(fd);
	return r;
}

int
mpr_fds_above_stdio(int fd)
{
	int above;

	if (fd >= FIRST)
		return fd;
	above = fcntl(fd, F_DUPFD_CLOEXEC, FIRST);
	/* EINVAL: the limit is 3. */
	above = above >= 0 ? above : errno == EINVAL ? -EMFILE : -errno;
	close_quickly(fd);
	return above;
}

int
mpr_fds_pair_above_stdio(int fds[2])
{
	for (int i = 0; i < 2; i++) {
		fds[i] = mpr_fds_above_stdio(fds[i]);
		if (fds[i] < 0) {
			close(fds[1 - i]);
			return fds[i];
		}
	}
	return 0;
}

/* A descriptor above 2 that leads where @source does, which may be that itself; at
 * the other two it would be in the way of what comes there. */
MPR_CHILD_PATH static int
copy_of(int source)
{
	int fd = source, copy;

	if (source >= FIRST)
		return mpr_fds_check(source) < 0 ? -EBADF : source;
	if (source == MPR_FDS_NULL)
		fd = mpr_fault(MPR_FAULT_OPEN) ?
			     -1 :
			     open("/dev/null", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return source == MPR_FDS_NULL ? -errno : -EBADF;
	copy = mpr_fault(MPR_FAULT_DUP) ? -1 :
					  fcntl(fd, F_DUPFD_CLOEXEC, FIRST);
	if (copy < 0)
		/* EINVAL: the limit is 3. */
		copy = errno == EINVAL ? -EMFILE : -errno;
	if (source == MPR_FDS_NULL)
		close(fd);
	return copy;
}

MPR_CHILD_PATH static void
close_copy(int copy, int source)
{
	if (copy != source)
		close_quickly(copy);
}

MPR_CHILD_PATH static int
move(int copy, int fd)
{
	/* They differ; not every processor has dup2(2). */
	return mpr_fault(MPR_FAULT_DUP) ||
			       syscall(SYS_dup3, copy, fd, 0) < 0 ?
		       -errno : 0;
}

MPR_CHILD_PATH int
mpr_fds_redirect(const int sources[3], int *ret_failed)
{
	int copies[3], r = 0, i;

	for (i = 0; i < 3; i++) {
		copies[i] = -1;
		if (r < 0 || sources[i] == MPR_FDS_INHERIT)
			continue;
		copies[i] = copy_of(sources[i]);
		r = copies[i] < 0 ? copies[i] : 0;
		*ret_failed = i;
	}
	for (i = 0; i < 3; i++) {
		if (copies[i] < 0)
			continue;
		if (r == 0) {
			r = move(copies[i], i);
			*ret_failed = i;
		}
		close_copy(copies[i], sources[i]);
	}
	return r;
}

/* The smallest of @keep that is @from or more, or INT_MAX. */
static int
next_kept(const int *keep, int n, int from)
{
	int least = INT_MAX;

	for (int i = 0; i < n; i++)
		if (keep[i] >= from && keep[i] < least)
			least = keep[i];
	return least;
}

static int
close_range_of(unsigned first, unsigned last)
{
	return mpr_fault(MPR_FAULT_CLOSE) ||
			       syscall(SYS_close_range, first, last, 0) < 0 ?
		       -errno : 0;
}

/* What is open is listed in ascending order, by numbers: what is closed on the
 * way is not missed. */
static int
close_listed(const int *keep, int n)
{
	DIR *list = mpr_fault(MPR_FAULT_OPEN) ? NULL : opendir("/proc/self/fd");
	struct dirent *entry;
	char *end;
	long fd;

	if (!list)
		return errno == EMFILE || errno == ENFILE || errno == ENOMEM ?
			       -errno : -ENOSYS;
	while ((entry = readdir(list))) {
		fd = strtol(entry->d_name, &end, 10);
		if (*end || end == entry->d_name || fd < FIRST ||
		    fd == dirfd(list) ||
		    next_kept(keep, n, (int)fd) == (int)fd)
			continue;
		close((int)fd);
	}
	closedir(list);
	return 0;
}

int
mpr_fds_check_room(int fd)
{
	int copy = mpr_fault(MPR_FAULT_DUP) ?
			   -1 :
			   fcntl(fd, F_DUPFD_CLOEXEC, FIRST);

	if (copy < 0)
		return -errno;
	close_quickly(copy);
	return 0;
}

int
mpr_fds_close_others(const int *keep, int n)
{
	int first = FIRST, kept, r;

	do {
		kept = next_kept(keep, n, first);
		if (kept > first) {
			r = close_range_of((unsigned)first,
					   kept == INT_MAX ? UINT_MAX :
						   (unsigned)kept - 1);
			if (r == -ENOSYS || r == -EPERM)
				r = close_listed(keep, n);
			if (r < 0)
				return r;
		}
		first = kept == INT_MAX ? kept : kept + 1;
	} while (kept < INT_MAX);
	return 0;
}
