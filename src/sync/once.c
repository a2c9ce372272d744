/* SPDX-License-Identifier: MIT */
/*
 * A once. Its word is that of sync/holder.h, and bit 22 is DONE:
 *
 *   0 --run--> HELD by me --fn has succeeded--> DONE
 *                         --fn has failed--> 0
 *
 * WAITERS stays through failures: who runs it next tells those who wait. The
 * runner dies: who wants it done takes its place, by a CAS from the dead one's
 * word. Those who wait are told of anyone's death, as the runner may be another
 * one by the time it dies.
 */
#include <errno.h>

#include <mproc/sync.h>

#include "base/error.h"
#include "sync/await.h"

#define DONE (UINT64_C(1) << 22)

#define RUN 1 /* from look(): the caller runs it */

struct mpr_once {
	struct mpr_cell cell;
};

static_assert(sizeof(struct mpr_once) == sizeof(mproc_once), "shared layout");

/* Whether who runs it, as @word says, will not come to an end with it. */
static bool
is_lost(const struct mpr_await *await, uint64_t word)
{
	const mproc_arena *a = await->self->arena;

	if (mpr_holder_is_dead(a, word))
		return true;
	/* Outside the arena it is a copy, made by a fork while a thread of the
	 * parent ran the parent's. */
	return mpr_arena_name(a, await->cell) & MPR_NAME_PRIVATE &&
	       atomic_load(&mpr_participant_at(a, mpr_holder_slot(word))->pid) !=
		       await->self->pid;
}

static int
look(struct mpr_await *await, bool waits)
{
	_Atomic uint64_t *at = &await->cell->word;
	uint64_t word = atomic_load(at), mine = mpr_holder(await->self), next;
	bool runs;

	do {
		if (mpr_await_is_stale(await, word))
			return -ESTALE;
		if (word & DONE)
			return 0;
		if (mpr_holder_name(word) == mine)
			return -EDEADLK;
		runs = !(word & MPR_HELD) || is_lost(await, word);
		if (!runs && (!waits || word & MPR_WAITERS))
			return -EBUSY;
		next = runs ? mine | (word & MPR_WAITERS) : word | MPR_WAITERS;
		/* Acquire pairs with the CAS of who has failed. */
	} while (!atomic_compare_exchange_strong(at, &word, next));
	return runs ? RUN : -EBUSY;
}

/* @fn's result is @r. */
static int
finish(struct mpr_once *o, uint64_t mine, int r)
{
	struct mpr_self *self = mpr_self_of(o);
	uint64_t word = atomic_load(&o->cell.word);
	struct mpr_wake k;

	if (!self || mpr_holder(self) != mine)
		return mpr_fail(-ECHILD, "another process runs %p", (void *)o);
	mpr_wake_begin(&k, self->arena, self, o);
	/* seq_cst, before the look for those who wait. It may be destroyed. */
	while (mpr_holder_name(word) == mine &&
	       !atomic_compare_exchange_strong(
		       &o->cell.word, &word,
		       r < 0 ? word & MPR_WAITERS : DONE))
		;
	if (word & MPR_WAITERS && r < 0)
		mpr_wake_n(&k, 1);
	else if (word & MPR_WAITERS)
		mpr_wake_all(&k);
	mpr_wake_end(&k);
	if (r >= 0 && mpr_holder_name(word) != mine)
		return mpr_fail(-ESTALE, "once %p was destroyed", (void *)o);
	return r < 0 ? r : 0;
}

static MPR_NOINLINE int
run_slowly(struct mpr_once *o, int (*fn)(void *), void *arg)
{
	struct mpr_await await = {
		.look = look,
		.what = "once",
		.cell = &o->cell,
		.owner = -2,
	};
	uint64_t mine;
	int r;

	r = mpr_await_begin(&await);
	if (r < 0)
		return r;
	r = mpr_await(&await, MPROC_FOREVER);
	if (r == -EDEADLK)
		return mpr_fail(r, "this thread runs once %p", (void *)o);
	if (r != RUN)
		return r;
	mine = mpr_holder(await.self);
	return finish(o, mine, fn(arg));
}

int
mproc_once_run(mproc_once *once, int (*fn)(void *arg), void *arg)
{
	struct mpr_once *o = (struct mpr_once *)once;

	if (mpr_unlikely(!o || !fn))
		return mpr_fail(-EINVAL, "once or fn is NULL");
	/* Acquire pairs with the CAS that made it DONE: what fn did is there. */
	if (mpr_likely(atomic_load_explicit(&o->cell.word,
					    memory_order_acquire) & DONE))
		return 0;
	return run_slowly(o, fn, arg);
}

int
mproc_once_create(mproc_once **ret_once)
{
	void *once;
	int r;

	if (!ret_once)
		return mpr_fail(-EINVAL, "ret_once is NULL");
	r = mpr_cell_create(MPR_CELL_ONCE, &once);
	if (r < 0)
		return r;
	mpr_cell_open(once, 0);
	*ret_once = once;
	return 0;
}

void
mproc_once_destroy(mproc_once *once)
{
	mpr_cell_destroy(MPR_CELL_ONCE, once, 0);
}
