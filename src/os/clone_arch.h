/* SPDX-License-Identifier: MIT */
/*
 * clone(2) without a stack of its own: the order of its arguments differs.
 */
#ifndef MPR_OS_CLONE_ARCH_H
#define MPR_OS_CLONE_ARCH_H

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

#endif
