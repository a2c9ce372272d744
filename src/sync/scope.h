/* SPDX-License-Identifier: MIT */
/*
 * Who means the same object by a name (arena/arena.h): all participants, or,
 * for an object outside the arena, those of one process.
 */
#ifndef MPR_SYNC_SCOPE_H
#define MPR_SYNC_SCOPE_H

#include <stdbool.h>
#include <stdint.h>

#include "arena/participant.h"

struct mpr_scope {
	uint32_t pid;       /* 0: whatever the process is */
	uint64_t namespace; /* 0: not known */
};

/* Of @name as @of means it, or, if that is NULL, the calling process. */
struct mpr_scope mpr_scope(uint64_t name, const struct mpr_participant *of);

/* Whether @p, dead or alive, is or was of the process. */
bool mpr_scope_includes(const struct mpr_scope *scope,
			const struct mpr_participant *p);

/* As far as the life word says: who is dead and not recovered from would make
 * others wait for that. */
bool mpr_scope_lives(const mproc_arena *a, unsigned slot, uint64_t ident);

/* Whether the one in @slot lives and is of the process. */
bool mpr_scope_has(const mproc_arena *a, const struct mpr_scope *scope,
		   unsigned slot);

#endif
