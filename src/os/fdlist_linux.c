/* SPDX-License-Identifier: MIT */
/*
 * What /proc lists.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "os/fdlist.h"

static int
compare(const void *a, const void *b)
{
	const struct mpr_fdlist_entry *x = a, *y = b;

	return (x->fd > y->fd) - (x->fd < y->fd);
}

int
mpr_fdlist_read(struct mpr_fdlist_entry *list, unsigned n)
{
	DIR *dir = mpr_fault(MPR_FAULT_OPEN) ? NULL : opendir("/proc/self/fd");
	struct dirent *entry;
	unsigned count = 0;
	struct stat st;
	char *end;
	long fd;

	if (!dir)
		return errno == EMFILE || errno == ENFILE || errno == ENOMEM ?
			       -errno : -ENOSYS;
	while ((entry = readdir(dir))) {
		fd = strtol(entry->d_name, &end, 10);
		if (*end || end == entry->d_name || fd == dirfd(dir) ||
		    fstat((int)fd, &st) < 0)
			continue;
		if (count < n)
			list[count] = (struct mpr_fdlist_entry){
				.fd = (int)fd,
				.device = (uint64_t)st.st_dev,
				.inode = (uint64_t)st.st_ino,
			};
		count++;
	}
	closedir(dir);
	if (n && count)
		qsort(list, count < n ? count : n, sizeof(*list), compare);
	return (int)count;
}

void
mpr_fdlist_describe(int fd, char *buf, size_t size)
{
	char path[40];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	len = readlink(path, buf, size - 1);
	buf[len > 0 ? len : 0] = '\0';
}
