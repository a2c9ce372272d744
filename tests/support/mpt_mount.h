/* SPDX-License-Identifier: MIT */
/*
 * Another view of the file systems for one role: a full /dev/shm, no /tmp,
 * invented files in /proc and /sys. Nobody else sees it, and it goes with the
 * role.
 *
 * It needs a mount namespace: as root, or in a user namespace. Where neither is
 * permitted the role fails with a message.
 */
#ifndef MPT_MOUNT_H
#define MPT_MOUNT_H

#include "mpt.h"

/**
 * mpt_mount_private() - from here on, mounts are this process's own
 * @t: scenario; for failures, as below
 *
 * The process must have one thread. Comes before the others. Where that is
 * refused, the role ends with MPT_REFUSED.
 */
void mpt_mount_private(struct mpt *t);

/**
 * mpt_mount_tmpfs() - put an empty file system in memory over a directory
 * @path:    the directory
 * @options: "size=8m" for example, or NULL
 */
void mpt_mount_tmpfs(struct mpt *t, const char *path, const char *options);

/** mpt_mount_read_only() - the same, and nobody can write there */
void mpt_mount_read_only(struct mpt *t, const char *path);

/**
 * mpt_mount_file() - put one file over another
 * @source: what is seen from then on
 * @path:   in place of this one
 */
void mpt_mount_file(struct mpt *t, const char *source, const char *path);

/**
 * mpt_write_file() - write a small file
 * @path: its directories are made if need be
 * @text: what it holds from then on
 */
void mpt_write_file(struct mpt *t, const char *path, const char *text);

#endif
