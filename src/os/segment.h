/* SPDX-License-Identifier: MIT */
/*
 * A file in memory with a name, as shm_open(3) has it. It is made without a name
 * and gets that when it is complete, in one step, so nobody sees half of one, and
 * a process that is killed on the way leaves nothing behind.
 */
#ifndef MPR_OS_SEGMENT_H
#define MPR_OS_SEGMENT_H

#include <stddef.h>
#include <stdint.h>

#include "os/file.h"

/*
 * Makes one without a name, with the permissions @mode whatever the umask.
 * Returns 0; -EMFILE, -ENFILE, -ENOMEM, -ENOSPC; -EACCES; -ENOTSUP if the system
 * has no such files.
 */
int mpr_segment_make(struct mpr_file *ret_f, unsigned mode);

/* Gives it a name. Returns 0; -EEXIST; -ENOSPC, -ENOMEM; -EACCES; -ENOTSUP. */
int mpr_segment_publish(const struct mpr_file *f, const char *name);

/* What has the name: its device and inode, without opening it. Returns 0, or
 * -ENOENT, -EACCES. */
int mpr_segment_find(const char *name, uint64_t *ret_device,
		     uint64_t *ret_inode);

/*
 * Opens what has the name, for reading and writing. Returns 0; -ENOENT; -EACCES;
 * -EPERM if it is neither this user's nor root's; -ELOOP for a symbolic link,
 * -EISDIR for a directory, -EINVAL for what is no file otherwise; -EMFILE,
 * -ENFILE.
 */
int mpr_segment_open(struct mpr_file *ret_f, const char *name,
		     uint64_t *ret_size);

/* Takes the name away. Who has it open keeps it. Returns 0; -ENOENT; -EACCES. */
int mpr_segment_remove(const char *name);

/* Whether @name can be one: from 1 to 200 bytes, no "/" but a first one, which does
 * not count. Returns 0, -EINVAL, or -ENAMETOOLONG. */
int mpr_segment_check(const char *name);

#endif
