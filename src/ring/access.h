/* SPDX-License-Identifier: MIT */
/*
 * How the algorithms in ring/ touch shared memory: always through these. In
 * the library they are the plain C11 operations. The schedule explorer builds
 * the same sources with MPR_EXPLORE and its own versions, which may switch to
 * another process, delay a store or kill at each one.
 *
 * Payload is copied while others may overwrite it: a consumer of a shared lane
 * copies first and learns from its claim whether the copy is good. C11 calls
 * that a data race even if a bad copy is thrown away, so for ThreadSanitizer
 * the copies are made of relaxed atomic words; elsewhere they are memcpy,
 * which on every compiler and machine we build for moves bytes and nothing
 * else.
 */
#ifndef MPR_RING_ACCESS_H
#define MPR_RING_ACCESS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/copy.h"
#include "base/macros.h"

/* Up to here a message is short: it is copied without a call. */
#define MPR_COPY_SHORT 128
#define MPR_COPY_BY_WORDS 64

#ifdef MPR_EXPLORE
#include "explore_access.h"
#else

#define mpr_load(object, order) atomic_load_explicit(object, order)
#define mpr_store(object, value, order) \
	atomic_store_explicit(object, value, order)
#define mpr_exchange(object, value, order) \
	atomic_exchange_explicit(object, value, order)
#define mpr_cas(object, expected, desired, order)                   \
	atomic_compare_exchange_strong_explicit(object, expected,   \
						desired, order,     \
						memory_order_relaxed)

/*
 * Has the line of @p be this CPU's alone by a write that changes nothing, whatever
 * others write there at the same time. Elsewhere than on x86 nobody has seen that it
 * pays, and it does nothing.
 */
static inline void
mpr_take_line(void *p)
{
#ifdef __x86_64__
	__asm__ volatile("lock orl $0, %0" : "+m"(*(uint32_t *)p) : : "cc");
#else
	(void)p;
#endif
}

/* The same where nobody else writes. */
#define mpr_take_own_line(p) mpr_write_as_it_is(p)

#ifdef MPR_THREAD_SANITIZER
/* It does not know fences. Where it runs, this one is no instruction. */
#define mpr_fence(order) atomic_signal_fence(order)
#else
#define mpr_fence(order) atomic_thread_fence(order)
#endif

#ifdef MPR_THREAD_SANITIZER

/* Shared memory is the side that is padded to 8 bytes, and 8-byte aligned where
 * a message begins; a message in parts may go on anywhere. */
static inline void
mpr_copy_in(unsigned char *shared, const unsigned char *from, size_t len)
{
	for (; len && (uintptr_t)shared % 8; shared++, from++, len--)
		__atomic_store_n(shared, *from, __ATOMIC_RELAXED);
	for (size_t at = 0; at < len; at += 8) {
		uint64_t word = 0;

		memcpy(&word, from + at, len - at < 8 ? len - at : 8);
		__atomic_store_n((uint64_t *)(void *)(shared + at), word,
				 __ATOMIC_RELAXED);
	}
}

#define mpr_copy_in_batch(shared, from, len) mpr_copy_in(shared, from, len)

static inline void
mpr_copy_out(unsigned char *to, const unsigned char *shared, size_t len)
{
	for (size_t at = 0; at < len; at += 8) {
		uint64_t word = __atomic_load_n(
			(const uint64_t *)(const void *)(shared + at),
			__ATOMIC_RELAXED);

		memcpy(to + at, &word, len - at < 8 ? len - at : 8);
	}
}

#else

/* One load and one store. Of 32 bytes compilers make two of each, and first work out
 * where they begin. */
static inline void
mpr_copy_16(unsigned char *to, const unsigned char *from)
{
	memcpy(to, from, 16);
}

/* A short message costs less than the call of memcpy() does, with all that has
 * to be saved around it. What is copied from either end may overlap. */
static inline void
mpr_copy(unsigned char *to, const unsigned char *from, size_t len)
{
	if (len > MPR_COPY_SHORT) {
		mpr_copy_long(to, from, len);
	} else if (len > 64) {
		mpr_copy_16(to, from);
		mpr_copy_16(to + 16, from + 16);
		mpr_copy_16(to + 32, from + 32);
		mpr_copy_16(to + 48, from + 48);
		mpr_copy_16(to + len - 64, from + len - 64);
		mpr_copy_16(to + len - 48, from + len - 48);
		mpr_copy_16(to + len - 32, from + len - 32);
		mpr_copy_16(to + len - 16, from + len - 16);
	} else if (len > 32) {
		mpr_copy_16(to, from);
		mpr_copy_16(to + 16, from + 16);
		mpr_copy_16(to + len - 32, from + len - 32);
		mpr_copy_16(to + len - 16, from + len - 16);
	} else if (len > 16) {
		memcpy(to, from, 16);
		memcpy(to + len - 16, from + len - 16, 16);
	} else if (len >= 8) {
		memcpy(to, from, 8);
		memcpy(to + len - 8, from + len - 8, 8);
	} else if (len >= 4) {
		memcpy(to, from, 4);
		memcpy(to + len - 4, from + len - 4, 4);
	} else if (len) {
		to[0] = from[0];
		to[len / 2] = from[len / 2];
		to[len - 1] = from[len - 1];
	}
}

/*
 * A message was often written just now, and what was stored as words cannot be
 * loaded as something wider before the stores have left the CPU; behind the
 * stores of earlier messages that takes long. So short ones are loaded by
 * words. But what they are stored by is as wide as it can be: the stores are
 * what a producer waits for (lane_fast.h).
 */
static inline void
mpr_copy_word(unsigned char *to, const unsigned char *from)
{
	memcpy(to, from, 8);
}

/* Two words. Nothing crosses a line if @to is 16-byte aligned. */
static inline void
mpr_copy_pair(unsigned char *to, const unsigned char *from)
{
#if defined(__x86_64__) || defined(__aarch64__)
	typedef uint64_t pair __attribute__((vector_size(16)));
	uint64_t low, high;
	pair both;

	memcpy(&low, from, 8);
	memcpy(&high, from + 8, 8);
	both = (pair){ low, 0 };
	/* The compiler would load both at once. */
#ifdef __x86_64__
	__asm__("" : "+x"(both));
#else
	__asm__("" : "+w"(both));
#endif
	both[1] = high;
	memcpy(to, &both, 16);
#else
	mpr_copy_word(to, from);
	mpr_copy_word(to + 8, from + 8);
#endif
}

static inline void
mpr_copy_in(unsigned char *shared, const unsigned char *from, size_t len)
{
	if (len < 8 || len > MPR_COPY_BY_WORDS) {
		mpr_copy(shared, from, len);
		return;
	}
	/* Parts may overlap. Messages lie 8 bytes after a multiple of 16. */
	mpr_copy_word(shared, from);
	if (len >= 24) {
		mpr_copy_pair(shared + 8, from + 8);
		if (len > 48)
			mpr_copy_pair(shared + len - 40, from + len - 40);
		mpr_copy_pair(shared + len - 24, from + len - 24);
	} else if (len > 16) {
		mpr_copy_word(shared + 8, from + 8);
	}
	mpr_copy_word(shared + len - 8, from + len - 8);
}

/* Of a batch most were written a while ago, and there is nothing to wait for. */
static inline void
mpr_copy_in_batch(unsigned char *shared, const unsigned char *from, size_t len)
{
	mpr_copy(shared, from, len);
}

static inline void
mpr_copy_out(unsigned char *to, const unsigned char *shared, size_t len)
{
	mpr_copy(to, shared, len);
}

#endif

/* Of what nobody else writes meanwhile, and this CPU's lines alone afterwards. */
static inline void
mpr_copy_out_taking(unsigned char *to, unsigned char *shared, size_t len)
{
	mpr_copy_taking(to, shared, len);
}

#endif
#endif
