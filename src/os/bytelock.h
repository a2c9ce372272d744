/* SPDX-License-Identifier: MIT */
/*
 * One byte of a file, locked for as long as this process lives: fcntl(2)
 * record locks, which the kernel drops at exit and at exec, which fork does
 * not inherit, and which know nothing of pid reuse.
 *
 * They belong to the process, not to the thread, so threads of one process
 * must keep each other out by other means. Closing any descriptor of the file
 * drops all of this process's locks on it: nobody may open it a second time.
 */
#ifndef MPR_OS_BYTELOCK_H
#define MPR_OS_BYTELOCK_H

#include <stdint.h>

#include "os/file.h"

/* Locks byte @at. Returns 0; -EAGAIN if another process holds it; -EBADF if
 * the user closed our descriptor; -ENOLCK. */
int mpr_bytelock_take(const struct mpr_file *f, int64_t at);

void mpr_bytelock_drop(const struct mpr_file *f, int64_t at);

/* Returns 1 if another process holds byte @at, 0 if none does (this process's
 * own locks do not count), or -EBADF. */
int mpr_bytelock_query(const struct mpr_file *f, int64_t at);

#endif
