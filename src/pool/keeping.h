/* SPDX-License-Identifier: MIT */
/*
 * Who keeps a pool. The root's word says it (keeper_word.h), as that of a lock: a keeper
 * that is dead is replaced by whoever needs one. That one writes itself there, with
 * HANDED, forks a keeper and waits until it has put itself in its place.
 *
 * Of a pool of threads the keeper is one, and dies with all of them. Then, always of an
 * inline pool, and once any pool was terminated, whoever needs a keeper and finds none that
 * lives is it for a moment: so the end of a pool does not depend on the start of a process.
 */
#ifndef MPR_POOL_KEEPING_H
#define MPR_POOL_KEEPING_H

#include "os/thread.h"
#include "pool/pool_shm.h"

/* What a keeper begins with. */
struct mpr_keeping {
	struct mpr_pool_use use;
	uint64_t starter; /* the word that it takes the place of */
	unsigned starter_slot;
	int64_t at; /* when it was started */
	bool is_first; /* the pool is not open before it is there */
	/* Its process, and where it is that one. */
	pid_t starter_pid;
	uint64_t namespace;
	struct mpr_records *records; /* set aside for it; or NULL */
	/* That of the keeper's own process, if that has done something before; or 0. */
	uint64_t generation;
	/* For an image of its own: use.loop, as pool/code.h has it, or 0; and what signals
	 * the starter has blocked. */
	uint64_t loop;
	sigset_t blocked;
};

/* Whether somebody keeps it, or is about to. */
bool mpr_keeping_is_on(const struct mpr_pool_use *u);

/* The slot of that one, for mpr_wait_announce(); -1 if there is none, -2 if that is as it
 * is to be, or it is that for a moment only. */
int mpr_keeping_slot(const struct mpr_pool_use *u);

/* Wakes the keeper, to look at what has changed; or looks itself, where nobody is to be woken
 * and nobody is to be started for it. */
void mpr_keeping_wake(const struct mpr_pool_use *u);

/*
 * Sees to it that there is a keeper, unless the pool has ended; or that all is done that
 * there is to do without one. Returns 0; or why there cannot be one: -ENOEXEC if this
 * process has another image than the pool, or another program, where keepers have images
 * of their own; -ESHUTDOWN if the pool was freed; or as mpr_self(), or
 * mproc_process_start().
 */
int mpr_keeping_ensure(const struct mpr_pool_use *u);

/* The first one, for who makes the pool and has the word. Returns 0 or as
 * mproc_process_start(): the word is NONE then. In a copy that a signal handler has
 * forked, which has nothing, it returns anything. */
int mpr_keeping_begin(const struct mpr_pool_use *u, struct mpr_self *self);

/* The pool has ended: waits for the end of the keeper that this process has started for
 * it, if there is one. If somebody has stopped that, it is killed; by who frees the pool, if
 * the caller has no time for that before @deadline. */
void mpr_keeping_reap(const struct mpr_pool_use *u, int64_t deadline);

/* The pool does not end: kills that keeper, so that somebody takes its place. Returns
 * false if there is none that can be killed. */
bool mpr_keeping_kill(const struct mpr_pool_use *u);

/* The keeper: the entry of the process that is forked. */
int mpr_keeper_run(void *keeping);

/* The same of one with an image of its own, which gets a copy of that. */
int mpr_keeper_run_anew(void *keeping);

/* The same in a thread, until the pool has ended; its workers are to have @signals
 * blocked. Returns 0, or why there cannot be one. */
int mpr_keeper_run_here(const struct mpr_keeping *keeping, const sigset_t *signals);

#endif
