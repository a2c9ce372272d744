/* SPDX-License-Identifier: MIT */
/*
 * Begins a program in a child that has the caller's memory until then.
 */
#ifndef MPR_OS_EXEC_H
#define MPR_OS_EXEC_H

#include <signal.h>
#include <sys/types.h>

struct mpr_exec {
	const char *path;
	char *const *argv;
	char *const *env;
	const int *fds; /* that stay open, though they are closed at exec here */
	unsigned n_fds;
	sigset_t blocked; /* the program's; of the signals that are handled here it
			   * has the default actions */
};

/*
 * Returns the child's id; or a negative error: what clone(2) and execve(2) say, -EBADF
 * if one of the descriptors is closed; -ENOSYS where there is no such way. Then nothing
 * was started. The caller's thread waits for the exec, its signals for their handlers;
 * other threads go on. Functions of pthread_atfork(3) are not called.
 */
pid_t mpr_exec_start(const struct mpr_exec *e);

#endif
