/* SPDX-License-Identifier: MIT */
/*
 * Recovery: giving back what a dead participant held. Any process may do it,
 * any number at once, and each step may be the last before the recoverer dies
 * too: the next one goes through all of it again.
 *
 *   R0  ident LIVE -> DEAD: the death is announced, no proof is needed again
 *   R1  the heap decides what becomes of blocks that were on their way
 *   R2  each kind of object looks through its objects (arena/kinds.h)
 *   R3  ident DEAD -> FREE: the slot can be used again
 */
#ifndef MPR_ARENA_RECOVER_H
#define MPR_ARENA_RECOVER_H

#include <stdbool.h>
#include <sys/types.h>

#include "arena/arena.h"

/* Recovers from all participants who are dead. Returns how many. @thorough as in
 * mpr_participant_is_dead(). */
int mpr_recover_all(mproc_arena *a, bool thorough);

/* And from others than participants, of which there may be many: not for who only
 * needs a slot, or a lane. */
int mpr_recover_everything(mproc_arena *a, bool thorough);

/* The same for those who wait: thorough once a second in each family. */
int mpr_recover_now_and_then(mproc_arena *a);

/* Recovers from the participant in @slot if it is dead, by its life word alone.
 * Returns whether it was. */
bool mpr_recover_slot(mproc_arena *a, unsigned slot);

/* Recovers from the process @pid, which the caller has reaped, in all arenas, and
 * tells what ended it: a signal, 0, or -1 if that is not known. */
void mpr_recover_process(pid_t pid, int signal);

#endif
