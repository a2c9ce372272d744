/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mproc/core.h>

#include "base/error.h"
#include "os/file.h"

int
mpr_file_anonymous(struct mpr_file *ret_f, const char *name, bool sealable)
{
	struct stat st;
	int fd, r;

	fd = memfd_create(name, MFD_CLOEXEC | (sealable ? MFD_ALLOW_SEALING : 0));
	if (fd < 0)
		return mpr_fail(-errno, "memfd_create: %s",
				mproc_strerror(-errno));
	if (fstat(fd, &st) < 0) {
		r = mpr_fail(-errno, "fstat of a new memfd: %s",
			     mproc_strerror(-errno));
		close(fd);
		return r;
	}
	*ret_f = (struct mpr_file){
		.fd = fd,
		.device = st.st_dev,
		.inode = st.st_ino,
	};
	return 0;
}

bool
mpr_file_is_open(const struct mpr_file *f)
{
	struct stat st;

	return fstat(f->fd, &st) == 0 && st.st_dev == f->device &&
	       st.st_ino == f->inode;
}

void
mpr_file_close(struct mpr_file *f)
{
	if (mpr_file_is_open(f))
		close(f->fd);
}
