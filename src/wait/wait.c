/* SPDX-License-Identifier: MIT */
/*
 * Waiting for many things: first a look at all of them, which announces nothing;
 * then a sleep in the way that they need.
 */
#include <errno.h>
#include <stdio.h>

#include "base/error.h"
#include "os/clock.h"
#include "os/generation.h"
#include "os/thread.h"
#include "wait/mixed.h"
#include "wait/polled.h"
#include "wait/shared.h"
#include "wait/thing.h"

#define DETAIL 512 /* bytes of an error's text */

/* What a look has found. */
struct found {
	int ready;
	int shared; /* how many are in shared memory and not ready */
	mproc_arena *arena; /* of these */
	bool scattered;	    /* over several arenas */
	struct mpr_polled polled; /* those with descriptors */
};

static int
fail_at(int i, int n, int r)
{
	char why[DETAIL];

	snprintf(why, sizeof(why), "%s", mproc_error_detail());
	return mpr_fail(r, "item %d of %d: %s", i, n, why);
}

static int
note(struct found *f, struct mproc_waitable *items, int i, int n,
     const struct mpr_thing *t)
{
	int r;

	if (t->arena) {
		f->shared++;
		f->scattered |= f->arena && f->arena != t->arena;
		f->arena = t->arena;
		return 0;
	}
	if (!f->polled.n) {
		r = mpr_polled_open(&f->polled, items, (unsigned)(n - i));
		if (r < 0)
			return r;
	}
	mpr_polled_add(&f->polled, i, t);
	return 0;
}

/* One look at all. What it has found is to be closed, whatever it returns. */
static int
look_at_all(struct mproc_waitable *items, int n, struct found *f)
{
	struct mpr_thing t;
	int r;

	f->ready = f->shared = 0;
	f->arena = NULL;
	f->scattered = false;
	mpr_polled_open(&f->polled, items, 0);
	for (int i = 0; i < n; i++) {
		r = mpr_thing_look_at(&items[i], f->ready > 0, &t);
		items[i].ret_events = r ? POLLIN : 0;
		if (r > 0)
			f->ready++;
		else if (r == 0)
			r = note(f, items, i, n, &t);
		if (mpr_unlikely(r < 0))
			return fail_at(i, n, r);
	}
	r = f->polled.n ? mpr_polled_look(&f->polled) : 0;
	if (r < 0)
		return r;
	f->ready += r;
	return 0;
}

static int
wait_polled(struct mpr_polled *p, int64_t deadline)
{
	uint64_t generation = mpr_generation();
	int r;

	/* A signal handler may fork, and the processes are our parent's then. */
	do
		r = mpr_polled_wait(p, -1, deadline);
	while (r == 0 && mpr_generation() == generation);
	return r ? r : MPR_WAIT_ANEW;
}

static int
sleep_for(struct mproc_waitable *items, int n, struct found *f,
	  int64_t deadline)
{
	if (!f->shared)
		return wait_polled(&f->polled, deadline);
	if (!f->polled.n && !f->scattered)
		return mpr_wait_shared(items, n, f->arena, deadline);
	return mpr_wait_mixed(items, n, f->shared, &f->polled, deadline);
}

static int
wait_once(struct mproc_waitable *items, int n, mproc_timeout timeout,
	  int64_t *deadline)
{
	struct found f;
	int r = look_at_all(items, n, &f);

	if (r == 0)
		r = f.ready;
	if (r == 0 && !timeout.ns)
		r = -EAGAIN;
	if (r == 0) {
		if (!*deadline)
			*deadline = mpr_deadline(timeout);
		r = sleep_for(items, n, &f, *deadline);
	}
	mpr_polled_close(&f.polled);
	return r;
}

int
mproc_wait(struct mproc_waitable *items, int n, mproc_timeout timeout)
{
	int64_t deadline = 0; /* not known yet */
	int before, r;

	if (n < 0 || (n > 0 && !items))
		return mpr_fail(-EINVAL, "%d items at %p", n, (void *)items);
	before = mpr_thread_forbid_cancel();
	do
		r = wait_once(items, n, timeout, &deadline);
	while (r == MPR_WAIT_ANEW);
	mpr_thread_allow_cancel(before);
	for (int i = 0; i < n && r < 0; i++)
		items[i].ret_events = 0;
	return r;
}
