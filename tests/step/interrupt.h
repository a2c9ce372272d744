/* SPDX-License-Identifier: MIT */
/*
 * A process of the test, the host, is interrupted by SIGUSR1 at one instruction after the
 * other of what it does between two raise(SIGSTOP), of which the first comes right behind
 * PTRACE_TRACEME. Where it holds signals off, its handler runs behind that.
 */
#ifndef STEP_INTERRUPT_H
#define STEP_INTERRUPT_H

#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "common.h"

/* It runs until it stops, and gets @signal first. Returns the signal that it has stopped
 * by; 0 for a system call. */
static inline int
go_on(pid_t pid, int request, int signal)
{
	int status;

	assert_int_equal(ptrace(request, pid, NULL, (void *)(intptr_t)signal),
			 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFSTOPPED(status))
		fail_msg("the host has ended: status 0x%x", (unsigned)status);
	return WSTOPSIG(status) == (SIGTRAP | 0x80) ? 0 : WSTOPSIG(status);
}

static inline struct __ptrace_syscall_info
look(pid_t pid)
{
	struct __ptrace_syscall_info info;

	assert_true(ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof(info),
			   &info) > 0);
	return info;
}

static inline bool
returns_from_handler(pid_t pid)
{
	struct __ptrace_syscall_info info = look(pid);

	return info.op == PTRACE_SYSCALL_INFO_ENTRY &&
	       info.entry.nr == SYS_rt_sigreturn;
}

/* Until it has come back from its handler. Returns false if it comes to its mark. */
static inline bool
interrupt(pid_t pid)
{
	int sig = SIGUSR1;

	for (;;) {
		sig = go_on(pid, PTRACE_SYSCALL, sig);
		if (sig == SIGSTOP)
			return false;
		if (sig == 0 && returns_from_handler(pid))
			break;
	}
	assert_int_equal(go_on(pid, PTRACE_SYSCALL, 0), 0);
	return true;
}

/* From the first mark to the other, at each of @every instructions. Then it goes on by
 * itself. Returns how often it was interrupted. */
static inline unsigned
interrupt_all(pid_t pid, unsigned every)
{
	unsigned n = 0, steps = 0;
	uint64_t at = 0;
	int status;

	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_int_equal(ptrace(PTRACE_SETOPTIONS, pid, NULL,
				PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD), 0);
	while (go_on(pid, PTRACE_SINGLESTEP, 0) != SIGSTOP) {
		/* Behind a system call it has stopped once more. */
		if (look(pid).instruction_pointer == at)
			continue;
		if (++steps % every == 0) {
			if (!interrupt(pid))
				break;
			n++;
		}
		at = look(pid).instruction_pointer;
	}
	assert_int_equal(ptrace(PTRACE_DETACH, pid, NULL, NULL), 0);
	return n;
}

/* In the host. */
static inline void
let_be_interrupted(struct mpt *t)
{
	mpt_check_int(t, ptrace(PTRACE_TRACEME, 0, NULL, NULL), 0);
	raise(SIGSTOP);
}

#endif
