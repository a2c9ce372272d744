/* SPDX-License-Identifier: MIT */
/*
 * A round: the ticket; everywhere it is said that somebody waits; a fence for all
 * queues; a look at all; the sleep. What is said stays said until the end, and a
 * wake-up for a queue is passed on then, as nothing has been taken.
 *
 * The same thing may be in the list more than once. A thread has one seat in a
 * queue, so one of those waits, and all of them look.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "ipc/queue_watch.h"
#include "os/interrupt.h"
#include "sync/asymmetric.h"
#include "sync/many.h"
#include "sync/park.h"
#include "wait/shared.h"
#include "wait/thing.h"

/* So many need no memory. */
#define FEW 16

struct one {
	bool is_queue;
	bool is_again; /* another one of the list waits for it */
	union {
		mproc_queue *q; /* until its attachment is known */
		struct mpr_watch watch;
		struct mpr_news seen;
	} u;
};

struct all {
	struct mproc_waitable *items;
	int n;
	struct mpr_self *self;
	uint64_t generation; /* of the process that waits */
	struct one *ones;
	bool has_queues;
	uint64_t bits; /* of those that are no queues */
};

/* Those that are there; as that may drop attachments, these are found later. */
static int
see_all(struct all *all)
{
	struct mpr_thing t;
	int r;

	for (int i = 0; i < all->n; i++) {
		struct one *one = &all->ones[i];

		r = mpr_thing_see(&all->items[i], &t);
		if (r)
			return r < 0 ? r : MPR_WAIT_ANEW;
		one->is_queue = t.q != NULL;
		one->is_again = false;
		if (t.q) {
			one->u.q = t.q;
			all->has_queues = true;
		} else {
			one->u.seen = t.seen;
			all->bits |= mpr_many_bit(all->self->arena,
						  t.seen.object);
		}
	}
	return 0;
}

static void
forget_attachments(const struct all *all, int n)
{
	for (int i = 0; i < n; i++)
		if (all->ones[i].is_queue && !all->ones[i].is_again)
			all->ones[i].u.watch.at->is_awaited = false;
}

static int
find_attachments(struct all *all)
{
	struct mpr_attachment *at;

	for (int i = 0; i < all->n; i++) {
		struct one *one = &all->ones[i];

		if (!one->is_queue)
			continue;
		at = mpr_attachment_present(one->u.q);
		if (!at) {
			forget_attachments(all, i);
			return MPR_WAIT_ANEW;
		}
		one->is_again = at->is_awaited;
		at->is_awaited = true;
		one->u.watch = (struct mpr_watch){ .at = at };
	}
	return 0;
}

/* Whether it is ready; MPR_WAIT_ANEW if there is something to do first.
 * @announced: the fence after that is behind us. */
static int
look_at(struct one *one, bool announced)
{
	enum mpr_news_is news;

	if (!one->is_queue) {
		news = mpr_news_look(&one->u.seen, announced);
		return news == MPR_NEWS_CARE ? MPR_WAIT_ANEW :
					       news == MPR_NEWS_READY;
	}
	if (mpr_thing_queue_is_ready(one->u.watch.at))
		return 1;
	if (announced && !one->is_again)
		mpr_watch_go_on(&one->u.watch);
	return 0;
}

static int
look_at_all(struct all *all, bool announced)
{
	int ready = 0, r;

	for (int i = 0; i < all->n; i++) {
		r = look_at(&all->ones[i], announced);
		if (r == MPR_WAIT_ANEW)
			return r;
		all->items[i].ret_events = r ? POLLIN : 0;
		ready += r;
	}
	return ready;
}

static void
announce(struct all *all)
{
	for (int i = 0; i < all->n; i++) {
		struct one *one = &all->ones[i];

		if (!one->is_queue || one->is_again)
			continue;
		/* Who gives a message back may be stopped before that is
		 * counted: all blocks are looked at once in each sleep. */
		one->u.watch.at->returned_seen = UINT64_MAX;
		mpr_watch_begin(&one->u.watch);
	}
	if (all->bits)
		mpr_many_announce(all->self, all->bits);
	if (all->has_queues)
		mpr_fence_rare(all->self->arena); /* mpr_put_leave() */
}

static void
withdraw(struct all *all)
{
	for (int i = 0; i < all->n; i++)
		if (all->ones[i].is_queue && !all->ones[i].is_again)
			mpr_watch_end(&all->ones[i].u.watch);
	if (all->bits)
		mpr_many_announce(all->self, 0);
}

/* Whether a signal handler has forked us: all this is the parent's, also if the handler
 * has joined the arena since. */
static bool
is_foreign(const struct all *all)
{
	return all->generation != mpr_generation_peek();
}

static int
sleep_for(struct all *all, int64_t deadline)
{
	uint32_t ticket;
	int ready, r;

	for (;;) {
		ticket = mpr_park_ticket(all->self);
		announce(all);
		ready = look_at_all(all, true);
		if (ready)
			return ready;
		r = mpr_park(all->self, all->items[0].object, ticket, deadline);
		if (is_foreign(all))
			return MPR_WAIT_ANEW;
		ready = look_at_all(all, false);
		if (ready || r < 0)
			return ready ? ready : r;
	}
}

static int
wait_for(struct all *all, int64_t deadline)
{
	int r = see_all(all);

	if (r == 0)
		r = find_attachments(all);
	if (r)
		return r;
	r = sleep_for(all, deadline);
	if (is_foreign(all))
		return MPR_WAIT_ANEW;
	withdraw(all);
	forget_attachments(all, all->n);
	if (r == -EINTR)
		mpr_interrupt_answer();
	return r;
}

int
mpr_wait_shared(struct mproc_waitable *items, int n, mproc_arena *a,
		int64_t deadline)
{
	struct one few[FEW];
	struct all all = { .items = items, .n = n, .ones = few };
	int r = mpr_self(a, &all.self);

	if (r < 0)
		return r;
	all.generation = all.self->generation;
	if (n > FEW)
		all.ones = mpr_malloc((size_t)n * sizeof(*all.ones));
	if (!all.ones)
		return mpr_fail(-ENOMEM, "no memory to wait for %d things", n);
	r = wait_for(&all, deadline);
	if (all.ones != few)
		free(all.ones);
	return r;
}
