/* SPDX-License-Identifier: MIT */
/*
 * The arenas that this process has mapped: the default one and those it has
 * opened by name; and in which of them an address lies.
 *
 * An object says nothing about its arena, so each call asks here. As long as no
 * arena is open by name that costs one load.
 */
#ifndef MPR_ARENA_TABLE_H
#define MPR_ARENA_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arena/arena.h"

/* How many entries have been used; never less than before. */
extern _Atomic unsigned mpr_arenas_high;

mproc_arena *mpr_arena_search(const void *p);

/* Whether there may be other arenas than the default one. */
static inline bool
mpr_arenas_are_many(void)
{
	/* Relaxed: who has a pointer into one has learnt it from who opened
	 * it, in this process. */
	return mpr_unlikely(atomic_load_explicit(&mpr_arenas_high,
						 memory_order_relaxed) != 0);
}

/* The arena in which @p lies. What lies in none is for the threads of one process,
 * which meet in the default one; NULL if there is none yet. */
static inline mproc_arena *
mpr_arena_of(const void *p)
{
	return mpr_arenas_are_many() ? mpr_arena_search(p) : mpr_arena_peek();
}

/* The same; the default one is made if need be. Returns 0 or a negative error. */
int mpr_arena_get_of(const void *p, mproc_arena **ret_a);

/* Calls @fn for each. None of them is unmapped meanwhile. Async-signal-safe if
 * @fn is; it must not wait for the process lock, nor join an arena. */
void mpr_arenas_each(void (*fn)(mproc_arena *a, void *arg), void *arg);

/* The same for those who may do that. */
void mpr_arenas_visit(void (*fn)(mproc_arena *a, void *arg), void *arg);

/* The named ones' files; NULL in the places of others. */
void mpr_arenas_files(const struct mpr_file *ret[MPR_ARENAS_NAMED_MAX]);

/*
 * The rest is for named arenas, and with the process lock held.
 */

/* A free entry's arena, whose index is set; NULL if all are in use. */
mproc_arena *mpr_arenas_take(void);

/* The open one whose file is that, or NULL. One whose descriptor the program has
 * closed does not count: nobody can join it. */
mproc_arena *mpr_arenas_find(uint64_t device, uint64_t inode);

/* From now on addresses in it are found. It is open once. */
void mpr_arenas_publish(mproc_arena *a);

/* One more is to close it. */
void mpr_arenas_hold(mproc_arena *a);

/* Whether @a is open. */
bool mpr_arenas_has(const mproc_arena *a);

/* One less is to close it. Returns whether that was the last. */
bool mpr_arenas_drop(mproc_arena *a);

/* Unmaps it if it is closed and no thread of this process is in it. */
void mpr_arenas_unmap_unused(mproc_arena *a);

/* A thread of this process has joined @a, or has left. */
void mpr_arenas_entered(mproc_arena *a);
void mpr_arenas_left(mproc_arena *a);

#endif
