/* SPDX-License-Identifier: MIT */
/*
 * The macros for atomic access, as functions. What changes something is a loop around
 * one compare-exchange: who calls them from another language does not count
 * instructions.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include <mproc/value.h>

#include "base/error.h"

/* Of any size, from its first byte on. */
union word {
	uint8_t u8;
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;
	float f;
	double d;
};

static int
check(const void *p, size_t size, const void *other)
{
	if (!p || !other)
		return mpr_fail(-EINVAL, "a pointer is NULL");
	if (size != 1 && size != 2 && size != 4 && size != 8)
		return mpr_fail(-EINVAL, "an atomic access to %zu bytes", size);
	if ((uintptr_t)p % size)
		return mpr_fail(-EINVAL, "%zu bytes at %p, which is no multiple "
				"of that", size, p);
	return 0;
}

static union word
load(const void *p, size_t size)
{
	union word w = { .u64 = 0 };

	switch (size) {
	case 1:
		w.u8 = __atomic_load_n((const uint8_t *)p, __ATOMIC_SEQ_CST);
		break;
	case 2:
		w.u16 = __atomic_load_n((const uint16_t *)p, __ATOMIC_SEQ_CST);
		break;
	case 4:
		w.u32 = __atomic_load_n((const uint32_t *)p, __ATOMIC_SEQ_CST);
		break;
	default:
		w.u64 = __atomic_load_n((const uint64_t *)p, __ATOMIC_SEQ_CST);
	}
	return w;
}

/* With the names of swap(). */
#define SWAP(type, member)                                                    \
	__atomic_compare_exchange_n((type *)p, &expected->member, v.member,   \
				    false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)

static bool
swap(void *p, size_t size, union word *expected, union word v)
{
	switch (size) {
	case 1:
		return SWAP(uint8_t, u8);
	case 2:
		return SWAP(uint16_t, u16);
	case 4:
		return SWAP(uint32_t, u32);
	default:
		return SWAP(uint64_t, u64);
	}
}

static union word
word_of(const void *bytes, size_t size)
{
	union word w = { .u64 = 0 };

	memcpy(&w, bytes, size);
	return w;
}

int
mproc_atomic_load(const void *p, size_t size, void *ret)
{
	int r = check(p, size, ret);
	union word w;

	if (r < 0)
		return r;
	w = load(p, size);
	memcpy(ret, &w, size);
	return 0;
}

int
mproc_atomic_exchange(void *p, size_t size, const void *value, void *ret_before)
{
	int r = check(p, size, value);
	union word before, after;

	if (r < 0)
		return r;
	after = word_of(value, size);
	before = load(p, size);
	while (!swap(p, size, &before, after))
		;
	if (ret_before)
		memcpy(ret_before, &before, size);
	return 0;
}

int
mproc_atomic_store(void *p, size_t size, const void *value)
{
	return mproc_atomic_exchange(p, size, value, NULL);
}

int
mproc_atomic_compare_exchange(void *p, size_t size, void *expected,
			      const void *value)
{
	int r = check(p, size, value);
	union word w;

	if (r == 0)
		r = check(p, size, expected);
	if (r < 0)
		return r;
	w = word_of(expected, size);
	if (swap(p, size, &w, word_of(value, size)))
		return 1;
	memcpy(expected, &w, size);
	return 0;
}

static union word
sum_of(union word w, size_t size, int64_t n)
{
	/* What does not fit is cut off, as an addition wraps around. */
	switch (size) {
	case 1:
		w.u8 = (uint8_t)(w.u8 + (uint64_t)n);
		break;
	case 2:
		w.u16 = (uint16_t)(w.u16 + (uint64_t)n);
		break;
	case 4:
		w.u32 = (uint32_t)(w.u32 + (uint64_t)n);
		break;
	default:
		w.u64 += (uint64_t)n;
	}
	return w;
}

int
mproc_atomic_add(void *p, size_t size, int64_t n, void *ret_before)
{
	int r = check(p, size, p);
	union word before;

	if (r < 0)
		return r;
	before = load(p, size);
	while (!swap(p, size, &before, sum_of(before, size, n)))
		;
	if (ret_before)
		memcpy(ret_before, &before, size);
	return 0;
}

static union word
real_sum_of(union word w, size_t size, double n)
{
	if (size == sizeof(float))
		w.f += (float)n;
	else
		w.d += n;
	return w;
}

int
mproc_atomic_add_float(void *p, size_t size, double n, void *ret_before)
{
	int r = check(p, size, p);
	union word before;

	if (r == 0 && size < sizeof(float))
		r = mpr_fail(-EINVAL, "a floating point number of %zu bytes",
			     size);
	if (r < 0)
		return r;
	before = load(p, size);
	while (!swap(p, size, &before, real_sum_of(before, size, n)))
		;
	if (ret_before)
		memcpy(ret_before, &before, size);
	return 0;
}
