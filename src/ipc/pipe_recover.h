/* SPDX-License-Identifier: MIT */
/*
 * The pipes' lines in the table of kinds (arena/kinds.h).
 */
#ifndef MPR_IPC_PIPE_RECOVER_H
#define MPR_IPC_PIPE_RECOVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "arena/arena.h"

void mpr_pipes_recover(mproc_arena *a, unsigned slot, uint64_t ident);
void mpr_pipes_leave(const mproc_arena *a);
void mpr_pipes_ended(mproc_arena *a, pid_t pid);
void mpr_pipes_look(mproc_arena *a, bool thorough);

#endif
