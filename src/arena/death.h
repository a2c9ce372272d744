/* SPDX-License-Identifier: MIT */
/*
 * Proof of death: decided by the kernel, never by a timeout.
 *
 *   dead(thread) := its life word says that its owner ended
 *                   OR (its slot's byte lock is free
 *                       AND no thread with its id is as old as its joining)
 *
 * A false "dead" would corrupt, a false "alive" only delays. The life word is
 * exact and read without a system call. The second line is for a death after
 * which the kernel could not walk the robust list (an out-of-memory kill may
 * unmap it first); both of its oracles must agree, as a process may by mistake
 * close its lock file (closefrom), and as ids from another PID namespace say
 * nothing here. A stopped process is dead by neither.
 */
#ifndef MPR_ARENA_DEATH_H
#define MPR_ARENA_DEATH_H

#include <stdbool.h>

#include "arena/participant.h"

/*
 * Whether the participant that has @ident, a LIVE one, in @slot is dead. Only
 * with @thorough is the second line asked, which costs a few system calls.
 */
bool mpr_participant_is_dead(const mproc_arena *a, unsigned slot,
			     uint64_t ident, bool thorough);

/* Whether the one in @slot, which was LEAVING, has ended. */
bool mpr_participant_has_ended(const mproc_arena *a, unsigned slot);

#endif
