/* SPDX-License-Identifier: MIT */
/*
 * Seats: which participants use an object, and which of them sleep for it.
 *
 * Each thread that uses the object takes a seat first, an owner word of its
 * own. As long as a seat is taken, what the object refers to is not given
 * back; a seat says WAITING while its owner sleeps and has not been chosen to
 * be woken. Who never waits has it TAKEN, who may wait and does not do so now
 * has it AWAKE. All are undone with one CAS when the owner is dead.
 *
 * A bit in a bitmap would do for either, and would be robbed: a recoverer that
 * slept through the slot's next use would clear the new owner's bit. Seats
 * carry an epoch that is never used twice.
 *
 * The hint keeps wakers from looking at seats in vain. A sleeper sets it after
 * its seat; a waker who finds nobody clears it, looks once more, and if it
 * finds someone then sets it again and wakes them all, as others may have
 * trusted the hint meanwhile. Killed or stopped between the two, sleepers wait
 * for the end of their slice.
 *
 * Seat lists only grow, and are never freed: they can be walked by anyone.
 */
#ifndef MPR_SYNC_SEATS_H
#define MPR_SYNC_SEATS_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arena/arena.h"
#include "arena/participant.h"

enum mpr_seat_state {
	MPR_SEAT_FREE = 0,
	MPR_SEAT_TAKEN = 1,
	MPR_SEAT_WAITING = 2,
	MPR_SEAT_AWAKE = 3, /* taken by one that waits from time to time */
};

#define MPR_SEATS_FIRST 7
#define MPR_SEATS_MORE 31

/* Part of the object. */
struct mpr_seats {
	_Atomic uint64_t more; /* offset of a struct mpr_seat_block, or 0 */
	_Atomic uint64_t seat[MPR_SEATS_FIRST];
};

/* A block of further seats. */
struct mpr_seat_block {
	_Atomic uint64_t more;
	_Atomic uint64_t seat[MPR_SEATS_MORE];
};

static_assert(sizeof(struct mpr_seats) == 64, "shared layout");
static_assert(sizeof(struct mpr_seat_block) == 256, "shared layout");

/* A walk over all seats; start with all zero. */
struct mpr_seat_walk {
	_Atomic uint64_t *seat;
	_Atomic uint64_t *more;
	unsigned left;
	unsigned blocks;
};

/* The next seat, or NULL. */
_Atomic uint64_t *mpr_seat_next(const mproc_arena *a, struct mpr_seats *s,
				struct mpr_seat_walk *walk);

/* Takes a seat. Returns 0, -ENOMEM, -ENOSPC, -EBADMSG. */
int mpr_seat_take(mproc_arena *a, struct mpr_self *self,
		  struct mpr_seats *s, _Atomic uint64_t **ret_seat);

/* Gives it back. */
void mpr_seat_leave(_Atomic uint64_t *seat);

/* Its owner is one who may wait; so that observers see it. */
void mpr_seat_awake(_Atomic uint64_t *seat);

/* Announces that its owner is about to sleep. The ticket comes before it; the
 * rare fence, a last look, and mpr_park() after it. */
void mpr_seat_wait(_Atomic uint64_t *seat, _Atomic uint32_t *hint);

/* The sleep is over. Returns true if someone chose this seat to be woken: then
 * what it was woken for must be taken, or another be woken instead. */
bool mpr_seat_unwait(_Atomic uint64_t *seat);

/* Wakes up to @n of those who wait, if the hint says that there may be any. */
void mpr_seats_wake(const mproc_arena *a, struct mpr_seats *s,
		    _Atomic uint32_t *hint, unsigned n);

/* Wakes all but those who never wait in the sense of seats, also those whom someone
 * chose and then died before it woke them. */
void mpr_seats_wake_waiters(const mproc_arena *a, struct mpr_seats *s);

/* The same for all who have a seat, whatever they sleep for. */
void mpr_seats_wake_all(const mproc_arena *a, struct mpr_seats *s);

/* Whether any seat is taken. */
bool mpr_seats_any(const mproc_arena *a, struct mpr_seats *s);

/* The first seat that the dead participant holds, and its word, or NULL. */
_Atomic uint64_t *mpr_seat_of_dead(const mproc_arena *a, struct mpr_seats *s,
				   unsigned slot, uint64_t ident,
				   uint64_t *ret_word);

/* Whether the seat is still held by whom @word says, waiting or not. */
bool mpr_seat_is_held(_Atomic uint64_t *seat, uint64_t word);

#endif
