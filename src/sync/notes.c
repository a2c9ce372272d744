/* SPDX-License-Identifier: MIT */
#include "sync/notes.h"

_Atomic uint64_t *
mpr_note_find_elder(const struct mpr_self *self, uint64_t word)
{
	for (unsigned i = 0;
	     i < self->notes_high && !(word & MPR_NAME_PRIVATE); i++)
		if (!((atomic_load_explicit(&self->notes->word[i],
					    memory_order_relaxed) ^
		       word) &
		      ~MPR_NOTE_GENERATION))
			return &self->notes->word[i];
	return NULL;
}

_Atomic uint64_t *
mpr_note_take_any(struct mpr_self *self, uint64_t word)
{
	for (unsigned i = 0; i < MPR_NOTES; i++) {
		_Atomic uint64_t *note = &self->notes->word[i];
		uint64_t none = 0;

		if (atomic_load_explicit(note, memory_order_relaxed) ||
		    !atomic_compare_exchange_strong(note, &none, word))
			continue;
		self->note_count[i] = 0;
		if (self->notes_high <= i)
			self->notes_high = i + 1;
		return note;
	}
	return NULL;
}

void
mpr_notes_begin(struct mpr_notes_walk *walk, const mproc_arena *a,
		const struct mpr_self *self, const void *object,
		uint32_t generation)
{
	uint64_t name = mpr_note(a, object, generation, 0);

	*walk = (struct mpr_notes_walk){
		.arena = a,
		.name = name,
		.any = MPR_NOTE_KIND,
		.scope = mpr_scope(name, self ? self->shared : NULL),
		.high = mpr_participants_high(a) * MPR_NOTES,
	};
}

/* What was found is a note about the object, and whose. */
static bool
fits(struct mpr_notes_walk *walk, const _Atomic uint64_t *note)
{
	struct mpr_participant *p = mpr_participant_at(walk->arena, walk->slot);

	walk->lives = mpr_scope_lives(walk->arena, walk->slot,
				      atomic_load(&p->ident));
	if (!mpr_scope_includes(&walk->scope, p))
		return false;
	/* Once more: it may have been that of the slot's last owner. A slot's
	 * notes are cleared before its next owner is LIVE. */
	walk->word = atomic_load(note);
	return !((walk->word ^ walk->name) & ~walk->any);
}

_Atomic uint64_t *
mpr_notes_next(struct mpr_notes_walk *walk)
{
	/* The notes of all lie together. */
	_Atomic uint64_t *notes = mpr_notes_at(walk->arena, 0)->word;
	unsigned i, high = walk->high;

	for (i = walk->next; i < high; i++) {
		/* seq_cst: see notes.h. */
		if (mpr_likely((atomic_load(&notes[i]) ^ walk->name) &
			       ~walk->any))
			continue;
		walk->slot = i / MPR_NOTES;
		walk->next = i + 1;
		if (fits(walk, &notes[i]))
			return &notes[i];
	}
	walk->next = i;
	return NULL;
}

unsigned
mpr_notes_count(const mproc_arena *a, const struct mpr_self *self,
		const void *object, uint32_t generation,
		enum mpr_note_kind kind, unsigned most)
{
	struct mpr_notes_walk walk;
	unsigned n = 0;

	mpr_notes_begin(&walk, a, self, object, generation);
	while (n < most && mpr_notes_next(&walk))
		n += walk.lives && mpr_notes_kind(&walk) == kind;
	return n;
}

void
mpr_notes_strike(const mproc_arena *a, const struct mpr_self *self,
		 const void *object, uint32_t generation)
{
	struct mpr_notes_walk walk;
	_Atomic uint64_t *note;

	mpr_notes_begin(&walk, a, self, object, generation);
	walk.any |= MPR_NOTE_GENERATION;
	while ((note = mpr_notes_next(&walk)))
		if ((walk.word ^ walk.name) & ~MPR_NOTE_KIND)
			atomic_compare_exchange_strong(note, &walk.word, 0);
}
