/* SPDX-License-Identifier: MIT */
/*
 * A socket's file is there from bind(2) on, but only after listen(2) can anybody
 * connect; its permissions are set in between. They are those of the socket itself,
 * less the umask, so that they are narrow from the beginning.
 *
 * A file without a socket was left by a process that was killed. Who replaces one
 * holds a lock on the directory meanwhile, or another one who is about to do the same
 * could remove the new file; the lock ends with its holder.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fault.h"
#include "os/socket_file.h"
#include "os/socket_name.h"

#define LOCK_TRIES 100
#define PAUSE 10000000 /* ns between them */

/* Returns a descriptor that holds it, or -EADDRINUSE. Another user could hold it for
 * as long as he likes, so the wait is bounded. */
static int
lock_directory(const char *path)
{
	const struct timespec pause = { .tv_nsec = PAUSE };
	char directory[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
	const char *slash = strrchr(path, '/');
	int fd;

	snprintf(directory, sizeof(directory), "%.*s", (int)(slash - path + 1),
		 path);
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; fd >= 0 && i < LOCK_TRIES; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return fd;
		(void)nanosleep(&pause, NULL);
	}
	if (fd >= 0)
		close(fd);
	return mpr_fail(-EADDRINUSE, "%s is left over, but its directory cannot "
			"be locked", path);
}

/*
 * Whether there is a socket behind the file, listening or about to. One of another
 * type is not let in, so who is there does not notice.
 */
static bool
is_in_use(const struct mpr_socket_name *name)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool refused = fd >= 0 &&
		       connect(fd, &name->at.any, name->len) < 0 &&
		       errno == ECONNREFUSED;

	if (fd >= 0)
		close(fd);
	return !refused;
}

/* Returns 0 if it can go, or has gone. */
static int
check_stale(const struct mpr_socket_name *name)
{
	const char *path = name->at.local.sun_path;
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return mpr_fail(-EADDRINUSE, "%s is there, and no socket", path);
	if (st.st_uid != geteuid())
		return mpr_fail(-EADDRINUSE, "%s is there and belongs to user %ld",
				path, (long)st.st_uid);
	if (is_in_use(name))
		return mpr_fail(-EADDRINUSE, "somebody listens at %s", path);
	return 0;
}

/* With the lock held. */
static int
replace_locked(int fd, const struct mpr_socket_name *name)
{
	const char *path = name->at.local.sun_path;
	int r = check_stale(name);

	if (r < 0)
		return r;
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	if (bind(fd, &name->at.any, name->len) == 0)
		return 0;
	return mpr_fail(-errno, "somebody else makes %s", path);
}

static int
replace(int fd, const struct mpr_socket_name *name)
{
	int lock, r;

	r = check_stale(name);
	if (r < 0)
		return r;
	lock = lock_directory(name->at.local.sun_path);
	if (lock < 0)
		return lock;
	r = replace_locked(fd, name);
	close(lock);
	return r;
}

static int
bind_file(int fd, const struct mpr_socket_name *name, unsigned mode)
{
	if (fchmod(fd, mode) < 0)
		return -errno;
	if (!mpr_fault(MPR_FAULT_BIND) &&
	    bind(fd, &name->at.any, name->len) == 0)
		return 0;
	return errno == EADDRINUSE ? replace(fd, name) : -errno;
}

/* Between bind(2) and listen(2). The umask may have taken too much. */
static int
settle(int fd, const char *path, unsigned mode, int backlog,
       struct mpr_socket_place *ret_place)
{
	struct stat st;

	if (mpr_fault(MPR_FAULT_FSTAT) || lstat(path, &st) < 0)
		return -errno;
	ret_place->is_file = true;
	ret_place->device = st.st_dev;
	ret_place->inode = st.st_ino;
	if ((st.st_mode & 07777) != mode && chmod(path, mode) < 0)
		return -errno;
	return listen(fd, backlog) < 0 ? -errno : 0;
}

int
mpr_socket_file_listen(int fd, const struct mpr_socket_name *name, unsigned mode,
		       int backlog, struct mpr_socket_place *ret_place)
{
	const char *path = name->at.local.sun_path;
	int r;

	r = bind_file(fd, name, mode);
	if (r == 0) {
		r = settle(fd, path, mode, backlog, ret_place);
		if (r < 0)
			(void)unlink(path);
	}
	if (r < 0 && r != -EADDRINUSE)
		mpr_fail(r, "listening at %s: %s", path, strerror(-r));
	return r;
}

/* Its descriptor is still open, so nobody takes the file for one that is left. */
void
mpr_socket_remove(const struct mpr_socket_place *place)
{
	const char *path = strchr(place->address, '/');
	struct stat st;

	if (place->is_file && lstat(path, &st) == 0 &&
	    st.st_dev == place->device && st.st_ino == place->inode)
		(void)unlink(path);
}
