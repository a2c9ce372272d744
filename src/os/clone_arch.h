/* SPDX-License-Identifier: MIT */
/*
 * clone(2) without a stack of its own: the order of its arguments differs; and with
 * one, where the child cannot return.
 */
#ifndef MPR_OS_CLONE_ARCH_H
#define MPR_OS_CLONE_ARCH_H

#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline long
mpr_clone(unsigned long flags, void *parent_tid, void *child_tid)
{
#if defined(__x86_64__)
	return syscall(SYS_clone, flags, NULL, parent_tid, child_tid, NULL);
#else /* aarch64, riscv64 and others: CLONE_BACKWARDS */
	return syscall(SYS_clone, flags, NULL, parent_tid, NULL, child_tid);
#endif
}

/* By clone3(2), with the stack that is in @args, of @size bytes: the child calls @fn,
 * which does not come back. Returns its id, or a negative error; -ENOSYS on other
 * machines, too. */
static inline long
mpr_clone_calling(const void *args, size_t size, void (*fn)(void *arg),
		  void *arg)
{
#if defined(__x86_64__) && !defined(__ILP32__)
	long r;

	/* Where the child begins, it has our registers, but for the stack's. */
	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "mov %[arg], %%rdi\n\t"
			 "call *%[fn]\n"
			 "1:"
			 : "=a"(r)
			 : "0"((long)SYS_clone3), "D"(args), "S"(size),
			   [fn] "r"(fn), [arg] "r"(arg)
			 : "rcx", "r11", "cc", "memory");
	return r;
#else
	(void)args;
	(void)size;
	(void)fn;
	(void)arg;
	return -ENOSYS;
#endif
}

#endif
