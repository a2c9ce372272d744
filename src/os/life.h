/* SPDX-License-Identifier: MIT */
/*
 * The life word: the kernel marks it when the thread that began it ends, in
 * whatever way. It can be read without a system call.
 *
 * It is a robust process-shared mutex that its thread locks once and holds for
 * life. The kernel walks a dying thread's list of robust futexes and sets
 * FUTEX_OWNER_DIED in each; this is the only such list that a thread has, and
 * the C library owns it, so the mutex must be the C library's too.
 *
 * The list's links are the one thing in shared memory that are pointers of one
 * process: only that thread's C library reads them.
 */
#ifndef MPR_OS_LIFE_H
#define MPR_OS_LIFE_H

#include <pthread.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

struct mpr_life {
	alignas(8) union {
		pthread_mutex_t mutex;
		/* The first is the life word. Others may be reading it when the
		 * next thread begins, so all are stored as atomics. */
		_Atomic uint32_t words[16];
	} u;
};

/* Marks the calling thread as alive in @life, whose former owner is gone.
 * Returns 0, or -EPROTO if this C library keeps its mutexes differently. */
int mpr_life_begin(struct mpr_life *life);

/* Ends it in order. */
void mpr_life_end(struct mpr_life *life);

/* Whether no thread holds @life any more. */
bool mpr_life_ended(const struct mpr_life *life);

/* For who is about to sleep in the first word (mpr_parker_wait_beside()): when @life
 * ends, in whatever way, the kernel or the C library wakes one who sleeps there.
 * Returns what the word holds until then, or 0 if it has ended. */
uint32_t mpr_life_watch(struct mpr_life *life);

#endif
