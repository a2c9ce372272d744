/* SPDX-License-Identifier: MIT */
/*
 * How much chaos programs do, and on how many CPUs.
 */
#ifndef CHAOS_LEVEL_H
#define CHAOS_LEVEL_H

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mpt.h"

static inline unsigned
chaos_by_level(unsigned quick, unsigned normal, unsigned full)
{
	const char *level = getenv("MPT_LEVEL");

	if (level && strcmp(level, "quick") == 0)
		return quick;
	return level && strcmp(level, "full") == 0 ? full : normal;
}

/* Where the test and who does something take turns, few are seen at it. */
static bool chaos_has_one_cpu;

enum {
	CHAOS_HITS = 100, /* at level full */
	CHAOS_HITS_NORMAL = 1,
};

/* How often each call is to be hit by a kill, at least. A run goes on until it has
 * been. */
static inline unsigned
chaos_enough(void)
{
	return chaos_has_one_cpu ? 0 :
				   chaos_by_level(0, CHAOS_HITS_NORMAL,
						  CHAOS_HITS);
}

/* Has @f done while the test has one CPU. */
static inline void
chaos_on_one_cpu(void (*f)(struct mpt *t), struct mpt *t)
{
	cpu_set_t all, one;

	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	CPU_ZERO(&one);
	for (int cpu = 0; !CPU_COUNT(&one) && cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &all))
			CPU_SET(cpu, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	chaos_has_one_cpu = true;
	f(t);
	chaos_has_one_cpu = false;
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
}

/* Two tests of @f(t). */
#define chaos_both(f)                                                         \
	static void f##_on_all_cpus(void **state)                             \
	{                                                                     \
		f(*state);                                                    \
	}                                                                     \
	static void f##_on_one_cpu(void **state)                              \
	{                                                                     \
		chaos_on_one_cpu(f, *state);                                  \
	}

#define chaos_tests(f) mpt_test(f##_on_all_cpus), mpt_test(f##_on_one_cpu)

#endif
