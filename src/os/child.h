/* SPDX-License-Identifier: MIT */
/*
 * Child processes, as the kernel sees them: fork, wait, signal.
 */
#ifndef MPR_OS_CHILD_H
#define MPR_OS_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdnoreturn.h>
#include <sys/types.h>

/* How a child ended. */
struct mpr_child_end {
	int code;   /* exit status, or -1 */
	int signal; /* or 0 */
	bool core;
	int64_t user_ns;
	int64_t system_ns;
	int64_t max_rss; /* bytes */
};

/* 0 in the child, its id in the parent, or -EAGAIN, -ENOMEM, -ENOSYS. */
pid_t mpr_child_fork(void);

/* What a child needs to end with its parent. Found by the parent before the
 * fork: what the child need not call costs it no page faults. */
struct mpr_child_bond {
	pid_t parent;
	int signal;
	bool blocked; /* the signal, in the mask that the child gets */
};

void mpr_child_bond(struct mpr_child_bond *ret_bond);

/* In the child: end when the parent does, or at once if it has. The kernel's
 * signal for that also comes when the thread that forked us ends; then we go
 * on. */
void mpr_child_follow(const struct mpr_child_bond *bond);

/* In the child: end without running what the parent registered with atexit. */
noreturn void mpr_child_exit(int code);

/* A pidfd of a child that is not reaped yet, or -errno. */
int mpr_child_open(pid_t pid);

/* Waits for and reaps a child without a pidfd, which is about to end. */
void mpr_child_reap_blocking(pid_t pid);

void mpr_child_close(int fd);

/*
 * The functions below work also when the user has closed the pidfd behind our
 * back, by @pid, which stays a child's until it is reaped. So that nobody reaps
 * it meanwhile, the caller holds the process lock in those that reap or signal.
 */

/* Waits until the child has ended, but a second at most, or a little if that
 * cannot be waited for. Returns 0, or -ETIMEDOUT at the deadline. */
int mpr_child_wait(int fd, int64_t deadline);

/* A pause of about a millisecond, but not beyond @deadline. Returns 0, or
 * -ETIMEDOUT at the deadline. */
int mpr_child_pause(int64_t deadline);

/* Reaps the child if it has ended. Returns 0; -EAGAIN if it runs; -ECHILD if
 * someone else has reaped it, or the system is about to (SIGCHLD ignored). */
int mpr_child_reap(int fd, pid_t pid, struct mpr_child_end *ret_end);

/* Whether a child that is not ours to reap has ended. */
bool mpr_child_is_gone(int fd, pid_t pid);

/* SIGTERM and SIGKILL. Return 0, also for a child that has ended; -EPERM. */
int mpr_child_terminate(int fd, pid_t pid);
int mpr_child_kill(int fd, pid_t pid);

/* A zeroed page that is shared with children, or NULL. */
void *mpr_child_page(void);
#define MPR_CHILD_PAGE 4096

#endif
