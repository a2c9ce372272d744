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

uint64_t
mpr_holder_who(const mproc_arena *a, uint64_t word, uint64_t named)
{
	uint32_t pid = named & ((1u << MPR_PID_BITS) - 1), own, tid;
	unsigned slot = mpr_holder_slot(word);
	struct mpr_participant *p;
	uint64_t ident;

	if (mpr_holder_named_as(word, pid) != named)
		pid = 0;
	if (slot >= mpr_participants_high(a))
		return (uint64_t)pid << 32;
	p = mpr_participant_at(a, slot);
	own = atomic_load(&p->pid);
	tid = atomic_load(&p->tid);
	/* After them: whoever joins writes them while the slot is FREE, which
	 * it also is when it was recovered. */
	ident = atomic_load(&p->ident);
	if (mpr_holder_of(slot, ident) != mpr_holder_name(word) ||
	    (mpr_participant_state(ident) == MPR_PARTICIPANT_FREE &&
	     own != pid))
		return (uint64_t)pid << 32;
	return (uint64_t)own << 32 | tid;
}

bool
mpr_holder_has_died(const mproc_arena *a, uint64_t word)
{
	return mpr_holder_has_it(word) && mpr_holder_is_dead(a, word);
}

void
mpr_holder_describe(const mproc_arena *a, uint64_t word, uint64_t named,
		    uint64_t died, struct mproc_owner *ret_owner)
{
	uint64_t who = 0;

	if (mpr_holder_has_it(word))
		who = mpr_holder_who(a, word, named);
	if (!(word & MPR_DIED))
		died = 0;
	if (mpr_holder_has_died(a, word)) {
		died = who;
		who = 0;
	}
	*ret_owner = (struct mproc_owner){
		.pid = (pid_t)(who >> 32),
		.tid = (pid_t)(who & 0xffffffff),
		.died_pid = (pid_t)(died >> 32),
		.died_tid = (pid_t)(died & 0xffffffff),
	};
}
