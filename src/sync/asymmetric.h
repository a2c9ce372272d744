/* SPDX-License-Identifier: MIT */
/*
 * Store, fence, load against store, fence, load: the pattern behind every
 * sleep and wake, where one side runs all the time and the other rarely. The
 * rare side pays for both (os/fence.h).
 */
#ifndef MPR_SYNC_ASYMMETRIC_H
#define MPR_SYNC_ASYMMETRIC_H

#include <stdatomic.h>

#include "arena/arena.h"
#include "os/cpu.h"
#include "os/fence.h"

/* The frequent side: between its store and its load. @light_fences is the arena's, for
 * who has it at hand. */
static inline void
mpr_fence_light_by(const _Atomic uint32_t *light_fences)
{
	if (mpr_unlikely(atomic_load_explicit(light_fences,
					      memory_order_relaxed)))
		mpr_cpu_fence();
	else
		atomic_signal_fence(memory_order_seq_cst);
}

static inline void
mpr_fence_light(const mproc_arena *a)
{
	mpr_fence_light_by(&a->shm->light_fences);
}

/* The same for who has asked that, and been told that the rare side does it
 * all: for the compiler alone. */
static inline void
mpr_fence_none(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

/* The rare side: between its store and its load. */
static inline void
mpr_fence_rare(const mproc_arena *a)
{
	/* A sandbox may take membarrier away later: from then on the frequent
	 * side fences itself. Whoever has not seen that yet is late by one
	 * slice of the sleeper (sync/park.h) at most. */
	if (mpr_unlikely(!mpr_fence_heavy()))
		atomic_store(&a->shm->light_fences, 1);
}

#endif
