/* SPDX-License-Identifier: MIT */
/*
 * Who holds an end of a pipe: a list of words, each of which names a process.
 *
 *   bit 0        1: it holds the end no more, and not all is done about that yet
 *   bits 1..22   its id
 *   bits 23..62  when it has started (os/task.h), or 0 if that is unknown
 *   bit 63       1: it has used the end itself
 *
 * All zero is free. A hold begins and ends with one compare-and-swap of the whole
 * word; id and time name one process for ever, so a hold is never taken for that
 * of a later process. Processes hold, not threads: a hold is dead when no thread of
 * its process is left.
 *
 * Who gives an end away adds a hold, counts it, and ends its own. Who looks for one
 * and finds none looks again if one was counted meanwhile: the new one may lie where
 * it had been already, and the old one be gone when it came there.
 *
 * Lists only grow, and are never freed: they can be walked by anyone.
 */
#ifndef MPR_IPC_PIPE_HOLDS_H
#define MPR_IPC_PIPE_HOLDS_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "arena/arena.h"
#include "arena/participant.h"

#define MPR_HOLDS_FIRST 6
#define MPR_HOLDS_MORE 31
#define MPR_HOLD_ENDING UINT64_C(1)
#define MPR_HOLD_USED (UINT64_C(1) << 63)

/* Part of an end. */
struct mpr_holds {
	_Atomic uint64_t more; /* offset of a struct mpr_hold_block, or 0 */
	_Atomic uint64_t added; /* how many were added */
	_Atomic uint64_t word[MPR_HOLDS_FIRST];
};

/* A block of further words. */
struct mpr_hold_block {
	_Atomic uint64_t more;
	_Atomic uint64_t word[MPR_HOLDS_MORE];
};

static_assert(sizeof(struct mpr_holds) == 64, "shared layout");
static_assert(sizeof(struct mpr_hold_block) == 256, "shared layout");

/* A walk over all words; start with all zero. */
struct mpr_hold_walk {
	_Atomic uint64_t *word;
	_Atomic uint64_t *more;
	unsigned left;
	unsigned blocks;
};

/* The next word, or NULL. */
_Atomic uint64_t *mpr_hold_next(const mproc_arena *a, struct mpr_holds *h,
				struct mpr_hold_walk *walk);

/* The word of the process @pid, which exists, though it may have ended. */
uint64_t mpr_hold_of(pid_t pid);

/* The word of the calling process. */
uint64_t mpr_hold_mine(void);

/* Whether the calling process may hold anything: before it is given its first hold, or
 * gives it to itself, that has to be noted, and so it is in the children that it forks.
 * Most processes hold nothing, and need not look for what they hold. */
extern _Atomic bool mpr_hold_noted;

static inline void
mpr_hold_note(void)
{
	/* Relaxed: who looks is this thread, at the end of the process, or one that
	 * ends the process while this one makes what nobody has yet; then the kernel
	 * tells of the end. */
	atomic_store_explicit(&mpr_hold_noted, true, memory_order_relaxed);
}

static inline bool
mpr_hold_may_be(void)
{
	return atomic_load_explicit(&mpr_hold_noted, memory_order_relaxed);
}

static inline pid_t
mpr_hold_pid(uint64_t word)
{
	return (pid_t)(word >> 1 & 0x3fffff);
}

static inline uint64_t
mpr_hold_start(uint64_t word)
{
	return (word & ~MPR_HOLD_USED) >> 23;
}

/* Whether somebody holds the end by the word. */
static inline bool
mpr_hold_stands(uint64_t word)
{
	return word != 0 && !(word & MPR_HOLD_ENDING);
}

/* Whether both words are the same process's: its start may have been unknown to
 * one of those who wrote them. */
static inline bool
mpr_hold_is(uint64_t word, uint64_t other)
{
	return mpr_hold_stands(word) &&
	       mpr_hold_pid(word) == mpr_hold_pid(other) &&
	       (mpr_hold_start(word) == mpr_hold_start(other) ||
		!mpr_hold_start(word) || !mpr_hold_start(other));
}

/* Where the process of @word holds the end, or NULL. */
_Atomic uint64_t *mpr_hold_find(const mproc_arena *a, struct mpr_holds *h,
				uint64_t word);

/* Where another process than that of @word does, or with 0 any, and its word; or
 * NULL. */
_Atomic uint64_t *mpr_hold_other(const mproc_arena *a, struct mpr_holds *h,
				 uint64_t word, uint64_t *ret_other);

/* Whether one does. */
static inline bool
mpr_hold_others(const mproc_arena *a, struct mpr_holds *h, uint64_t word)
{
	uint64_t other;

	return mpr_hold_other(a, h, word, &other);
}

/* Whether all words are free. */
bool mpr_hold_is_clean(const mproc_arena *a, struct mpr_holds *h);

/* From now on the process of @word holds the end. Returns 0, -ENOMEM, -ENOSPC,
 * -EBADMSG. */
int mpr_hold_add(mproc_arena *a, struct mpr_self *self, struct mpr_holds *h,
		 uint64_t word);

/*
 * Which processes live, as far as their threads show it that take part in the
 * arena: a look at these for all holds, and no system call. Or else the kernel is
 * asked, once in each look.
 */
#define MPR_HOLD_PIDS (2 * MPR_PARTICIPANTS_MAX)
#define MPR_HOLDS_LIVING 128

struct mpr_hold_census {
	const mproc_arena *arena;
	bool thorough; /* ids may be others' by now */
	bool taken;
	uint64_t living[MPR_HOLDS_LIVING]; /* the kernel says so; by hash */
	uint32_t pids[MPR_HOLD_PIDS]; /* a hash set; 0: free */
};

/* Whether the process of @word has ended, by what the kernel says. */
bool mpr_hold_is_dead(struct mpr_hold_census *c, uint64_t word);

#endif
