/* SPDX-License-Identifier: MIT */
/*
 * Scenarios of locks and the like: threads of different processes that take
 * them, wait, wake, give up and die, each a fiber. They run the sources of
 * src/sync, arena/recover.c and arena/death.c as they are; what lies beside is
 * in sync_fakes.c, what lies below in explore_fakes.c.
 *
 * The world (sync_world.c) knows the fibers and what they have in shared memory;
 * what they do, and what must hold of the objects, is in a file for each kind of
 * object: sync_lock.c, and so on. For all of them must hold in the end of every
 * schedule, with any of the mortal killed anywhere:
 *
 * - nobody sleeps who could go on;
 * - everybody dead was recovered from, where there is somebody to do that;
 * - what was written under the protection of an object, or before somebody was
 *   told to go on, is there.
 */
#ifndef SYNC_WORLD_H
#define SYNC_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mproc/arena.h>
#include <mproc/sync.h>

#include "arena/arena.h"
#include "explore_fakes.h"
#include "explorer.h"

/* The shared words, for mutants. */
enum sync_word {
	SYNC_FENCE, /* what has no word */
	SYNC_OBJECT,
	SYNC_LOCK, /* beside the object */
	SYNC_PERMIT,
	SYNC_NESTED,
	SYNC_DATA,
	SYNC_KEEPER, /* of a pool */
	SYNC_PHASE,
	/* Of each participant: */
	SYNC_IDENT,
	SYNC_PARKER,
	SYNC_OWNER, /* whom it waits for */
	SYNC_WAKES, /* the name of what it waits for or wakes */
	SYNC_WAIT,
	SYNC_THEN,  /* what it wants next */
	SYNC_CALLS, /* what it waits for to be called */
	SYNC_MANY,  /* that it waits for many */
	SYNC_NOTE,
	/* Of each place of a crowd: */
	SYNC_CROWD, /* how many wait, and were called */
	SYNC_CROWD_NAME,
	SYNC_CROWD_OWNER,
	SYNC_CROWDS, /* how many places have been used */
};

struct sync_role;

/* What a fiber does. */
typedef void sync_part(unsigned me, const struct sync_role *role);

struct sync_role {
	sync_part *run; /* NULL: no fiber */
	bool (*when)(unsigned fiber); /* it begins; NULL: at once */
	unsigned n;	/* how often, or how many */
	unsigned how;	/* the part's own */
	uint8_t victim; /* of an interrupt */
	bool timed;	/* may run out of time when it sleeps */
	bool mortal;
};

/*
 * A kind of object.
 *
 * @begin:     shares its words, and forgets what was known
 * @end:       checks it when nobody can go on; or NULL
 * @may_sleep: whether @fiber, which sleeps in the end, may; NULL: nobody may
 * @has_calls: conditions: what is said for them is shared as well
 * @has_notes: the same for notes
 * @has_many:  and for what those say who wait for many
 */
struct sync_object {
	enum mpr_cell_kind kind;
	void (*begin)(void);
	void (*end)(void);
	bool (*may_sleep)(unsigned fiber);
	bool has_calls;
	bool has_notes;
	bool has_many;
};

struct sync_case {
	const char *name;
	const struct sync_object *object;
	struct sync_role roles[EXPLORE_FIBERS];
	unsigned value, how; /* the object's own */
	bool hasty; /* time passes: who waits is soon starved */
	bool patient; /* no sleeper looks for the dead itself; only of interest
		       * with a kill */
	unsigned fewer; /* preemptions than in others */
	unsigned fewer_kills; /* and so many less with a kill */
};

/* The scenario of a case; valid until the next call. */
const struct explore_scenario *sync_scenario(const struct sync_case *c);

/* For the objects. */

/* A block of cells: the object is in the first one, what it needs besides in the
 * next ones. */
enum {
	SYNC_CELL = 64,
	SYNC_CELLS = 4,
};

void *sync_cell(unsigned i);

extern const struct sync_case *sync_now;

/* Whether some fiber does that. */
bool sync_has(sync_part *run);

/* The fiber is in a call of libmproc that may have any effect or none if it is
 * killed there. */
void sync_call(unsigned me);
void sync_return(unsigned me);
bool sync_is_killed_inside(unsigned fiber);

/* How many were killed so. */
unsigned sync_killed_inside(void);

bool sync_any_killed(void);

/* The object's word when @fiber first slept in this call. */
uint64_t sync_word_at_sleep(unsigned fiber);

/* The word that says what @fiber waits for. */
uint64_t sync_wait_word(unsigned fiber);

/* And the one that says so of many. */
uint64_t sync_many_word(unsigned fiber);

/* A result of a call that waits, as far as any object may return it. */
bool sync_may_fail(const struct sync_role *role, int r);

/* In begin(): @fiber has made this note. */
void sync_begin_note(unsigned fiber, uint64_t note);

/* Data that one fiber at a time changes, and others read while nobody does: each
 * sees the last change. */
void sync_data_share(void);
void sync_data_change(void);
void sync_data_check(void);

/* The time that a role is given. */
mproc_timeout sync_timeout(const struct sync_role *role);

/* Parts for all objects. */
sync_part sync_interrupts;
sync_part sync_recovers; /* from each death, and wants nothing */

bool sync_is_anybody_dead(unsigned unused);

#define SYNC_RECOVERS { .run = sync_recovers, .when = sync_is_anybody_dead }

/* For sync_fakes.c. */
void sync_hold_interrupts(bool hold);

/* sync_lock.c, for whatever is used with a lock. Locks are @at in memory. */
void sync_lock_begin(mproc_lock *at, enum sync_word id);
void sync_lock_took(unsigned me, int r);
void sync_lock_gives(unsigned me);

/* Cases. */

enum sync_lock_case {
	SYNC_LOCK_TWO,
	SYNC_LOCK_THREE,
	SYNC_LOCK_THREE_HASTY,
	SYNC_LOCK_TIMED,
	SYNC_LOCK_TIMED_HASTY,
	SYNC_LOCK_INTERRUPTED,
	SYNC_LOCK_DESTROYED,
	SYNC_LOCK_RECOVERED,
	SYNC_LOCK_RECOVERED_HASTY,
	SYNC_LOCK_CASES
};

extern const struct sync_case sync_lock_cases[SYNC_LOCK_CASES];

enum sync_rlock_case {
	SYNC_RLOCK_TWO,
	SYNC_RLOCK_THREE_HASTY,
	SYNC_RLOCK_TIMED,
	SYNC_RLOCK_RECOVERED,
	SYNC_RLOCK_CASES
};

extern const struct sync_case sync_rlock_cases[SYNC_RLOCK_CASES];

enum sync_event_case {
	SYNC_EVENT_ONE,
	SYNC_EVENT_TWO,
	SYNC_EVENT_AT_ONCE,
	SYNC_EVENT_CLEARED,
	SYNC_EVENT_SET_BY_TWO,
	SYNC_EVENT_TIMED,
	SYNC_EVENT_INTERRUPTED,
	SYNC_EVENT_DESTROYED,
	SYNC_EVENT_RECOVERED,
	SYNC_EVENT_DESTROYED_RECOVERED,
	SYNC_EVENT_MANY,
	SYNC_EVENT_MANY_AND_ONE,
	SYNC_EVENT_MANY_AT_ONCE,
	SYNC_EVENT_MANY_CLEARED,
	SYNC_EVENT_MANY_DESTROYED,
	SYNC_EVENT_MANY_RECOVERED,
	SYNC_EVENT_MANY_DESTROYED_RECOVERED,
	SYNC_EVENT_CASES
};

extern const struct sync_case sync_event_cases[SYNC_EVENT_CASES];

enum sync_semaphore_case {
	SYNC_SEMAPHORE_USED,
	SYNC_SEMAPHORE_USED_BY_THREE,
	SYNC_SEMAPHORE_GIVEN,
	SYNC_SEMAPHORE_GIVEN_BY_TWO,
	SYNC_SEMAPHORE_TIMED,
	SYNC_SEMAPHORE_INTERRUPTED,
	SYNC_SEMAPHORE_DESTROYED,
	SYNC_SEMAPHORE_RECOVERED,
	SYNC_SEMAPHORE_UNDO,
	SYNC_SEMAPHORE_UNDO_THREE,
	SYNC_SEMAPHORE_UNDO_TIMED,
	SYNC_SEMAPHORE_UNDO_DESTROYED,
	SYNC_SEMAPHORE_UNDO_RECOVERED,
	SYNC_SEMAPHORE_CASES
};

extern const struct sync_case sync_semaphore_cases[SYNC_SEMAPHORE_CASES];

enum sync_condition_case {
	SYNC_CONDITION_ONE,
	SYNC_CONDITION_AFTERWARDS,
	SYNC_CONDITION_OFTEN,
	SYNC_CONDITION_TWO,
	SYNC_CONDITION_TWO_AFTERWARDS,
	SYNC_CONDITION_ALL,
	SYNC_CONDITION_SOME,
	SYNC_CONDITION_LOCKED,
	SYNC_CONDITION_LOCKED_BEFORE,
	SYNC_CONDITION_LOCKED_HASTY,
	SYNC_CONDITION_TIMED,
	SYNC_CONDITION_INTERRUPTED,
	SYNC_CONDITION_DESTROYED,
	SYNC_CONDITION_DESTROYED_AFTERWARDS,
	SYNC_CONDITION_DESTROYED_RECOVERED,
	SYNC_CONDITION_RECOVERED,
	SYNC_CONDITION_LOCKED_RECOVERED,
	SYNC_CONDITION_AFTERWARDS_RECOVERED,
	SYNC_CONDITION_CASES
};

extern const struct sync_case sync_condition_cases[SYNC_CONDITION_CASES];

enum sync_crowd_case {
	SYNC_CROWD_ONE,
	SYNC_CROWD_AGAIN,
	SYNC_CROWD_ELSEWHERE,
	SYNC_CROWD_TWICE,
	SYNC_CROWD_BESIDE,
	SYNC_CROWD_ALONE_RECOVERED,
	SYNC_CROWD_RECOVERED,
	SYNC_CROWD_CASES
};

extern const struct sync_case sync_crowd_cases[SYNC_CROWD_CASES];

enum sync_rwlock_case {
	SYNC_RWLOCK_ONE_EACH,
	SYNC_RWLOCK_TWO_WRITERS,
	SYNC_RWLOCK_TWO_READ,
	SYNC_RWLOCK_TWO_WRITE,
	SYNC_RWLOCK_HASTY,
	SYNC_RWLOCK_AGAIN,
	SYNC_RWLOCK_READER_TIMED,
	SYNC_RWLOCK_WRITER_TIMED,
	SYNC_RWLOCK_TIMED_THEN_WRITE,
	SYNC_RWLOCK_TIMED_THEN_READ,
	SYNC_RWLOCK_INTERRUPTED,
	SYNC_RWLOCK_WAITER_INTERRUPTED,
	SYNC_RWLOCK_HELD,
	SYNC_RWLOCK_DESTROYED,
	SYNC_RWLOCK_HELD_DESTROYED,
	SYNC_RWLOCK_DESTROYED_THEN_WRITE,
	SYNC_RWLOCK_DESTROYED_RECOVERED,
	SYNC_RWLOCK_READERS_RECOVERED,
	SYNC_RWLOCK_WRITERS_RECOVERED,
	SYNC_RWLOCK_HASTY_RECOVERED,
	SYNC_RWLOCK_TIMED_RECOVERED,
	SYNC_RWLOCK_THREE_RECOVERED,
	SYNC_RWLOCK_CASES
};

extern const struct sync_case sync_rwlock_cases[SYNC_RWLOCK_CASES];

enum sync_barrier_case {
	SYNC_BARRIER_TWO,
	SYNC_BARRIER_ENROLLED,
	SYNC_BARRIER_THREE,
	SYNC_BARRIER_TOO_MANY,
	SYNC_BARRIER_TIMED,
	SYNC_BARRIER_INTERRUPTED,
	SYNC_BARRIER_ABORTED,
	SYNC_BARRIER_RESET,
	SYNC_BARRIER_RESET_NEW,
	SYNC_BARRIER_RESET_ONE,
	SYNC_BARRIER_REPLACED,
	SYNC_BARRIER_DESTROYED,
	SYNC_BARRIER_RESET_DESTROYED,
	SYNC_BARRIER_RESET_REMADE,
	SYNC_BARRIER_DESTROYED_RECOVERED,
	SYNC_BARRIER_RECOVERED,
	SYNC_BARRIER_RECOVERED_THREE,
	SYNC_BARRIER_CASES
};

extern const struct sync_case sync_barrier_cases[SYNC_BARRIER_CASES];

enum sync_once_case {
	SYNC_ONCE_TWO,
	SYNC_ONCE_THREE,
	SYNC_ONCE_FAILED,
	SYNC_ONCE_INTERRUPTED,
	SYNC_ONCE_DESTROYED,
	SYNC_ONCE_RECOVERED,
	SYNC_ONCE_FAILED_RECOVERED,
	SYNC_ONCE_CASES
};

extern const struct sync_case sync_once_cases[SYNC_ONCE_CASES];

#endif
