/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "os/generation.h"
#include "pool/callback.h"
#include "pool/task.h"

struct callback {
	struct callback *next;
	struct mpr_future_use use;
	mproc_done_fn *fn;
	void *ctx;
	bool by_task; /* it was registered in one that a thread runs */
};

enum is {
	IS_OPEN,
	IS_DONE,
	IS_CLOSED, /* nobody is told any more */
};

_Atomic unsigned mpr_callbacks;

/* Under the process lock: who was looked at last is last. */
static struct callback *first, **last = &first;
static uint64_t generation; /* of the process that they belong to */

/* The process whose thread is in one, by its generation: those that are due then wait
 * until it returns, as they would otherwise lie upon each other on its stack, however
 * many they are. Who is started in one, as a process or a pool's keeper, is in none. */
static MPR_THREAD_LOCAL uint64_t calling;

static bool
is_in_callback(void)
{
	return calling && calling == mpr_generation();
}

/* In such a task only those are called that were registered in one: others may do there
 * what a task cannot, as to end its pool. */
static bool
is_in_task(void)
{
	const struct mpr_worker *me = mpr_worker_self();

	return me && me->stays;
}

/* Nothing of a parent's is followed: its other threads may have been in the middle. */
static void
lock(void)
{
	mpr_process_lock();
	if (generation == mpr_generation())
		return;
	generation = mpr_generation();
	first = NULL;
	last = &first;
	atomic_store_explicit(&mpr_callbacks, 0, memory_order_relaxed);
}

static void
append(struct callback *c)
{
	c->next = NULL;
	*last = c;
	last = &c->next;
}

static struct callback *
take_first(void)
{
	struct callback *c = first;

	first = c->next;
	if (!first)
		last = &first;
	return c;
}

static enum is
what_is(const struct mpr_future_use *u)
{
	uint64_t word = mpr_future_word_of(u);

	if (!word || word & MPR_FUTURE_ABANDONED)
		return IS_CLOSED;
	return mpr_future_is_done(word) ? IS_DONE : IS_OPEN;
}

/* Takes out one that is due, of @looks at most. *@ret_care is one that is to be taken
 * care of, if its .f was NULL before. */
static struct callback *
take_due(unsigned *looks, struct mpr_future_use *ret_care)
{
	struct callback *c, *due = NULL;
	bool in_task = is_in_task();
	enum is is;

	lock();
	while (!due && *looks && first) {
		--*looks;
		c = take_first();
		if (in_task && !c->by_task) {
			append(c);
			continue;
		}
		is = what_is(&c->use);
		if (is == IS_OPEN) {
			append(c);
			if (!ret_care->f && mpr_future_needs_care(&c->use))
				*ret_care = c->use;
			continue;
		}
		atomic_fetch_sub_explicit(&mpr_callbacks, 1,
					  memory_order_relaxed);
		if (is == IS_DONE)
			due = c;
		else
			free(c);
	}
	mpr_process_unlock();
	return due;
}

/* It may end the thread. */
static void
call(mproc_done_fn *fn, mproc_future *f, void *ctx)
{
	uint64_t before = calling;

	calling = mpr_generation();
	fn(f, ctx);
	calling = before;
}

static unsigned
run(unsigned looks, bool waits)
{
	struct mpr_future_use care = { .f = NULL };
	unsigned n = 0, all = atomic_load_explicit(&mpr_callbacks,
						   memory_order_relaxed);
	struct callback *due, c;

	/* Those that come meanwhile have a turn of their own. */
	if (looks > all)
		looks = all;
	while ((due = take_due(&looks, &care))) {
		c = *due;
		free(due);
		call(c.fn, c.use.f, c.ctx);
		n++;
	}
	if (waits && care.f)
		mpr_future_take_care(&care);
	return n;
}

unsigned
mpr_callbacks_run_now(unsigned looks, bool waits)
{
	return is_in_callback() ? 0 : run(looks, waits);
}

void
mpr_callbacks_run_all(void)
{
	while (run(UINT_MAX, false))
		;
}

static int
add(const struct mpr_future_use *u, mproc_done_fn *fn, void *ctx)
{
	struct callback *c = mpr_malloc(sizeof(*c));

	if (!c)
		return mpr_fail(-ENOMEM, "no memory for a callback");
	*c = (struct callback){ .use = *u, .fn = fn, .ctx = ctx,
				.by_task = is_in_task() };
	lock();
	append(c);
	atomic_fetch_add_explicit(&mpr_callbacks, 1, memory_order_relaxed);
	mpr_process_unlock();
	return 0;
}

int
mproc_future_on_done(mproc_future *f, mproc_done_fn *fn, void *ctx)
{
	struct mpr_future_use u;
	int r;

	if (!fn)
		return mpr_fail(-EINVAL, "fn is NULL");
	r = mpr_future_look_up(f, &u);
	if (r < 0)
		return r;
	if (!is_in_callback() && what_is(&u) == IS_DONE) {
		call(fn, f, ctx);
		return 0;
	}
	return add(&u, fn, ctx);
}
