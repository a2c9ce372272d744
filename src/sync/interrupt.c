/* SPDX-License-Identifier: MIT */
/*
 * mproc_interrupt(): the count first, then a wake-up for each thread of this
 * process that may sleep. Who is about to sleep has read its ticket before it
 * looks at the count (sync/park.c), so it either sees the count or is woken.
 */
#include "arena/participant.h"
#include "os/interrupt.h"
#include "os/task.h"
#include "sync/park.h"

void
mproc_interrupt(void)
{
	uint32_t pid = (uint32_t)mpr_task_pid();
	mproc_arena *a;
	unsigned high;

	mpr_interrupt_raise();
	a = mpr_arena_peek();
	if (!a)
		return;
	high = mpr_participants_high(a);
	for (unsigned slot = 0; slot < high; slot++) {
		struct mpr_participant *p = mpr_participant_at(a, slot);

		/* One with our id in another namespace is woken in vain. */
		if (mpr_participant_state(atomic_load(&p->ident)) ==
			    MPR_PARTICIPANT_LIVE &&
		    atomic_load(&p->pid) == pid)
			mpr_unpark(a, slot);
	}
}
