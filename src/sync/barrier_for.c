/* SPDX-License-Identifier: MIT */
/*
 * For parties that are nobody here; see sync/barrier.h.
 */
#include <errno.h>

#include "os/clock.h"
#include "sync/barrier_call.h"

/* Of the one that had @generation. */
static struct mpr_barrier_call
call_for(mproc_barrier *barrier, uint32_t generation, _Atomic uint64_t *note)
{
	mproc_arena *a = mpr_arena_of(barrier);

	return (struct mpr_barrier_call){
		.arena = a,
		.self = mpr_self_in(a),
		.b = (struct mpr_barrier *)barrier,
		.generation = generation,
		.process = mpr_generation(),
		.note = note,
	};
}

bool
mpr_barrier_has(mproc_barrier *barrier, uint32_t generation,
		_Atomic uint64_t *note)
{
	struct mpr_barrier_call c = call_for(barrier, generation, note);

	return mpr_barrier_is_party(&c, mpr_barrier_note(&c, MPR_NOTE_PARTY));
}

int
mpr_barrier_enroll_for(mproc_barrier *barrier, uint32_t generation,
		       _Atomic uint64_t *note)
{
	struct mpr_barrier_call c = call_for(barrier, generation, note);
	int r = mpr_barrier_enrol(&c);

	return r < 0 ? r : mpr_barrier_check_team(&c);
}

int
mpr_barrier_arrive_for(mproc_barrier *barrier, uint32_t generation,
		       _Atomic uint64_t *note, bool nowait, uint64_t *ret_then)
{
	struct mpr_barrier_call c = call_for(barrier, generation, note);
	int r = mpr_barrier_enrol(&c);

	return r < 0 ? r : mpr_barrier_arrive(&c, nowait, ret_then);
}

int
mpr_barrier_outcome(mproc_barrier *barrier, uint32_t generation, uint64_t then)
{
	struct mpr_barrier_call c = call_for(barrier, generation, NULL);

	return mpr_barrier_result(&c, then);
}

int
mpr_barrier_give_up(mproc_barrier *barrier, uint32_t generation, uint64_t then,
		    int why)
{
	struct mpr_barrier_call c = call_for(barrier, generation, NULL);

	return mpr_barrier_stop(&c, then, why);
}

int
mpr_barrier_await(mproc_barrier *barrier, uint32_t generation, uint64_t then)
{
	struct mpr_barrier_call c = call_for(barrier, generation, NULL);
	int why, r = mpr_barrier_sleep(&c, then, MPR_NEVER, &why);

	return r == -EINPROGRESS ? why : 0;
}

void
mpr_barrier_leave_for(mproc_barrier *barrier, uint32_t generation,
		      _Atomic uint64_t *note)
{
	struct mpr_barrier_call c = call_for(barrier, generation, note);
	uint64_t word;

	/* As if it had died: one is missing who is enrolled. */
	mpr_barrier_drop_note(&c, note, mpr_barrier_note(&c, MPR_NOTE_PARTY));
	while (mpr_barrier_look(&c, &word) == 0 && !mpr_barrier_is_whole(&c, word))
		;
}
