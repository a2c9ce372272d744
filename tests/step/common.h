/* SPDX-License-Identifier: MIT */
/*
 * What step tests share, whatever they step through. Victims and other
 * processes never assert: they end with an exit code.
 */
#ifndef STEP_COMMON_H
#define STEP_COMMON_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <mproc/mproc.h>

#include "arena/participant.h"
#include "mpt.h"
#include "mpt_step.h"

static inline void
recover(void)
{
	assert_true(mproc_arena_recover(NULL) >= 0);
}

/* In victims and others. */
static inline void
may_fail(int r)
{
	if (r < 0)
		_exit(1);
}

static inline void
must_be(int r, int what)
{
	if (r != what)
		_exit(1);
}

/* It ends well, and within the scenario's time. */
static inline void
wait_for_exit(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static inline void
end_by_kill(pid_t pid)
{
	int status;

	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
}

#define SPARE 4

static inline void *
use_a_slot(void *all)
{
	void *p = mproc_alloc(64);

	pthread_barrier_wait(all);
	mproc_free(p);
	return NULL;
}

/* Leaves free slots, so that who joins need not look for the dead first. */
static inline void
make_spare_slots(void)
{
	pthread_t threads[SPARE];
	pthread_barrier_t all;

	pthread_barrier_init(&all, NULL, SPARE);
	for (int i = 0; i < SPARE; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, use_a_slot,
						&all), 0);
	for (int i = 0; i < SPARE; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&all);
}

static inline uint64_t
hash(uint64_t h, const void *p, size_t len)
{
	const uint64_t *words = p;

	for (size_t i = 0; i < len / sizeof(*words); i++)
		h = (h ^ words[i]) * UINT64_C(0x100000001b3);
	return h;
}

#endif
