/* SPDX-License-Identifier: MIT */
/*
 * The queue's entry in the table of kinds (arena/kinds.h).
 */
#ifndef MPR_IPC_QUEUE_RECOVER_H
#define MPR_IPC_QUEUE_RECOVER_H

#include <stdint.h>
#include <sys/types.h>

#include <mproc/queue.h>

#include "arena/arena.h"

void mpr_queues_recover(mproc_arena *a, unsigned slot, uint64_t ident);
void mpr_queues_told(mproc_arena *a, pid_t pid, int signal);
/* Messages of somebody who is gone may have come back, or become dead letters. */
void mpr_queue_announce_returned(mproc_arena *a, mproc_queue *q);

void mpr_queues_count(mproc_arena *a, struct mproc_arena_stat *stat);

#endif
