/* SPDX-License-Identifier: MIT */
/*
 * What step tests of locks and the like share: other processes, and what steers
 * an object that lies in the arena.
 */
#ifndef STEP_SYNC_H
#define STEP_SYNC_H

#include "common.h"

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

/* Who is dead has nothing any more; nobody else is there but we. */
static inline void
expect_nobody_else(void)
{
	struct mproc_arena_stat stat;

	recover();
	assert_int_equal(mproc_arena_stat(NULL, &stat), 0);
	assert_int_equal(stat.participants, 1);
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
