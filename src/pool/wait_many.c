/* SPDX-License-Identifier: MIT */
/*
 * Waiting for many futures at once: sync/many.h, for them; and, as for one, for the
 * keeper of the pool, as nobody else completes what dead workers had.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "os/clock.h"
#include "pool/callback.h"
#include "pool/entries.h"
#include "pool/future.h"
#include "pool/keeping.h"
#include "pool/map.h"
#include "pool/task.h"
#include "sync/await.h"
#include "sync/many.h"

/* So many need no memory. */
#define FEW 16

/* There is something to do first. */
#define LOOK_AFTER INT32_MAX

struct attempt {
	struct mpr_await await;
	const struct mpr_future_use *uses;
	int n;
	int mode;
	uint64_t bits;
	int stale; /* number of one that is */
};

static bool
has_failed(const struct mpr_future_use *u, uint64_t word)
{
	struct mpr_map_use m;
	size_t item, items;

	return (mpr_map_look_at(&u->pool, u->f, &m) ?
			mpr_map_result(&m, word, &item, &items) :
			mpr_task_result(u->f, word)) < 0;
}

/* Somebody waits for it and others. Returns false if it is not what it was. */
static bool
set_many(const struct mpr_future_use *u, uint64_t word)
{
	/* seq_cst, after the bits: who completes it sees this, or we that. */
	return word & MPR_FUTURE_MANY ||
	       atomic_compare_exchange_strong(&u->f->cell.word, &word,
					      word | MPR_FUTURE_MANY);
}

/* Returns its word, 0 if it is stale; with @waits it is told that we wait. */
static uint64_t
look_at(const struct mpr_future_use *u, bool waits)
{
	uint64_t word;

	do
		word = mpr_future_word_of(u);
	while (waits && word && !mpr_future_is_done(word) &&
	       !set_many(u, word));
	return word;
}

/* What a task can do for one that it waits for, or who is none for the keeper. @me is not
 * kept through a sleep: a signal handler may fork a child that is no worker, and goes on
 * here. */
static bool
needs_us(const struct mpr_worker *me, const struct mpr_future_use *u,
	 uint64_t word)
{
	if (mpr_worker_is_of(me, &u->pool))
		return mpr_task_waits(&u->pool, u->f, word);
	return !mpr_keeping_is_on(&u->pool);
}

/* Returns how many are done, if that is enough. */
static int
look(struct mpr_await *await, bool waits)
{
	struct attempt *t = (struct attempt *)await;
	const struct mpr_worker *me = mpr_worker_self();
	bool failed = false, needed = false;
	int done = 0;

	if (waits)
		mpr_many_announce(await->self, t->bits);
	for (int i = 0; i < t->n; i++) {
		uint64_t word = look_at(&t->uses[i], waits);

		if (!word) {
			t->stale = i;
			return -ESTALE;
		}
		if (!mpr_future_is_done(word)) {
			needed |= needs_us(me, &t->uses[i], word);
			continue;
		}
		done++;
		if (t->mode == MPROC_FIRST_ERROR)
			failed |= has_failed(&t->uses[i], word);
	}
	if (done == t->n || failed || (done && t->mode == MPROC_ANY))
		return done;
	return needed ? LOOK_AFTER : -EBUSY;
}

/* Before a sleep: see mpr_future_wait(). */
static int
look_after(const struct attempt *t)
{
	struct mpr_worker *me = mpr_worker_self();
	int r;

	for (int i = 0; i < t->n; i++) {
		const struct mpr_future_use *u = &t->uses[i];
		uint64_t word = mpr_future_word_of(u);

		if (!word || mpr_future_is_done(word) ||
		    !needs_us(me, u, word))
			continue;
		if (mpr_worker_is_of(me, &u->pool)) {
			mpr_task_run(me, mpr_arena_offset(u->pool.arena, u->f),
				     word);
			/* That may be enough. */
			return 0;
		}
		r = mpr_keeping_ensure(&u->pool);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool
is_one_pool(const struct attempt *t)
{
	for (int i = 1; i < t->n; i++)
		if (t->uses[i].pool.root != t->uses[0].pool.root)
			return false;
	return true;
}

static bool
is_over(mproc_timeout timeout)
{
	return !timeout.ns ||
	       (timeout.ns < 0 && mproc_now() >= mpr_deadline(timeout));
}

int
mpr_future_wait_many(const struct mpr_future_use *uses, int n, int mode,
		     mproc_timeout timeout)
{
	struct attempt t = {
		.uses = uses,
		.n = n,
		.mode = mode,
		.await = {
			.look = look,
			.what = "future",
			.kind = MPR_WAIT_NEWS,
		},
	};
	bool one;
	int r;

	if (!n)
		return 0;
	one = is_one_pool(&t);
	t.await.cell = &uses[0].pool.pool->cell;
	for (int i = 0; i < n; i++)
		t.bits |= mpr_many_bit(uses[i].pool.arena, uses[i].f);
	/* By the clock's time, as it may take several attempts. */
	if (timeout.ns > 0 && timeout.ns != INT64_MAX)
		timeout = mproc_until(mpr_deadline(timeout));
	do {
		/* Of several keepers any may die. */
		t.await.owner = one ? mpr_keeping_slot(&uses[0].pool) : -2;
		r = mpr_await_begin(&t.await);
		if (r == 0)
			r = mpr_await(&t.await, timeout);
		if (t.await.self)
			mpr_many_announce(t.await.self, 0);
		/* One task after the other takes its time. */
		if (r == LOOK_AFTER && mpr_worker_self() && is_over(timeout))
			return timeout.ns ? -ETIMEDOUT : -EAGAIN;
		if (r == LOOK_AFTER) {
			r = look_after(&t);
			r = r < 0 ? r : LOOK_AFTER;
		}
	} while (r == LOOK_AFTER);
	if (r == -ESTALE || r == -ESHUTDOWN)
		mpr_fail(r, "future %p was closed, or its pool freed",
			 (void *)uses[t.stale].f);
	return r;
}

/* Those of @fs that are not NULL. Returns how many, or a negative error. */
static int
look_up_all(mproc_future **fs, int n, struct mpr_future_use *uses)
{
	int count = 0, r;

	for (int i = 0; i < n; i++) {
		if (!fs[i])
			continue;
		r = mpr_future_look_up(fs[i], &uses[count]);
		if (r < 0)
			return r;
		if (uses[count].pool.arena != uses[0].pool.arena)
			return mpr_fail(-EINVAL, "futures in several arenas");
		count++;
	}
	return count;
}

int
mproc_future_wait_many(mproc_future **fs, int n, int mode, mproc_timeout timeout)
{
	struct mpr_future_use few[FEW], *uses = few;
	bool found;
	int r;

	if (n < 0 || (n && !fs))
		return mpr_fail(-EINVAL, "fs is %p, n is %d", (void *)fs, n);
	if (mode < MPROC_ANY || mode > MPROC_FIRST_ERROR)
		return mpr_fail(-EINVAL, "mode is %d", mode);
	/* They may end the thread: without memory of ours, before and after. */
	mpr_callbacks_run(true);
	if (n > FEW)
		uses = mpr_malloc((size_t)n * sizeof(*uses));
	if (!uses)
		return mpr_fail(-ENOMEM, "no memory to wait for %d futures", n);
	r = look_up_all(fs, n, uses);
	found = r > 0;
	if (found)
		r = mpr_future_wait_many(uses, r, mode, timeout);
	if (uses != few)
		free(uses);
	if (found && r >= 0)
		mpr_callbacks_run(false);
	return r;
}
