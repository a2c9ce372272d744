/* SPDX-License-Identifier: MIT */
/*
 * Scenarios of who keeps a pool: in the world of locks and the like (sync_world.h), with
 * the sources of src/pool/keeper_word.c and sync/cell.c as they are.
 */
#ifndef POOL_KEEPER_H
#define POOL_KEEPER_H

#include "pool/keeper_word.h"
#include "sync_world.h"

enum pool_keeper_case {
	POOL_KEEPER_TWO,
	POOL_KEEPER_THREE,
	POOL_KEEPER_ENDED,
	POOL_KEEPER_REMADE,
	POOL_KEEPER_LATE,
	POOL_KEEPER_INLINE,
	POOL_KEEPER_TERMINATED,
	POOL_KEEPER_ORPHANED,
	POOL_KEEPER_ORPHANED_THREE,
	POOL_KEEPER_CASES
};

extern const struct sync_case pool_keeper_cases[POOL_KEEPER_CASES];

/* The generation of the first pool. */
#define POOL_FIRST 1

#endif
