/* SPDX-License-Identifier: MIT */
/*
 * /dev/shm, where the C library's shm_open(3) puts them. O_TMPFILE, then a link
 * by way of /proc: AT_EMPTY_PATH would do, but takes a capability.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mproc/core.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/macros.h"
#include "os/fds.h"
#include "os/segment.h"

#define DIRECTORY "/dev/shm"
#define NAME_MAX_LEN 200

struct path {
	char text[sizeof(DIRECTORY) + 1 + NAME_MAX_LEN];
};

static const char *
without_slash(const char *name)
{
	return *name == '/' ? name + 1 : name;
}

/* @name was checked. */
static struct path
path_of(const char *name)
{
	struct path path;

	snprintf(path.text, sizeof(path.text), DIRECTORY "/%s",
		 without_slash(name));
	return path;
}

int
mpr_segment_check(const char *name)
{
	const char *base;

	if (!name)
		return mpr_fail(-EINVAL, "the name is NULL");
	base = without_slash(name);
	if (strlen(base) > NAME_MAX_LEN)
		return mpr_fail(-ENAMETOOLONG, "a name of %zu bytes, more than "
				"%d", strlen(base), NAME_MAX_LEN);
	if (!*base || strchr(base, '/') || strcmp(base, ".") == 0 ||
	    strcmp(base, "..") == 0)
		return mpr_fail(-EINVAL, "\"%s\" is no name for shared memory",
				name);
	return 0;
}

static int
fail(const char *what, const char *name)
{
	int r = -errno;

	return mpr_fail(r, "%s " DIRECTORY "/%s: %s", what,
			without_slash(name), mproc_strerror(r));
}

static int
identify(int fd, struct mpr_file *ret_f, struct stat *ret_st)
{
	if (mpr_fault(MPR_FAULT_FSTAT) || fstat(fd, ret_st) < 0)
		return -errno;
	*ret_f = (struct mpr_file){
		.fd = fd,
		.device = ret_st->st_dev,
		.inode = ret_st->st_ino,
		.directory = DIRECTORY,
	};
	return 0;
}

int
mpr_segment_make(struct mpr_file *ret_f, unsigned mode)
{
	struct stat st;
	int fd, r;

	do
		fd = mpr_fault(MPR_FAULT_TMPFILE) ?
			     -1 :
			     open(DIRECTORY, O_TMPFILE | O_RDWR | O_CLOEXEC,
				  mode);
	while (fd < 0 && errno == EINTR);
	if (fd < 0) {
		/* ENOENT too: an old kernel takes it for an open of the
		 * directory, or there is none. */
		r = errno == EISDIR || errno == EOPNOTSUPP || errno == ENOENT ?
			    -ENOTSUP : -errno;
		return mpr_fail(r, "making a file in " DIRECTORY ": %s",
				mproc_strerror(-errno));
	}
	fd = mpr_fds_above_stdio(fd);
	if (fd < 0)
		return mpr_fail(fd, "no descriptor above 2 is free");
	r = identify(fd, ret_f, &st);
	if (r == 0 && fchmod(fd, mode) < 0)
		r = -errno;
	if (r < 0) {
		close(fd);
		return mpr_fail(r, "a new file in " DIRECTORY ": %s",
				mproc_strerror(r));
	}
	return 0;
}

int
mpr_segment_publish(const struct mpr_file *f, const char *name)
{
	struct path path = path_of(name);
	char link[40];

	/* A thread may have descriptors of its own. */
	snprintf(link, sizeof(link), "/proc/thread-self/fd/%d", f->fd);
	if (!mpr_fault(MPR_FAULT_LINK) &&
	    linkat(AT_FDCWD, link, AT_FDCWD, path.text,
		   AT_SYMLINK_FOLLOW) == 0)
		return 0;
	/* Where /proc is not there. */
	if (errno == ENOENT && linkat(f->fd, "", AT_FDCWD, path.text,
				      AT_EMPTY_PATH) == 0)
		return 0;
	if (errno == ENOENT)
		return mpr_fail(-ENOTSUP, "naming " DIRECTORY "/%s takes /proc",
				without_slash(name));
	return fail("making", name);
}

int
mpr_segment_find(const char *name, uint64_t *ret_device, uint64_t *ret_inode)
{
	struct path path = path_of(name);
	struct stat st;

	if (lstat(path.text, &st) < 0)
		return fail("looking for", name);
	*ret_device = st.st_dev;
	*ret_inode = st.st_ino;
	return 0;
}

/* Of whom we take it: whoever can write there can have us do anything. */
static bool
is_trusted(const struct stat *st)
{
	return st->st_uid == geteuid() || st->st_uid == 0;
}

static int
check(const struct stat *st, const char *name)
{
	if (!S_ISREG(st->st_mode))
		return mpr_fail(S_ISDIR(st->st_mode) ? -EISDIR : -EINVAL,
				DIRECTORY "/%s is no file", without_slash(name));
	if (!is_trusted(st))
		return mpr_fail(-EPERM, DIRECTORY "/%s belongs to user %ld",
				without_slash(name), (long)st->st_uid);
	return 0;
}

int
mpr_segment_open(struct mpr_file *ret_f, const char *name, uint64_t *ret_size)
{
	struct path path = path_of(name);
	struct stat st;
	int fd, r;

	/* O_NONBLOCK: it may be a pipe. */
	fd = mpr_fault(MPR_FAULT_OPEN) ?
		     -1 :
		     open(path.text, O_RDWR | O_CLOEXEC | O_NOFOLLOW |
				     O_NONBLOCK | O_NOCTTY);
	/* A socket, or a device that is not there. */
	if (fd < 0 && errno == ENXIO)
		return mpr_fail(-EINVAL, DIRECTORY "/%s is no file",
				without_slash(name));
	if (fd < 0)
		return fail("opening", name);
	fd = mpr_fds_above_stdio(fd);
	if (fd < 0)
		return mpr_fail(fd, "no descriptor above 2 is free");
	r = identify(fd, ret_f, &st);
	if (r < 0)
		mpr_fail(r, "fstat of " DIRECTORY "/%s: %s",
			 without_slash(name), mproc_strerror(r));
	else
		r = check(&st, name);
	if (r < 0)
		close(fd);
	else
		*ret_size = (uint64_t)st.st_size;
	return r;
}

int
mpr_segment_remove(const char *name)
{
	struct path path = path_of(name);

	return unlink(path.text) < 0 ? fail("removing", name) : 0;
}
