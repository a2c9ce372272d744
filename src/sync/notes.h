/* SPDX-License-Identifier: MIT */
/*
 * Notes: what a thread says of itself about objects that many can hold at once.
 * The object has no room for their names, and needs none: each thread has 16
 * words of its own in shared memory, and who has to know looks at those of all.
 *
 *   bits 0..2    kind
 *   bits 3..61   name of the object (arena/arena.h), a multiple of 8;
 *                of one in the arena bits 36..59 are its generation
 *
 * Only the thread itself makes a note. Others may change it by CAS, where the
 * kind says so. A note of a dead thread does not count, so nobody has to take
 * it back; it stays until the slot is another thread's, or somebody strikes it.
 * A slot with the note of a party that has ended is the last that is given to
 * another thread: those who wait are still to read there who it was.
 *
 * An object may be destroyed and another one made at its place. Who was about to
 * change notes about the first one then, and stood still, does not find those about
 * the second.
 *
 * Whether somebody has a note, against whether somebody else may go on because
 * nobody has one: the note, then the look at the object's word; the word, then
 * the look at the notes; all of that is seq_cst, so one sees the other.
 */
#ifndef MPR_SYNC_NOTES_H
#define MPR_SYNC_NOTES_H

#include <stdbool.h>
#include <stdint.h>

#include "arena/participant.h"
#include "sync/scope.h"

enum mpr_note_kind {
	MPR_NOTE_READS = 1,  /* has a lock for reading */
	MPR_NOTE_WAITS = 2,  /* would like to; a writer may make it READS */
	/* These have the bit MPR_NOTE_STAYS. */
	MPR_NOTE_ENTERS = 4, /* is about to become a party of a barrier; who
			      * resets that may strike it */
	MPR_NOTE_PARTY = 5,  /* is one */
};

static_assert((MPR_NOTE_ENTERS & MPR_NOTE_PARTY & MPR_NOTE_STAYS) != 0,
	      "who breaks a barrier is known");

#define MPR_NOTE_KIND UINT64_C(7)
#define MPR_NOTE_GENERATION (UINT64_C(0xffffff) << 36)

static_assert((MPR_CAPACITY_MAX & (MPR_NOTE_GENERATION | MPR_NAME_PRIVATE)) ==
	      UINT64_C(1) << 36, "names of what lies in the arena end below");

/* A note about what is at @object when it has @generation. */
static inline uint64_t
mpr_note(const mproc_arena *a, const void *object, uint32_t generation,
	 enum mpr_note_kind kind)
{
	uint64_t name = mpr_arena_name(a, object);

	if (!(name & MPR_NAME_PRIVATE))
		name |= (uint64_t)generation << 36 & MPR_NOTE_GENERATION;
	return name | kind;
}

/* The calling thread's note that is @word, or NULL. */
static inline _Atomic uint64_t *
mpr_note_find(const struct mpr_self *self, uint64_t word)
{
	for (unsigned i = 0; i < self->notes_high; i++)
		if (atomic_load_explicit(&self->notes->word[i],
					 memory_order_relaxed) == word)
			return &self->notes->word[i];
	return NULL;
}

/* One that is, but for the generation of what lies in the arena; or NULL. */
_Atomic uint64_t *mpr_note_find_elder(const struct mpr_self *self,
				      uint64_t word);

_Atomic uint64_t *mpr_note_take_any(struct mpr_self *self, uint64_t word);

/* A new one; seq_cst. NULL if all are in use. */
static inline _Atomic uint64_t *
mpr_note_take(struct mpr_self *self, uint64_t word)
{
	_Atomic uint64_t *first = &self->notes->word[0];
	uint64_t none = 0;

	/* CAS, as a signal handler of this thread may take one too. */
	if (mpr_unlikely(self->notes_high ||
			 !atomic_compare_exchange_strong(first, &none, word)))
		return mpr_note_take_any(self, word);
	self->note_count[0] = 0;
	self->notes_high = 1;
	return first;
}

/* How often the calling thread wants @note beyond once: its own affair. */
static inline uint32_t *
mpr_note_count(struct mpr_self *self, const _Atomic uint64_t *note)
{
	return &self->note_count[note - self->notes->word];
}

/* After the last one was taken back. */
static inline void
mpr_notes_lower(struct mpr_self *self)
{
	while (self->notes_high &&
	       !atomic_load_explicit(&self->notes->word[self->notes_high - 1],
				     memory_order_relaxed))
		self->notes_high--;
}

/* Takes @note back; seq_cst. */
static inline void
mpr_note_drop(struct mpr_self *self, _Atomic uint64_t *note)
{
	/* An exchange: the look at the object's word comes after it. */
	atomic_exchange(note, 0);
	mpr_notes_lower(self);
}

/* The same if it is still @word; returns whether it was. */
static inline bool
mpr_note_drop_if(struct mpr_self *self, _Atomic uint64_t *note, uint64_t word)
{
	if (!atomic_compare_exchange_strong(note, &word, 0))
		return false;
	mpr_notes_lower(self);
	return true;
}

/* A walk over all notes about one object. */
struct mpr_notes_walk {
	const mproc_arena *arena;
	uint64_t name; /* without a kind */
	uint64_t any; /* bits that may be others */
	struct mpr_scope scope;
	unsigned high;
	unsigned next; /* the note to look at next, of all there are */
	/* The last one found: */
	unsigned slot;
	uint64_t word;
	bool lives;
};

/* From the first one; @self as the calling thread, or NULL. */
void mpr_notes_begin(struct mpr_notes_walk *walk, const mproc_arena *a,
		     const struct mpr_self *self, const void *object,
		     uint32_t generation);

/* The next one, also of the dead; NULL at the end. */
_Atomic uint64_t *mpr_notes_next(struct mpr_notes_walk *walk);

static inline enum mpr_note_kind
mpr_notes_kind(const struct mpr_notes_walk *walk)
{
	return (enum mpr_note_kind)(walk->word & MPR_NOTE_KIND);
}

/* How many living threads have a note of @kind about @object; @most is as good
 * as more. */
unsigned mpr_notes_count(const mproc_arena *a, const struct mpr_self *self,
			 const void *object, uint32_t generation,
			 enum mpr_note_kind kind, unsigned most);

/* Strikes all notes about what was at the place of @object before it. */
void mpr_notes_strike(const mproc_arena *a, const struct mpr_self *self,
		      const void *object, uint32_t generation);

#endif
