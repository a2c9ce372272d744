/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>

#include <mproc/core.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/macros.h"
#include "os/bytelock.h"
#include "os/syscall_arch.h"

MPR_CHILD_PATH static int
set(const struct mpr_file *f, int64_t at, short type)
{
	struct flock lock = {
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)at,
		.l_len = 1,
	};
	long r;

	if (!mpr_file_is_open(f))
		return -EBADF;
	r = mpr_fault(MPR_FAULT_LOCK) ? -errno : mpr_syscall_lock(f->fd, &lock);
	if (r == 0)
		return 0;
	if (r == -EACCES || r == -EAGAIN)
		return -EAGAIN;
	return mpr_fail((int)r, "locking byte %lld of the arena's lock file: "
			"%s", (long long)at, mproc_strerror((int)r));
}

MPR_CHILD_PATH int
mpr_bytelock_take(const struct mpr_file *f, int64_t at)
{
	return set(f, at, F_WRLCK);
}

void
mpr_bytelock_drop(const struct mpr_file *f, int64_t at)
{
	set(f, at, F_UNLCK);
}

int
mpr_bytelock_query(const struct mpr_file *f, int64_t at)
{
	struct flock lock = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = (off_t)at,
		.l_len = 1,
	};

	if (!mpr_file_is_open(f))
		return -EBADF;
	if (mpr_fault(MPR_FAULT_LOCK) || fcntl(f->fd, F_GETLK, &lock) < 0)
		return -errno;
	return lock.l_type != F_UNLCK;
}
