/* SPDX-License-Identifier: MIT */
/*
 * Participants: the threads that use an arena, and whose death can be proved.
 *
 * A slot is taken by locking its byte in the lock file, which keeps other
 * processes out (the process lock keeps out our own threads), then beginning
 * its life word, then moving ident from FREE to LIVE. Killed in between, the
 * slot is FREE and the kernel drops the lock.
 *
 *   FREE,k --join--> LIVE,k+1 --leave--> LEAVING,k+1 --> FREE,k+1
 *                    LIVE,k+1 --proof of death--> DEAD --recovered--> FREE,k+1
 *
 * LEAVING holds nothing any more but locks, which count as a dead one's; its life
 * word is not ended yet. The slot must not be another's before that, also where
 * the program has closed the lock file. Who dies in it needs no recovery but the
 * last step.
 *
 * ident is 64 bits and never has the same LIVE or DEAD value twice, so "still
 * DEAD with the same ident" means that nobody has had the slot since.
 */
#ifndef MPR_ARENA_PARTICIPANT_H
#define MPR_ARENA_PARTICIPANT_H

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arena/arena.h"
#include "arena/block.h"
#include "arena/table.h"
#include "base/macros.h"
#include "os/generation.h"
#include "os/life.h"
#include "os/parker.h"

enum mpr_participant_state {
	MPR_PARTICIPANT_FREE = 0,
	MPR_PARTICIPANT_LIVE = 1,
	MPR_PARTICIPANT_DEAD = 2,
	MPR_PARTICIPANT_LEAVING = 3,
};

struct mpr_participant {
	/* {incarnation 62 | state 2} */
	alignas(MPR_APART) _Atomic uint64_t ident;

	/* Written by the participant while it is not yet LIVE. */
	_Atomic uint64_t joined_at; /* os/task.h */
	_Atomic uint64_t pid_namespace;
	_Atomic uint32_t pid;
	_Atomic uint32_t tid;
	struct mpr_life life;
	/* 1 while it may have blocks or extents BUSY: who dies with 0 left
	 * nothing in the heap to look for. Written by the participant. */
	_Atomic uint32_t in_heap;
	uint32_t pad0;

	/* What others write to wake it. */
	alignas(MPR_APART) struct mpr_parker parker;
	/* What it waits for, written before it sleeps and cleared after: the
	 * object's name, or 0. */
	_Atomic uint64_t wait_object;
	_Atomic uint64_t wait_since;
	/* For recovery, from sync/wait.h: whose death would end the wait, a
	 * slot and 1, or MPR_WAIT_ANYONE, or 0; and the name of the object whose
	 * waiters it is about to wake, or 0. */
	_Atomic uint64_t wait_owner;
	_Atomic uint64_t wakes;
	/* What it wants once it was chosen, or 0; and the name of what it waits
	 * for to be called, until it has gone on, or 0. */
	_Atomic uint64_t wait_then;
	_Atomic uint64_t calls;
	_Atomic uint32_t wait_kind; /* sync/wait.h */
	/* When it will look for the dead at the latest, in milliseconds, while
	 * it sleeps: sync/park.c. */
	_Atomic uint32_t looks_by;
	/* Of the objects that it waits for if those are many: sync/many.h. */
	_Atomic uint64_t many;
	/* What it was woken for: sync/told.h. */
	_Atomic uint64_t told;
	/* When it will glance at its owner, in milliseconds, while it sleeps in a
	 * crowd: sync/park.c. */
	_Atomic uint32_t glances_by;

	/* The same as its life, for those who wait for what it has to sleep in: of
	 * those who sleep in one word the kernel wakes one (sync/neighbours.h). */
	alignas(MPR_APART) struct mpr_life life_of_owner;
};

static_assert(sizeof(struct mpr_participant) == 384, "shared layout");
static_assert(offsetof(struct mpr_participant, life) == 32, "shared layout");
static_assert(offsetof(struct mpr_participant, parker) == 128,
	      "shared layout");
static_assert(offsetof(struct mpr_participant, told) == 232, "shared layout");
static_assert(MPR_PARTICIPANTS_AT + MPR_PARTICIPANTS_MAX *
		      sizeof(struct mpr_participant) <= MPR_WAITS_AT,
	      "the participants fit");

/* What a thread notes about itself, for others to see: sync/notes.h. A note of
 * one that is not LIVE does not count; but one with the bit STAYS says whose end
 * some are still to learn of, until they strike it. */
#define MPR_NOTES 16
#define MPR_NOTE_STAYS UINT64_C(4)

struct mpr_notes {
	alignas(MPR_APART) _Atomic uint64_t word[MPR_NOTES];
};

static_assert(sizeof(struct mpr_notes) == 128, "shared layout");
static_assert(MPR_NOTES_AT + MPR_PARTICIPANTS_MAX * sizeof(struct mpr_notes) <=
	      MPR_CROWDS_AT, "the notes fit");

/* When a thread that sleeps in an arena looks for the dead there (sync/park.c). They
 * last through wake-ups, or who is woken often would never look. All 0 before it has
 * slept. */
struct mpr_pace {
	int64_t slice_end;
	int64_t look_at;
	int64_t glance_at; /* whether anybody looks */
	int64_t interval; /* from look to look, at most */
};

/* What a thread has learnt of who else wants its CPU: sync/yields.h. */
struct mpr_yields {
	unsigned left : 11;  /* so many waits do not ask */
	unsigned rest : 11;  /* so many sleep after a long yield */
	unsigned alone : 1; /* those that do not ask look; or else they sleep */
};

#define MPR_YIELDS_MAX 2047

/* What the calling thread knows of itself. */
struct mpr_self {
	uint64_t generation; /* of the process that joined; 0: not joined */
	mproc_arena *arena;
	struct mpr_participant *shared;
	uint64_t ident;
	unsigned slot;
	uint32_t pid;
	uint32_t tid;
	int cancel_state; /* while it has something BUSY in the heap */
	struct mpr_hints hints; /* arena/slab.c */
	struct mpr_pace pace;
	struct mpr_notes *notes; /* sync/notes.h */
	unsigned notes_high; /* notes [0, notes_high) may be in use */
	uint32_t note_count[MPR_NOTES];
	struct mpr_yields yields;
};

/*
 * The calling thread as a participant of @a; joins if need be. Returns 0;
 * -EAGAIN if the table is full of living ones; -ENOLCK; -ENOSPC, -ENOMEM;
 * -EPROTO.
 */
int mpr_self(mproc_arena *a, struct mpr_self **ret_self);

/* The calling thread in @a if it has joined that, or NULL. */
struct mpr_self *mpr_self_in(const mproc_arena *a);

/* The same in the arena that @object means (arena/table.h). */
struct mpr_self *mpr_self_of(const void *object);

/* In the default arena. */
extern MPR_THREAD_LOCAL struct mpr_self mpr_this_thread;

/*
 * As mpr_self_of() for fast paths, where there is only the default arena: NULL may
 * also mean that it is not sure. Who calls it has asked mpr_arenas_are_many(), and
 * goes another way then, so that no call is in this one, and no stack frame.
 */
static inline struct mpr_self *
mpr_self_at_once(void)
{
	struct mpr_self *self = &mpr_this_thread;

	return mpr_likely(self->generation &&
			  mpr_generation_is(self->generation)) ? self : NULL;
}

/* In a forked child: what this thread was, was its parent's. Makes
 * mpr_self_leave() cost nothing if the child does not join. */
void mpr_self_forget(void);

/* Gives back all that the calling thread holds, and its slot, in all arenas. Also
 * run when a thread ends. */
void mpr_self_leave(void);

/* The same in the named arena that has @index. */
void mpr_self_leave_named(unsigned index);

static inline struct mpr_participant *
mpr_participant_at(const mproc_arena *a, unsigned slot)
{
	return (struct mpr_participant *)mpr_arena_at(a, MPR_PARTICIPANTS_AT) +
	       slot;
}

static inline struct mpr_notes *
mpr_notes_at(const mproc_arena *a, unsigned slot)
{
	return (struct mpr_notes *)mpr_arena_at(a, MPR_NOTES_AT) + slot;
}

static inline unsigned
mpr_participant_state(uint64_t ident)
{
	return (unsigned)(ident & 3);
}

/* How many slots are to be looked at: all that were ever used. */
static inline unsigned
mpr_participants_high(const mproc_arena *a)
{
	/* seq_cst, with raise_to(). */
	uint32_t high = atomic_load(&a->shm->participants_high);

	return high < MPR_PARTICIPANTS_MAX ? high : MPR_PARTICIPANTS_MAX;
}

/*
 * Whether the participant that had @ident in @slot is dead and not yet
 * recovered, so that what bears its slot is still its own. To be asked after
 * an owner word was loaded and before it is changed.
 */
static inline bool
mpr_participant_still_dead(const mproc_arena *a, unsigned slot, uint64_t ident)
{
	/* Acquire and seq_cst on x86 are the same load. It pairs with the CAS
	 * that frees the slot: had the slot been freed, the word would not
	 * have been the dead one's. */
	return atomic_load_explicit(&mpr_participant_at(a, slot)->ident,
				    memory_order_acquire) == ident;
}

/* How many are LIVE. */
uint64_t mpr_participants_count(const mproc_arena *a);

#endif
