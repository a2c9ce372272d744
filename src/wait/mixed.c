/* SPDX-License-Identifier: MIT */
/*
 * The bell is opened for one call. Its descriptor costs about as much as a tenth of
 * what it takes to be woken by it; who waits for the same again and again has a
 * waitset.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "ipc/bell.h"
#include "os/generation.h"
#include "wait/mixed.h"
#include "wait/shared.h"
#include "wait/thing.h"

/* So many need no memory. */
#define FEW 8

/* One in shared memory. */
struct one {
	int item;
	struct mpr_watched *watched;
	struct mpr_news seen; /* if it is no queue */
	bool has_rung;
	bool is_gone; /* whatever is there by now is another one */
};

struct all {
	struct mproc_waitable *items;
	struct mpr_bell *bell;
	struct one *ones;
	int n;
};

static int
watch(struct all *all, int item)
{
	struct one *one = &all->ones[all->n];
	struct mpr_thing t;
	int r = mpr_thing_see(&all->items[item], &t);

	if (r)
		return r < 0 ? r : MPR_WAIT_ANEW;
	*one = (struct one){ .item = item };
	if (t.q) {
		r = mpr_bell_watch_queue(all->bell, t.q, one, &one->watched);
	} else {
		one->seen = t.seen;
		r = mpr_bell_watch_news(all->bell, &one->seen, one,
					&one->watched);
	}
	if (r == 0)
		all->n++;
	/* It was destroyed just now. */
	return r == -ESTALE ? MPR_WAIT_ANEW : r;
}

/* All that are in shared memory. What is there more than once is watched as often. */
static int
watch_all(struct all *all, int n, int shared, const struct mpr_polled *p)
{
	unsigned next = 0;
	int r = 0;

	for (int i = 0; i < n && r == 0; i++) {
		if (next < p->n && p->ones[next].item == i)
			next++;
		else if (all->n < shared)
			r = watch(all, i);
		else
			r = MPR_WAIT_ANEW;
	}
	return r;
}

static int
look_at_news(const struct mpr_news *seen)
{
	enum mpr_news_is news = mpr_news_look(seen, false);

	return news == MPR_NEWS_CARE ? MPR_WAIT_ANEW : news == MPR_NEWS_READY;
}

/* Whether it is ready; or an error, among them MPR_WAIT_ANEW if there is something to
 * do first. */
static int
look_at(struct all *all, const struct one *one)
{
	struct mpr_thing t;
	int r = one->is_gone;

	if (one->seen.object)
		r = look_at_news(&one->seen);
	else if (!one->is_gone)
		r = mpr_thing_see(&all->items[one->item], &t);
	if (r >= 0)
		all->items[one->item].ret_events = r ? POLLIN : 0;
	return r;
}

/* Returns how many are ready, or an error. */
static int
look_at_all(struct all *all)
{
	int ready = 0, r;

	for (int i = 0; i < all->n; i++) {
		r = look_at(all, &all->ones[i]);
		if (r < 0)
			return r;
		ready += r;
	}
	return ready;
}

/* Of those that have rung. Returns whether one of them is ready, or why one cannot be
 * watched. */
static int
hear(struct all *all)
{
	struct mpr_watched *e;
	int error, ready = 0, r;

	while ((e = mpr_bell_next(all->bell, &error))) {
		struct one *one = mpr_bell_cookie(e);

		one->has_rung = true;
		/* Why is known in the thread that watches. */
		if (error < 0 && error != -ESTALE)
			return mpr_fail(error, "watching item %d: %s", one->item,
					mproc_strerror(error));
		one->is_gone = error != 0;
		r = look_at(all, one);
		if (r < 0)
			return r;
		ready |= r;
	}
	return ready;
}

/* Those that have rung in vain. */
static void
arm_again(struct all *all)
{
	for (int i = 0; i < all->n; i++) {
		struct one *one = &all->ones[i];

		if (!one->has_rung)
			continue;
		one->has_rung = false;
		if (one->seen.object)
			mpr_bell_arm_news(one->watched, &one->seen);
		else
			mpr_bell_arm(one->watched);
	}
}

static int
sleep_for(struct all *all, struct mpr_polled *p, uint64_t generation,
	  int64_t deadline)
{
	int r, heard, ready;

	for (;;) {
		r = mpr_polled_wait(p, mpr_bell_fd(all->bell), deadline);
		if (mpr_generation() != generation)
			return MPR_WAIT_ANEW;
		if (r == -EINTR)
			return r;
		heard = hear(all);
		if (heard < 0)
			return heard;
		if (r || heard) {
			ready = look_at_all(all);
			if (ready < 0)
				return ready;
			if (ready)
				return r > 0 ? ready + r : ready;
		}
		if (r)
			return r;
		arm_again(all);
	}
}

static int
wait_by_bell(struct all *all, int n, int shared, struct mpr_polled *p,
	     int64_t deadline)
{
	uint64_t generation = mpr_generation();
	int r = mpr_bell_open(&all->bell);

	if (r < 0)
		return r;
	r = watch_all(all, n, shared, p);
	if (r == 0)
		r = sleep_for(all, p, generation, deadline);
	/* In a child that a signal handler has forked it is the parent's. */
	if (mpr_generation() != generation)
		return MPR_WAIT_ANEW;
	for (int i = 0; i < all->n; i++)
		mpr_bell_unwatch(all->ones[i].watched);
	mpr_bell_close(all->bell);
	return r;
}

int
mpr_wait_mixed(struct mproc_waitable *items, int n, int shared,
	       struct mpr_polled *p, int64_t deadline)
{
	struct one few[FEW];
	struct all all = { .items = items, .ones = few };
	int r;

	if (shared > FEW)
		all.ones = mpr_malloc((size_t)shared * sizeof(*all.ones));
	if (!all.ones)
		return mpr_fail(-ENOMEM, "no memory to wait for %d things",
				shared);
	r = wait_by_bell(&all, n, shared, p, deadline);
	if (all.ones != few)
		free(all.ones);
	return r;
}
