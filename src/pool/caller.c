/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/error.h"
#include "os/generation.h"
#include "os/thread.h"
#include "pool/caller.h"
#include "pool/keeping.h"

/* The record with @word, or NULL. */
static struct mpr_pool_worker *
find(const struct mpr_pool_use *u, uint64_t word, unsigned *ret_w)
{
	unsigned n;
	struct mpr_pool_worker *records = mpr_pool_workers(u, &n);

	for (*ret_w = 0; *ret_w < n; ++*ret_w)
		if (atomic_load(&records[*ret_w].word) == word)
			return &records[*ret_w];
	return NULL;
}

static int
take_record(const struct mpr_pool_use *u, uint64_t mine, struct mpr_caller *c)
{
	struct mpr_pool_worker *record = find(u, mine, &c->worker.number);
	uint64_t none = 0;

	c->nested = record != NULL;
	while (!c->nested && (record = find(u, 0, &c->worker.number)) &&
	       /* seq_cst: it is there before the phase is looked at. */
	       !atomic_compare_exchange_strong(&record->word, &none, mine))
		none = 0;
	c->worker.record = record;
	if (!record)
		return mpr_fail(-EAGAIN, "%d threads are in tasks of %s",
				MPR_POOL_WORKERS_MAX, mpr_pool_label(u).text);
	/* Otherwise it may be another pool's. */
	if (mpr_pool_is_there(u))
		return 0;
	if (!c->nested)
		atomic_compare_exchange_strong(&record->word, &mine, 0);
	return mpr_fail(-ESTALE, "pool %p was freed", (void *)u->pool);
}

int
mpr_caller_enter(const struct mpr_pool_use *u, struct mpr_caller *ret_c)
{
	struct mpr_self *self;
	sigset_t before;
	int r;

	/* A handler that forks here would leave two in one record. */
	mpr_thread_forbid_signals(&before);
	r = mpr_self(u->arena, &self);
	if (r == 0) {
		ret_c->worker = (struct mpr_worker){
			.use = *u,
			.generation = mpr_generation(),
			.holder = mpr_holder(self),
		};
		r = take_record(u, mpr_holder(self), ret_c);
	}
	mpr_thread_allow_signals(&before);
	return r;
}

static bool
is_copy(const struct mpr_caller *c)
{
	return c->worker.generation != mpr_generation();
}

void
mpr_caller_run(struct mpr_caller *c, struct mproc_future *f, uint64_t word)
{
	uint64_t at = mpr_arena_offset(c->worker.use.arena, f);

	do
		mpr_task_run(&c->worker, at, word);
	/* Revoked or not: a child may have begun it that a signal handler has forked. */
	while (!is_copy(c) && mpr_task_come_back(&c->worker, f, word));
}

void
mpr_caller_leave(struct mpr_caller *c)
{
	uint64_t mine = c->worker.holder;
	sigset_t before;

	if (c->nested)
		return;
	/* A copy that a handler forks here could give it back when we have it again. */
	mpr_thread_forbid_signals(&before);
	if (!is_copy(c)) {
		/* seq_cst: who closes the pool later finds nobody in the record, or we
		 * that it was closed. */
		atomic_compare_exchange_strong(&c->worker.record->word, &mine, 0);
		if (mpr_pool_phase(&c->worker.use) != MPR_POOL_OPEN)
			mpr_keeping_wake(&c->worker.use);
	}
	mpr_thread_allow_signals(&before);
}

bool
mpr_caller_is_in(const struct mpr_pool_use *u)
{
	struct mpr_self *self = mpr_self_in(u->arena);
	unsigned w;

	return self && find(u, mpr_holder(self), &w);
}
