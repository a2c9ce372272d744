/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "os/clock.h"
#include "os/generation.h"
#include "os/image.h"
#include "os/interrupt.h"
#include "os/task.h"
#include "pool/keeping.h"
#include "process/handle.h"
#include "sync/park.h"

/* Keepers that this process has started. A forked child's are its parent's. */
struct started {
	struct started *next;
	uint64_t generation; /* of the process */
	mproc_pool *pool;
	mproc_process *process;
};

static struct started *all_started;

/* Takes out one for the pool; the process lock is held. */
static mproc_process *
take_out(const struct mpr_pool_use *u)
{
	struct started **link = &all_started, *s;
	mproc_process *process;

	for (; (s = *link); link = &s->next) {
		if (s->pool != u->pool || s->generation != mpr_generation())
			continue;
		/* One of an earlier pool has ended with it. */
		process = s->process;
		*link = s->next;
		free(s);
		return process;
	}
	return NULL;
}

mproc_process *
mpr_keeping_take(const struct mpr_pool_use *u)
{
	mproc_process *process;

	mpr_process_lock();
	process = take_out(u);
	mpr_process_unlock();
	return process;
}

/* The pool's creator will want to see the end of its keeper. In another process it is
 * reaped some time after that, as any whose handle is closed. */
static void
keep_handle(const struct mpr_pool_use *u, mproc_process *process)
{
	struct started *s = NULL;
	mproc_process *old;

	if (atomic_load(&u->root->creator) == (uint32_t)mpr_task_pid())
		s = mpr_malloc(sizeof(*s));
	if (!s) {
		mproc_process_close(process);
		return;
	}
	*s = (struct started){ .generation = mpr_generation(),
			       .pool = u->pool, .process = process };
	mpr_process_lock();
	old = take_out(u);
	s->next = all_started;
	all_started = s;
	mpr_process_unlock();
	mproc_process_close(old);
}

bool
mpr_keeping_is_on(const struct mpr_pool_use *u)
{
	uint64_t word = atomic_load(&u->root->keeper);

	return mpr_pool_phase(u) == MPR_POOL_ENDED ||
	       (word & MPR_HELD && !mpr_holder_is_dead(u->arena, word));
}

int
mpr_keeping_slot(const struct mpr_pool_use *u)
{
	uint64_t word = atomic_load(&u->root->keeper);

	return word & MPR_HELD ? (int)mpr_holder_slot(word) : -1;
}

void
mpr_keeping_wake(const struct mpr_pool_use *u)
{
	uint64_t word = atomic_load(&u->root->keeper);

	/* Who has that slot by now is woken in vain. */
	if (word & MPR_HELD)
		mpr_unpark(u->arena, mpr_holder_slot(word));
}

/* Until it has taken our place. */
static int
wait_for(const struct mpr_pool_use *u, struct mpr_self *self, uint64_t mine,
	 mproc_process *process)
{
	uint32_t ticket;

	for (;;) {
		ticket = mpr_park_ticket(self);
		if (atomic_load(&u->root->keeper) != mine)
			return 0;
		if (mpr_process_has_ended(process)) {
			if (!atomic_compare_exchange_strong(&u->root->keeper,
							    &mine, 0))
				return 0;
			return mpr_fail(-EAGAIN, "a process that was to keep %s "
					"has ended at once",
					mpr_pool_label(u).text);
		}
		if (mpr_park(self, u->pool, ticket, MPR_NEVER) == -EINTR)
			mpr_task_yield();
	}
}

/* The caller is the one to do it. */
static int
start(const struct mpr_pool_use *u, struct mpr_self *self, uint64_t mine)
{
	struct mpr_keeping keeping = {
		.use = *u,
		.starter = mine,
		.starter_slot = self->slot,
	};
	struct mproc_process_opts o = {
		.struct_size = sizeof(o),
		.name = "mproc-keeper",
		.method = MPROC_FORK,
		.no_report = true,
	};
	struct mpr_call call = mpr_call_entry(mpr_keeper_run, &keeping, 0);
	mproc_process *process;
	int r;

	r = mpr_process_hold_service(&process, &call, &o);
	if (r < 0)
		return r;
	mpr_process_let_go(process);
	r = wait_for(u, self, mine, process);
	keep_handle(u, process);
	return r;
}

int
mpr_keeping_ensure(const struct mpr_pool_use *u, struct mpr_self *self)
{
	uint64_t word, mine = mpr_holder(self) | MPR_HANDED;
	int r;

	while (!mpr_keeping_is_on(u)) {
		word = atomic_load(&u->root->keeper);
		if (word & MPR_HELD && !mpr_holder_is_dead(u->arena, word))
			continue;
		if (atomic_load(&u->root->image) != mpr_image_mark())
			return mpr_fail(-ENOEXEC, "the keeper of %s is dead, and "
					"this process has another image",
					mpr_pool_label(u).text);
		if (!atomic_compare_exchange_strong(&u->root->keeper, &word,
						    mine))
			continue;
		r = start(u, self, mine);
		if (r < 0) {
			/* Others may be luckier. */
			atomic_compare_exchange_strong(&u->root->keeper, &mine,
						       0);
			return r;
		}
	}
	return 0;
}
