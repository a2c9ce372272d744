/* SPDX-License-Identifier: MIT */
/*
 * Joining and leaving. No signal handler runs in the middle of either: a copy that it
 * forks would return to there, and have its parent's slot, or give that back.
 */
#include <errno.h>
#include <stdlib.h>

#include "arena/kinds.h"
#include "arena/participant.h"
#include "arena/recover.h"
#include "arena/table.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/macros.h"
#include "os/bytelock.h"
#include "os/fence.h"
#include "os/generation.h"
#include "os/task.h"
#include "os/thread.h"

/* Slots that stay empty for those who mourn their last owners. Nobody may ever
 * ask, so there is a limit. */
#define MOURNED 64

MPR_THREAD_LOCAL struct mpr_self mpr_this_thread;

/* In named arenas, by index; allocated when it first joins one with that. */
static MPR_THREAD_LOCAL struct mpr_self *others[MPR_ARENAS_NAMED_MAX];

/* What the calling thread knows of itself in @a, whether it has joined or not;
 * NULL if it never has. */
MPR_CHILD_PATH static struct mpr_self *
self_of(const mproc_arena *a)
{
	return a->index ? others[a->index - 1] : &mpr_this_thread;
}

MPR_CHILD_PATH static bool
has_joined(const struct mpr_self *self)
{
	return self && self->generation &&
	       self->generation == mpr_generation_peek();
}

/* Raises a watermark that others raise too. */
MPR_CHILD_PATH static void
raise_to(_Atomic uint32_t *mark, uint32_t value)
{
	uint32_t seen = atomic_load(mark);

	/* seq_cst: who then says in its slot that it waits, or reads, is seen by
	 * who changes an object, and then goes through the slots. */
	while (seen < value && !atomic_compare_exchange_weak(mark, &seen, value))
		;
}

/* Memory for all that a participant has in shared memory. */
MPR_CHILD_PATH static int
back_slot(const mproc_arena *a, unsigned slot)
{
	int r;

	r = mpr_arena_back_table(a, MPR_PARTICIPANTS_AT,
				 sizeof(struct mpr_participant),
				 &a->shm->participants_backed, slot + 1);
	if (r == 0)
		r = mpr_arena_back_table(a, MPR_WAITS_AT, sizeof(uint64_t),
					 &a->shm->waits_backed, slot + 1);
	if (r == 0)
		r = mpr_arena_back_table(a, MPR_NOTES_AT,
					 sizeof(struct mpr_notes),
					 &a->shm->notes_backed, slot + 1);
	return r;
}

MPR_CHILD_PATH static void
clear_notes(const mproc_arena *a, unsigned slot)
{
	struct mpr_notes *notes = mpr_notes_at(a, slot);

	for (int i = 0; i < MPR_NOTES; i++)
		atomic_store_explicit(&notes->word[i], 0,
				      memory_order_relaxed);
}

/* Whether others are still to learn of the end of who had the free @slot. */
MPR_CHILD_PATH static bool
is_mourned(const mproc_arena *a, unsigned slot)
{
	const struct mpr_notes *notes = mpr_notes_at(a, slot);

	for (int i = 0; i < MPR_NOTES; i++)
		if (atomic_load_explicit(&notes->word[i],
					 memory_order_relaxed) & MPR_NOTE_STAYS)
			return true;
	return false;
}

/*
 * Takes @slot if it is free, and if it is mourned, only once *@patience such are
 * passed by. Returns 0; -EAGAIN if it is not to be had; another error if no slot
 * can be had. The process lock is held.
 */
MPR_CHILD_PATH static int
try_slot(mproc_arena *a, unsigned slot, struct mpr_self *self,
	 unsigned *patience)
{
	struct mpr_participant *p = mpr_participant_at(a, slot);
	uint64_t ident;
	pid_t pid, tid;
	int r;

	r = back_slot(a, slot);
	if (r < 0)
		return r;
	if (mpr_participant_state(atomic_load(&p->ident)) !=
	    MPR_PARTICIPANT_FREE)
		return -EAGAIN;
	if (*patience && is_mourned(a, slot)) {
		--*patience;
		return -EAGAIN;
	}
	r = mpr_bytelock_take(&a->locks, a->locks_at + slot);
	if (r == -EBADF)
		return mpr_fail(-ENOLCK, "the arena's lock descriptor was "
				"closed: this thread cannot join");
	if (r < 0)
		return r;
	/* Others may have come and gone before we had the lock. */
	ident = atomic_load(&p->ident);
	if (mpr_participant_state(ident) != MPR_PARTICIPANT_FREE) {
		/* Whoever came has died since: a living one, or a thread of
		 * ours, would have kept us from here. */
		mpr_bytelock_drop(&a->locks, a->locks_at + slot);
		return -EAGAIN;
	}
	/* The last one is what says whether it lives, and the first one that the
	 * kernel marks: who is woken by the other finds it ended. */
	r = mpr_life_begin(&p->life_of_owner);
	if (r == 0) {
		r = mpr_life_begin(&p->life);
		if (r < 0)
			mpr_life_end(&p->life_of_owner);
	}
	if (r < 0) {
		mpr_bytelock_drop(&a->locks, a->locks_at + slot);
		return r;
	}
	pid = mpr_task_pid();
	tid = mpr_task_tid();
	atomic_store_explicit(&p->pid, (uint32_t)pid, memory_order_relaxed);
	atomic_store_explicit(&p->tid, (uint32_t)tid, memory_order_relaxed);
	atomic_store_explicit(&p->joined_at, mpr_task_now(),
			      memory_order_relaxed);
	atomic_store_explicit(&p->pid_namespace, mpr_task_namespace(),
			      memory_order_relaxed);
	atomic_store_explicit(&p->wait_object, 0, memory_order_relaxed);
	atomic_store_explicit(&p->wait_owner, 0, memory_order_relaxed);
	atomic_store_explicit(&p->wait_kind, 0, memory_order_relaxed);
	atomic_store_explicit(&p->wait_then, 0, memory_order_relaxed);
	atomic_store_explicit(&p->calls, 0, memory_order_relaxed);
	atomic_store_explicit(&p->looks_by, 0, memory_order_relaxed);
	atomic_store_explicit(&p->glances_by, 0, memory_order_relaxed);
	atomic_store_explicit(&p->many, 0, memory_order_relaxed);
	atomic_store_explicit((_Atomic uint64_t *)mpr_arena_at(a, MPR_WAITS_AT) +
			      slot, 0, memory_order_relaxed);
	atomic_store_explicit(&p->wakes, 0, memory_order_relaxed);
	clear_notes(a, slot);
	atomic_store_explicit(&p->in_heap, 0, memory_order_relaxed);
	mpr_parker_init(&p->parker);
	raise_to(&a->shm->participants_high, slot + 1);

	ident = (ident & ~UINT64_C(3)) + 4 + MPR_PARTICIPANT_LIVE;
	/* Release pairs with the acquire of whoever asks whether we live: our
	 * life word and ids are there before we are LIVE. */
	atomic_store_explicit(&p->ident, ident, memory_order_release);
	*self = (struct mpr_self){
		.arena = a,
		.shared = p,
		.ident = ident,
		.slot = slot,
		.pid = (uint32_t)pid,
		.tid = (uint32_t)tid,
		.notes = mpr_notes_at(a, slot),
	};
	/* Last: the handler of a crash may ask. */
	atomic_signal_fence(memory_order_release);
	self->generation = mpr_generation();
	mpr_arenas_entered(a);
	return 0;
}

/* Takes one of the first @n slots; of those that are mourned it may pass by
 * @patience. */
MPR_CHILD_PATH static int
take_any_slot(mproc_arena *a, unsigned n, struct mpr_self *self,
	      unsigned patience)
{
	sigset_t before;
	int r = -EAGAIN;

	mpr_thread_forbid_signals(&before);
	mpr_process_lock();
	for (unsigned slot = 0; slot < n; slot++) {
		r = try_slot(a, slot, self, &patience);
		if (r != -EAGAIN)
			break;
	}
	mpr_process_unlock();
	mpr_thread_allow_signals(&before);
	return r;
}

/* No handler runs meanwhile. */
MPR_CHILD_PATH static void
give_back(struct mpr_self *self)
{
	mproc_arena *a = self->arena;
	uint64_t ident;

	for (int i = 0; i < MPR_KINDS; i++)
		if (mpr_kinds[i].leave)
			mpr_kinds[i].leave(a);

	mpr_process_lock();
	/* LEAVING before the life word ends, so that nobody takes the orderly
	 * end for a death. FREE by CAS: once the life word has ended, others
	 * may free the slot for us. The byte goes last. */
	ident = self->ident | MPR_PARTICIPANT_LEAVING;
	/* seq_cst, before the look for those who wait for us: they say so, then
	 * ask whether we live. One of us sees the other. */
	atomic_store(&self->shared->ident, ident);
	for (int i = 0; i < MPR_KINDS; i++)
		if (mpr_kinds[i].left)
			mpr_kinds[i].left(a, self->slot);
	/* From here on the slot may become another's, and the handler of a crash
	 * must not write to it. */
	self->generation = 0;
	atomic_signal_fence(memory_order_release);
	mpr_life_end(&self->shared->life_of_owner);
	mpr_life_end(&self->shared->life);
	atomic_compare_exchange_strong(&self->shared->ident, &ident,
				       ident & ~UINT64_C(3));
	mpr_bytelock_drop(&a->locks, a->locks_at + self->slot);
	mpr_arenas_left(a);
	mpr_process_unlock();
}

MPR_CHILD_PATH static void
leave(struct mpr_self *self)
{
	sigset_t before;

	if (!has_joined(self))
		return;
	mpr_thread_forbid_signals(&before);
	/* Or we are a copy by now. */
	if (has_joined(self))
		give_back(self);
	mpr_thread_allow_signals(&before);
}

static void
leave_at_exit(void *unused)
{
	(void)unused;
	mpr_self_leave();
	for (int i = 0; i < MPR_ARENAS_NAMED_MAX; i++) {
		struct mpr_self *self = others[i];

		/* First: a signal handler may look. */
		others[i] = NULL;
		atomic_signal_fence(memory_order_release);
		free(self);
	}
}

static struct mpr_thread_hook end_hook = { .fn = leave_at_exit };

/* From arenas that others have closed since: they could not be unmapped. */
MPR_CHILD_PATH static void
leave_closed(void)
{
	for (unsigned i = 0; i < MPR_ARENAS_NAMED_MAX; i++) {
		bool closed;

		if (!has_joined(others[i]))
			continue;
		mpr_process_lock();
		closed = !mpr_arenas_has(others[i]->arena);
		mpr_process_unlock();
		if (closed)
			mpr_self_leave_named(i + 1);
	}
}

MPR_CHILD_PATH static int
join_as(mproc_arena *a, struct mpr_self *self)
{
	int r;

	if (!mpr_fence_register())
		atomic_store(&a->shm->light_fences, 1);
	/* The dead may hold the slots that we need. Those are looked for before
	 * the table grows, and thoroughly before it is full. */
	r = take_any_slot(a, mpr_participants_high(a), self, MOURNED);
	if (r == -EAGAIN && mpr_recover_all(a, false) > 0)
		r = take_any_slot(a, mpr_participants_high(a), self, MOURNED);
	if (r == -EAGAIN)
		r = take_any_slot(a, MPR_PARTICIPANTS_MAX, self, MOURNED);
	if (r == -EAGAIN) {
		mpr_recover_all(a, true);
		r = take_any_slot(a, MPR_PARTICIPANTS_MAX, self, 0);
	}
	if (r == -EAGAIN)
		return mpr_fail(-EAGAIN, "%d threads use the arena already",
				MPR_PARTICIPANTS_MAX);
	if (r < 0)
		return r;
	/* Any non-NULL value has the hook run. */
	r = mpr_thread_at_exit(&end_hook, &mpr_this_thread);
	if (r < 0) {
		leave(self);
		return mpr_fail(r, "no key for the end of the thread");
	}
	return 0;
}

MPR_CHILD_PATH static MPR_NOINLINE int
join(mproc_arena *a, struct mpr_self **ret_self)
{
	struct mpr_self *self;
	int r;

	leave_closed();
	self = self_of(a);
	if (!self) {
		self = mpr_zalloc(sizeof(*self));
		if (!self)
			return mpr_fail(-ENOMEM, "no memory for a participant");
		others[a->index - 1] = self;
	}
	*ret_self = self;
	/* A copy of who has joined has not. */
	do
		r = join_as(a, self);
	while (r == 0 && !has_joined(self));
	return r;
}

MPR_CHILD_PATH int
mpr_self(mproc_arena *a, struct mpr_self **ret_self)
{
	struct mpr_self *self = self_of(a);

	if (mpr_unlikely(!self || self->generation != mpr_generation()))
		return join(a, ret_self);
	*ret_self = self;
	return 0;
}

MPR_CHILD_PATH struct mpr_self *
mpr_self_in(const mproc_arena *a)
{
	struct mpr_self *self = a ? self_of(a) : NULL;

	return has_joined(self) ? self : NULL;
}

MPR_CHILD_PATH struct mpr_self *
mpr_self_of(const void *object)
{
	return mpr_self_in(mpr_arena_of(object));
}

MPR_CHILD_PATH void
mpr_self_forget(void)
{
	mpr_this_thread.generation = 0;
	for (int i = 0; i < MPR_ARENAS_NAMED_MAX; i++)
		if (others[i])
			others[i]->generation = 0;
}

MPR_CHILD_PATH void
mpr_self_leave_named(unsigned index)
{
	leave(others[index - 1]);
}

MPR_CHILD_PATH void
mpr_self_leave(void)
{
	for (unsigned i = 1; i <= MPR_ARENAS_NAMED_MAX; i++)
		mpr_self_leave_named(i);
	leave(&mpr_this_thread);
}

uint64_t
mpr_participants_count(const mproc_arena *a)
{
	unsigned high = mpr_participants_high(a);
	uint64_t n = 0;

	for (unsigned slot = 0; slot < high; slot++)
		n += mpr_participant_state(atomic_load(
			     &mpr_participant_at(a, slot)->ident)) ==
		     MPR_PARTICIPANT_LIVE;
	return n;
}
