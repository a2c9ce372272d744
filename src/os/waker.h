/* SPDX-License-Identifier: MIT */
/*
 * Descriptors by which a thread that polls is woken: readable from the first
 * wake on. The program may have closed one behind our back, and opened a file
 * under its number: that one is spared.
 */
#ifndef MPR_OS_WAKER_H
#define MPR_OS_WAKER_H

/* Returns a descriptor, or -EMFILE, -ENFILE, -ENOMEM; -ENOSYS or -EPERM where
 * there are none. Then whoever polls has to look again and again. */
int mpr_waker_open(void);

/* Async-signal-safe; not a cancellation point. */
void mpr_waker_wake(int fd);

void mpr_waker_close(int fd);

#endif
