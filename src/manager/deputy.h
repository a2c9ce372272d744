/* SPDX-License-Identifier: MIT */
/*
 * Threads of a server's that wait in its arena on behalf of clients, so that the server
 * itself waits for nobody. A deputy is a participant like any other: it stands in line
 * with the processes of the family, is handed what it waits for, and has it in its own
 * name. What it has is the server's to use and to give back, in that name; so a deputy
 * stays until the server ends.
 *
 * There are some dozens of them at most, made when they are wanted. For each object one
 * waits, however many clients do.
 */
#ifndef MPR_MANAGER_DEPUTY_H
#define MPR_MANAGER_DEPUTY_H

#include <stdbool.h>

#include <mproc/arena.h>

#include "arena/participant.h"

#define MPR_DEPUTIES 32 /* with the first one, at most */

struct mpr_deputies;
struct mpr_deputy;

/* What one is sent for. It stays where it is until it has come back. */
struct mpr_errand {
	/* Waits for as long as it takes, or until it is called off: -EINTR. */
	int (*run)(struct mpr_errand *errand);
	/* It is the same one who runs it again. There is always one for one of these. */
	bool keeps;
	/* When it has come back: what that has returned. */
	int result;
	/* From when it is sent: who runs it. */
	struct mpr_self *self;
	/* For the deputies: */
	struct mpr_errand *next;
	struct mpr_deputy *deputy;
};

/* Makes none yet. Returns 0, or a negative error: -ENOMEM, -EMFILE, -ENFILE. */
int mpr_deputies_open(struct mpr_deputies **ret_d, mproc_arena *a);

/* Readable when one has come back. */
int mpr_deputies_fd(const struct mpr_deputies *d);

/* Who has what was to be had without a wait, and is never sent. Returns 0; -EAGAIN, -ENOMEM if there is
 * none and none can be made; those of mpr_self(). */
int mpr_deputies_first(struct mpr_deputies *d, struct mpr_self **ret_self);

/* Returns 0; -EBUSY if all are out; or as mpr_deputies_first(). */
int mpr_deputies_send(struct mpr_deputies *d, struct mpr_errand *errand);

/* Those that keep theirs, when they have come back: once more. */
void mpr_deputies_send_again(struct mpr_deputies *d, struct mpr_errand *errand);

/* For what the one with that number is out, or NULL. */
const struct mpr_errand *mpr_deputies_errand(struct mpr_deputies *d, unsigned i);

#define MPR_DEPUTIES_NOTES (MPR_DEPUTIES * MPR_NOTES)

/* A note of one of them, which is 0, for who has it from now on. Returns 0; -EBUSY; as
 * mpr_deputies_first(). */
int mpr_deputies_take_note(struct mpr_deputies *d, struct mpr_self **ret_self,
			   _Atomic uint64_t **ret_note);
void mpr_deputies_give_note(struct mpr_deputies *d, _Atomic uint64_t *note);

/* How many are had. */
unsigned mpr_deputies_notes(const struct mpr_deputies *d);

/* It comes back soon, if it was sent: as if nothing had been, or with what it has
 * got. */
void mpr_deputies_recall(struct mpr_deputies *d, struct mpr_errand *errand);

/* The next one that has come back, or NULL. */
struct mpr_errand *mpr_deputies_back(struct mpr_deputies *d);

/* Calls all of them back, and waits until they have come. In a forked child they are not
 * there, and it returns false. */
bool mpr_deputies_call_back(struct mpr_deputies *d);

/* After that: ends them. What they still have counts as left by somebody who has ended. */
void mpr_deputies_end(struct mpr_deputies *d);

/* In a forked child, too. */
void mpr_deputies_close(struct mpr_deputies *d);

#endif
