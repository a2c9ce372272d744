/* SPDX-License-Identifier: MIT */
/*
 * What ring/access.h includes under MPR_EXPLORE: each access of the algorithms
 * to shared memory becomes a call, before which the explorer may let another
 * fiber run or kill this one, and whose effect the memory model decides
 * (explore_memory.c).
 *
 * Payload is copied word by word, so that others may run in the middle of it.
 */
#ifndef EXPLORE_ACCESS_H
#define EXPLORE_ACCESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define mpr_load(object, order) explore_load(object, order)
#define mpr_store(object, value, order) explore_store(object, value, order)
#define mpr_exchange(object, value, order) \
	explore_exchange(object, value, order)
#define mpr_cas(object, expected, desired, order) \
	explore_cas(object, expected, desired, order)
#define mpr_fence(order) explore_fence(order)
#define mpr_take_line(p) ((void)explore_or(p, 0, memory_order_relaxed))
#define mpr_take_own_line(p)                                           \
	explore_store(p, explore_load(p, memory_order_relaxed), \
		      memory_order_relaxed)
#define mpr_copy_in(shared, from, len) explore_copy_in(shared, from, len)
#define mpr_copy_in_batch(shared, from, len) explore_copy_in(shared, from, len)
#define mpr_copy_out(to, shared, len) explore_copy_out(to, shared, len)
#define mpr_copy_out_taking(to, shared, len) \
	explore_copy_out_taking(to, shared, len)

uint64_t explore_load(const volatile void *object, memory_order order);
void explore_store(volatile void *object, uint64_t value, memory_order order);
uint64_t explore_exchange(volatile void *object, uint64_t value,
			  memory_order order);
uint64_t explore_add(volatile void *object, uint64_t value,
		     memory_order order);
uint64_t explore_or(volatile void *object, uint64_t value, memory_order order);
bool explore_cas(volatile void *object, uint64_t *expected, uint64_t desired,
		 memory_order order);
void explore_fence(memory_order order);
void explore_copy_in(volatile void *shared, const void *from, size_t len);
void explore_copy_out(void *to, const volatile void *shared, size_t len);
void explore_copy_out_taking(void *to, volatile void *shared, size_t len);

#endif
