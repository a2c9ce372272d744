/* SPDX-License-Identifier: MIT */
/*
 * What one who leaves a lock for readers and writers does for those who wait.
 */
#include <errno.h>

#include "os/clock.h"
#include "sync/park.h"
#include "sync/rwlock.h"
#include "sync/wait.h"

#define STARVED 1000000 /* ns */

void
mpr_rwlock_wake_next(const struct mpr_wake *k, bool writer)
{
	struct mpr_wake readers = *k;

	readers.object = mpr_door(k->object, MPR_DOOR_READERS);
	mpr_wake_all(&readers);
	if (writer)
		mpr_wake_n(k, 1);
}

void
mpr_rwlock_reader_left(const mproc_arena *a, struct mpr_self *self,
		       struct mpr_rwlock *l)
{
	/* seq_cst: after our note was changed. */
	uint64_t word = atomic_load(&l->cell.word);
	struct mpr_wake k;

	if (!(word & MPR_WANTS) || mpr_rwlock_is_read(a, self, l))
		return;
	mpr_wake_begin(&k, a, self, mpr_door(l, MPR_DOOR_DRAIN));
	mpr_wake_n(&k, 1);
	mpr_wake_end(&k);
}

/* Makes readers of those who wait to be, as long as the word has our name. If it
 * is destroyed meanwhile, those who wait for another one have other notes. */
static void
grant_readers(const struct mpr_wake *k, const struct mpr_rwlock *l,
	      uint32_t generation)
{
	struct mpr_notes_walk walk;
	_Atomic uint64_t *note;

	mpr_notes_begin(&walk, k->arena, k->self, l, generation);
	while ((note = mpr_notes_next(&walk)))
		if (walk.lives && mpr_notes_kind(&walk) == MPR_NOTE_WAITS &&
		    atomic_compare_exchange_strong(
			    note, &walk.word, walk.name | MPR_NOTE_READS))
			mpr_unpark(k->arena, walk.slot);
}

/*
 * Puts the writer that waits longest in the word, which has ours as @word says,
 * if it has waited for long. Returns false if it was not to be, and the word is
 * as before.
 */
static bool
hand_over(struct mpr_rwlock *l, const struct mpr_wake *k, uint64_t word)
{
	struct mpr_waiter w;

	if (!mpr_wake_first(k, &w) || w.since >= mproc_now() - STARVED)
		return false;
	if (!atomic_compare_exchange_strong(
		    &l->cell.word, &word, mpr_holder_of(w.slot, w.ident) |
		    MPR_WANTS | MPR_GIVEN |
		    (word & (MPR_WAITERS | MPR_DIED))))
		return false;
	/* The word is not ours any more, and may be gone. If that one does not
	 * wait any more, anyone may take its name out, and somebody is to. */
	if (!mpr_wake_one(k, &w))
		mpr_wake_n(k, 1);
	return true;
}

int
mpr_rwlock_give_away(struct mpr_rwlock *l, const mproc_arena *a,
		     struct mpr_self *self)
{
	/* Before the word: that of the lock which has our name there. */
	uint32_t generation = atomic_load(&l->cell.generation);
	uint64_t word = atomic_load(&l->cell.word);
	bool handed = false;
	struct mpr_wake k;
	int r = 0;

	mpr_wake_begin(&k, a, self, l);
	do {
		if (word & MPR_GONE || !mpr_rwlock_is_mine(self, word)) {
			r = -EBUSY;
			break;
		}
		/* With WANTS, anyone may take our name out, and write. */
		if (word & MPR_WAITERS && !(word & MPR_WANTS)) {
			grant_readers(&k, l, generation);
			handed = hand_over(l, &k, word);
		}
		/* seq_cst, before the look for those who wait. */
	} while (!handed && !atomic_compare_exchange_strong(
				    &l->cell.word, &word, word & MPR_DIED));
	if (r == 0 && word & MPR_WAITERS)
		mpr_rwlock_wake_next(&k, !handed);
	mpr_wake_end(&k);
	return r;
}
