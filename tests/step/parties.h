/* SPDX-License-Identifier: MIT */
/*
 * What step tests of objects with notes share: a victim, and perhaps another
 * process that waits or holds, on an object in the arena.
 */
#ifndef STEP_PARTIES_H
#define STEP_PARTIES_H

#include <errno.h>
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

/* In victims and others, which never assert. */
static inline void
must_be(int r, int what)
{
	if (r != what)
		_exit(1);
}

static inline void
may_fail(int r)
{
	if (r < 0)
		_exit(1);
}

static inline void
recover(void)
{
	assert_true(mproc_arena_recover(NULL) >= 0);
}

/* A process that runs @fn, which ends it. */
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

/* It ends well within the scenario's time. */
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

static inline uint64_t
hash(uint64_t h, const void *p, size_t len)
{
	const uint64_t *words = p;

	for (size_t i = 0; i < len / sizeof(*words); i++)
		h = (h ^ words[i]) * UINT64_C(0x100000001b3);
	return h;
}

/* All that steers an object of @len bytes: itself, participants, what they wait
 * for, and their notes. */
static inline uint64_t
sync_state(const void *object, size_t len)
{
	const mproc_arena *a = mpr_arena_peek();
	unsigned high = mpr_participants_high(a);
	uint64_t h;

	h = hash(UINT64_C(0xcbf29ce484222325), object, len);
	h = hash(h, mpr_participant_at(a, 0),
		 high * sizeof(struct mpr_participant));
	h = hash(h, mpr_arena_at(a, MPR_WAITS_AT), high * sizeof(uint64_t));
	return hash(h, mpr_notes_at(a, 0), high * sizeof(struct mpr_notes));
}

#endif
