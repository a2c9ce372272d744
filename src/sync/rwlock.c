/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/error.h"
#include "os/interrupt.h"
#include "sync/rwlock.h"
#include "sync/wait.h"

static struct mpr_rwlock *
lock_of(mproc_rwlock *lock)
{
	return (struct mpr_rwlock *)lock;
}

/* What is behind const is only read. */
static struct mpr_rwlock *
look_at(const mproc_rwlock *lock)
{
	return (struct mpr_rwlock *)(uintptr_t)lock;
}

/* @self as the calling thread, or NULL. */
static inline int
read_as(struct mpr_self *self, struct mpr_rwlock *l, mproc_timeout timeout)
{
	_Atomic uint64_t *note;
	uint32_t generation;
	uint64_t word;

	if (mpr_unlikely(!l || !self))
		return mpr_rwlock_read_slowly(l, NULL, 0, timeout);
	generation = atomic_load(&l->cell.generation);
	word = mpr_rwlock_note(self, l, generation, MPR_NOTE_READS);
	if (mpr_unlikely(mpr_note_find(self, word)))
		return mpr_rwlock_read_slowly(l, NULL, 0, timeout);
	/* seq_cst, both: the note, then the word; see notes.h. Acquire pairs
	 * with the release of a writer. */
	note = mpr_note_take(self, word);
	if (mpr_unlikely(!note))
		return mpr_rwlock_read_slowly(l, NULL, 0, timeout);
	word = atomic_load(&l->cell.word);
	/* What is free may be another one by now, and our note be struck. */
	if (mpr_likely(!(word & (MPR_HELD | MPR_GONE | MPR_DIED)) &&
		       atomic_load(&l->cell.generation) == generation))
		return 0;
	atomic_store(note,
		     mpr_rwlock_note(self, l, generation, MPR_NOTE_WAITS));
	mpr_rwlock_reader_left(self->arena, self, l);
	return mpr_rwlock_read_slowly(l, note, generation, timeout);
}

static MPR_NOINLINE int
read_anywhere(struct mpr_rwlock *l, mproc_timeout timeout)
{
	return read_as(mpr_self_of(l), l, timeout);
}

int
mproc_rwlock_read(mproc_rwlock *lock, mproc_timeout timeout)
{
	struct mpr_rwlock *l = lock_of(lock);

	return mpr_arenas_are_many() ? read_anywhere(l, timeout) :
				       read_as(mpr_self_at_once(), l, timeout);
}

static inline int
write_as(const struct mpr_self *self, struct mpr_rwlock *l,
	 mproc_timeout timeout)
{
	uint64_t word = 0, wants;

	if (mpr_unlikely(
		    !l || !self ||
		    (self->notes_high &&
		     mpr_note_find(self, mpr_rwlock_note(
				   self, l, atomic_load(&l->cell.generation),
				   MPR_NOTE_READS)))))
		return mpr_rwlock_write_slowly(l, timeout);
	/* seq_cst: the word, then the notes; see notes.h. */
	wants = mpr_holder(self) | MPR_WANTS;
	if (mpr_unlikely(!atomic_compare_exchange_strong(&l->cell.word, &word,
							 wants) ||
			 mpr_rwlock_is_read(self->arena, self, l) ||
			 !atomic_compare_exchange_strong(&l->cell.word, &wants,
							 mpr_holder(self))))
		return mpr_rwlock_write_slowly(l, timeout);
	atomic_store_explicit(&l->named, mpr_holder_named(self),
			      memory_order_relaxed);
	return 0;
}

static MPR_NOINLINE int
write_anywhere(struct mpr_rwlock *l, mproc_timeout timeout)
{
	return write_as(mpr_self_of(l), l, timeout);
}

int
mproc_rwlock_write(mproc_rwlock *lock, mproc_timeout timeout)
{
	struct mpr_rwlock *l = lock_of(lock);

	return mpr_arenas_are_many() ? write_anywhere(l, timeout) :
				       write_as(mpr_self_at_once(), l, timeout);
}

int
mpr_rwlock_owner_died(struct mpr_rwlock *l)
{
	uint64_t who = atomic_load(&l->died);

	return mpr_fail(MPROC_OWNER_DIED,
			"thread %u of process %u ended while "
			"it held lock %p for writing",
			(unsigned)(who & 0xffffffff), (unsigned)(who >> 32),
			(void *)l);
}

/* What the caller of a slow path is told. */
int
mpr_rwlock_tell(const struct mpr_rwlock *l, int r)
{
	switch (r) {
	case -ESTALE:
	case -ESHUTDOWN:
		return mpr_fail(r, "lock %p was destroyed", (const void *)l);
	case -EDEADLK:
		return mpr_fail(r, "this thread holds lock %p",
				(const void *)l);
	case -EINTR:
		mpr_interrupt_answer();
		return r;
	default:
		return r;
	}
}

/* Whether the calling thread holds it for writing as @word says. */
static int
check_writer(const struct mpr_rwlock *l, uint64_t word)
{
	struct mpr_self *self = mpr_self_of(l);
	mproc_arena *a = mpr_arena_of(l);

	if (word & MPR_GONE)
		return mpr_rwlock_tell(l, -ESTALE);
	if (self && !(word & MPR_WANTS) && mpr_rwlock_is_mine(self, word))
		return 0;
	if (!(word & MPR_HELD) || word & MPR_WANTS || !a)
		return mpr_fail(-EPERM, "this thread does not hold lock %p",
				(const void *)l);
	return mpr_fail(
		-EPERM, "process %u holds lock %p for writing",
		(unsigned)(mpr_holder_who(a, word, atomic_load(&l->named)) >>
			   32),
		(const void *)l);
}

/* The caller's note about a lock that was at this place before, if it has one: who
 * has made the next one strikes such, but may have been killed over it. */
static bool
drop_elder(struct mpr_rwlock *l)
{
	struct mpr_self *self = mpr_self_of(l);
	_Atomic uint64_t *note = NULL;

	if (self)
		note = mpr_note_find_elder(
			self, mpr_rwlock_note(self, l, 0, MPR_NOTE_READS));
	if (note)
		mpr_note_drop(self, note);
	return note;
}

static MPR_NOINLINE int
release_writing(struct mpr_rwlock *l)
{
	uint64_t word;
	int r;

	if (!l)
		return mpr_fail(-EINVAL, "lock is NULL");
	word = atomic_load(&l->cell.word);
	r = check_writer(l, word);
	if (r < 0)
		return drop_elder(l) ? mpr_rwlock_tell(l, -ESTALE) : r;
	r = mpr_rwlock_give_away(l, mpr_arena_of(l), mpr_self_of(l));
	/* It was destroyed meanwhile: nothing else takes a living one's name.
	 */
	return r < 0 ? mpr_rwlock_tell(l, -ESTALE) : 0;
}

static int
release_reading(struct mpr_self *self, struct mpr_rwlock *l,
		_Atomic uint64_t *note)
{
	uint32_t *count = mpr_note_count(self, note);
	uint64_t word;

	if (*count) {
		--*count;
		return 0;
	}
	/* seq_cst, both: the note, then the word; a writer that sees the note
	 * still is seen here. */
	mpr_note_drop(self, note);
	word = atomic_load(&l->cell.word);
	if (mpr_unlikely(word & MPR_GONE))
		return mpr_rwlock_tell(l, -ESTALE);
	if (mpr_unlikely(word & MPR_WANTS))
		mpr_rwlock_reader_left(self->arena, self, l);
	return 0;
}

static inline int
release_as(struct mpr_self *self, struct mpr_rwlock *l)
{
	_Atomic uint64_t *note;
	uint64_t word;

	word = mpr_rwlock_note(self, l, atomic_load(&l->cell.generation),
			       MPR_NOTE_READS);
	note = mpr_note_find(self, word);
	if (note)
		return release_reading(self, l, note);
	word = mpr_holder(self);
	/* Release pairs with the acquire of the next holder. */
	if (mpr_unlikely(!atomic_compare_exchange_strong_explicit(
		    &l->cell.word, &word, 0, memory_order_release,
		    memory_order_relaxed)))
		return release_writing(l);
	return 0;
}

static MPR_NOINLINE int
release_anywhere(struct mpr_rwlock *l)
{
	struct mpr_self *self = mpr_self_of(l);

	return l && self ? release_as(self, l) : release_writing(l);
}

int
mproc_rwlock_release(mproc_rwlock *lock)
{
	struct mpr_self *self = mpr_arenas_are_many() ? NULL : mpr_self_at_once();
	struct mpr_rwlock *l = lock_of(lock);

	return mpr_likely(l && self) ? release_as(self, l) : release_anywhere(l);
}

int
mproc_rwlock_consistent(mproc_rwlock *lock)
{
	struct mpr_rwlock *l = lock_of(lock);
	uint64_t word;
	int r;

	if (!l)
		return mpr_fail(-EINVAL, "lock is NULL");
	word = atomic_load(&l->cell.word);
	do {
		r = check_writer(l, word);
		if (r < 0)
			return r;
	} while (!atomic_compare_exchange_strong(&l->cell.word, &word,
						 word & ~MPR_DIED));
	return 0;
}

bool
mproc_rwlock_is_consistent(const mproc_rwlock *lock)
{
	mproc_arena *a = mpr_arena_of(lock);
	uint64_t word;

	if (!lock)
		return true;
	word = atomic_load(&look_at(lock)->cell.word);
	return !(word & MPR_DIED) && !(a && mpr_holder_has_died(a, word));
}

/* How many read, and the pid and tid of one of them. */
static unsigned
count_readers(const mproc_arena *a, const struct mpr_rwlock *l,
	      uint64_t *ret_who)
{
	struct mpr_notes_walk walk;
	unsigned n = 0;

	mpr_notes_begin(&walk, a, mpr_self_of(l), l,
			atomic_load(&l->cell.generation));
	while (mpr_notes_next(&walk)) {
		struct mpr_participant *p = mpr_participant_at(a, walk.slot);

		if (!walk.lives || mpr_notes_kind(&walk) != MPR_NOTE_READS)
			continue;
		if (n++ == 0)
			*ret_who = (uint64_t)atomic_load(&p->pid) << 32 |
				   atomic_load(&p->tid);
	}
	return n;
}

int
mproc_rwlock_owner(const mproc_rwlock *lock, struct mproc_owner *ret_owner)
{
	const struct mpr_rwlock *l = look_at(lock);
	uint64_t word, reader = 0;
	mproc_arena *a;
	int r;

	if (!l || !ret_owner)
		return mpr_fail(-EINVAL, "lock or ret_owner is NULL");
	r = mpr_arena_get_of(l, &a);
	if (r < 0)
		return r;
	word = atomic_load(&l->cell.word);
	if (word & MPR_GONE)
		return mpr_rwlock_tell(l, -ESTALE);
	mpr_holder_describe(a, word, atomic_load(&l->named),
			    atomic_load(&l->died), ret_owner);
	ret_owner->readers = count_readers(a, l, &reader);
	if (!mpr_holder_has_it(word)) {
		ret_owner->pid = (pid_t)(reader >> 32);
		ret_owner->tid = (pid_t)(reader & 0xffffffff);
	}
	ret_owner->waiters = mpr_wait_count(a, l, &ret_owner->since);
	return 0;
}

int
mproc_rwlock_create(mproc_rwlock **ret_lock)
{
	struct mpr_cell *cell;
	void *lock;
	int r;

	if (!ret_lock)
		return mpr_fail(-EINVAL, "ret_lock is NULL");
	r = mpr_cell_create(MPR_CELL_RWLOCK, &lock);
	if (r < 0)
		return r;
	/* Those who held its predecessor may not have noticed its end. */
	cell = lock;
	mpr_notes_strike(mpr_arena_of(lock), mpr_self_of(lock), lock,
			 atomic_load(&cell->generation));
	mpr_cell_open(lock, 0);
	*ret_lock = lock;
	return 0;
}

void
mproc_rwlock_destroy(mproc_rwlock *lock)
{
	mpr_cell_destroy(MPR_CELL_RWLOCK, lock, 0);
}
