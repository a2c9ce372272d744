/* SPDX-License-Identifier: MIT */
/*
 * Descriptors by which a thread that polls is woken: readable from the first
 * wake on. The program may have closed one behind our back, and opened a file
 * under its number: that one is spared, whatever it is.
 */
#ifndef MPR_OS_WAKER_H
#define MPR_OS_WAKER_H

#include <stdbool.h>

/* Returns a descriptor, or -EMFILE, -ENFILE, -ENOMEM; -ENOSYS or -EPERM where
 * there are none. Then whoever polls has to look again and again. */
int mpr_waker_open(void);

/* Async-signal-safe; not a cancellation point. */
void mpr_waker_wake(int fd);

/* Makes it one that nobody has woken yet. Not a cancellation point. */
void mpr_waker_reset(int fd);

/* Whether @fd is a waker still. In a forked child one of its parent's is. */
bool mpr_waker_is_open(int fd);

/* Not a cancellation point. */
void mpr_waker_close(int fd);

#endif
