/* SPDX-License-Identifier: MIT */
/*
 * What tests of the public interface share. They include the public headers
 * and the test support library only, and are linked with the shared library.
 */
#ifndef API_COMMON_H
#define API_COMMON_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <mproc/mproc.h>

#include "mpt.h"

#define MS INT64_C(1000000) /* in nanoseconds */

/* A step that nobody takes. */
#define NEVER_STEP 1000000

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

/* Waits until a child has ended, and leaves it unreaped. Its state would say so
 * too early where a sanitizer has a thread in it. */
static inline void
await_zombie(struct mpt *t, pid_t pid)
{
	siginfo_t info;

	mpt_check_int(t, waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
}

static inline bool
detail_has(const char *text)
{
	return strstr(mproc_error_detail(), text) != NULL;
}

static inline struct mproc_arena_stat
stat_now(void)
{
	struct mproc_arena_stat stat;

	assert_int_equal(mproc_arena_stat(NULL, &stat), 0);
	return stat;
}

/* The arena is as it was, once the dead are cleaned up. */
static inline void
expect_stat(const struct mproc_arena_stat *before)
{
	struct mproc_arena_stat now;

	assert_true(mproc_arena_recover(NULL) >= 0);
	now = stat_now();
	assert_int_equal(now.queues, before->queues);
	assert_int_equal(now.participants, before->participants);
	assert_int_equal(now.blocks, before->blocks);
	assert_int_equal(now.used, before->used);
}

/* Group setup: what is made once and stays (the arena, our slot, a queue's
 * header) is there before the first scenario. */
static inline int
with_arena(void **state)
{
	mproc_queue *q;

	(void)state;
	if (mproc_queue_create(&q, NULL) < 0)
		return -1;
	mproc_queue_destroy(q);
	return 0;
}

/* Each test between processes, and between threads. */
#define both(f)                                                               \
	static void f##_process(void **state)                                 \
	{                                                                     \
		f(*state);                                                    \
	}                                                                     \
	static void f##_thread(void **state)                                  \
	{                                                                     \
		mpt_use_threads(*state, true);                                \
		f(*state);                                                    \
	}

#define both_tests(f) mpt_test(f##_process), mpt_test(f##_thread)

#endif
