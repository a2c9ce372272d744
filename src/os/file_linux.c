/* SPDX-License-Identifier: MIT */
/*
 * memfd_create(2), else O_TMPFILE. No way with a name is among them, not even
 * one that is removed at once: a process killed in between would leave it
 * behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <mproc/core.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/macros.h"
#include "os/fds.h"
#include "os/file.h"
#include "os/syscall_arch.h"

/* Memory first, then what outlives a reboot least. */
static const char *const ways[] = { "memfd_create", "/dev/shm", "/tmp",
				    "/var/tmp" };

static int
make_memfd(const char *name, bool sealable)
{
	return mpr_fault(MPR_FAULT_MEMFD) ?
		       -1 :
		       memfd_create(name, MFD_CLOEXEC |
					  (sealable ? MFD_ALLOW_SEALING : 0));
}

static int
make_tmpfile(const char *directory)
{
	int fd;

	/* O_EXCL: nobody can give it a name later. */
	do {
		fd = mpr_fault(MPR_FAULT_TMPFILE) ?
			     -1 :
			     open(directory,
				  O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL,
				  0600);
	} while (fd < 0 && errno == EINTR);
	return fd;
}

/* Whether an error tells that something is used up, rather than that this way
 * is closed. Another way would only hide it. */
static bool
is_lack(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM ||
	       error == ENOSPC;
}

/* Tries one way after the other. Returns a descriptor or a negative error. */
static int
make(const char *name, bool sealable, const char **ret_directory)
{
	char tried[200] = "";
	size_t len = 0;
	int fd;

	for (size_t i = 0; i < MPR_ARRAY_LEN(ways); i++) {
		*ret_directory = i ? ways[i] : NULL;
		fd = i ? make_tmpfile(ways[i]) : make_memfd(name, sealable);
		if (fd >= 0)
			return fd;
		if (is_lack(errno))
			return mpr_fail(-errno, "%s: %s", ways[i],
					mproc_strerror(-errno));
		if (len < sizeof(tried))
			len += (size_t)snprintf(tried + len,
						sizeof(tried) - len, "; %s: %s",
						ways[i], strerror(errno));
	}
	return mpr_fail(-ENOSYS, "no file in memory can be made%s", tried);
}

int
mpr_file_anonymous(struct mpr_file *ret_f, const char *name, bool sealable)
{
	const char *directory;
	struct stat st;
	int fd, r;

	fd = make(name, sealable, &directory);
	if (fd < 0)
		return fd;
	fd = mpr_fds_above_stdio(fd);
	if (fd < 0)
		return mpr_fail(fd, "no descriptor above 2 is free");
	if (mpr_fault(MPR_FAULT_FSTAT) || fstat(fd, &st) < 0) {
		r = mpr_fail(-errno, "fstat of a new file: %s",
			     mproc_strerror(-errno));
		close(fd);
		return r;
	}
	*ret_f = (struct mpr_file){
		.fd = fd,
		.device = st.st_dev,
		.inode = st.st_ino,
		.directory = directory,
	};
	return 0;
}

MPR_IMAGE_PATH int
mpr_file_adopt(struct mpr_file *ret_f, int fd, uint64_t *ret_size)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return mpr_fail(-EBADF, "descriptor %d, of a file in memory, is "
				"not open", fd);
	if (!S_ISREG(st.st_mode) || st.st_nlink != 0)
		return mpr_fail(-EPERM, "descriptor %d is no file in memory",
				fd);
	mpr_fds_end_at_exec(fd);
	*ret_f = (struct mpr_file){
		.fd = fd,
		.device = st.st_dev,
		.inode = st.st_ino,
	};
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

MPR_IMAGE_PATH bool
mpr_file_is_private(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	       st.st_uid == geteuid() && st.st_nlink == 0;
}

MPR_CHILD_PATH static bool
is_the_file(int fd, const struct mpr_file *f)
{
	struct stat st;

	return mpr_syscall_fstat(fd, &st) == 0 && st.st_dev == f->device &&
	       st.st_ino == f->inode;
}

static int
open_in_proc(const char *who, int fd, int flags)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%s/fd/%d", who, fd);
	fd = mpr_fault(MPR_FAULT_OPEN) ? -1 : open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int
mpr_file_borrow(struct mpr_file *ret_f, pid_t pid,
		const struct mpr_file *theirs)
{
	char who[16];
	int place, fd;

	snprintf(who, sizeof(who), "%d", (int)pid);
	/* What is in its place by now may be a device, or a pipe: to open one has
	 * effects. */
	place = open_in_proc(who, theirs->fd, O_PATH);
	if (place < 0)
		return place;
	fd = is_the_file(place, theirs) && mpr_file_is_private(place) ?
		     open_in_proc("self", place, O_RDWR) : -ENOENT;
	close(place);
	if (fd < 0)
		return fd;
	*ret_f = *theirs;
	ret_f->fd = fd;
	ret_f->directory = NULL;
	return 0;
}

int
mpr_file_note(struct mpr_file *ret_f, int fd)
{
	struct stat st;

	if (mpr_fault(MPR_FAULT_FSTAT) || fstat(fd, &st) < 0)
		return mpr_fail(-errno, "fstat of a new descriptor: %s",
				mproc_strerror(-errno));
	*ret_f = (struct mpr_file){
		.fd = fd,
		.device = st.st_dev,
		.inode = st.st_ino,
	};
	return 0;
}

MPR_CHILD_PATH bool
mpr_file_is_open(const struct mpr_file *f)
{
	return is_the_file(f->fd, f);
}

bool
mpr_file_space(const struct mpr_file *f, uint64_t *ret_free,
	       uint64_t *ret_total)
{
	struct statvfs fs;

	if (!f->directory || !mpr_file_is_open(f) ||
	    fstatvfs(f->fd, &fs) < 0 || fs.f_blocks == 0)
		return false;
	*ret_free = (uint64_t)fs.f_bavail * fs.f_frsize;
	*ret_total = (uint64_t)fs.f_blocks * fs.f_frsize;
	return true;
}

MPR_CHILD_PATH void
mpr_file_close(struct mpr_file *f)
{
	if (mpr_file_is_open(f))
		close(f->fd);
}
