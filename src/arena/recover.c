/* SPDX-License-Identifier: MIT */
#include <stdatomic.h>

#include "arena/death.h"
#include "arena/heap.h"
#include "arena/kinds.h"
#include "arena/participant.h"
#include "arena/recover.h"
#include "arena/table.h"
#include "base/log.h"
#include "os/clock.h"
#include "os/thread.h"

#define THOROUGH_EVERY 1000000000 /* ns */

/* @ident is DEAD or, with proof of death, LIVE. */
static void
recover(mproc_arena *a, unsigned slot, uint64_t ident)
{
	struct mpr_participant *p = mpr_participant_at(a, slot);
	uint64_t dead = (ident & ~UINT64_C(3)) | MPR_PARTICIPANT_DEAD;
	uint32_t pid = atomic_load(&p->pid);

	/* R0. Whoever comes second finds it done. */
	if (ident != dead && !atomic_compare_exchange_strong(&p->ident, &ident,
							     dead) &&
	    ident != dead)
		return;
	/* R1 before R2: an object that the victim was taking apart may hold
	 * blocks whose fate is decided here. */
	mpr_heap_recover(a, slot, dead);
	for (int i = 0; i < MPR_KINDS; i++)
		if (mpr_kinds[i].recover)
			mpr_kinds[i].recover(a, slot, dead);
	/* R3. All of the above comes before the slot can be another's; seq_cst
	 * as each step asked whether ident is still this. */
	if (atomic_compare_exchange_strong(&p->ident, &dead,
					   dead & ~UINT64_C(3)))
		mpr_log(MPROC_LOG_INFO, "process %u died; what it held is "
			"given back", pid);
}

/* Does what is left to do for one that was LEAVING, if it has ended. */
static void
finish_leaving(mproc_arena *a, unsigned slot, uint64_t ident)
{
	if (!mpr_participant_has_ended(a, slot))
		return;
	for (int i = 0; i < MPR_KINDS; i++)
		if (mpr_kinds[i].left)
			mpr_kinds[i].left(a, slot);
	atomic_compare_exchange_strong(&mpr_participant_at(a, slot)->ident,
				       &ident, ident & ~UINT64_C(3));
}

static bool
recover_if_dead(mproc_arena *a, unsigned slot, bool thorough)
{
	uint64_t ident = atomic_load_explicit(
		&mpr_participant_at(a, slot)->ident, memory_order_acquire);

	switch (mpr_participant_state(ident)) {
	case MPR_PARTICIPANT_LEAVING:
		finish_leaving(a, slot, ident);
		return false;
	case MPR_PARTICIPANT_LIVE:
		if (!mpr_participant_is_dead(a, slot, ident, thorough))
			return false;
		break;
	case MPR_PARTICIPANT_FREE:
		return false;
	}
	recover(a, slot, ident);
	return true;
}

int
mpr_recover_all(mproc_arena *a, bool thorough)
{
	unsigned high = mpr_participants_high(a);
	/* Asking /proc is a cancellation point. */
	int before = mpr_thread_forbid_cancel(), n = 0;

	for (unsigned slot = 0; slot < high; slot++)
		n += recover_if_dead(a, slot, thorough);
	mpr_thread_allow_cancel(before);
	return n;
}

int
mpr_recover_everything(mproc_arena *a, bool thorough)
{
	int before = mpr_thread_forbid_cancel();
	int n = mpr_recover_all(a, thorough);

	for (int i = 0; i < MPR_KINDS; i++)
		if (mpr_kinds[i].look)
			mpr_kinds[i].look(a, thorough);
	mpr_thread_allow_cancel(before);
	return n;
}

bool
mpr_recover_slot(mproc_arena *a, unsigned slot)
{
	int before = mpr_thread_forbid_cancel();
	bool was_dead = slot < mpr_participants_high(a) &&
			recover_if_dead(a, slot, false);

	mpr_thread_allow_cancel(before);
	return was_dead;
}

int
mpr_recover_now_and_then(mproc_arena *a)
{
	_Atomic int64_t *looked_at = &a->shm->looked_at;
	int64_t last = atomic_load(looked_at), now = mproc_now();
	/* Any process can write there. */
	bool thorough = last < now - THOROUGH_EVERY || last > now;

	/* One of all sleepers. Should it die over it, the next second comes. */
	if (thorough)
		thorough = atomic_compare_exchange_strong(looked_at, &last, now);
	return mpr_recover_everything(a, thorough);
}

struct death {
	pid_t pid;
	int signal;
};

static void
recover_process(mproc_arena *a, void *arg)
{
	const struct death *death = arg;
	unsigned high = mpr_participants_high(a);
	int before = mpr_thread_forbid_cancel();

	for (unsigned slot = 0; slot < high; slot++) {
		struct mpr_participant *p = mpr_participant_at(a, slot);
		uint64_t ident =
			atomic_load_explicit(&p->ident, memory_order_acquire);

		/* The kernel marks life words before it lets a process be
		 * reaped. Another one with the same id, of a later time or
		 * another namespace, lives. */
		if (mpr_participant_state(ident) != MPR_PARTICIPANT_FREE &&
		    atomic_load(&p->pid) == (uint32_t)death->pid)
			recover_if_dead(a, slot, true);
	}
	for (int i = 0; i < MPR_KINDS; i++)
		if (mpr_kinds[i].ended)
			mpr_kinds[i].ended(a, death->pid);
	for (int i = 0; i < MPR_KINDS && death->signal >= 0; i++)
		if (mpr_kinds[i].told)
			mpr_kinds[i].told(a, death->pid, death->signal);
	mpr_thread_allow_cancel(before);
}

void
mpr_recover_process(pid_t pid, int signal)
{
	struct death death = { .pid = pid, .signal = signal };

	mpr_arenas_visit(recover_process, &death);
}
