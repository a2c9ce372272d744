/* SPDX-License-Identifier: MIT */
/*
 * Killers: how many takers have died with a message in their hands, and who the
 * last ones were. The words lie in the message's block.
 *
 * A death is counted under the epoch of the take that it ended, so that any
 * number of recoverers count it once, and one that comes too late counts
 * nothing: later takes and uses of the block have later epochs. The words are
 * changed by CAS, from what was there when the dead one still had its seat: as
 * long as it has, the block is one, and this use of it is not over.
 */
#ifndef MPR_IPC_KILLERS_H
#define MPR_IPC_KILLERS_H

#include <stdint.h>

#include <mproc/queue.h>

#include "ipc/message_block.h"

/* A fresh use of the block, which is the caller's with this word. */
void mpr_killers_none(struct mpr_message_block *b, uint64_t word);

/* Counts the death of the taker that has the block with this word, and a seat
 * with that one, and notes its @pid. Returns how many deaths that makes;
 * nothing is changed if the seat is not held any more. */
unsigned mpr_killers_add(struct mpr_message_block *b, uint64_t word,
			 uint32_t pid, _Atomic uint64_t *seat,
			 uint64_t seat_word);

/* Notes what ended @pid: a signal, or 0. */
void mpr_killers_told(struct mpr_message_block *b, uint32_t pid, int signal);

/* What is known of them. */
void mpr_killers_read(const struct mpr_message_block *b,
		      struct mproc_dead_letter *ret);

#endif
