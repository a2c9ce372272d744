/* SPDX-License-Identifier: MIT */
/*
 * How one gets a lock for readers and writers that is not free.
 */
#include <errno.h>

#include "base/error.h"
#include "os/clock.h"
#include "sync/park.h"
#include "sync/rwlock.h"
#include "sync/spin.h"
#include "sync/wait.h"

#define LOOKS 10 /* at all notes */
#define HANDS 100
#define SLICE 50000000 /* ns, for the one in the word to come */
#define SLICE_MAX 1600000000 /* as long as others read */

/* One thread's attempt to get a lock. */
struct attempt {
	const mproc_arena *arena;
	struct mpr_self *self;
	struct mpr_rwlock *l;
	int (*try)(struct attempt *t);
	_Atomic uint64_t *note; /* of a reader */
	mproc_timeout timeout;
	int64_t deadline; /* 0: not yet known */
	uint64_t word;    /* as it was last seen to have a writer */
	uint64_t wanted;  /* a word with WANTS, */
	int64_t wanted_for, wanted_until; /* and until when it is respected */
	uint32_t generation;
	bool waits; /* others may have waited for as long */
};

static uint64_t
note_of(const struct attempt *t, enum mpr_note_kind kind)
{
	return mpr_rwlock_note(t->self, t->l, t->generation, kind);
}

/* Destroyed since the call began, and maybe made again. */
static bool
is_another(const struct attempt *t)
{
	return atomic_load(&t->l->cell.generation) != t->generation;
}

/* Whether the name in @word may be taken out of it. */
static bool
is_void(struct attempt *t, uint64_t word)
{
	int64_t now;

	if (mpr_rwlock_is_mine(t->self, word))
		return word & MPR_WANTS; /* given, and never noticed */
	if (mpr_holder_is_dead(t->arena, word))
		return true;
	if (!(word & MPR_WANTS))
		return false;
	/* It was given to one that has given up. */
	if (word & MPR_GIVEN &&
	    !mpr_waits_for(t->arena, mpr_holder_slot(word), t->l))
		return true;
	now = mproc_now();
	if ((word | MPR_WAITERS) != t->wanted) {
		t->wanted = word | MPR_WAITERS;
		t->wanted_for = SLICE;
		t->wanted_until = now + t->wanted_for;
		return false;
	}
	if (now < t->wanted_until)
		return false;
	if (!mpr_rwlock_is_read(t->arena, t->self, t->l))
		return true;
	/* It waits for readers, and they take their time. */
	if (t->wanted_for < SLICE_MAX)
		t->wanted_for *= 2;
	t->wanted_until = now + t->wanted_for;
	return false;
}

/*
 * Writes down who has died while it held the lock as @word says, before the
 * word says that one has: whoever sees that finds who it was, also if we die
 * in between. The word is looked at once more, as somebody else may have done
 * the same, and another one have died since.
 */
static void
name_the_dead(const struct attempt *t, uint64_t word)
{
	struct mpr_rwlock *l = t->l;
	uint64_t before = atomic_load(&l->died);
	uint64_t who =
		mpr_holder_who(t->arena, word, atomic_load(&l->named));

	if (atomic_load(&l->cell.word) == word)
		atomic_compare_exchange_strong(&l->died, &before, who);
}

/* For a reader: takes a void name out of the word, if that is still @word. */
static void
clear_void(struct attempt *t, uint64_t word)
{
	uint64_t died = word & MPR_WANTS ? 0 : MPR_DIED;
	uint64_t before = word;
	struct mpr_wake k;

	mpr_wake_begin(&k, t->arena, t->self, t->l);
	if (died)
		name_the_dead(t, word);
	if (atomic_compare_exchange_strong(&t->l->cell.word, &word,
					   (word & MPR_DIED) | died)) {
		/* Its owner, if it is not dead, is to notice. */
		mpr_unpark(t->arena, mpr_holder_slot(before));
		if (before & MPR_WAITERS)
			mpr_rwlock_wake_next(&k, true);
	}
	mpr_wake_end(&k);
}

/* Whoever reads is told of a death; of a lock that has been destroyed by now nobody
 * knows whether there was one. */
static int
is_told(const struct attempt *t)
{
	uint64_t word = atomic_load(&t->l->cell.word);

	if (word & MPR_GONE || is_another(t))
		return -ESTALE;
	return word & MPR_DIED ? mpr_rwlock_owner_died(t->l) : 0;
}

/* Reading, with a note that says WAITS. Returns 0, MPROC_OWNER_DIED, -EBUSY,
 * -EDEADLK, -ESTALE. */
static int
try_read(struct attempt *t)
{
	uint64_t waits = note_of(t, MPR_NOTE_WAITS);
	uint64_t reads = note_of(t, MPR_NOTE_READS);
	struct mpr_rwlock *l = t->l;
	uint64_t word, note;

	for (;;) {
		word = atomic_load(&l->cell.word);
		if (word & MPR_GONE || is_another(t))
			return -ESTALE;
		/* A writer that ended may have given it to us. */
		if (atomic_load(t->note) == reads)
			break;
		if (word & MPR_HELD && is_void(t, word)) {
			clear_void(t, word);
			continue;
		}
		if (word & MPR_HELD) {
			t->word = word;
			return mpr_rwlock_is_mine(t->self, word) ? -EDEADLK
								 : -EBUSY;
		}
		/* seq_cst: the note, then the word; see notes.h. */
		note = waits;
		if (!atomic_compare_exchange_strong(t->note, &note, reads)) {
			/* Given, or struck: then the lock is another one. */
			if (note != reads)
				return -ESTALE;
			break;
		}
		word = atomic_load(&l->cell.word);
		if (!(word & (MPR_HELD | MPR_GONE)) && !is_another(t))
			break;
		atomic_store(t->note, waits);
		mpr_rwlock_reader_left(t->arena, t->self, l);
	}
	/* Now that we read nobody can change that: the word from before we were
	 * given it may tell of a death that all is well again after. */
	return is_told(t);
}

/* Our name is in the word: once more, as in a lock, those who have come to wait
 * between our look for them and that. */
static void
look_for_others(const struct attempt *t)
{
	uint64_t word = atomic_load(&t->l->cell.word);

	if (!mpr_wait_succeed(t->self, t->l))
		return;
	while (mpr_rwlock_is_mine(t->self, word) &&
	       !atomic_compare_exchange_strong(&t->l->cell.word, &word,
					       word | MPR_WAITERS))
		;
}

/* Our name is in the word. If the one before has put it there, we say that we
 * know: it does not matter any more whether we wait for that. Returns false if
 * it was not @word any more. */
static bool
accept(struct mpr_rwlock *l, uint64_t word)
{
	return !(word & MPR_GIVEN) ||
	       atomic_compare_exchange_strong(&l->cell.word, &word,
					      word & ~MPR_GIVEN);
}

/* Puts our name in the word. Returns 0, -EBUSY, -EDEADLK, -ESTALE. */
static int
try_write(struct attempt *t)
{
	struct mpr_rwlock *l = t->l;
	uint64_t word = atomic_load(&l->cell.word), flags, died;

	for (;;) {
		flags = word & (MPR_WAITERS | MPR_DIED);
		died = 0;
		if (word & MPR_GONE || is_another(t))
			return -ESTALE;
		if (word & MPR_HELD) {
			t->word = word;
			if (mpr_rwlock_is_mine(t->self, word)) {
				if (!(word & MPR_WANTS))
					return -EDEADLK;
				return accept(l, word) ? 0 : try_write(t);
			}
			if (!is_void(t, word))
				return -EBUSY;
			died = word & MPR_WANTS ? 0 : MPR_DIED;
			if (died)
				name_the_dead(t, word);
		}
		/* Who released it has cleared the flag and chosen us: others
		 * who wait count on us. */
		if ((t->waits || flags & MPR_WAITERS) &&
		    mpr_wait_succeed(t->self, l))
			flags |= MPR_WAITERS;
		if (atomic_compare_exchange_strong(
			    &l->cell.word, &word,
			    mpr_holder(t->self) | MPR_WANTS | flags | died))
			break;
	}
	if (t->waits && !(flags & MPR_WAITERS))
		look_for_others(t);
	/* Its owner, if it is not dead, may sleep for readers to go, and is to
	 * notice. Should we die before that, recovery wakes it: who finds that it
	 * does not come has waited, and so has noted the lock. */
	if (word & MPR_WANTS)
		mpr_unpark(t->arena, mpr_holder_slot(word));
	return 0;
}

/* Has whoever takes its name out of the word know that somebody waits. Returns
 * whether t->word was still so. */
static bool
flag_waiter(struct attempt *t)
{
	return t->word & MPR_WAITERS ||
	       atomic_compare_exchange_strong(&t->l->cell.word, &t->word,
					      t->word | MPR_WAITERS);
}

/* A signal handler has forked, and this is the child. */
#define FOREIGN (-ESRCH)

/* Announces the wait and looks once more. -EBUSY: the sleep is next. */
static int
announce(struct attempt *t, struct mpr_wait *w)
{
	int owner, looks = 0, r;

	do {
		owner = (int)mpr_holder_slot(t->word);
		/* It goes from hand to hand while we look. */
		if (looks++ > HANDS)
			owner = -2;
		mpr_wait_announce(w, owner);
		do
			r = t->try(t);
		while (r == -EBUSY && !flag_waiter(t));
		/* Its death must find our word about whom we wait for. */
	} while (r == -EBUSY && owner != -2 &&
		 mpr_holder_slot(t->word) != (unsigned)owner);
	return r;
}

/* Nobody wakes us when a name has been respected for long enough. */
static int
sleep_until(const struct attempt *t, struct mpr_wait *w, int64_t deadline)
{
	bool is_wanted = (t->word | MPR_WAITERS) == t->wanted;
	int why;

	if (!is_wanted || t->wanted_until >= deadline)
		return mpr_wait_sleep(w, deadline);
	why = mpr_wait_sleep(w, t->wanted_until);
	return why == -ETIMEDOUT ? 0 : why;
}

/* One sleep. Returns what try() does; *@ret_why is 0, or why the wait is to
 * end if the lock was not to be had. */
static int
sleep_once(struct attempt *t, struct mpr_wait *w, int64_t deadline,
	   int *ret_why)
{
	int r;

	*ret_why = 0;
	/* From the announcement on we may be chosen. */
	t->waits = true;
	r = announce(t, w);
	if (r == -EBUSY)
		*ret_why = sleep_until(t, w, deadline);
	if (mpr_wait_is_foreign(w))
		return FOREIGN;
	mpr_wait_end(w);
	return r == -EBUSY ? t->try(t) : r;
}

/* We give up, and may have been chosen, or the only one that knows who holds
 * the lock. */
static void
have_another_look(const struct attempt *t, const void *door)
{
	struct mpr_wake k;

	mpr_wake_begin(&k, t->arena, t->self, door);
	mpr_wake_n(&k, 1);
	mpr_wake_end(&k);
}

/* When the attempt is to end. Reads the clock once. */
static int64_t
deadline_of(struct attempt *t)
{
	if (!t->deadline)
		t->deadline = mpr_deadline(t->timeout);
	return t->deadline;
}

/* Until try() says something else than -EBUSY. */
static int
wait_for(struct attempt *t, const void *door)
{
	int64_t deadline = deadline_of(t);
	unsigned looks = 0;
	struct mpr_wait w;
	int r = -EBUSY, why = 0;

	while (r == -EBUSY && mpr_spin(&t->l->cell.word, MPR_HELD, &looks))
		r = t->try(t);
	if (r != -EBUSY)
		return r;
	mpr_wait_begin(&w, t->self, door, MPR_WAIT_TURN);
	while (r == -EBUSY && why == 0)
		r = sleep_once(t, &w, deadline, &why);
	if (r == FOREIGN)
		return r;
	if (r < 0)
		have_another_look(t, door);
	mpr_wait_finish(&w);
	if (r == -ESTALE)
		r = -ESHUTDOWN;
	return r == -EBUSY ? why : r;
}

/* A fresh attempt at @l. */
static int
begin(struct attempt *t, struct mpr_rwlock *l, mproc_timeout timeout)
{
	mproc_arena *a;
	int r;

	if (!l)
		return mpr_fail(-EINVAL, "lock is NULL");
	*t = (struct attempt){ .l = l, .timeout = timeout };
	r = mpr_arena_get_of(l, &a);
	if (r == 0)
		r = mpr_self(a, &t->self);
	if (r < 0)
		return r;
	t->arena = a;
	t->generation = atomic_load(&l->cell.generation);
	return 0;
}

/* It was not to be had, for the reason @r; but a writer may just have given it
 * to us. */
static int
stop_waiting(struct attempt *t, int r)
{
	uint64_t waits = note_of(t, MPR_NOTE_WAITS);
	uint64_t reads = note_of(t, MPR_NOTE_READS);

	if (mpr_note_drop_if(t->self, t->note, waits))
		return mpr_rwlock_tell(t->l, r);
	/* Struck: there is another lock at this place. */
	if (atomic_load(t->note) != reads && r != -ESHUTDOWN)
		r = -ESTALE;
	if (r != -ESTALE && r != -ESHUTDOWN)
		r = is_told(t);
	if (r >= 0)
		return r;
	mpr_note_drop(t->self, t->note);
	return mpr_rwlock_tell(t->l, r);
}

/* A thread that reads reads once more. */
static int
read_again(struct attempt *t, const _Atomic uint64_t *note)
{
	uint64_t word = atomic_load(&t->l->cell.word);

	if (word & MPR_GONE)
		return mpr_rwlock_tell(t->l, -ESTALE);
	if (*mpr_note_count(t->self, note) == UINT32_MAX)
		return mpr_fail(-EOVERFLOW, "this thread reads lock %p %u "
				"times and once more", (void *)t->l,
				UINT32_MAX);
	++*mpr_note_count(t->self, note);
	return word & MPR_DIED ? mpr_rwlock_owner_died(t->l) : 0;
}

/* @note: one that says WAITS, about the lock that had @generation; or NULL. */
int
mpr_rwlock_read_slowly(struct mpr_rwlock *l, _Atomic uint64_t *note,
		       uint32_t generation, mproc_timeout timeout)
{
	struct attempt t;
	int r;

	r = begin(&t, l, timeout);
	if (r < 0)
		return r;
	if (note) {
		t.generation = generation;
	} else {
		note = mpr_note_find(t.self, note_of(&t, MPR_NOTE_READS));
		if (note)
			return read_again(&t, note);
		note = mpr_note_take(t.self, note_of(&t, MPR_NOTE_WAITS));
	}
	if (!note)
		return mpr_fail(-ENOLCK,
				"this thread has %d locks for reading "
				"and barriers already",
				MPR_NOTES);
	t.note = note;
	t.try = try_read;
	r = try_read(&t);
	if (r == -EBUSY)
		r = timeout.ns ? wait_for(&t, mpr_door(l, MPR_DOOR_READERS))
			       : -EAGAIN;
	/* The note is the parent's, who waits for itself. */
	if (r == FOREIGN)
		return mpr_rwlock_read_slowly(l, NULL, 0,
					      mproc_until(t.deadline));
	return r < 0 ? stop_waiting(&t, r) : r;
}

/* With our name in the word: holds the lock if nobody reads. Returns 0;
 * MPROC_OWNER_DIED; -EAGAIN if somebody does; -EBUSY if the name is gone;
 * -ESTALE. */
static int
hold(struct attempt *t)
{
	struct mpr_rwlock *l = t->l;
	uint64_t word = atomic_load(&l->cell.word);

	do {
		if (word & MPR_GONE || is_another(t))
			return -ESTALE;
		if (!mpr_rwlock_is_mine(t->self, word) || !(word & MPR_WANTS))
			return -EBUSY;
		/* seq_cst: the word, then the notes; see notes.h. */
		if (mpr_rwlock_is_read(t->arena, t->self, l))
			return -EAGAIN;
	} while (!atomic_compare_exchange_strong(&l->cell.word, &word,
						 word & ~MPR_WANTS));
	atomic_store_explicit(&l->named, mpr_holder_named(t->self),
			      memory_order_relaxed);
	return word & MPR_DIED ? mpr_rwlock_owner_died(l) : 0;
}

/* Waits for readers to go. Returns what hold() does but -EAGAIN; if the time is
 * over, the name is not in the word any more. */
static int
drain(struct attempt *t)
{
	int r, why = t->timeout.ns ? 0 : -EAGAIN;
	unsigned looks = 1;
	struct mpr_wait w;

	do
		r = hold(t);
	while (r == -EAGAIN && mpr_spin_on(&looks, LOOKS));
	if (r != -EAGAIN)
		return r;
	mpr_wait_begin(&w, t->self, mpr_door(t->l, MPR_DOOR_DRAIN),
		       MPR_WAIT_TURN);
	while (r == -EAGAIN && why == 0) {
		/* Any reader may be the one that dies. */
		mpr_wait_announce(&w, -2);
		r = hold(t);
		if (r == -EAGAIN)
			why = mpr_wait_sleep(&w, deadline_of(t));
		if (mpr_wait_is_foreign(&w))
			return FOREIGN;
		mpr_wait_end(&w);
	}
	mpr_wait_finish(&w);
	if (r == -EAGAIN)
		r = hold(t);
	if (r == -ESTALE)
		return -ESHUTDOWN;
	if (r != -EAGAIN)
		return r;
	mpr_rwlock_give_away(t->l, t->arena, t->self);
	return why;
}

/* The lock was destroyed. Our name may have come into the word of another one that
 * was made at its place: between our look at the generation and that at the word,
 * or as it was given to us, who seemed to wait for it. */
static void
leave_another(const struct attempt *t)
{
	uint64_t word = atomic_load(&t->l->cell.word);

	if (word & MPR_WANTS && mpr_rwlock_is_mine(t->self, word))
		mpr_rwlock_give_away(t->l, t->arena, t->self);
}

int
mpr_rwlock_write_slowly(struct mpr_rwlock *l, mproc_timeout timeout)
{
	struct attempt t;
	int r;

	r = begin(&t, l, timeout);
	if (r < 0)
		return r;
	t.try = try_write;
	if (mpr_note_find(t.self, note_of(&t, MPR_NOTE_READS)))
		return mpr_fail(-EDEADLK,
				"this thread holds lock %p for "
				"reading",
				(const void *)l);
	do {
		r = try_write(&t);
		if (r == -EBUSY)
			r = timeout.ns ? wait_for(&t, l) : -EAGAIN;
		if (r == 0)
			r = drain(&t);
	} while (r == -EBUSY);
	if (r == FOREIGN)
		return mpr_rwlock_write_slowly(l, mproc_until(t.deadline));
	if (r == -ESTALE || r == -ESHUTDOWN)
		leave_another(&t);
	return r < 0 ? mpr_rwlock_tell(l, r) : r;
}
