/* SPDX-License-Identifier: MIT */
/*
 * A puppet: a child of the test that moves one instruction at a time, so that
 * the others can act while it stands between two of them. That is how a defect
 * that needs a thread to sleep at the wrong place is shown every time.
 *
 * A puppet does what comes before the operation and calls puppet_halt(); then
 * the test moves it until memory that they share has changed, or by a number
 * of instructions that goes from none to as many as there are. No sanitizer:
 * one would step through its code.
 */
#ifndef UNIT_PUPPET_H
#define UNIT_PUPPET_H

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mpt.h"

/* In the puppet: stands still until it is moved or let go. */
static inline void
puppet_halt(void)
{
	raise(SIGSTOP);
}

/* Waits until the puppet stands. Returns false if it has ended, well. */
static inline bool
puppet_wait(struct mpt *t, pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		mpt_check(t, errno == EINTR);
	if (WIFSTOPPED(status))
		return true;
	mpt_check_int(t, status, 0);
	return false;
}

/* Starts a puppet, which stands in its first puppet_halt() then. */
static inline pid_t
puppet_start(struct mpt *t, void (*fn)(struct mpt *t, void *arg), void *arg)
{
	pid_t pid = fork();

	mpt_check(t, pid >= 0);
	if (pid == 0) {
		mpt_check_int(t, ptrace(PTRACE_TRACEME, 0, NULL, NULL), 0);
		fn(t, arg);
		_exit(0);
	}
	mpt_check(t, puppet_wait(t, pid));
	mpt_check_int(t, ptrace(PTRACE_SETOPTIONS, pid, NULL,
				PTRACE_O_EXITKILL), 0);
	return pid;
}

/* Moves it by one instruction. Returns false if it has ended. */
static inline bool
puppet_move(struct mpt *t, pid_t pid)
{
	mpt_check_int(t, ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
	return puppet_wait(t, pid);
}

/* Moves it until @cond is true; it must not end before. */
#define puppet_move_until(t, pid, cond)                                       \
	do {                                                                  \
		while (!(cond))                                               \
			mpt_check((t), puppet_move((t), (pid)));              \
	} while (0)

/* Lets it run to its next halt, or to its end. */
static inline void
puppet_run(struct mpt *t, pid_t pid)
{
	mpt_check_int(t, ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
	(void)puppet_wait(t, pid);
}

/* Moves it to its next halt. Returns by how many instructions that was. */
static inline unsigned long
puppet_count(struct mpt *t, pid_t pid)
{
	unsigned long n = 0;
	int status;

	do {
		mpt_check_int(t, ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
		while (waitpid(pid, &status, 0) < 0)
			mpt_check(t, errno == EINTR);
		mpt_check(t, WIFSTOPPED(status));
		n++;
	} while (WSTOPSIG(status) != SIGSTOP);
	return n;
}

static inline void
puppet_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

#endif
