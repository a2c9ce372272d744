/* SPDX-License-Identifier: MIT */
/*
 * Atomic accesses of explored sources: to the explorer, or to memory. All
 * fibers are one thread, and change over at the explorer's accesses only, so
 * what goes to memory needs no atomic instruction.
 */
#include <assert.h>
#include <string.h>

#include "explore_atomic.h"
#include "explorer.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	      "the first bytes of a value are its low ones");

static uint64_t
get(const volatile void *object, size_t size)
{
	uint64_t value = 0;

	memcpy(&value, (const void *)(uintptr_t)object, size);
	return value;
}

static void
set(volatile void *object, size_t size, uint64_t value)
{
	memcpy((void *)(uintptr_t)object, &value, size);
}

uint64_t
explore_atomic_load(const volatile void *object, size_t size,
		    memory_order order)
{
	return explore_is_shared(object) ? explore_load(object, order) :
					   get(object, size);
}

void
explore_atomic_store(volatile void *object, size_t size, uint64_t value,
		     memory_order order)
{
	if (explore_is_shared(object))
		explore_store(object, value, order);
	else
		set(object, size, value);
}

uint64_t
explore_atomic_exchange(volatile void *object, size_t size, uint64_t value,
			memory_order order)
{
	uint64_t old;

	if (explore_is_shared(object))
		return explore_exchange(object, value, order);
	old = get(object, size);
	set(object, size, value);
	return old;
}

uint64_t
explore_atomic_add(volatile void *object, size_t size, uint64_t value,
		   memory_order order)
{
	uint64_t old;

	if (explore_is_shared(object))
		return explore_add(object, value, order);
	old = get(object, size);
	set(object, size, old + value);
	return old;
}

uint64_t
explore_atomic_or(volatile void *object, size_t size, uint64_t value,
		  memory_order order)
{
	uint64_t old;

	if (explore_is_shared(object))
		return explore_or(object, value, order);
	old = get(object, size);
	set(object, size, old | value);
	return old;
}

bool
explore_atomic_cas(volatile void *object, void *expected, size_t size,
		   uint64_t desired, memory_order order)
{
	uint64_t old, word = get(expected, size);
	bool done;

	if (explore_is_shared(object)) {
		done = explore_cas(object, &word, desired, order);
		set(expected, size, word);
		return done;
	}
	old = get(object, size);
	set(old == word ? object : expected, size,
	    old == word ? desired : old);
	return old == word;
}

void
explore_atomic_fence(memory_order order)
{
	explore_fence(order);
}

uint64_t
explore_atomic_peek(const volatile void *object, size_t size)
{
	return explore_is_shared(object) ? explore_peek(object) :
					   get(object, size);
}
