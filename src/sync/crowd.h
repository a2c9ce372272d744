/* SPDX-License-Identifier: MIT */
/*
 * Crowds: clients of a manager, which are nobody in the arena, and wait for a condition.
 * Whoever serves them says in a table of the arena how many wait for which condition;
 * who notifies some looks there besides for participants who wait (sync/wait.h), and
 * calls of a crowd as many as are to be notified. A place in that table has
 *
 *   owner   who is woken then, a participant; 0: the place is free
 *   name    of the condition
 *   count   bits  0..19  how many were called, and have not heard it
 *           bits 20..39  how many wait, with those
 *           bit  40      LOOK: something has happened, and nobody was called
 *           bits 41..63  which crowd it is: each one has another number
 *   since   when the first one of them came
 *
 * Who calls has read the count, then the rest, and raises the count only if it is still
 * that crowd's: then whoever it has called waits for what it has notified. A crowd ends
 * when nobody waits, and nobody who was called has its lock any more, or is to have it, and
 * its number with it. So a place never means one crowd to who looks, and another one to who
 * calls.
 *
 * The owner's place is used by one thread, not the owner's, which sleeps and tells it. If
 * they die, all who wait for the same are notified, as ever when one dies over a call,
 * and recovery frees the place.
 */
#ifndef MPR_SYNC_CROWD_H
#define MPR_SYNC_CROWD_H

#include <stdbool.h>
#include <stdint.h>

#include <mproc/sync.h>

#include "arena/participant.h"

#define MPR_CROWDS_MAX 4096

#define MPR_CROWD_CALLED UINT64_C(0xfffff)
#define MPR_CROWD_ONE (UINT64_C(1) << 20) /* of those who wait */
#define MPR_CROWD_LOOK (UINT64_C(1) << 40)
#define MPR_CROWD_NUMBER (UINT64_C(1) << 41)
#define MPR_CROWD_MOST 0xfffff /* who wait */

/* Few of them are written at once, so they lie close. */
struct mpr_crowd_place {
	_Atomic uint64_t owner; /* sync/holder.h */
	_Atomic uint64_t name;
	_Atomic uint64_t count;
	_Atomic int64_t since;
};

static_assert(sizeof(struct mpr_crowd_place) == 32, "shared layout");
static_assert(MPR_CROWDS_AT + MPR_CROWDS_MAX * sizeof(struct mpr_crowd_place) <=
	      MPR_EXTENTS_AT, "the crowds fit");

static inline struct mpr_crowd_place *
mpr_crowd_at(const mproc_arena *a, unsigned i)
{
	return (struct mpr_crowd_place *)mpr_arena_at(a, MPR_CROWDS_AT) + i;
}

static inline uint32_t
mpr_crowd_waiting(uint64_t count)
{
	return (uint32_t)(count / MPR_CROWD_ONE & MPR_CROWD_MOST);
}

/* How many were not called yet. */
static inline uint32_t
mpr_crowd_left(uint64_t count)
{
	uint32_t waiting = mpr_crowd_waiting(count);
	uint32_t called = (uint32_t)(count & MPR_CROWD_CALLED);

	/* Any process can write there. */
	return waiting > called ? waiting - called : 0;
}

/*
 * For who notifies. Async-signal-safe.
 */

/* One that was found. */
struct mpr_crowd_found {
	unsigned at;
	uint64_t owner;
	uint64_t count;
	int64_t since;
};

/* Of those at the condition called @name, with some left, and for which there is no bit
 * in @once, if that is not NULL, the one whose first has waited longest. */
bool mpr_crowds_first(const mproc_arena *a, uint64_t name, const uint64_t *once,
		      struct mpr_crowd_found *ret);

/* Calls up to @most of it. Returns how many; 0 if it is not there any more. */
uint32_t mpr_crowd_call(const mproc_arena *a, const struct mpr_crowd_found *found,
			uint32_t most);

/* Calls all who wait there. Returns how many. */
uint32_t mpr_crowds_call_all(const mproc_arena *a, uint64_t name);

/* Calls nobody: who serves them looks what has become of the condition. */
void mpr_crowds_look(const mproc_arena *a, uint64_t name);

/*
 * For recovery.
 */

/* The first one from *@at on that the dead @owner had, and its condition's name. */
bool mpr_crowds_next_of(const mproc_arena *a, uint64_t owner, unsigned *at,
			uint64_t *ret_name);

/* All who wait for that were notified: it is free. Idempotent. */
void mpr_crowd_bury(const mproc_arena *a, unsigned at, uint64_t owner);

/*
 * For who serves them.
 */

/* Zero bytes: there is none. */
struct mpr_crowd {
	mproc_arena *arena;
	struct mpr_crowd_place *place; /* NULL: there is none */
	mproc_condition *condition;
	uint32_t generation;
	/* What the count has to say besides who was called; others can write there. */
	uint32_t waiting;
	uint64_t number;
};

/* How many there are, of all who serve. */
unsigned mpr_crowds_count(const mproc_arena *a);

/* Nobody waits yet. @owner: of this process, and woken when some are called. Returns 0;
 * -EBUSY if there are MPR_CROWDS_MAX; -ENOSPC and the like of the arena's memory. */
int mpr_crowd_begin(struct mpr_crowd *crowd, const struct mpr_self *owner,
		    mproc_condition *condition, uint32_t generation);

/* One more. From now on whoever notifies finds it. Returns 0; -ESTALE; -EBUSY if there
 * are MPR_CROWD_MOST; -EBADMSG as below. */
int mpr_crowd_join(struct mpr_crowd *crowd);

/* One less. Returns false if all who wait were called: then it was, too; or if
 * mpr_crowd_take() says -EBADMSG. */
bool mpr_crowd_part(struct mpr_crowd *crowd);

/* How many have been called. They do not wait any more. -EBADMSG if somebody has
 * scribbled there: nobody knows who was called, and it can only end. */
int mpr_crowd_take(struct mpr_crowd *crowd);

/* Since when the one waits who is called first. */
void mpr_crowd_since(struct mpr_crowd *crowd, int64_t since);

/* Nobody waits. */
void mpr_crowd_end(struct mpr_crowd *crowd);

/* By the owner, for all of its crowds: sleeps until some were called, or there is
 * something to look at, and nobody has taken it. Returns 0; -EINTR. */
int mpr_crowds_await(struct mpr_self *owner);

#endif
