/* SPDX-License-Identifier: MIT */
/*
 * Child processes, as the kernel sees them: fork, wait, signal.
 */
#ifndef MPR_OS_CHILD_H
#define MPR_OS_CHILD_H

#include <poll.h>   /* for the type */
#include <signal.h> /* for the names of signals */
#include <stdbool.h>
#include <stddef.h>
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

/* A child, in the process that forked it. */
struct mpr_child {
	pid_t pid;
	int fd;		     /* its pidfd, or -1 where there are none */
	uint64_t start_time; /* os/task.h; only without a pidfd; 0: not known */
};

/* 0 in the child, its id in the parent, or -EAGAIN, -ENOMEM, -ENOSYS. */
pid_t mpr_child_fork(void);

/* Has each child that this process or one of its children forks call @fn first, whoever
 * calls fork(3); not a child of _Fork(3), vfork(2) or clone(2). There is one such
 * function. */
void mpr_child_at_fork(void (*fn)(void));

/* What a child needs to end with its parent. Found by the parent before the
 * fork: what the child need not call costs it no page faults. */
struct mpr_child_bond {
	pid_t parent;
	int signal;
	bool blocked; /* the signal, in the mask that the child gets */
	bool outlives; /* its parent: to be told, but not to end */
	bool fostered; /* another process forks it, for its parent */
};

/* The signal. */
#define MPR_CHILD_ORPHANED SIGRTMAX

void mpr_child_bond(struct mpr_child_bond *ret_bond);

/* In the child: end when the parent does, or at once if it has, or if the end
 * of the parent could not be noticed. The kernel's signal for that also comes
 * when the thread that forked us ends; then we go on. */
void mpr_child_follow(const struct mpr_child_bond *bond);

/* In the child: whether the thread that forked it has ended since. If the parent
 * goes on, it may have been in the middle of anything: another thread may have
 * called exec. */
bool mpr_child_forker_ended(void);

/* In the child: not to be told any more. */
void mpr_child_unfollow(void);

/* In the child: whether its parent is still @parent. */
bool mpr_child_has_parent(pid_t parent);

/* In the child: the name that ps shows, as far as it fits into 15 bytes. */
void mpr_child_show_name(const char *name);

/* In the child: change the working directory. Returns 0 or what chdir() says. */
int mpr_child_enter(const char *directory);

/* In the child: three more of its kind. Group 0 is one of its own; UINT64_MAX is no
 * limit. They return 0 or what the kernel says. */
int mpr_child_join_group(pid_t group);
int mpr_child_be_nice(int value);
int mpr_child_limit(int resource, uint64_t soft, uint64_t hard);

/* In the child: replace the environment by a copy of @env. Returns 0 or
 * -ENOMEM. */
int mpr_child_environment(const char *const *env);

/* In the child: end without running what the parent registered with atexit. */
noreturn void mpr_child_exit(int code);

/* Gets hold of the child @pid, which may have ended, and been reaped by others.
 * Returns 0, or -EMFILE, -ENFILE, -ENOMEM. */
int mpr_child_open(struct mpr_child *ret_c, pid_t pid);

/* The same without one, by its id alone: nobody else in this process is to reap it. If
 * somebody does, its id may come to name another one. */
void mpr_child_know(struct mpr_child *ret_c, pid_t pid);

/* The same with a pidfd, which is closed after an error. Returns 0 or -EMFILE. */
int mpr_child_adopt(struct mpr_child *ret_c, pid_t pid, int fd);

void mpr_child_close(struct mpr_child *c);

/* In a forked child: closes its copy of @fd, the pidfd of a child of its parent, unless
 * something else is there by now. */
void mpr_child_close_copy(int fd);

/* Reaps a child that is not open, and about to end. */
void mpr_child_reap_blocking(pid_t pid);

/*
 * The functions below work also when the user has closed the pidfd behind our
 * back, by the id, which stays a child's until it is reaped. So that nobody
 * reaps it meanwhile, the caller holds the process lock in those that reap or
 * signal.
 */

/* What the end of a child is waited for by. */
struct pollfd mpr_child_poll(const struct mpr_child *c);

/* In the place of a child that is not to be waited for any more. */
struct pollfd mpr_child_poll_none(void);

/*
 * Waits until one of @n children has ended, an interrupt is pending
 * (os/interrupt.h), or @deadline, but a second at most. @fds says by what; there
 * may be other descriptors among them, and there is room for one more behind
 * them. Returns 0, also for no reason, or -ETIMEDOUT at the deadline. Who may
 * have ended has revents in @fds. @tries counts the calls in vain: where an end
 * cannot be waited for, the pauses get longer with it.
 */
int mpr_child_wait(struct pollfd *fds, unsigned n, int64_t deadline,
		   unsigned tries);

/* A pause of @tries milliseconds, within bounds, but not beyond @deadline.
 * Returns 0, or -ETIMEDOUT at the deadline. */
int mpr_child_pause(int64_t deadline, unsigned tries);

/* Reaps the child if it has ended. Returns 0; -EAGAIN if it runs; -ECHILD if
 * someone else has reaped it, or the system is about to (SIGCHLD ignored). */
int mpr_child_reap(const struct mpr_child *c, struct mpr_child_end *ret_end);

/* Whether a child that is not ours to reap has ended. */
bool mpr_child_is_gone(const struct mpr_child *c);

/* Whether it is a child of this process, which nobody has reaped. No, where the
 * question is refused. */
bool mpr_child_is_ours(const struct mpr_child *c);

/* Returns 0, also for a child that has ended; -EPERM; -EINVAL for no signal. */
int mpr_child_signal(const struct mpr_child *c, int signal);

/*
 * In the child: has @fn, which is async-signal-safe, called with SIGCHLD when one of
 * its own children has ended, and with SIGTERM in place of ending. Others are blocked,
 * but those of crashes and MPR_CHILD_ORPHANED: the program's handlers are not to run
 * here. What was done with signals before is for mpr_child_unlisten(), which its own
 * children call.
 */
struct mpr_child_ears {
	struct sigaction before[2]; /* of SIGCHLD, of SIGTERM */
	sigset_t mask;
};

void mpr_child_listen(void (*fn)(int signal), struct mpr_child_ears *ret_ears);
void mpr_child_unlisten(const struct mpr_child_ears *ears);

/* Zeroed pages that are shared with children, or NULL. They cost memory as
 * they are touched, and are in no core dump. */
void *mpr_child_pages(size_t size);
#define MPR_CHILD_PAGE 4096

/* This process's mapping of them. */
void mpr_child_pages_free(void *pages, size_t size);

#endif
