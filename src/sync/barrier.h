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

static_assert(sizeof(struct mpr_barrier) == sizeof(mproc_barrier),
	      "shared layout");
static_assert(MPR_BARRIER_MAX <= MPR_PARTICIPANTS_MAX, "a note for each");

#endif
