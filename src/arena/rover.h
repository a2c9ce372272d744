/* SPDX-License-Identifier: MIT */
/*
 * Where a process goes on looking for a header that is free, in a list of thousands
 * that never gets shorter: behind the last one that it has found. Who walked from the
 * beginning each time would make n of them in n * n steps.
 *
 * At the end of the list it adds a header, or begins once more at the beginning, if
 * that costs few steps for each header that was found or freed since: then what was
 * freed is found, and what is added in vain, as other processes have freed some, is a
 * small part of the list. Short lists are walked from the beginning.
 *
 * Private to the process; all words may be old, and any place in the list is right.
 */
#ifndef MPR_ARENA_ROVER_H
#define MPR_ARENA_ROVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define MPR_ROVER_SHORT 64 /* headers */
#define MPR_ROVER_STEPS 16 /* for each that is found or freed, besides */

struct mpr_rover {
	_Atomic uint64_t place; /* see mpr_rover_pack() */
	_Atomic uint32_t moved; /* found or freed since it began at the beginning */
};

/* Offset of a header, a multiple of 8, or 0, and its number: both in one word, so that
 * threads may be here at once. */
static inline uint64_t
mpr_rover_pack(uint64_t offset, unsigned n)
{
	return offset << 18 | n;
}

static inline uint64_t
mpr_rover_offset(uint64_t place)
{
	return place >> 21 << 3;
}

static inline unsigned
mpr_rover_number(uint64_t place)
{
	return (unsigned)(place & ((1u << 21) - 1));
}

/* Behind which header to look; 0: from the beginning. */
static inline uint64_t
mpr_rover_begin(const struct mpr_rover *r)
{
	return atomic_load_explicit(&r->place, memory_order_relaxed);
}

/* One was found behind the @n-th header, at @offset. */
static inline void
mpr_rover_found(struct mpr_rover *r, uint64_t offset, unsigned n)
{
	atomic_fetch_add_explicit(&r->moved, 1, memory_order_relaxed);
	atomic_store_explicit(&r->place, n < MPR_ROVER_SHORT ?
						 0 : mpr_rover_pack(offset, n),
			      memory_order_relaxed);
}

/* One is free from now on. */
static inline void
mpr_rover_freed(struct mpr_rover *r)
{
	atomic_fetch_add_explicit(&r->moved, 1, memory_order_relaxed);
}

/* It has come to the end of @n headers, and not from the beginning. Returns whether to
 * begin there now. */
static inline bool
mpr_rover_turns(struct mpr_rover *r, unsigned n)
{
	uint32_t moved = atomic_load_explicit(&r->moved, memory_order_relaxed);

	if (moved < n / MPR_ROVER_STEPS)
		return false;
	atomic_store_explicit(&r->moved, 0, memory_order_relaxed);
	return true;
}

#endif
