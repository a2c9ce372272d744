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
	/* Acquire, for what the life word is read after. */
	ident = atomic_load_explicit(&mpr_participant_at(a, slot)->ident,
				     memory_order_acquire);
	if (mpr_participant_state(ident) != MPR_PARTICIPANT_LIVE ||
	    mpr_holder_of(slot, ident) != mpr_holder_name(word))
		return true;
	return mpr_participant_is_dead(a, slot, ident, false);
}
