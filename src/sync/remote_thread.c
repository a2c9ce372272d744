/* SPDX-License-Identifier: MIT */
/*
 * Threads, as those know them who have what handles lead to: by a number, and they are
 * told of its end, as what it has then is left by somebody who has died.
 *
 * Told are all whom any thread has asked for such a thing. Each of them once and outside
 * the process lock, as it may take its time; one that is closed meanwhile waits for
 * that.
 */
#include "base/error.h"
#include "base/macros.h"
#include "os/generation.h"
#include "os/interrupt.h"
#include "os/thread.h"
#include "sync/remote.h"

static _Atomic uint32_t threads;
static MPR_THREAD_LOCAL uint32_t this_thread; /* 0: it has none yet */

static struct mpr_remote_owner *met; /* with the process lock */

static void
tell_all(int64_t thread)
{
	struct mpr_remote_owner *owner;

	mpr_process_lock();
	for (owner = met; owner; owner = owner->next_met) {
		owner->n_leaving++;
		mpr_process_unlock();
		owner->leave(owner, thread);
		mpr_process_lock();
		/* It has waited for us, with its place in the list. */
		owner->n_leaving--;
	}
	mpr_process_unlock();
}

static void
leave_at_exit(void *unused)
{
	int64_t thread = this_thread;

	(void)unused;
	this_thread = 0;
	/* Nobody is there any more to be told of one. */
	mpr_interrupt_hold();
	tell_all(thread);
	mpr_interrupt_unhold();
}

static struct mpr_thread_hook end_hook = { .fn = leave_at_exit };

int64_t
mpr_remote_thread(void)
{
	int r;

	if (this_thread)
		return this_thread;
	/* Any address has it run. */
	r = mpr_thread_at_exit(&end_hook, &this_thread);
	if (r < 0)
		return mpr_fail(r, "no key for the end of the thread");
	/* Those of a forked child's connections are others. */
	this_thread = atomic_fetch_add_explicit(&threads, 1,
						memory_order_relaxed) + 1;
	return this_thread;
}

void
mpr_remote_meet(struct mpr_remote_owner *owner)
{
	/* Relaxed: what counts is asked with the lock. */
	if (atomic_load_explicit(&owner->is_met, memory_order_relaxed))
		return;
	mpr_process_lock();
	if (!atomic_load_explicit(&owner->is_met, memory_order_relaxed)) {
		owner->next_met = met;
		met = owner;
		atomic_store_explicit(&owner->is_met, true,
				      memory_order_relaxed);
	}
	mpr_process_unlock();
}

void
mpr_remote_forget(struct mpr_remote_owner *owner, bool is_copy)
{
	struct mpr_remote_owner **link = &met;

	mpr_process_lock();
	/* Of those who tell it there are none in a forked child. */
	while (owner->n_leaving && !is_copy) {
		owner->hurry(owner);
		mpr_process_unlock();
		mpr_thread_yield();
		mpr_process_lock();
	}
	while (*link && *link != owner)
		link = &(*link)->next_met;
	if (*link)
		*link = owner->next_met;
	mpr_process_unlock();
}
