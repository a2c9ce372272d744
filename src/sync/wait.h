/* SPDX-License-Identifier: MIT */
/*
 * Waiting for an object, known by its name (arena/arena.h), in what the
 * participants themselves have in shared memory: an object needs no room for
 * those who wait for it, and zero bytes are one nobody waits for. It is what
 * futex(2) does, with the queue of waiters where recovery can read it.
 *
 * Each participant has a word:
 *
 *   bits 0..1    state
 *   bits 2..63   name of the object, 0 if it does not wait
 *
 *   NONE --announce--> WAITING --chosen by a waker--> CHOSEN --> OVERDUE
 *     ^                   |                             |          |
 *     +------- end -------+-----------------------------+----------+
 *
 * One that wants a lock next may be moved by the lock's holder: it stays WAITING,
 * under the lock's name.
 *
 * Who is CHOSEN has been given what one wake-up stands for: it takes what it
 * waited for, or has another one chosen. A waker chooses those who wait longest.
 *
 * Nobody sleeps who could go on: the waiter announces itself, then looks at the
 * object; the waker changes the object, then looks for waiters; all of that is
 * seq_cst, so one sees the other. So that wakers need not look each time,
 * objects have a flag, which a waiter sets in the object after it has announced
 * itself, and a waker clears in the change itself.
 *
 * Deaths. One that waits dies: recovery wakes the others, as it may have been
 * chosen, or the only one that knew who is to be waited for. A waker dies
 * between the change and the wake-up: it has noted the object's name before the
 * change, and recovery wakes all who wait for that. A holder dies: recovery
 * wakes those who wait for what it holds, as each says whom it waits for, and as
 * objects in the arena begin with the word of sync/holder.h.
 */
#ifndef MPR_SYNC_WAIT_H
#define MPR_SYNC_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "arena/participant.h"

enum mpr_wait_state {
	MPR_WAIT_NONE = 0,
	MPR_WAIT_WAITING = 1,
	MPR_WAIT_CHOSEN = 2,
	MPR_WAIT_OVERDUE = 3, /* CHOSEN for some time */
};

#define MPR_WAIT_ANYONE UINT32_MAX

/* What it means to be chosen. */
enum mpr_wait_kind {
	/* To be the next one who takes what there is. Who dies or is stopped
	 * then must not keep others from it. */
	MPR_WAIT_TURN = 0,
	/* That something has happened, for each. */
	MPR_WAIT_NEWS = 1,
	/* To be one of so many as something has happened for. Who dies over it
	 * has all others wake up, who see what there is to do. */
	MPR_WAIT_CALL = 2,
};

/*
 * Objects lie at multiples of 8. Those who wait for different things of the same
 * object may do so at different doors, the addresses of its first bytes: a waker
 * then chooses among those at one. Counts and recovery look at all of them.
 */
#define MPR_DOORS UINT64_C(7)

static inline const void *
mpr_door(const void *object, unsigned n)
{
	return (const unsigned char *)object + n;
}

/* The calling thread's wait for an object. */
struct mpr_wait {
	struct mpr_self *self;
	const void *object;
	uint64_t name;
	uint64_t generation; /* of the process that waits */
	uint64_t then; /* see mpr_wait_then() */
	uint64_t before; /* the note before, see mpr_wake_begin() */
	enum mpr_wait_kind kind, kind_before;
	int64_t since;
	uint32_t ticket;
};

/* From here to mpr_wait_finish() the object is noted: if the caller dies, all
 * who wait for it look again, as it may have been the one that was woken. */
void mpr_wait_begin(struct mpr_wait *w, struct mpr_self *self,
		    const void *object, enum mpr_wait_kind kind);
void mpr_wait_finish(struct mpr_wait *w);

/*
 * Once it was chosen it wants @next, a lock. Who has that may move its wait there
 * instead of waking it: it sleeps on, and is woken when its turn has come.
 */
void mpr_wait_then(struct mpr_wait *w, const void *next);

/*
 * Announces that the thread is about to sleep. A look at the object comes next,
 * then the sleep or mpr_wait_end(). The death of the one in slot @owner would
 * end the wait; -1 for nobody's, -2 for that of any.
 */
void mpr_wait_announce(struct mpr_wait *w, int owner);

/* Sleeps until a wake-up since it was announced, the end of a slice, or
 * @deadline. Returns as mpr_park() does. */
int mpr_wait_sleep(struct mpr_wait *w, int64_t deadline);

/* After a sleep: gets ready for the next one, in the same place among those who
 * wait. Returns false if it was chosen. */
bool mpr_wait_again(struct mpr_wait *w);

/* It does not sleep any more. Returns whether it was chosen. */
bool mpr_wait_end(struct mpr_wait *w);

/* The same for one with something next. If it was moved, *@ret_moved is set, and
 * it waits for that: the caller ends the wait when it has got it. Being moved is
 * being chosen. */
bool mpr_wait_end_unless_moved(struct mpr_wait *w, bool *ret_moved);

/* Whether the process has been forked since the wait began, by a signal handler
 * that has returned into it: then it is the parent's. The handler may have joined the
 * arena there, and the wait have been announced since: that is taken back. */
bool mpr_wait_is_foreign(struct mpr_wait *w);

/* Whether others than @self wait for the object. */
bool mpr_wait_others(const struct mpr_self *self, const void *object);

/*
 * For who has waited and is about to take what others may wait for too: has one
 * of these wait for the caller's death. Returns whether there is one.
 *
 * Those who sleep have said whom they wait for when they fell asleep. Of all who
 * wait for the same, one must know who has it now: who comes along and takes it
 * is known to who was chosen, is awake and finds that it was too late; this is
 * for all other cases. Who knows and stops waiting has another one look.
 */
bool mpr_wait_succeed(const struct mpr_self *self, const void *object);

/* How many wait for it at any door, chosen or not, and since when the first of
 * them does, 0 if none does. */
unsigned mpr_wait_count(const mproc_arena *a, const void *object,
			int64_t *ret_since);

/* Whether the one in @slot waits for it, chosen or not. */
bool mpr_waits_for(const mproc_arena *a, unsigned slot, const void *object);

/*
 * Around a change that others may wait for: notes the object, so that they are
 * woken if the caller dies. @self may be NULL, for one who is no participant:
 * if that one dies, they wait for the end of their slice.
 */
struct mpr_wake {
	const mproc_arena *arena;
	struct mpr_self *self;
	const void *object;
	const void *held; /* who wants that next is moved; NULL */
	unsigned ahead; /* but for so many after the first one, who are woken */
	uint64_t *once; /* a bit for each slot: chosen already; or NULL */
	bool calls; /* it is a condition, where crowds may wait, too (sync/crowd.h) */
	uint64_t *calls_once; /* as .once, of these */
	uint64_t before; /* the note of whom a signal handler has interrupted */
};

void mpr_wake_begin(struct mpr_wake *k, const mproc_arena *a,
		    struct mpr_self *self, const void *object);
void mpr_wake_end(struct mpr_wake *k);

/* One who waits. */
struct mpr_waiter {
	unsigned slot;
	uint64_t ident;
	int64_t since;
};

/* Finds the one who waits longest, of those not chosen yet. */
bool mpr_wake_first(const struct mpr_wake *k, struct mpr_waiter *ret);

/* What that one wants next, or NULL, also if that is not in the arena's heap. */
void *mpr_wake_next(const struct mpr_wake *k, const struct mpr_waiter *w,
		    uint64_t len);

/* Chooses that one and wakes it. Returns false if it is not WAITING for the
 * object any more. */
bool mpr_wake_one(const struct mpr_wake *k, const struct mpr_waiter *w);

/* Chooses the @n who wait longest and wakes them. Returns how many there were.
 * Async-signal-safe. */
unsigned mpr_wake_n(const struct mpr_wake *k, unsigned n);

/* All of them; with one look at each participant. */
unsigned mpr_wake_all(const struct mpr_wake *k);

/* Those who wait for it and others at once: sync/many.h. */
void mpr_wake_many(const struct mpr_wake *k);

/* Chooses nobody: all who wait, at each of its doors, look at the object, and so
 * do those who wait for it and others at once. */
void mpr_wake_for_a_look(const struct mpr_wake *k);

/*
 * Who is CHOSEN and stopped would have the others wait for the end of their
 * slices, and so would a waker that is stopped before it wakes. Whoever is at the
 * end of one asks this, if nobody has for a tenth of a second: who was CHOSEN the
 * last time is OVERDUE, and is woken once more; if it waits for its turn, another
 * one is chosen besides, once. Those for whom somebody has a note look, now and
 * then.
 */
void mpr_waits_look(const mproc_arena *a);

/* Whether the caller waits for what another one has, or any of several: its death, or that
 * of one of them, would end the wait. */
bool mpr_waits_for_an_owner(const struct mpr_self *self);

#define MPR_WAIT_OWNERS 2

/* Whose death would end the calling thread's wait, as far as it is known: whom it has said
 * it waits for, and who holds the object by now. Returns how many slots went to @ret. */
unsigned mpr_wait_owners(const struct mpr_self *self,
			 unsigned ret[MPR_WAIT_OWNERS]);

/* For the table of kinds. */
void mpr_waits_recover(mproc_arena *a, unsigned slot, uint64_t ident);
void mpr_waits_left(mproc_arena *a, unsigned slot);

#endif
