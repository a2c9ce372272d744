/* SPDX-License-Identifier: MIT */
/*
 * What unit tests share: how much to try, and a default arena that exists
 * before the first scenario, so that it is not taken for a leak.
 */
#ifndef UNIT_COMMON_H
#define UNIT_COMMON_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "arena/arena.h"
#include "arena/participant.h"
#include "mpt.h"

/* A step that nobody takes. */
#define NEVER_STEP 1000000

/* A role, or a thread of the test, that never returns by itself. */
static inline void
wait_to_be_killed(struct mpt *t)
{
	mpt_reach(t, NEVER_STEP);
}

/* How often to do something: @normal, a tenth of it for quick runs, ten times
 * for full ones. */
static inline unsigned
amount(unsigned normal)
{
	const char *level = getenv("MPT_LEVEL");

	if (level && strcmp(level, "quick") == 0)
		return normal < 10 ? 1 : normal / 10;
	if (level && strcmp(level, "full") == 0)
		return normal * 10;
	return normal;
}

static inline mproc_arena *
the_arena(void)
{
	return mpr_arena_peek();
}

/* Group setup: the arena, and a slot for the test's own thread. */
static inline int
with_arena(void **state)
{
	struct mpr_self *self;
	mproc_arena *a;

	(void)state;
	return mpr_arena_get(&a) < 0 || mpr_self(a, &self) < 0 ? -1 : 0;
}

/* The calling thread as a participant; for the test and for roles. */
static inline struct mpr_self *
join_arena(struct mpt *t)
{
	struct mpr_self *self = NULL;

	mpt_check_int(t, mpr_self(the_arena(), &self), 0);
	return self;
}

/* Ends a thread behind the back of the C library. */
static inline void
end_thread_at_once(void)
{
	syscall(SYS_exit, 0);
}

/*
 * Runs a thread that ends that way. What the C library keeps of it lies in its
 * stack, so the stack is one that no other thread gets.
 */
static inline int
run_vanishing_thread(void *(*fn)(void *arg), void *arg)
{
	static _Alignas(4096) unsigned char stack[256 * 1024];
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setstack(&attr, stack, sizeof(stack));
	r = pthread_create(&thread, &attr, fn, arg);
	pthread_attr_destroy(&attr);
	return r ? r : pthread_join(thread, NULL);
}

#endif
