/* SPDX-License-Identifier: MIT */
/*
 * Waiting for things in shared memory, all in one arena: the calling thread is a
 * watcher of each queue (ipc/queue_watch.h) and waits for many events
 * (sync/many.h), and sleeps once for all of them.
 */
#ifndef MPR_WAIT_SHARED_H
#define MPR_WAIT_SHARED_H

#include <stdint.h>

#include <mproc/wait.h>

/* Not ready when it was looked at; but that may have changed, or the process been
 * forked by a signal handler. Look at all again. */
#define MPR_WAIT_ANEW INT32_MIN

/*
 * Waits until one of @items is ready, or until @deadline. They are @n things in
 * shared memory, in the arena @a; what is to be told is written there. Returns how
 * many are ready; MPR_WAIT_ANEW; -ETIMEDOUT, -EINTR; or why this thread cannot.
 */
int mpr_wait_shared(struct mproc_waitable *items, int n, mproc_arena *a,
		    int64_t deadline);

#endif
