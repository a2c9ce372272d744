/* SPDX-License-Identifier: MIT */
/*
 * Workers that are threads of the process that made the pool, and the keeper beside them,
 * which is one, too: they are there as long as the process is. None of them is killed, and
 * each is joined, so that whoever has joined the pool has no more of its threads.
 *
 * A forked child has none of them, and nothing here is followed in one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "os/clock.h"
#include "os/generation.h"
#include "os/thread.h"
#include "pool/backend.h"
#include "sync/park.h"

#define SHOWN 16 /* bytes of a name */

struct worker_thread {
	struct mpr_thread thread;
	struct mpr_working working;
	struct mpr_worker worker;
	uint64_t generation; /* of the process */
	char name[SHOWN];
	int code;
	_Atomic bool is_over;
};

static void
run_worker(void *arg)
{
	struct worker_thread *t = arg;

	mpr_thread_show_name(t->name);
	t->code = mpr_worker_run(&t->working);
}

static void
worker_is_over(void *arg)
{
	struct worker_thread *t = arg;

	mpr_worker_forget();
	/* The task may have forked, and this be the child. */
	if (t->generation != mpr_generation())
		return;
	/* Release pairs with has_ended(): the code is there. The keeper is until it has
	 * joined us. */
	atomic_store_explicit(&t->is_over, true, memory_order_release);
	mpr_keeping_wake(&t->working.use);
}

static int
begin(const struct mpr_working *w, const char *name, void **ret_worker)
{
	struct worker_thread *t = mpr_zalloc(sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->thread = (struct mpr_thread){
		.fn = run_worker, .over = worker_is_over, .arg = t,
	};
	t->working = *w;
	t->working.thread = &t->worker;
	t->generation = mpr_generation();
	/* Unless it says otherwise, it has not come to its end in order. */
	t->code = -1;
	snprintf(t->name, sizeof(t->name), "%s", name);
	r = mpr_thread_run(&t->thread);
	if (r < 0) {
		free(t);
		return r;
	}
	*ret_worker = t;
	return 0;
}

static bool
has_ended(void *worker, struct mproc_exit *ret_end)
{
	struct worker_thread *t = worker;

	if (!atomic_load_explicit(&t->is_over, memory_order_acquire))
		return false;
	/* All that is left of it are functions of the program's for its end; after that
	 * it is no participant any more. */
	mpr_thread_join(&t->thread);
	*ret_end = (struct mproc_exit){ .code = t->code };
	return true;
}

const struct mpr_backend mpr_backend_threads = {
	.begin = begin,
	.has_ended = has_ended,
	.close = free,
};

struct mpr_keeper_thread {
	struct mpr_thread thread;
	struct mpr_keeping keeping;
	sigset_t signals; /* that the creator has blocked */
	int result;
	_Atomic bool is_over;
};

static void
run_keeper(void *arg)
{
	struct mpr_keeper_thread *t = arg;

	mpr_thread_show_name("mproc-keeper");
	t->result = mpr_keeper_run_here(&t->keeping, &t->signals);
}

static void
keeper_is_over(void *arg)
{
	struct mpr_keeper_thread *t = arg;

	/* For who has started it, if it has not come further. */
	atomic_store(&t->is_over, true);
	mpr_unpark(t->keeping.use.arena, t->keeping.starter_slot);
}

/* Until it has taken our place, or cannot. */
static int
wait_for(struct mpr_keeper_thread *t, struct mpr_self *self)
{
	const struct mpr_pool_use *u = &t->keeping.use;
	uint32_t ticket;

	for (;;) {
		ticket = mpr_park_ticket(self);
		if (atomic_load(&u->root->keeper) != t->keeping.starter)
			return 0;
		if (atomic_load(&t->is_over))
			return t->result < 0 ? t->result : -EAGAIN;
		/* An interrupt is for a call that waits for longer than this. */
		if (mpr_park(self, u->pool, ticket, MPR_NEVER) == -EINTR)
			mpr_thread_yield();
	}
}

int
mpr_keeper_thread_start(struct mpr_keeper_thread **ret_t,
			const struct mpr_pool_use *u, struct mpr_self *self,
			uint64_t starter)
{
	struct mpr_keeper_thread *t = mpr_zalloc(sizeof(*t));
	int r, cancel;

	if (!t)
		return mpr_fail(-ENOMEM, "no memory for a keeper");
	t->thread = (struct mpr_thread){
		.fn = run_keeper, .over = keeper_is_over, .arg = t,
	};
	t->keeping = (struct mpr_keeping){
		.use = *u, .starter = starter, .starter_slot = self->slot,
		.at = mproc_now(), .is_first = true,
	};
	/* Nor does a handler fork meanwhile: the child would wait for a thread that it
	 * has not. */
	mpr_thread_forbid_signals(&t->signals);
	cancel = mpr_thread_forbid_cancel();
	r = mpr_thread_run(&t->thread);
	if (r == 0) {
		r = wait_for(t, self);
		if (r < 0)
			mpr_thread_join(&t->thread);
	}
	mpr_thread_allow_cancel(cancel);
	mpr_thread_allow_signals(&t->signals);
	if (r < 0) {
		free(t);
		return mpr_fail(r, "no thread to keep %s: %s",
				mpr_pool_label(u).text, mproc_strerror(r));
	}
	*ret_t = t;
	return 0;
}

void
mpr_keeper_thread_join(struct mpr_keeper_thread *t)
{
	mpr_thread_join(&t->thread);
	free(t);
}
