/* SPDX-License-Identifier: MIT */
/*
 * Put before sources that use <stdatomic.h> by -include: their atomic accesses
 * to shared words become the explorer's. Those to other memory stay what they
 * are, and are no steps of a schedule: what a scenario does not share is seen
 * by all at once. So it shares what it is about.
 */
#ifndef EXPLORE_ATOMIC_H
#define EXPLORE_ATOMIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

uint64_t explore_atomic_load(const volatile void *object, size_t size,
			     memory_order order);
void explore_atomic_store(volatile void *object, size_t size, uint64_t value,
			  memory_order order);
uint64_t explore_atomic_exchange(volatile void *object, size_t size,
				 uint64_t value, memory_order order);
uint64_t explore_atomic_add(volatile void *object, size_t size, uint64_t value,
			    memory_order order);
uint64_t explore_atomic_or(volatile void *object, size_t size, uint64_t value,
			   memory_order order);
bool explore_atomic_cas(volatile void *object, void *expected, size_t size,
			uint64_t desired, memory_order order);
void explore_atomic_fence(memory_order order);

/* The newest value, shared or not; no access. */
#define explore_newest(object) explore_atomic_peek(object, sizeof(*(object)))
uint64_t explore_atomic_peek(const volatile void *object, size_t size);

/* The type without _Atomic, as that of a value. */
#define explore_type(object) __typeof__((void)0, *(object))

#undef atomic_init
#undef atomic_load
#undef atomic_load_explicit
#undef atomic_store
#undef atomic_store_explicit
#undef atomic_exchange
#undef atomic_exchange_explicit
#undef atomic_fetch_add
#undef atomic_fetch_add_explicit
#undef atomic_fetch_or_explicit
#undef atomic_compare_exchange_strong
#undef atomic_compare_exchange_strong_explicit
#undef atomic_compare_exchange_weak
#undef atomic_compare_exchange_weak_explicit
#undef atomic_thread_fence

#define atomic_init(object, value) \
	atomic_store_explicit(object, value, memory_order_relaxed)
#define atomic_load(object) atomic_load_explicit(object, memory_order_seq_cst)
#define atomic_load_explicit(object, order)                                   \
	((explore_type(object))explore_atomic_load(object, sizeof(*(object)), \
						   order))
#define atomic_store(object, value) \
	atomic_store_explicit(object, value, memory_order_seq_cst)
#define atomic_store_explicit(object, value, order)              \
	explore_atomic_store(object, sizeof(*(object)),          \
			     (uint64_t)(explore_type(object))(value), order)
#define atomic_exchange(object, value) \
	atomic_exchange_explicit(object, value, memory_order_seq_cst)
/* Without a cast: often nobody wants the result. */
#define atomic_exchange_explicit(object, value, order)              \
	explore_atomic_exchange(object, sizeof(*(object)),          \
				(uint64_t)(explore_type(object))(value), order)
#define atomic_fetch_add(object, value) \
	atomic_fetch_add_explicit(object, value, memory_order_seq_cst)
#define atomic_fetch_add_explicit(object, value, order)       \
	explore_atomic_add(object, sizeof(*(object)),         \
			   (uint64_t)(explore_type(object))(value), order)
#define atomic_fetch_or_explicit(object, value, order)       \
	explore_atomic_or(object, sizeof(*(object)),         \
			  (uint64_t)(explore_type(object))(value), order)
#define atomic_compare_exchange_strong(object, expected, desired)             \
	atomic_compare_exchange_strong_explicit(object, expected, desired,    \
						memory_order_seq_cst,         \
						memory_order_seq_cst)
#define atomic_compare_exchange_strong_explicit(object, expected, desired,    \
						order, failed)                \
	explore_atomic_cas(object, expected, sizeof(*(object)),               \
			   (uint64_t)(explore_type(object))(desired), order)
/* Failing for no reason is no other way than failing for a good one. */
#define atomic_compare_exchange_weak(object, expected, desired) \
	atomic_compare_exchange_strong(object, expected, desired)
#define atomic_compare_exchange_weak_explicit(object, expected, desired,      \
					      order, failed)                  \
	atomic_compare_exchange_strong_explicit(object, expected, desired,    \
						order, failed)
#define atomic_thread_fence(order) explore_atomic_fence(order)

#endif
