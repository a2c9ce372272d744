/* SPDX-License-Identifier: MIT */
#include "arena/death.h"
#include "os/bytelock.h"
#include "os/task.h"

/* The second line. Our own byte locks do not show in a query, so it says
 * nothing about threads of our own process: those have the first. */
static bool
has_vanished(const mproc_arena *a, unsigned slot)
{
	struct mpr_participant *p = mpr_participant_at(a, slot);
	uint64_t namespace = atomic_load(&p->pid_namespace);

	if (atomic_load(&p->pid) == (uint32_t)mpr_task_pid())
		return false;
	if (mpr_bytelock_query(&a->locks, a->locks_at + slot) != 0)
		return false;
	if (namespace == 0 || namespace != mpr_task_namespace())
		return false;
	return mpr_task_probe((pid_t)atomic_load(&p->tid),
			      atomic_load(&p->joined_at)) == MPR_TASK_GONE;
}

bool
mpr_participant_has_ended(const mproc_arena *a, unsigned slot)
{
	return mpr_life_ended(&mpr_participant_at(a, slot)->life) ||
	       has_vanished(a, slot);
}

bool
mpr_participant_is_dead(const mproc_arena *a, unsigned slot, uint64_t ident,
			bool thorough)
{
	struct mpr_participant *p = mpr_participant_at(a, slot);

	if (!mpr_life_ended(&p->life) && !(thorough && has_vanished(a, slot)))
		return false;
	/* What we read may be a successor's, or that of an orderly leave: then
	 * ident has changed, before the life word did. */
	return atomic_load_explicit(&p->ident, memory_order_acquire) == ident;
}
