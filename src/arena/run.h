/* SPDX-License-Identifier: MIT */
/*
 * Runs: blocks larger than those of slabs, each of them as many extents as it
 * needs. A run has a block's words in its first extent's entry: its state is
 * that of the extent, where USED means LIVE or LINKED, as its use says.
 *
 * The caller has said that it is in the heap; see heap.c.
 */
#ifndef MPR_ARENA_RUN_H
#define MPR_ARENA_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena/arena.h"
#include "arena/block.h"
#include "arena/participant.h"

/* A BUSY run of at least @size bytes, the first @now of which are backed, and
 * at least a page. It is zero. Returns 0, -ENOMEM, -ENOSPC. */
int mpr_run_reserve(mproc_arena *a, const struct mpr_self *self, size_t size,
		    size_t now, struct mpr_block_ref *ret_ref);

/* The run that starts at @offset, and its state, as of a block. Returns false
 * if there is none. */
bool mpr_run_find(const mproc_arena *a, uint64_t offset,
		  struct mpr_block_ref *ret_ref, unsigned *ret_state);

/* Where the run starts in which @offset lies, if it lies in one. */
uint64_t mpr_run_start_of(const mproc_arena *a, uint64_t offset);

/* Names the word that is going to refer to a BUSY run, or does. */
void mpr_run_set_home(const mproc_arena *a, const struct mpr_block_ref *ref,
		      uint64_t home);

/* A BUSY run is to be a user's: says what it is used for before it has a home. */
void mpr_run_make_users(const mproc_arena *a, const struct mpr_block_ref *ref);

/* Whether the run is part of an object, or was before it became what it is. */
bool mpr_run_is_linked(const mproc_arena *a, const struct mpr_block_ref *ref);

uint64_t mpr_run_home(const mproc_arena *a, const struct mpr_block_ref *ref);

/* BUSY to @state, which is LIVE or LINKED. */
void mpr_run_finish(mproc_arena *a, const struct mpr_block_ref *ref,
		    unsigned state);

/* LIVE or LINKED, as @state says, to BUSY. Returns false if it is not that. */
bool mpr_run_retire(mproc_arena *a, const struct mpr_self *self,
		    const struct mpr_block_ref *ref, unsigned state);

/* BUSY to FREE. */
void mpr_run_release(mproc_arena *a, const struct mpr_block_ref *ref);

/* Adds the runs that are not FREE, and their bytes. */
void mpr_runs_count(const mproc_arena *a, uint64_t *blocks, uint64_t *bytes);

#endif
