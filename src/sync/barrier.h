/* SPDX-License-Identifier: MIT */
/*
 * What a barrier is in shared memory: all of its state in one word.
 *
 *   bits 0..9    parties - 1
 *   bits 10..20  enrolled: how many threads are parties
 *   bit  21      GONE (sync/holder.h)
 *   bit  22      BROKEN
 *   bit  23      READY: it was initialised. BROKEN without it: it is being
 *                destroyed
 *   bits 24..33  waiting: how many have arrived in this phase
 *   bits 34..41  phase: how many were complete
 *   bit  42      RESETTING: who sees it helps
 *   bits 43..63  how often it was reset, from a number on that is another one for
 *                each generation
 *
 * Who is a party says so in a note of its own (sync/notes.h): ENTERS, then the
 * count of enrolled goes up, then PARTY. So those enrolled have notes, and
 * fewer living notes than enrolled is proof that a party has ended. A death
 * between note and count is none of a party.
 *
 * A phase is complete when the last one to arrive changes the word. Who waits
 * sees that by the number of the phase, which nobody else can raise before it
 * arrives again; that it was broken, by BROKEN; and that it was broken and made
 * good since then, by the number of resets.
 *
 * Who was about to change the word of a barrier that was destroyed does not do so
 * with that of another one at its place, as that has other resets.
 *
 * A reset: RESETTING and BROKEN, so that nobody enrols; then notes of the dead
 * and those that say ENTERS are struck, and the living parties counted; then
 * they are enrolled, and both bits go. Whose ENTERS was struck enrols again. An
 * init: the same without BROKEN, and all notes are struck. Any number of
 * threads may do this together, and one that dies over it leaves it to the next
 * that comes.
 */
#ifndef MPR_SYNC_BARRIER_H
#define MPR_SYNC_BARRIER_H

#include <mproc/sync.h>

#include "sync/cell.h"
#include "sync/holder.h"

#define MPR_BARRIER_MAX 1024
#define MPR_BARRIER_PARTIES UINT64_C(0x3ff)
#define MPR_BARRIER_ENROLLED (UINT64_C(0x7ff) << 10)
#define MPR_BARRIER_BROKEN (UINT64_C(1) << 22)
#define MPR_BARRIER_READY (UINT64_C(1) << 23)
#define MPR_BARRIER_WAITING (UINT64_C(0x3ff) << 24)
#define MPR_BARRIER_PHASE (UINT64_C(0xff) << 34)
#define MPR_BARRIER_RESETTING (UINT64_C(1) << 42)
#define MPR_BARRIER_RESETS (UINT64_C(0x1fffff) << 43)

/* One more of each. */
#define MPR_BARRIER_ENROL (UINT64_C(1) << 10)
#define MPR_BARRIER_ARRIVE (UINT64_C(1) << 24)
#define MPR_BARRIER_COMPLETE (UINT64_C(1) << 34)
/* So far on that no few inits and phases together make one phase. */
#define MPR_BARRIER_ELSEWHERE (UINT64_C(131) << 34)
#define MPR_BARRIER_RESET (UINT64_C(1) << 43)
/* So far apart that no few resets make one generation's word another one's. */
#define MPR_BARRIER_GENERATION (UINT64_C(0x9e377) << 43)

struct mpr_barrier {
	struct mpr_cell cell;
	/* The party whose end has broken it: {pid 32 | tid 32}, 0 if not known
	 * or for another reason. */
	_Atomic uint64_t ended;
	uint64_t pad;
};

/* As mproc_barrier_create(), in @a, or the default arena if that is NULL. */
int mpr_barrier_create_in(mproc_arena *a, void **ret, unsigned parties);

/*
 * For the server of a manager, whose clients can be parties: by notes of threads of its
 * own, of which each may have several, also for one barrier. @note: such a one, which
 * is 0 or the party's, and nobody else's. The barrier is the one that had @generation.
 */

/* Whether @note says that one is a party. */
bool mpr_barrier_has(mproc_barrier *barrier, uint32_t generation,
		     _Atomic uint64_t *note);

/* As mproc_barrier_enroll(). */
int mpr_barrier_enroll_for(mproc_barrier *barrier, uint32_t generation,
			   _Atomic uint64_t *note);

/* As mproc_barrier_wait(), but that it does not wait: -EINPROGRESS, and *@ret_then is
 * what the next ones want. */
int mpr_barrier_arrive_for(mproc_barrier *barrier, uint32_t generation,
			   _Atomic uint64_t *note, bool nowait, uint64_t *ret_then);

/* What the wait has returned; -EINPROGRESS if it would go on. */
int mpr_barrier_outcome(mproc_barrier *barrier, uint32_t generation, uint64_t then);

/* Does not wait any more, for the reason @why: returns that, and the barrier is broken;
 * or as mpr_barrier_outcome(). */
int mpr_barrier_give_up(mproc_barrier *barrier, uint32_t generation, uint64_t then,
			int why);

/* Waits until there is an outcome. Returns 0, or -EINTR. */
int mpr_barrier_await(mproc_barrier *barrier, uint32_t generation, uint64_t then);

/* The party is gone, as if it had been killed. */
void mpr_barrier_leave_for(mproc_barrier *barrier, uint32_t generation,
			   _Atomic uint64_t *note);

static_assert(sizeof(struct mpr_barrier) == sizeof(mproc_barrier),
	      "shared layout");
static_assert(MPR_BARRIER_MAX <= MPR_PARTICIPANTS_MAX, "a note for each");

#endif
