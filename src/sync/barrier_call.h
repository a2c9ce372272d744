/* SPDX-License-Identifier: MIT */
/*
 * The steps of the calls for a barrier, for the files that they are made of. All return
 * what the public functions do, with the text, but where it says something else.
 *
 * A signal handler may fork in the middle of a call and return in both. What its parent
 * has found is nothing to the copy, which is no party and begins anew: the steps that
 * change something in a party's name give -ECHILD to it.
 */
#ifndef MPR_SYNC_BARRIER_CALL_H
#define MPR_SYNC_BARRIER_CALL_H

#include "os/generation.h"
#include "sync/barrier.h"
#include "sync/notes.h"

/* One call. */
struct mpr_barrier_call {
	mproc_arena *arena;
	struct mpr_self *self; /* NULL: no participant */
	struct mpr_barrier *b;
	uint32_t generation;
	/* Who has begun it, see os/generation.h. Kept: a copy that a signal handler has
	 * made may have joined by itself before the handler returns. */
	uint64_t process;
	/* Of a party that is nobody here, see sync/barrier.h; or NULL. */
	_Atomic uint64_t *note;
};

static inline bool
mpr_barrier_is_copy(const struct mpr_barrier_call *c)
{
	return c->process != mpr_generation_peek();
}

static inline uint64_t
mpr_barrier_note(const struct mpr_barrier_call *c, enum mpr_note_kind kind)
{
	return mpr_note(c->arena, c->b, c->generation, kind);
}

/* The word. Returns 0, or an error if the barrier cannot be used. */
int mpr_barrier_look(const struct mpr_barrier_call *c, uint64_t *ret_word);

/*
 * Whether no party has ended; if one has, that breaks the barrier. @word was
 * loaded before: whoever is enrolled there has its note. If it is false, the
 * word is another one.
 */
bool mpr_barrier_is_whole(const struct mpr_barrier_call *c, uint64_t word);

/* Whether the calling thread, or who is meant, has @party for a note. */
bool mpr_barrier_is_party(const struct mpr_barrier_call *c, uint64_t party);
void mpr_barrier_drop_note(const struct mpr_barrier_call *c, _Atomic uint64_t *note,
			   uint64_t word);

/* The calling thread, or who is meant, becomes a party if it is none. Also -ECHILD. */
int mpr_barrier_enrol(const struct mpr_barrier_call *c);

/* Our note may have stood for that of one that had ended. */
int mpr_barrier_check_team(const struct mpr_barrier_call *c);

/* Arrives. Returns our index if the phase is complete by that; -EINPROGRESS if
 * others are missing, with our index and the word as it was; -ECHILD; or an error. */
int mpr_barrier_arrive(const struct mpr_barrier_call *c, bool nowait,
		       uint64_t *ret_word);

/* What has become of the phase in which we arrived, when the word was @then.
 * -EINPROGRESS: nothing yet. */
int mpr_barrier_result(const struct mpr_barrier_call *c, uint64_t then);

/* Gives up waiting, for the reason @why: that breaks the phase, unless
 * something else has become of it. Also -ECHILD. */
int mpr_barrier_stop(const struct mpr_barrier_call *c, uint64_t then, int why);

/* Returns as mpr_barrier_result(), or -ECHILD. *@ret_why: 0, or why the wait has ended
 * before there was one. */
int mpr_barrier_sleep(const struct mpr_barrier_call *c, uint64_t then,
		      int64_t deadline, int *ret_why);

#endif
