/* SPDX-License-Identifier: MIT */
/*
 * Forks a child of this process's parent: to that it is one of its own, to be
 * waited for and to be signalled, though its memory is a copy of ours.
 */
#ifndef MPR_OS_SIBLING_H
#define MPR_OS_SIBLING_H

#include <stdint.h>
#include <sys/types.h>

/* What the C library has told the kernel of the calling thread, and a bare clone()
 * would lose. */
struct mpr_sibling {
	void *tid;    /* where it keeps the thread's id */
	void *robust; /* its list of robust mutexes */
	size_t robust_len;
};

/* Returns 0, or -ENOSYS if the kernel does not tell. */
int mpr_sibling_prepare(struct mpr_sibling *ret_s);

/*
 * In a process with one thread: returns twice, as fork() does, the child's id or 0;
 * or a negative error. The id is stored at @ret_pid before the child runs, and also if
 * we are killed on the way: a child whose id is not there does not exist. Functions
 * that were given to pthread_atfork(3) are not called.
 */
pid_t mpr_sibling_fork(const struct mpr_sibling *s, _Atomic uint32_t *ret_pid);

#endif
