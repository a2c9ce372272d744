/* SPDX-License-Identifier: MIT */
#include "ipc/poll.h"
#include "os/clock.h"
#include "os/cpu.h"
#include "os/task.h"

#define TIGHT 16
#define GAP 1000 /* ns */
#define PATIENCE_MAX 64 /* gaps */

MPR_THREAD_LOCAL uint64_t mpr_thread_puts;

/* A peer on our own CPU cannot do anything while we poll. */
static bool
shares_cpu(const struct mpr_attachment *at, unsigned peer_slot)
{
	static _Atomic int cpus;
	int n = atomic_load_explicit(&cpus, memory_order_relaxed);

	if (n == 0) {
		n = mproc_cpu_count();
		atomic_store_explicit(&cpus, n, memory_order_relaxed);
	}
	if (n == 1)
		return true;
	return peer_slot < mpr_participants_high(at->arena) &&
	       peer_slot != at->self->slot &&
	       atomic_load_explicit(
		       &mpr_participant_at(at->arena, peer_slot)->cpu,
		       memory_order_relaxed) == mpr_task_cpu();
}

void
mpr_poll_begin(struct mpr_poll *p, struct mpr_attachment *at,
	       unsigned peer_slot, bool answer)
{
	atomic_store_explicit(&at->self->shared->cpu, mpr_task_cpu(),
			      memory_order_relaxed);
	*p = (struct mpr_poll){ .at = at, .began = mproc_now() };
	if (shares_cpu(at, peer_slot))
		return;
	p->tight = answer ? TIGHT : 0;
	p->gaps = at->patience;
}

static void
pause_for(int64_t ns)
{
	int64_t end = mproc_now() + ns;

	do
		for (int i = 0; i < 8; i++)
			mpr_cpu_pause();
	while (mproc_now() < end);
}

void
mpr_poll_pace(struct mpr_attachment *at)
{
	int64_t now, next = at->looked + GAP;

	/* Where polling does not pay, nobody is at work while we pause. */
	if (at->puts_seen != mpr_thread_puts || at->patience <= 1)
		return;
	for (now = mproc_now(); now < next; now = mproc_now())
		mpr_cpu_pause();
	at->looked = now;
}

bool
mpr_poll_again(struct mpr_poll *p)
{
	if (p->tight) {
		p->tight--;
		mpr_cpu_pause();
		return true;
	}
	if (p->gaps) {
		p->gaps--;
		pause_for(GAP);
		return true;
	}
	return false;
}

void
mpr_poll_end(struct mpr_poll *p)
{
	int64_t gaps = (mproc_now() - p->began) / GAP;
	unsigned *patience = &p->at->patience;

	if (gaps > PATIENCE_MAX)
		*patience = *patience > 1 ? *patience / 2 : 1;
	else if (2 * gaps > *patience)
		*patience = 2 * gaps < PATIENCE_MAX ? (unsigned)(2 * gaps) :
						      PATIENCE_MAX;
}
