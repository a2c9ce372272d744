/* SPDX-License-Identifier: MIT */
/*
 * What a process under test has when it begins and when it ends, as seen by
 * itself.
 */
#ifndef MPR_TESTING_LOOK_H
#define MPR_TESTING_LOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "os/fdlist.h"
#include "testing/board.h"

struct mpr_look {
	struct mpr_board *board; /* where the result goes */
	bool alone; /* whoever looks afterwards has no arena, or not this one */
	uint64_t faults; /* that there had been then */
	int n_fds; /* or a negative error */
	struct mpr_fdlist_entry *fds;
	struct mpr_left *before; /* inline: what the caller had already */
};

void mpr_look_begin(struct mpr_look *look, struct mpr_board *board, bool alone);

/* Writes what is there now and was not then. */
void mpr_look_end(struct mpr_look *look);

/* Without that. */
void mpr_look_drop(struct mpr_look *look);

/* What the threads of process @pid share, added to the locks of @left. */
void mpr_look_at_shares(struct mpr_left *left, pid_t pid);

/* The locks that they hold, and have died with. */
void mpr_look_at_locks(struct mpr_left *left, pid_t pid);

/* The blocks that process @pid has allocated @age ns ago or later. */
struct mpr_look_blocks {
	uint32_t pid;
	int64_t age;
	size_t n;
	size_t bytes;
};

void mpr_look_at_blocks(struct mpr_look_blocks *b);

/* Takes out of @left the locks that are in @before. */
void mpr_look_subtract_locks(struct mpr_left *left,
			     const struct mpr_left *before);

#endif
