/* SPDX-License-Identifier: MIT */
/*
 * System calls of a forked child that run no code of the C library's: its syscall(3)
 * lies alone there, and costs the child a page fault.
 */
#ifndef MPR_OS_SYSCALL_ARCH_H
#define MPR_OS_SYSCALL_ARCH_H

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Returns what the kernel does: a result, or a negative error. errno(3) may be changed. */
static inline long
mpr_syscall(long number, long a, long b)
{
	long r;

#if defined(__x86_64__) && !defined(__ILP32__)
	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "0"(number), "D"(a), "S"(b)
			 : "rcx", "r11", "cc", "memory");
#else
	r = syscall(number, a, b);
	if (r < 0)
		r = -errno;
#endif
	return r;
}

#endif
