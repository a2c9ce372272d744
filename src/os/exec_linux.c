/* SPDX-License-Identifier: MIT */
/*
 * clone(2) with CLONE_VM and CLONE_VFORK, as posix_spawn(3) does it. But that asks for
 * and sets the action of each signal in the child, 122 system calls in glibc 2.36,
 * where the kernel takes the handlers away by itself if it is told to (since 5.5).
 *
 * The child runs on a piece of our stack, with all signals blocked, and shares our
 * thread's errno, which we do not read before it has gone. It makes system calls only.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdnoreturn.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macros.h"
#include "os/child.h"
#include "os/clone_arch.h"
#include "os/exec.h"

#ifndef CLONE_CLEAR_SIGHAND /* headers before Linux 5.5 */
#define CLONE_CLEAR_SIGHAND UINT64_C(0x100000000)
#endif

/* What the kernel takes for a set of signals. */
#define MASK_SIZE (_NSIG / 8)

/* A few calls deep. */
#define STACK_SIZE 4096

struct order {
	const struct mpr_exec *exec;
	int error; /* the child's */
};

MPR_UNINSTRUMENTED static noreturn void
become(void *arg)
{
	struct order *order = arg;
	const struct mpr_exec *e = order->exec;

	for (unsigned i = 0; i < e->n_fds; i++)
		if (syscall(SYS_fcntl, e->fds[i], F_SETFD, 0) < 0)
			goto fail;
	/* What is pending for us has no handler by now. */
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &e->blocked, NULL, MASK_SIZE);
	syscall(SYS_execve, e->path, e->argv, e->env);
fail:
	order->error = errno;
	for (;;)
		syscall(SYS_exit_group, 127);
}

pid_t
mpr_exec_start(const struct mpr_exec *e)
{
	alignas(16) unsigned char stack[STACK_SIZE];
	struct order order = { .exec = e };
	const struct clone_args args = {
		.flags = CLONE_VM | CLONE_VFORK | CLONE_CLEAR_SIGHAND,
		.exit_signal = SIGCHLD,
		.stack = (uintptr_t)stack,
		.stack_size = sizeof(stack),
	};
	sigset_t all, before;
	long pid;

	/* Not pthread_sigmask(3), which keeps back two of the C library's own. */
	sigfillset(&all);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, MASK_SIZE);
	pid = mpr_clone_calling(&args, sizeof(args), become, &order);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, MASK_SIZE);
	/* EINVAL: an older kernel. EPERM: a sandbox. */
	if (pid < 0)
		return pid == -EINVAL || pid == -EPERM ? -ENOSYS : (pid_t)pid;
	if (!order.error)
		return (pid_t)pid;
	mpr_child_reap_blocking((pid_t)pid);
	return -order.error;
}
