/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/error.h"
#include "base/log.h"
#include "os/clock.h"
#include "os/interrupt.h"
#include "sync/barrier_call.h"
#include "sync/barrier_remote.h"
#include "sync/linger.h"
#include "sync/remote.h"
#include "sync/wait.h"

static unsigned
parties(uint64_t word)
{
	return (unsigned)(word & MPR_BARRIER_PARTIES) + 1;
}

static unsigned
enrolled(uint64_t word)
{
	return (unsigned)((word & MPR_BARRIER_ENROLLED) / MPR_BARRIER_ENROL);
}

static unsigned
waiting(uint64_t word)
{
	return (unsigned)((word & MPR_BARRIER_WAITING) / MPR_BARRIER_ARRIVE);
}

/* Somebody destroys it. */
static bool
is_ending(uint64_t word)
{
	return (word & (MPR_GONE | MPR_BARRIER_READY | MPR_BARRIER_BROKEN)) ==
	       MPR_BARRIER_BROKEN;
}

/* Nobody waits in a broken one. */
static uint64_t
broken(uint64_t word)
{
	return (word | MPR_BARRIER_BROKEN) & ~MPR_BARRIER_WAITING;
}

static uint64_t
next_phase(uint64_t word)
{
	return (word & ~(MPR_BARRIER_PHASE | MPR_BARRIER_WAITING)) |
	       ((word + MPR_BARRIER_COMPLETE) & MPR_BARRIER_PHASE);
}

static int
tell_broken(const struct mpr_barrier *b)
{
	uint64_t who = atomic_load(&b->ended);

	if (!who)
		return mpr_fail(-ENOTRECOVERABLE, "barrier %p is broken",
				(const void *)b);
	return mpr_fail(-ENOTRECOVERABLE,
			"thread %u of process %u, a party of "
			"barrier %p, has ended",
			(unsigned)(who & 0xffffffff), (unsigned)(who >> 32),
			(const void *)b);
}

static int
begin(struct mpr_barrier_call *c, const mproc_barrier *barrier)
{
	mproc_arena *a;
	int r;

	if (!barrier)
		return mpr_fail(-EINVAL, "barrier is NULL");
	r = mpr_arena_get_of(barrier, &a);
	if (r < 0)
		return r;
	/* What is behind const is only read. */
	*c = (struct mpr_barrier_call){
		.arena = a,
		.self = mpr_self_in(a),
		.b = (struct mpr_barrier *)(uintptr_t)barrier,
	};
	c->generation = atomic_load(&c->b->cell.generation);
	return 0;
}

/* The same for a caller that may become a party. */
static int
begin_as_party(struct mpr_barrier_call *c, mproc_barrier *barrier)
{
	int r = begin(c, barrier);

	if (r == 0)
		r = mpr_self(c->arena, &c->self);
	if (r == 0)
		c->process = c->self->generation;
	return r;
}

/* How many that are or become parties live, and a party that has ended, or 0. */
static unsigned
count_living(const struct mpr_barrier_call *c, uint64_t *ret_ended)
{
	struct mpr_notes_walk walk;
	unsigned n = 0;

	*ret_ended = 0;
	mpr_notes_begin(&walk, c->arena, c->self, c->b, c->generation);
	while (mpr_notes_next(&walk)) {
		struct mpr_participant *p =
			mpr_participant_at(c->arena, walk.slot);

		if (mpr_notes_kind(&walk) < MPR_NOTE_ENTERS)
			continue;
		if (walk.lives)
			n++;
		else if (mpr_notes_kind(&walk) == MPR_NOTE_PARTY)
			*ret_ended = (uint64_t)atomic_load(&p->pid) << 32 |
				     atomic_load(&p->tid);
	}
	return n;
}

/* All parties have ended: it is as new. */
static bool
is_deserted(const struct mpr_barrier_call *c, uint64_t word)
{
	uint64_t ended;

	return word & MPR_BARRIER_ENROLLED && count_living(c, &ended) == 0;
}

/* Makes the word @to if it is @from, and wakes those who wait. */
static bool
change(const struct mpr_barrier_call *c, uint64_t from, uint64_t to)
{
	struct mpr_wake k;
	bool changed;

	mpr_wake_begin(&k, c->arena, c->self, c->b);
	/* seq_cst, before the look for those who wait. */
	changed = atomic_compare_exchange_strong(&c->b->cell.word, &from, to);
	if (changed)
		mpr_wake_all(&k);
	mpr_wake_end(&k);
	return changed;
}

bool
mpr_barrier_is_whole(const struct mpr_barrier_call *c, uint64_t word)
{
	uint64_t ended, before;
	unsigned living;

	if (word & MPR_BARRIER_BROKEN)
		return true;
	before = atomic_load(&c->b->ended);
	living = count_living(c, &ended);
	if (!ended && living >= enrolled(word))
		return true;
	/* Before the word: who sees it broken knows by whom. Not over what was
	 * written meanwhile, about a later end. */
	if (atomic_load(&c->b->cell.word) == word)
		atomic_compare_exchange_strong(&c->b->ended, &before, ended);
	change(c, word, broken(word));
	return false;
}

/* Strikes notes: all, or those of the dead and of who is no party yet. Returns
 * how many remain. */
static unsigned
strike(const struct mpr_barrier_call *c, bool all)
{
	uint64_t party = mpr_barrier_note(c, MPR_NOTE_PARTY);
	struct mpr_notes_walk walk;
	_Atomic uint64_t *note;
	unsigned n = 0;

	mpr_notes_begin(&walk, c->arena, c->self, c->b, c->generation);
	while ((note = mpr_notes_next(&walk)))
		if (!all && walk.lives &&
		    mpr_notes_kind(&walk) == MPR_NOTE_PARTY)
			n++;
		else if (!atomic_compare_exchange_strong(note, &walk.word, 0) &&
			 !all && walk.word == party)
			n++; /* it has become one just now */
	return n;
}

/* The second part of what @word has begun: a reset, or, if it is not BROKEN, an
 * init. */
static void
finish_reset(const struct mpr_barrier_call *c, uint64_t word)
{
	unsigned n = strike(c, !(word & MPR_BARRIER_BROKEN));

	/* After it, so that one that comes late does not wipe out who has ended
	 * since; a party that ends just now may stay unnamed. */
	if (change(c, word,
		   (word & ~(MPR_BARRIER_BROKEN | MPR_BARRIER_RESETTING |
			     MPR_BARRIER_ENROLLED)) |
			   n * MPR_BARRIER_ENROL))
		atomic_store(&c->b->ended, 0);
}

/* Begins anew with the living parties. Returns false if it was not @word any
 * more. */
static bool
reset_from(const struct mpr_barrier_call *c, uint64_t word)
{
	uint64_t next = broken(word) + MPR_BARRIER_RESET;
	struct mpr_wake k;
	bool begun;

	next |= MPR_BARRIER_RESETTING;
	/* Those who wait are woken when it is usable, or if we die before. */
	mpr_wake_begin(&k, c->arena, c->self, c->b);
	begun = atomic_compare_exchange_strong(&c->b->cell.word, &word, next);
	if (begun)
		finish_reset(c, next);
	mpr_wake_end(&k);
	return begun;
}

/* Whether it was destroyed, or has been made again, as of @word or later. */
static bool
is_gone(const struct mpr_barrier_call *c, uint64_t word)
{
	return word & MPR_GONE ||
	       atomic_load(&c->b->cell.generation) != c->generation;
}

int
mpr_barrier_look(const struct mpr_barrier_call *c, uint64_t *ret_word)
{
	/* The generation after the word, or we would help with the reset of
	 * another one, and find none of its parties. */
	while (!is_gone(c, *ret_word = atomic_load(&c->b->cell.word)) &&
	       *ret_word & MPR_BARRIER_RESETTING)
		finish_reset(c, *ret_word);
	if (is_gone(c, *ret_word))
		return mpr_fail(-ESTALE, "barrier %p was destroyed",
				(void *)c->b);
	if (is_ending(*ret_word))
		return mpr_fail(-ESTALE, "barrier %p is being destroyed",
				(void *)c->b);
	if (!(*ret_word & MPR_BARRIER_READY))
		return mpr_fail(-EINVAL, "barrier %p was not initialised",
				(void *)c->b);
	return 0;
}

/* Counts us among the enrolled, as of @word or later, not after another reset.
 * Returns false if that is not to be. */
static bool
count_in(const struct mpr_barrier_call *c, uint64_t word)
{
	uint64_t resets = word & MPR_BARRIER_RESETS;

	while (!atomic_compare_exchange_strong(&c->b->cell.word, &word,
					       word + MPR_BARRIER_ENROL))
		if (word & (MPR_GONE | MPR_BARRIER_BROKEN |
			    MPR_BARRIER_RESETTING) ||
		    (word & MPR_BARRIER_RESETS) != resets ||
		    enrolled(word) >= parties(word))
			return false;
	return true;
}

/* Takes that back, unless a reset has. */
static void
count_out(const struct mpr_barrier_call *c, uint64_t word)
{
	uint64_t resets = word & MPR_BARRIER_RESETS;

	word = atomic_load(&c->b->cell.word);
	while ((word & MPR_BARRIER_RESETS) == resets && enrolled(word) &&
	       !atomic_compare_exchange_strong(&c->b->cell.word, &word,
					       word - MPR_BARRIER_ENROL))
		;
}

/* Whether @word has a place for one more. */
static int
check_place(const struct mpr_barrier_call *c, uint64_t word)
{
	if (word & MPR_BARRIER_BROKEN)
		return tell_broken(c->b);
	if (enrolled(word) < parties(word))
		return 0;
	return mpr_fail(-EPERM,
			"barrier %p has its %u parties, and this thread "
			"is none of them",
			(void *)c->b, parties(word));
}

bool
mpr_barrier_is_party(const struct mpr_barrier_call *c, uint64_t party)
{
	return c->note ? atomic_load(c->note) == party :
			 mpr_note_find(c->self, party) != NULL;
}

/* NULL if there is no room. */
static _Atomic uint64_t *
take_note(const struct mpr_barrier_call *c, uint64_t word)
{
	uint64_t none = 0;

	if (!c->note)
		return mpr_note_take(c->self, word);
	return atomic_compare_exchange_strong(c->note, &none, word) ? c->note :
								       NULL;
}

void
mpr_barrier_drop_note(const struct mpr_barrier_call *c, _Atomic uint64_t *note,
		      uint64_t word)
{
	if (!c->note)
		mpr_note_drop_if(c->self, note, word);
	else
		atomic_compare_exchange_strong(note, &word, 0);
}

int
mpr_barrier_enrol(const struct mpr_barrier_call *c)
{
	uint64_t enters = mpr_barrier_note(c, MPR_NOTE_ENTERS);
	uint64_t party = mpr_barrier_note(c, MPR_NOTE_PARTY), word, was;
	_Atomic uint64_t *note;
	int r;

	while (!mpr_barrier_is_party(c, party)) {
		r = mpr_barrier_look(c, &word);
		if (r < 0)
			return r;
		/* Before we have a note: two that come at once do not take each
		 * other for the last team. */
		if (is_deserted(c, word)) {
			reset_from(c, word);
			continue;
		}
		if (!mpr_barrier_is_whole(c, word))
			continue;
		r = check_place(c, word);
		if (r < 0)
			return r;
		/* It would stand among the parent's. */
		if (mpr_unlikely(mpr_barrier_is_copy(c)))
			return -ECHILD;
		note = take_note(c, enters);
		if (!note)
			return mpr_fail(-ENOLCK,
					"this thread has %d barriers "
					"and locks for reading already",
					MPR_NOTES);
		was = enters;
		if (!count_in(c, word))
			mpr_barrier_drop_note(c, note, enters);
		else if (!atomic_compare_exchange_strong(note, &was, party))
			count_out(c, word); /* struck by a reset */
		if (!c->note)
			mpr_notes_lower(c->self);
	}
	return 0;
}

int
mpr_barrier_check_team(const struct mpr_barrier_call *c)
{
	uint64_t word;
	int r;

	do
		r = mpr_barrier_look(c, &word);
	while (r == 0 && !mpr_barrier_is_whole(c, word));
	if (r < 0)
		return r;
	return word & MPR_BARRIER_BROKEN ? tell_broken(c->b) : 0;
}

int
mpr_barrier_arrive(const struct mpr_barrier_call *c, bool nowait, uint64_t *ret_word)
{
	uint64_t word;
	bool is_last;
	int r;

	for (;;) {
		r = mpr_barrier_look(c, &word);
		if (r < 0)
			return r;
		if (word & MPR_BARRIER_BROKEN)
			return tell_broken(c->b);
		*ret_word = word;
		is_last = waiting(word) + 1 == parties(word);
		/* Who waits looks for the dead itself. */
		if ((is_last || nowait) && !mpr_barrier_is_whole(c, word))
			continue;
		if (mpr_unlikely(mpr_barrier_is_copy(c)))
			return -ECHILD;
		if (is_last && change(c, word, next_phase(word)))
			return (int)waiting(word);
		if (nowait && !is_last)
			return mpr_fail(-EAGAIN,
					"%u of %u parties of barrier "
					"%p wait",
					waiting(word), parties(word),
					(void *)c->b);
		if (!is_last &&
		    atomic_compare_exchange_strong(&c->b->cell.word, &word,
						   word + MPR_BARRIER_ARRIVE))
			return -EINPROGRESS;
	}
}

/* Whether the phase in which we arrived, when the word was @then, is complete. It
 * is the only one that can have been, as we are a party, and whoever initialises
 * the barrier again counts on elsewhere. */
static bool
has_completed(const struct mpr_barrier_call *c, uint64_t then, uint64_t word)
{
	if (atomic_load(&c->b->cell.generation) != c->generation ||
	    (word & MPR_GONE && !mpr_cell_has_ended(word)))
		return false;
	word = (word & MPR_BARRIER_PHASE) - (then & MPR_BARRIER_PHASE);
	return (word & MPR_BARRIER_PHASE) == MPR_BARRIER_COMPLETE;
}

int
mpr_barrier_result(const struct mpr_barrier_call *c, uint64_t then)
{
	uint64_t word;

	for (;;) {
		word = atomic_load(&c->b->cell.word);
		if (has_completed(c, then, word))
			return (int)waiting(then);
		if (is_gone(c, word) || !(word & MPR_BARRIER_READY))
			return mpr_fail(-ESHUTDOWN, "barrier %p was destroyed",
					(void *)c->b);
		if ((word ^ then) & MPR_BARRIER_RESETS ||
		    word & MPR_BARRIER_BROKEN)
			return tell_broken(c->b);
		if (mpr_barrier_is_whole(c, word))
			return -EINPROGRESS;
	}
}

int
mpr_barrier_stop(const struct mpr_barrier_call *c, uint64_t then, int why)
{
	uint64_t word;
	int r;

	do {
		word = atomic_load(&c->b->cell.word);
		r = mpr_barrier_result(c, then);
		if (r != -EINPROGRESS)
			return r;
		if (mpr_unlikely(mpr_barrier_is_copy(c)))
			return -ECHILD;
	} while (!change(c, word, broken(word)));
	return why;
}

int
mpr_barrier_sleep(const struct mpr_barrier_call *c, uint64_t then, int64_t deadline,
		 int *ret_why)
{
	int r = -EINPROGRESS;
	struct mpr_wait w;

	*ret_why = 0;
	mpr_wait_begin(&w, c->self, c->b, MPR_WAIT_NEWS);
	while (r == -EINPROGRESS && *ret_why == 0) {
		/* Any party may be the one that dies. */
		mpr_wait_announce(&w, -2);
		r = mpr_barrier_result(c, then);
		if (r == -EINPROGRESS)
			*ret_why = mpr_wait_sleep(&w, deadline);
		if (mpr_wait_is_foreign(&w))
			return -ECHILD;
		mpr_wait_end(&w);
	}
	mpr_wait_finish(&w);
	return r;
}

static int
wait_for_others(const struct mpr_barrier_call *c, uint64_t then, mproc_timeout timeout)
{
	int64_t deadline = mpr_deadline(timeout);
	int r = -EINPROGRESS, why = 0;
	struct mpr_linger linger;

	mpr_linger_begin(&linger, &c->self->yields, parties(then) - 1, deadline);
	while (r == -EINPROGRESS && mpr_linger_on(&linger) &&
	       !mpr_barrier_is_copy(c))
		if ((atomic_load_explicit(&c->b->cell.word,
					  memory_order_relaxed) ^
		     then) &
		    MPR_BARRIER_PHASE)
			r = mpr_barrier_result(c, then);
	/* What a copy said of a sleep would stand in its parent's slot. */
	if (r == -EINPROGRESS && !mpr_barrier_is_copy(c))
		r = mpr_barrier_sleep(c, then, deadline, &why);
	if (r == -EINPROGRESS)
		r = mpr_barrier_stop(c, then, why);
	/* After the result, which is one for the parent alone. The copy is no party,
	 * but may try to be one. */
	if (mpr_unlikely(mpr_barrier_is_copy(c)))
		return mproc_barrier_wait((mproc_barrier *)c->b,
					  mproc_until(deadline));
	if (r == -EINTR)
		mpr_interrupt_answer();
	return r;
}

int
mproc_barrier_wait(mproc_barrier *barrier, mproc_timeout timeout)
{
	struct mpr_barrier_call c;
	uint64_t then = 0;
	int r;

	if (mpr_remote_has(barrier))
		return mpr_barrier_remote_wait(barrier, timeout);
	r = begin_as_party(&c, barrier);
	if (r < 0)
		return r;
	r = mpr_barrier_enrol(&c);
	if (r == 0)
		r = mpr_barrier_arrive(&c, timeout.ns == 0, &then);
	/* As in wait_for_others(): not the parent's index, nor a place in its phase. */
	if (mpr_unlikely(mpr_barrier_is_copy(&c)))
		return mproc_barrier_wait(barrier, timeout);
	return r == -EINPROGRESS ? wait_for_others(&c, then, timeout) : r;
}

int
mproc_barrier_enroll(mproc_barrier *barrier)
{
	struct mpr_barrier_call c;
	int r;

	if (mpr_remote_has(barrier))
		return mpr_barrier_remote_enroll(barrier);
	r = begin_as_party(&c, barrier);
	if (r < 0)
		return r;
	r = mpr_barrier_enrol(&c);
	if (r == 0)
		r = mpr_barrier_check_team(&c);
	return mpr_unlikely(mpr_barrier_is_copy(&c)) ?
		       mproc_barrier_enroll(barrier) : r;
}

int
mproc_barrier_abort(mproc_barrier *barrier)
{
	struct mpr_barrier_call c;
	uint64_t word;
	int r;

	if (mpr_remote_has(barrier))
		return mpr_barrier_remote_ask(barrier, MPR_OP_BARRIER_ABORT);
	r = begin(&c, barrier);
	if (r < 0)
		return r;
	do
		r = mpr_barrier_look(&c, &word);
	while (r == 0 && !(word & MPR_BARRIER_BROKEN) &&
	       !change(&c, word, broken(word)));
	return r;
}

int
mproc_barrier_reset(mproc_barrier *barrier)
{
	struct mpr_barrier_call c;
	uint64_t word;
	int r;

	if (mpr_remote_has(barrier))
		return mpr_barrier_remote_ask(barrier, MPR_OP_BARRIER_RESET);
	r = begin(&c, barrier);
	if (r < 0)
		return r;
	r = mpr_barrier_look(&c, &word);
	while (r == 0 && !reset_from(&c, word))
		r = mpr_barrier_look(&c, &word);
	return r;
}

int
mproc_barrier_waiting(const mproc_barrier *barrier)
{
	struct mpr_barrier_call c;
	uint64_t word;
	int r;

	if (mpr_remote_has(barrier))
		return mpr_barrier_remote_ask(barrier, MPR_OP_BARRIER_WAITING);
	r = begin(&c, barrier);
	if (r == 0)
		r = mpr_barrier_look(&c, &word);
	if (r < 0)
		return r;
	return is_deserted(&c, word) ? 0 : (int)waiting(word);
}

bool
mproc_barrier_broken(const mproc_barrier *barrier)
{
	uint64_t word, ended;
	struct mpr_barrier_call c;
	unsigned living;

	if (mpr_remote_has(barrier))
		return mpr_barrier_remote_ask(barrier, MPR_OP_BARRIER_BROKEN) != 0;
	if (begin(&c, barrier) < 0 || mpr_barrier_look(&c, &word) < 0)
		return true;
	living = count_living(&c, &ended);
	if (enrolled(word) && !living)
		return false; /* as new */
	return word & MPR_BARRIER_BROKEN || ended || living < enrolled(word);
}

static int
check_parties(unsigned parties)
{
	if (parties < 1 || parties > MPR_BARRIER_MAX)
		return mpr_fail(-EINVAL, "%u parties are not 1 to %d", parties,
				MPR_BARRIER_MAX);
	return 0;
}

/* Broken, of @parties, and nobody is enrolled: its notes can be struck. */
static uint64_t
without_parties(uint64_t word, unsigned parties)
{
	word &= MPR_BARRIER_RESETS | MPR_BARRIER_PHASE;
	return (word + MPR_BARRIER_RESET) | MPR_BARRIER_READY |
	       MPR_BARRIER_BROKEN | (parties - 1);
}

int
mproc_barrier_init(mproc_barrier *barrier, unsigned parties)
{
	uint64_t word, next;
	struct mpr_barrier_call c;
	int r;

	r = check_parties(parties);
	if (r == 0 && mpr_remote_has(barrier))
		r = mpr_fail(-EINVAL, "%p is a manager's barrier, which has its "
			     "parties", (void *)barrier);
	if (r == 0)
		r = begin(&c, barrier);
	if (r < 0)
		return r;
	do {
		word = atomic_load(&c.b->cell.word);
		if (word & MPR_GONE)
			return mpr_barrier_look(&c, &word);
		next = (without_parties(word, parties) & ~MPR_BARRIER_BROKEN) |
		       MPR_BARRIER_RESETTING;
		next = (next & ~MPR_BARRIER_PHASE) |
		       ((next + MPR_BARRIER_ELSEWHERE) & MPR_BARRIER_PHASE);
	} while (!atomic_compare_exchange_strong(&c.b->cell.word, &word, next));
	finish_reset(&c, next);
	return 0;
}

int
mpr_barrier_create_in(mproc_arena *a, void **ret, unsigned parties)
{
	struct mpr_barrier_call c = { 0 };
	void *barrier;
	int r;

	r = check_parties(parties);
	if (r == 0)
		r = mpr_cell_create_in(a, MPR_CELL_BARRIER, &barrier);
	if (r < 0)
		return r;
	r = begin(&c, barrier);
	if (r < 0)
		return r;
	/* Parties of its predecessor may not have noticed its end. */
	mpr_notes_strike(c.arena, c.self, c.b, c.generation);
	mpr_cell_open(barrier, c.generation * MPR_BARRIER_GENERATION |
				       MPR_BARRIER_READY | (parties - 1));
	*ret = barrier;
	return 0;
}

int
mproc_barrier_create(mproc_barrier **ret_barrier, unsigned parties)
{
	void *barrier;
	int r;

	if (!ret_barrier)
		return mpr_fail(-EINVAL, "ret_barrier is NULL");
	r = mpr_barrier_create_in(NULL, &barrier, parties);
	if (r == 0)
		*ret_barrier = barrier;
	return r;
}

/* Takes it from all, if nobody has yet: its notes can be struck. Returns false if
 * there is none. */
static bool
begin_end(const struct mpr_barrier_call *c)
{
	uint64_t word;

	while (mpr_barrier_look(c, &word) == 0)
		if (atomic_compare_exchange_strong(
			    &c->b->cell.word, &word,
			    without_parties(word, parties(word)) &
				    ~MPR_BARRIER_READY))
			return true;
	return is_ending(word);
}

void
mproc_barrier_destroy(mproc_barrier *barrier)
{
	struct mpr_wake k;
	struct mpr_barrier_call c;
	uint64_t word;

	if (!barrier || mpr_remote_destroy(MPR_CELL_BARRIER, barrier))
		return;
	if (begin(&c, barrier) < 0) {
		mpr_log(MPROC_LOG_ERROR, "%p is not destroyed: no arena",
			(void *)barrier);
		return;
	}
	mpr_wake_begin(&k, c.arena, c.self, c.b);
	if (begin_end(&c)) {
		/* Parties are to have room for other notes. */
		strike(&c, true);
		if (mpr_cell_is(MPR_CELL_BARRIER, barrier)) {
			mpr_cell_destroy(MPR_CELL_BARRIER, barrier,
					 MPR_BARRIER_PHASE);
		} else {
			word = atomic_load(&c.b->cell.word);
			if (is_ending(word))
				change(&c, word, word & (MPR_BARRIER_PHASE |
							 MPR_BARRIER_RESETS));
		}
	} else {
		mpr_log(MPROC_LOG_ERROR,
			"%p is no barrier, and is not destroyed",
			(void *)barrier);
	}
	mpr_wake_end(&k);
}
