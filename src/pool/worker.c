/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/text.h"
#include "os/clock.h"
#include "os/generation.h"
#include "os/task.h"
#include "os/thread.h"
#include "pool/code.h"
#include "pool/entries.h"
#include "pool/keeping.h"
#include "pool/task.h"
#include "pool/worker.h"

#define SHOWN_OF_POOL 40 /* bytes of its name, in those of its workers */

/* A process has one, in its first thread. */
MPR_CHILD_DATA static struct mpr_worker of_process;

static MPR_THREAD_LOCAL struct mpr_worker *of_thread;

static struct mpr_worker *
unless_copy(struct mpr_worker *w)
{
	return w && w->generation && w->generation == mpr_generation_peek() ?
		       w : NULL;
}

struct mpr_worker *
mpr_worker_process(void)
{
	return unless_copy(&of_process);
}

struct mpr_worker *
mpr_worker_self(void)
{
	return unless_copy(of_thread);
}

void
mpr_worker_forget(void)
{
	of_thread = NULL;
}

/* Whether the keeper that has begun us is still it: its successor counts us out. */
MPR_CHILD_PATH static bool
is_kept(const struct mpr_worker *me, uint64_t keeper)
{
	return atomic_load(&me->use.root->keeper) == keeper;
}

/* The next hint; waits for one, as long as the pool says. Who has nothing to do may be
 * the last one, which the keeper of a pool that is closed waits for. */
MPR_CHILD_PATH static int
next_hint(const struct mpr_worker *me, mproc_queue *q,
	  struct mpr_pool_hint *ret_hint)
{
	int64_t patience = atomic_load(&me->use.root->idle_timeout);
	size_t len;
	int r = mproc_queue_get(q, ret_hint, sizeof(*ret_hint), &len,
				MPROC_NOWAIT);

	if (r == -EAGAIN) {
		if (mpr_pool_phase(&me->use) != MPR_POOL_OPEN)
			mpr_keeping_wake(&me->use);
		r = mproc_queue_get(q, ret_hint, sizeof(*ret_hint), &len,
				    patience > 0 ? (mproc_timeout){ patience } :
						   MPROC_FOREVER);
	}
	/* Of what somebody else has put there nothing is left, not even for others. */
	if (r >= 0 && len != sizeof(*ret_hint))
		*ret_hint = (struct mpr_pool_hint){ .offset = 0 };
	return r;
}

/* It ends, and has nothing of the pool's any more: the keeper, which sees @word, need
 * not look for that. The last that it does with the pool's memory. A child that a signal
 * handler has forked is no worker; one that is forked in here finds that this was done,
 * or does it. */
static void
leave(struct mpr_worker *me, uint64_t word)
{
	uint64_t mine = me->holder;

	if (!mpr_worker_is_copy(me))
		atomic_compare_exchange_strong(&me->record->word, &mine, word);
}

/* It has done all that it may do. If that was a part of a map, its hint is for the next
 * one, too. Killed before that, it comes back by that. */
static void
retire(struct mpr_worker *me, mproc_queue *q, const struct mpr_pool_hint *hint)
{
	struct mproc_future *f = mpr_entries_at(me->use.arena, hint->offset);

	if (f && mpr_task_waits(&me->use, f, hint->word))
		(void)mproc_queue_requeue(q);
	else
		(void)mproc_queue_task_done(q);
	leave(me, 0);
}

MPR_CHILD_PATH static int
work(struct mpr_worker *me, uint64_t keeper)
{
	mproc_queue *q = mpr_pool_queue(&me->use);
	struct mpr_pool_hint hint;
	int r;

	while (is_kept(me, keeper)) {
		if (mpr_worker_is_surplus(me)) {
			leave(me, 0);
			break;
		}
		r = next_hint(me, q, &hint);
		/* A task may have called mproc_interrupt(). */
		if (r == -EINTR)
			continue;
		if (r == -ETIMEDOUT)
			leave(me, MPR_POOL_RESTS);
		if (r < 0)
			break;
		mpr_task_run(me, hint.offset, hint.word);
		if (mpr_worker_is_copy(me) || me->revoked)
			break;
		if (!mpr_worker_left(me)) {
			retire(me, q, &hint);
			break;
		}
		(void)mproc_queue_task_done(q);
	}
	return 0;
}

MPR_CHILD_PATH bool
mpr_worker_initialize(const struct mpr_pool_use *u)
{
	uint64_t generation = mpr_generation();
	uint64_t code = atomic_load(&u->root->initializer);
	mproc_entry *fn;
	int r;

	if (!code)
		return true;
	fn = (mproc_entry *)mpr_code_find(u, code);
	r = fn ? fn((void *)(uintptr_t)atomic_load(&u->root->init_arg)) : -ENOEXEC;
	if (generation != mpr_generation())
		return false;
	if (!r)
		return true;
	mpr_pool_break(u, r);
	mpr_keeping_wake(u);
	return false;
}

MPR_CHILD_PATH void
mpr_worker_name(const struct mpr_pool_use *u, unsigned w, char name[MPR_NAME_MAX])
{
	struct mpr_text text = { .to = name, .size = MPR_NAME_MAX - 1 };
	char of_pool[SHOWN_OF_POOL + 1] = "worker", dash[] = "-";

	/* Any process can write there. */
	if (u->root->name[0])
		memcpy(of_pool, u->root->name, SHOWN_OF_POOL);
	of_pool[SHOWN_OF_POOL] = '\0';
	mpr_text_add(&text, of_pool);
	mpr_text_add(&text, dash);
	mpr_text_add_number(&text, w);
	name[text.length] = '\0';
}

MPR_CHILD_PATH int
mpr_worker_run(void *arg)
{
	const struct mpr_working *w = arg;
	uint64_t ticket = w->ticket, keeper = w->keeper;
	struct mpr_worker *me = w->thread ? w->thread : &of_process;
	struct mpr_self *self;

	if (!w->thread)
		(void)mpr_task_inherit_namespace(w->keeper_pid, w->namespace);
	*me = (struct mpr_worker){
		.use = w->use,
		.record = w->record,
		.generation = mpr_generation(),
		.number = w->number,
		.max = atomic_load(&w->use.root->max_tasks),
		.limited = w->limited,
		.stays = w->thread != NULL,
	};
	if (mpr_self(me->use.arena, &self) < 0)
		return 1;
	/* Another keeper may have given the record to another worker. */
	me->holder = mpr_holder(self);
	if (!atomic_compare_exchange_strong(&me->record->word, &ticket,
					    me->holder))
		return 0;
	of_thread = me;
	/* From here on the program's signal handlers run. */
	if (w->thread)
		mpr_thread_allow_signals(w->signals);
	else
		mpr_child_unlisten(w->ears);
	if (!mpr_worker_initialize(&me->use))
		return 0;
	atomic_store(&me->record->begun, me->holder);
	return work(me, keeper);
}
