/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>

#include "base/error.h"
#include "os/clock.h"
#include "os/generation.h"
#include "pool/entries.h"
#include "pool/keeping.h"
#include "pool/task.h"
#include "pool/worker.h"

static struct mpr_worker self;

struct mpr_worker *
mpr_worker_process(void)
{
	return self.generation && self.generation == mpr_generation_peek() ?
		       &self : NULL;
}

struct mpr_worker *
mpr_worker_self(void)
{
	struct mpr_self *me;

	if (!mpr_worker_process())
		return NULL;
	me = mpr_self_in(self.use.arena);
	return me && mpr_holder(me) == self.holder ? &self : NULL;
}

/* Whether the keeper that has forked us is still it: its successor counts us out. */
static bool
is_kept(uint64_t keeper)
{
	return atomic_load(&self.use.root->keeper) == keeper;
}

/* The next hint; waits for one, as long as the pool says. Who has nothing to do may be
 * the last one, which the keeper of a pool that is closed waits for. */
static int
next_hint(mproc_queue *q, struct mpr_pool_hint *ret_hint)
{
	int64_t patience = atomic_load(&self.use.root->idle_timeout);
	size_t len;
	int r = mproc_queue_get(q, ret_hint, sizeof(*ret_hint), &len,
				MPROC_NOWAIT);

	if (r == -EAGAIN) {
		if (mpr_pool_phase(&self.use) != MPR_POOL_OPEN)
			mpr_keeping_wake(&self.use);
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
leave(uint64_t word)
{
	uint64_t mine = self.holder;

	if (mpr_worker_process())
		atomic_compare_exchange_strong(&self.record->word, &mine, word);
}

/* It has done all that it may do. If that was a part of a map, its hint is for the next
 * one, too. Killed before that, it comes back by that. */
static void
retire(mproc_queue *q, const struct mpr_pool_hint *hint)
{
	struct mproc_future *f = mpr_entries_at(self.use.arena, hint->offset);

	if (f && mpr_task_waits(&self.use, f, hint->word))
		(void)mproc_queue_requeue(q);
	else
		(void)mproc_queue_task_done(q);
	leave(0);
}

static int
work(uint64_t keeper)
{
	mproc_queue *q = mpr_pool_queue(&self.use);
	struct mpr_pool_hint hint;
	int r;

	while (is_kept(keeper)) {
		if (mpr_worker_is_surplus(&self)) {
			leave(0);
			break;
		}
		r = next_hint(q, &hint);
		/* A task may have called mproc_interrupt(). */
		if (r == -EINTR)
			continue;
		if (r == -ETIMEDOUT)
			leave(MPR_POOL_RESTS);
		if (r < 0)
			break;
		mpr_task_run(&self, hint.offset, hint.word);
		if (self.generation != mpr_generation() || self.revoked)
			break;
		if (!mpr_worker_left(&self)) {
			retire(q, &hint);
			break;
		}
		(void)mproc_queue_task_done(q);
	}
	return 0;
}

bool
mpr_worker_initialize(const struct mpr_pool_use *u)
{
	uint64_t generation = mpr_generation();
	struct mpr_pool_root *root = u->root;
	union {
		uint64_t word;
		mproc_entry *fn;
		void *arg;
	} fn = { atomic_load(&root->initializer) },
	  arg = { atomic_load(&root->init_arg) };
	uint64_t none = 0;
	int r;

	if (!fn.word)
		return true;
	r = fn.fn(arg.arg);
	if (generation != mpr_generation())
		return false;
	if (!r)
		return true;
	atomic_compare_exchange_strong(&root->broken, &none,
				       UINT64_C(1) << 32 | (uint32_t)r);
	mpr_pool_advance(u, MPR_POOL_TERMINATING);
	mpr_keeping_wake(u);
	return false;
}

void
mpr_worker_name(const struct mpr_pool_use *u, unsigned w, char name[MPR_NAME_MAX])
{
	/* Any process can write there. */
	snprintf(name, MPR_NAME_MAX, "%.40s-%u",
		 u->root->name[0] ? u->root->name : "worker", w);
}

int
mpr_worker_run(void *arg)
{
	const struct mpr_working *w = arg;
	uint64_t ticket = w->ticket, keeper = w->keeper;
	struct mpr_self *me;

	self = (struct mpr_worker){
		.use = w->use,
		.record = mpr_pool_worker_at(&w->use, w->number),
		.generation = mpr_generation(),
		.number = w->number,
		.max = atomic_load(&w->use.root->max_tasks),
	};
	if (!self.record || mpr_self(self.use.arena, &me) < 0)
		return 1;
	/* Another keeper may have given the record to another worker. */
	self.holder = mpr_holder(me);
	if (!atomic_compare_exchange_strong(&self.record->word, &ticket,
					    self.holder))
		return 0;
	/* From here on the program's signal handlers run. */
	mpr_child_unlisten(w->ears);
	return mpr_worker_initialize(&self.use) ? work(keeper) : 0;
}
