/* SPDX-License-Identifier: MIT */
/*
 * What step tests of locks and the like share: fresh objects in the arena, other
 * processes that wait for them, and what must hold after any kill. Victims and
 * others never assert: they end with an exit code.
 */
#ifndef STEP_SYNC_H
#define STEP_SYNC_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
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

static inline void
must_be(int r, int what)
{
	if (r != what)
		_exit(1);
}

static inline void
must_be_held(int r)
{
	if (r < 0)
		_exit(1);
}

/* Starts another process. Its @fn ends well by returning. */
static inline pid_t
start(void (*fn)(void *arg), void *arg)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		fn(arg);
		_exit(0);
	}
	return pid;
}

static inline void
wait_for_exit(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Who is dead has nothing any more; nobody else is there but we. */
static inline void
expect_nobody_else(void)
{
	struct mproc_arena_stat stat;

	recover();
	assert_int_equal(mproc_arena_stat(NULL, &stat), 0);
	assert_int_equal(stat.participants, 1);
}

static inline uint64_t
hash(uint64_t h, const void *p, size_t len)
{
	const uint64_t *words = p;

	for (size_t i = 0; i < len / sizeof(*words); i++)
		h = (h ^ words[i]) * UINT64_C(0x100000001b3);
	return h;
}

/* The words of those who wait, and the participants. */
static inline uint64_t
hash_of_participants(void)
{
	const mproc_arena *a = mpr_arena_peek();
	unsigned high = mpr_participants_high(a);
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	h = hash(h, mpr_arena_at(a, MPR_WAITS_AT), high * sizeof(uint64_t));
	return hash(h, mpr_participant_at(a, 0),
		    high * sizeof(struct mpr_participant));
}

#endif
