/* SPDX-License-Identifier: MIT */
/*
 * Scenarios of locks and the like: threads of different processes that take
 * them, wait, wake, give up and die, each a fiber. They run the sources of
 * src/sync, arena/recover.c and arena/death.c as they are; what lies below is in
 * sync_fakes.c.
 *
 * What must hold in the end of every schedule, with any of the mortal killed
 * anywhere:
 *
 * - nobody sleeps who could go on;
 * - a lock has had one holder at a time, and after a holder that was killed the
 *   next one was told so, with its name;
 * - who was told that somebody died was told the truth.
 */
#ifndef SYNC_WORLD_H
#define SYNC_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mproc/arena.h>
#include <mproc/sync.h>

#include "explorer.h"

struct mpr_life;
struct mpr_self;

/* The shared words, for mutants. */
enum sync_word {
	SYNC_FENCE, /* what has no word */
	SYNC_LOCK,
	SYNC_WAIT,
	SYNC_OWNER,
	SYNC_NOTE,
	SYNC_EVENT,
	SYNC_IDENT,
};

/* What a fiber does. */
enum sync_part {
	SYNC_NOTHING,
	SYNC_LOCKS, /* takes the lock and gives it back */
	SYNC_DESTROYS, /* the lock, and makes another one in its place */
	SYNC_INTERRUPTS,
	SYNC_RECOVERS, /* from each death, and wants nothing */
};

struct sync_role {
	enum sync_part part;
	unsigned n; /* how often */
	bool timed; /* may run out of time when it sleeps */
	bool mortal;
	uint8_t victim; /* of an interrupt */
};

struct sync_case {
	const char *name;
	struct sync_role roles[EXPLORE_FIBERS];
	bool hasty; /* time passes: who waits is soon starved */
	bool patient; /* no sleeper looks for the dead itself */
	bool is_large; /* one preemption less */
};

enum sync_case_name {
	SYNC_TWO,
	SYNC_THREE,
	SYNC_THREE_HASTY,
	SYNC_TIMED,
	SYNC_TIMED_HASTY,
	SYNC_INTERRUPTED,
	SYNC_DESTROYED,
	SYNC_RECOVERED,
	SYNC_RECOVERED_HASTY,
	SYNC_CASES
};

extern const struct sync_case sync_cases[SYNC_CASES];

/* The scenario of a case; valid until the next call. */
const struct explore_scenario *sync_scenario(const struct sync_case *c);

enum sync_part sync_part_of(unsigned fiber);

/* For sync_fakes.c. */
void sync_fakes_begin(bool hasty);
void sync_park_begin(void);
struct mpr_self *sync_self(unsigned fiber);
mproc_arena *sync_arena(void);
unsigned sync_fiber_of(const struct mpr_life *life);
bool sync_may_look(void);
bool sync_may_run_out_of_time(unsigned fiber);
bool sync_is_interrupted(unsigned fiber);
void sync_answer(unsigned fiber);

#endif
