/* SPDX-License-Identifier: MIT */
/*
 * What a lock for readers and writers is in shared memory. The word is that of
 * sync/holder.h and names the writer only:
 *
 *   0 --write--> HELD,WANTS by me --no reader left--> HELD by me --release--> 0
 *
 * Who reads says so in a note of its own (sync/notes.h), so readers share no
 * word that they write, and a dead reader leaves nothing to repair. A reader
 * makes its note, then looks at the word; a writer puts its name in the word,
 * then looks at the notes: one of them sees the other. Who sees a writer takes
 * its note back to WAITS and sleeps; a thread that reads already is let in.
 *
 * Nobody starves. From WANTS on no new reader gets in, so a writer waits for
 * those only that read already. A writer that ends makes READS of all notes
 * that say WAITS, then gives the word away: those who waited while it wrote
 * have the lock before any other writer. Of the writers one that waits for more
 * than a millisecond is given the word by name.
 *
 * A name with WANTS protects nothing yet. If its owner is dead, or does not
 * come for a slice though nobody reads, anyone may take it out of the word. So
 * it is at once with one that was GIVEN, and does not wait any more: it has
 * given up just then.
 *
 * Three doors (sync/wait.h): writers wait to get into the word, readers for it
 * to be free, the writer in the word for readers to go.
 */
#ifndef MPR_SYNC_RWLOCK_H
#define MPR_SYNC_RWLOCK_H

#include <mproc/sync.h>

#include "sync/cell.h"
#include "sync/holder.h"
#include "sync/notes.h"
#include "sync/wait.h"

#define MPR_WANTS MPR_HANDED /* named, and does not hold it yet */
#define MPR_GIVEN MPR_STARVED /* by the one before, and does not know it yet */

enum {
	MPR_DOOR_WRITERS,
	MPR_DOOR_READERS,
	MPR_DOOR_DRAIN
};

struct mpr_rwlock {
	struct mpr_cell cell;
	/* As in a lock: of the last writer, and of the last that died. */
	_Atomic uint64_t named;
	_Atomic uint64_t died;
};

static_assert(sizeof(struct mpr_rwlock) == sizeof(mproc_rwlock),
	      "shared layout");

/* The calling thread's note about @l when it has @generation. */
static inline uint64_t
mpr_rwlock_note(const struct mpr_self *self, const struct mpr_rwlock *l,
		uint32_t generation, enum mpr_note_kind kind)
{
	return mpr_note(self->arena, l, generation, kind);
}

static inline bool
mpr_rwlock_is_mine(const struct mpr_self *self, uint64_t word)
{
	return mpr_holder_name(word) == mpr_holder(self);
}

static inline bool
mpr_rwlock_is_read(const mproc_arena *a, const struct mpr_self *self,
		   const struct mpr_rwlock *l)
{
	return mpr_notes_count(a, self, l, atomic_load(&l->cell.generation),
			       MPR_NOTE_READS, 1) > 0;
}

/* The results with their texts. */
int mpr_rwlock_owner_died(struct mpr_rwlock *l);
int mpr_rwlock_tell(const struct mpr_rwlock *l, int r);

/* What the functions do if it is not to be had at once. @note is one that says
 * WAITS, about the lock that had @generation, or NULL. */
int mpr_rwlock_read_slowly(struct mpr_rwlock *l, _Atomic uint64_t *note,
			   uint32_t generation, mproc_timeout timeout);
int mpr_rwlock_write_slowly(struct mpr_rwlock *l, mproc_timeout timeout);

/* Takes the caller's name out of the word. Returns 0, or -EBUSY if it is not
 * there. */
int mpr_rwlock_give_away(struct mpr_rwlock *l, const mproc_arena *a,
			 struct mpr_self *self);

/* After a reader's note was changed: the last one wakes the writer that wants
 * the lock. A reader that dies before it does so is noticed as any that dies
 * while it reads. */
void mpr_rwlock_reader_left(const mproc_arena *a, struct mpr_self *self,
			    struct mpr_rwlock *l);

/* Wakes those who wait for the word to have another name or none: all readers,
 * and, with @writer, the writer that waits longest. */
void mpr_rwlock_wake_next(const struct mpr_wake *k, bool writer);

#endif
