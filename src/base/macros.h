/* SPDX-License-Identifier: MIT */
/*
 * The few compiler helpers that the whole library uses. Extensions of the
 * compiler appear here and nowhere else.
 */
#ifndef MPR_BASE_MACROS_H
#define MPR_BASE_MACROS_H

#include <stddef.h>
#include <stdint.h>

#define mpr_likely(x) __builtin_expect(!!(x), 1)
#define mpr_unlikely(x) __builtin_expect(!!(x), 0)

/* For the compiler: @x is true. */
#define mpr_assume(x)                            \
	do {                                     \
		if (!(x))                        \
			__builtin_unreachable(); \
	} while (0)

#define MPR_PRINTF(text, first) \
	__attribute__((__format__(__printf__, text, first)))
#define MPR_NOINLINE __attribute__((noinline))

/* For what lies between a caller and a call of the kernel: see os/socket.h. */
#define MPR_INLINE inline __attribute__((always_inline))

/* For what a started process runs between its fork and its end, besides its
 * entry; and a pool's keeper and workers, until they have begun. It lies together: code
 * costs a child a page fault for each 64 KiB that it touches. */
#define MPR_CHILD_PATH __attribute__((section(".text.hot.child")))

/* The same for what a new image runs before that: behind the constructors. */
#define MPR_IMAGE_PATH __attribute__((section(".text.startup.image")))

/* For what it writes on that way: each page costs it another one, and a copy. */
#define MPR_CHILD_DATA __attribute__((section(".data.child")))

/* What runs when the library is loaded, before main(). */
#define MPR_CONSTRUCTOR __attribute__((constructor))

/* Thread-local without a call on each access, in the shared library too. */
#define MPR_THREAD_LOCAL \
	_Thread_local __attribute__((__tls_model__("initial-exec")))

/* No sanitizer adds anything to it: it runs where they do not know what to make of
 * that. */
#if defined(__clang__)
#define MPR_UNINSTRUMENTED __attribute__((disable_sanitizer_instrumentation))
#else
#define MPR_UNINSTRUMENTED \
	__attribute__((no_sanitize("address,thread,undefined")))
#endif

/* Set in builds for ThreadSanitizer, by either compiler. */
#if defined(__SANITIZE_THREAD__)
#define MPR_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MPR_THREAD_SANITIZER 1
#endif
#endif

#define MPR_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/*
 * Words that different processes write lie this far apart: adjacent-line
 * prefetch pairs up 64-byte lines on x86, and some arm64 lines are 128 bytes.
 */
#define MPR_APART 128

#define MPR_LINE 64 /* of a cache; a wrong value costs time only */

/*
 * A hint that the line of @p is soon written: it is fetched to be this CPU's alone,
 * and nothing waits for that. Never faults. For x86 the builtin fetches a line to
 * be read, unless the compiler is told that all CPUs know this instruction, which
 * those that do not take for none.
 */
static inline void
mpr_prefetch_to_write(const void *p)
{
#ifdef __x86_64__
	__asm__ volatile("prefetchw %0" : : "m"(*(const char *)p));
#else
	__builtin_prefetch(p, 1);
#endif
}

/* The same for eight lines from @p on. */
static inline void
mpr_prefetch_8_to_write(const unsigned char *p)
{
	mpr_prefetch_to_write(p);
	mpr_prefetch_to_write(p + 1 * MPR_LINE);
	mpr_prefetch_to_write(p + 2 * MPR_LINE);
	mpr_prefetch_to_write(p + 3 * MPR_LINE);
	mpr_prefetch_to_write(p + 4 * MPR_LINE);
	mpr_prefetch_to_write(p + 5 * MPR_LINE);
	mpr_prefetch_to_write(p + 6 * MPR_LINE);
	mpr_prefetch_to_write(p + 7 * MPR_LINE);
}

/*
 * Writes the word at @p, of 8 bytes, as it is: its line is this CPU's alone afterwards.
 * Nobody else writes there. On x86 one instruction loads and stores, so that no signal
 * comes between the two; elsewhere one may, and what is stored then is as old as its
 * handler took.
 */
static inline void
mpr_write_as_it_is(void *p)
{
#ifdef __x86_64__
	__asm__ volatile("orq $0, %0" : "+m"(*(uint64_t *)p) : : "cc");
#else
	uint64_t *word = (uint64_t *)p;

	/* Atomic, or else the compiler leaves them out. */
	__atomic_store_n(word, __atomic_load_n(word, __ATOMIC_RELAXED),
			 __ATOMIC_RELAXED);
#endif
}

#ifdef __x86_64__

/* Stores a line, where one begins, past the caches: the whole of it at once, or it is
 * fetched after all. */
static inline void
mpr_store_line_past(unsigned char *to, const unsigned char *from)
{
	__asm__ volatile("movdqu (%1), %%xmm0\n\t"
			 "movdqu 16(%1), %%xmm1\n\t"
			 "movdqu 32(%1), %%xmm2\n\t"
			 "movdqu 48(%1), %%xmm3\n\t"
			 "movntdq %%xmm0, (%0)\n\t"
			 "movntdq %%xmm1, 16(%0)\n\t"
			 "movntdq %%xmm2, 32(%0)\n\t"
			 "movntdq %%xmm3, 48(%0)"
			 :
			 : "r"(to), "r"(from)
			 : "xmm0", "xmm1", "xmm2", "xmm3", "memory");
}

/* Orders such stores before all that follow. */
static inline void
mpr_fence_stores_past(void)
{
	__asm__ volatile("sfence" ::: "memory");
}

#endif

/* @unit is a power of two. */
static inline size_t
mpr_round_up(size_t n, size_t unit)
{
	return (n + unit - 1) & ~(unit - 1);
}

/* Division by what is known: @x below 2^14 by @n up to 2^14, exactly, and without
 * an instruction that divides. */
#define MPR_INVERSE(n) (UINT64_C(0xffffffff) / (n) + 1) /* rounded up */

static inline uint32_t
mpr_divide(uint32_t x, uint64_t inverse)
{
	return (uint32_t)(x * inverse >> 32);
}

#endif
