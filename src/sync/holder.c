/* SPDX-License-Identifier: MIT */
#include "arena/death.h"
#include "sync/holder.h"

bool
mpr_holder_is_dead(const mproc_arena *a, uint64_t word)
{
	unsigned slot = mpr_holder_slot(word);
	uint64_t ident;

	/* Nobody can be there: somebody has scribbled. */
	if (slot >= mpr_participants_high(a))
		return true;
	/* seq_cst: who is about to sleep has said for whom before it asks this;
	 * recovery makes it DEAD, and then looks who waits for it. */
	ident = atomic_load(&mpr_participant_at(a, slot)->ident);
	if (mpr_participant_state(ident) != MPR_PARTICIPANT_LIVE ||
	    mpr_holder_of(slot, ident) != mpr_holder_name(word))
		return true;
	return mpr_participant_is_dead(a, slot, ident, false);
}
