/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>

#include "os/bytelock.h"

static int
set(const struct mpr_file *f, int64_t at, short type)
{
	struct flock lock = {
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)at,
		.l_len = 1,
	};

	if (!mpr_file_is_open(f))
		return -EBADF;
	if (fcntl(f->fd, F_SETLK, &lock) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

int
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
	if (fcntl(f->fd, F_GETLK, &lock) < 0)
		return -errno;
	return lock.l_type != F_UNLCK;
}
