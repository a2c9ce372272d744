/* SPDX-License-Identifier: MIT */
/*
 * What is wrong with a block or with an address that is said to be one, in words;
 * and the checking mode, MPROC_HEAP_CHECK=1, in which the bytes between what was
 * asked for and the block's end, or the end that belongs to a value, hold a pattern
 * that nobody may change. Whether a block has such a guard is told by its birth, so
 * that any process finds it broken.
 */
#ifndef MPR_ARENA_CHECK_H
#define MPR_ARENA_CHECK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena/arena.h"
#include "arena/block.h"
#include "base/macros.h"

/* Whether this process checks: 1, 0, or -1 before anybody has asked. */
extern _Atomic int mpr_checking;

bool mpr_checks_at_first(void);

static inline bool
mpr_checks(void)
{
	int is = atomic_load_explicit(&mpr_checking, memory_order_relaxed);

	return mpr_unlikely(is) && (is > 0 || mpr_checks_at_first());
}

#define MPR_GUARD 16 /* bytes at least */

/* How many bytes to reserve for @size: more of them in the checking mode. */
static inline size_t
mpr_check_room(size_t size)
{
	return mpr_checks() && size <= SIZE_MAX - MPR_GUARD ? size + MPR_GUARD :
							      size;
}

/* In the checking mode, guards a BUSY block, or one whose birth says that it has no
 * guard. Returns the flags to be added to the birth. */
uint64_t mpr_guard(const mproc_arena *a, const struct mpr_block_ref *ref,
		   size_t asked, uint64_t flags);

/* Looks at the guard of a block, if it is LIVE and has one, and logs if it is broken;
 * @what says who asks. */
void mpr_check_guard(const mproc_arena *a, const struct mpr_block_ref *ref,
		     const char *what);

/* The same for all blocks of the user, in the checking mode. */
void mpr_check_all(const mproc_arena *a);

/* Logs what @p is, as no allocated block starts there. */
void mpr_check_explain(const mproc_arena *a, const void *p, const char *what);

/* The error for that. */
int mpr_no_block(const void *p);

#endif
