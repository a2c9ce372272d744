/* SPDX-License-Identifier: MIT */
/*
 * Which descriptors this process has, and what they lead to.
 */
#ifndef MPR_OS_FDLIST_H
#define MPR_OS_FDLIST_H

#include <stddef.h>
#include <stdint.h>

/* Two that are alike lead to the same thing. */
struct mpr_fdlist_entry {
	int fd;
	uint64_t device;
	uint64_t inode;
};

/* Writes the first @n to @list, in ascending order. Returns how many there are,
 * which may be more; -ENOSYS where the system does not tell; -EMFILE, -ENFILE,
 * -ENOMEM if the answer needs what is not to be had. */
int mpr_fdlist_read(struct mpr_fdlist_entry *list, unsigned n);

/* Writes what @fd leads to, as the system calls it: a path, "pipe:[4711]", or ""
 * if it does not tell. */
void mpr_fdlist_describe(int fd, char *buf, size_t size);

#endif
