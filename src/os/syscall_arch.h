/* SPDX-License-Identifier: MIT */
/*
 * System calls that run no code of the C library's: those of a forked child, whom its
 * syscall(3), which lies alone there, costs a page fault; and those of which what lies
 * around them counts.
 */
#ifndef MPR_OS_SYSCALL_ARCH_H
#define MPR_OS_SYSCALL_ARCH_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/macros.h"

/* Returns what the kernel does: a result, or a negative error. errno(3) stays. */
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
	int saved = errno;

	r = syscall(number, a, b);
	if (r < 0)
		r = -errno;
	errno = saved;
#endif
	return r;
}

/* fstat(2); the C library's has the kernel read a text of its own, which lies alone in a
 * forked child, too. Returns 0 or a negative error. */
static inline long
mpr_syscall_fstat(int fd, struct stat *ret_st)
{
#if defined(__x86_64__) && !defined(__ILP32__)
	return mpr_syscall(SYS_fstat, fd, (long)(uintptr_t)ret_st);
#else
	return fstat(fd, ret_st) < 0 ? -errno : 0;
#endif
}

/* The same as mpr_syscall() with six arguments. */
static MPR_INLINE long
mpr_syscall_6(long number, long a, long b, long c, long d, long e, long f)
{
	long r;

#if defined(__x86_64__) && !defined(__ILP32__)
	register long fourth __asm__("r10") = d;
	register long fifth __asm__("r8") = e;
	register long sixth __asm__("r9") = f;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "0"(number), "D"(a), "S"(b), "d"(c), "r"(fourth),
			   "r"(fifth), "r"(sixth)
			 : "rcx", "r11", "cc", "memory");
#else
	int saved = errno;

	r = syscall(number, a, b, c, d, e, f);
	if (r < 0)
		r = -errno;
	errno = saved;
#endif
	return r;
}

/* fcntl(2) with F_SETLK. Returns 0 or a negative error. */
static inline long
mpr_syscall_lock(int fd, const struct flock *lock)
{
#if defined(__x86_64__) && !defined(__ILP32__)
	return mpr_syscall_6(SYS_fcntl, fd, F_SETLK, (long)(uintptr_t)lock, 0, 0, 0);
#else
	return fcntl(fd, F_SETLK, lock) < 0 ? -errno : 0;
#endif
}

/* clock_gettime(2), of one that the kernel has. Where it is asked once that is less than
 * the pages of what reads clocks without it. */
static inline void
mpr_syscall_clock(clockid_t clock, struct timespec *ret_now)
{
#if defined(__x86_64__) && !defined(__ILP32__)
	mpr_syscall(SYS_clock_gettime, clock, (long)(uintptr_t)ret_now);
#else
	clock_gettime(clock, ret_now);
#endif
}

#endif
