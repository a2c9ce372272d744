/* SPDX-License-Identifier: MIT */
/*
 * What the CPU offers to those who poll, a fence, and which CPUs to run on.
 */
#ifndef MPR_OS_CPU_H
#define MPR_OS_CPU_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/macros.h"

/* A full fence. ThreadSanitizer does not know fences, but knows the atomic
 * exchange that is one on the machines it runs on. */
static inline void
mpr_cpu_fence(void)
{
#ifdef MPR_THREAD_SANITIZER
	static _Atomic uint32_t word;

	atomic_exchange(&word, 0);
#else
	atomic_thread_fence(memory_order_seq_cst);
#endif
}

/* Whatever was read before it was read before what is read after it; if that is the word
 * that says whether it still counts, it did. For ThreadSanitizer as above. */
static inline void
mpr_cpu_fence_reads(void)
{
#ifdef MPR_THREAD_SANITIZER
	mpr_cpu_fence();
#else
	atomic_thread_fence(memory_order_acquire);
#endif
}

/* A hint to the CPU that this is a polling loop. */
static inline void
mpr_cpu_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#else
	__asm__ volatile("" ::: "memory");
#endif
}

/* Has the calling thread, and what it forks, run on these CPUs only, as far as
 * they exist and the system lets it. Returns 0; -EINVAL if that leaves none,
 * -ENOMEM, -EPERM. */
int mpr_cpu_bind(const int *cpus, int n);

#endif
