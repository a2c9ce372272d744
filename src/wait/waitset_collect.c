/* SPDX-License-Identifier: MIT */
/*
 * Which are ready. Each of the three kinds of items has an order in which who was
 * given goes behind the others; and each call begins with another kind.
 */
#include <errno.h>

#include "os/epoll.h"
#include "process/handle.h"
#include "sync/event.h"
#include "wait/shared.h"
#include "wait/waitset.h"

struct collect {
	mproc_waitset *w;
	struct mproc_waitable *items;
	int n;
	int got;
	int why; /* one of them cannot be waited for */
};

/* Whether this is the first time in this call. */
static bool
meet(const struct collect *c, struct mpr_waitset_item *item)
{
	if (item->round == c->w->round)
		return false;
	item->round = c->w->round;
	return true;
}

static void
give(struct collect *c, const struct mpr_waitset_item *item, short revents)
{
	c->items[c->got] = item->what;
	c->items[c->got++].ret_events = revents;
}

/* That an event was set for a moment is told once. That it is destroyed, for ever:
 * whatever is there by now is another one. */
static void
tell_once(struct mpr_waitset_item *item)
{
	struct mpr_news now = mpr_event_see(item->seen.object);

	if (now.generation == item->seen.generation)
		item->seen = now;
}

/* Returns 1 if it is ready; 0; MPR_WAIT_ANEW if there is something to do first; or why it
 * cannot be waited for. */
static int
look_at(struct mpr_waitset_item *item, int error)
{
	enum mpr_news_is news;
	struct mpr_thing t;

	/* Destroyed: whatever is there by now is another thing. */
	if (error == -ESTALE)
		return 1;
	if (error < 0)
		return error;
	if (!item->seen.object)
		return mpr_thing_see(&item->what, &t);
	news = mpr_news_look(&item->seen, false);
	if (news != MPR_NEWS_READY)
		return news == MPR_NEWS_CARE ? MPR_WAIT_ANEW : 0;
	if (item->what.kind == MPROC_WAIT_EVENT)
		tell_once(item);
	return 1;
}

static void
arm(const struct mpr_waitset_item *item)
{
	if (item->seen.object)
		mpr_bell_arm_news(item->watched, &item->seen);
	else
		mpr_bell_arm(item->watched);
}

static void
collect_shared(struct collect *c)
{
	struct mpr_waitset_item *item;
	struct mpr_watched *e;
	int error, r;

	while (c->w->bell && c->got < c->n) {
		e = mpr_bell_turn(c->w->bell, &error);
		item = e ? mpr_bell_cookie(e) : NULL;
		if (!item || !meet(c, item))
			return;
		r = look_at(item, error);
		if (r > 0) {
			give(c, item, POLLIN);
			continue;
		}
		/* It rings until that is done. */
		if (r == MPR_WAIT_ANEW) {
			c->w->cares = item;
			continue;
		}
		if (r < 0)
			c->why = r;
		arm(item);
	}
}

/* Of a process the kernel may say that it has ended while a debugger keeps that from
 * us. */
static void
look_without_descriptor(mproc_waitset *w, struct mpr_waitset_item *item)
{
	mpr_epoll_remove(w->fd, item->thing.fd);
	item->thing.fd = -1;
	w->n_pausing++;
	mpr_waitset_look_at(w, item);
}

static void
take_polled(struct collect *c, struct mpr_waitset_item *item, short revents)
{
	short answer = mpr_thing_answer(&item->thing, revents);

	if (answer)
		give(c, item, answer);
	else if (item->thing.process)
		look_without_descriptor(c->w, item);
	if (answer && item->what.kind == MPROC_WAIT_CONN)
		mpr_waitset_look_at(c->w, item);
}

static void
collect_polled(struct collect *c)
{
	struct mpr_epoll_ready ready[MPR_EPOLL_MOST];
	struct mpr_waitset_item *item;
	bool met_bell = false, goes_on;
	int n, most;

	do {
		most = c->n - c->got < MPR_EPOLL_MOST ? c->n - c->got :
							MPR_EPOLL_MOST;
		n = mpr_epoll_look(c->w->fd, ready, most, 0);
		if (n < 0)
			c->why = n;
		goes_on = false;
		for (int i = 0; i < n; i++) {
			if (ready[i].id == MPR_WAITSET_BELL) {
				goes_on |= !met_bell;
				met_bell = true;
				continue;
			}
			/* None if it was closed before it was removed. */
			item = mpr_waitset_numbered(c->w, ready[i].id);
			if (item && meet(c, item)) {
				take_polled(c, item, ready[i].revents);
				goes_on = true;
			}
		}
	} while (n == most && goes_on && c->got < c->n);
}

static void
collect_looks(struct collect *c)
{
	struct mpr_waitset_item *item;
	struct mpr_thing t;
	int r;

	for (unsigned left = c->w->n_looks; left && c->got < c->n; left--) {
		item = c->w->looks;
		c->w->looks = item->next_look;
		if (item->round == c->w->round)
			continue;
		r = mpr_thing_see(&item->what, &t);
		if (r > 0 && meet(c, item))
			give(c, item, POLLIN);
		else if (r < 0)
			c->why = r;
		/* A connection that is as it should be is told by its socket. */
		else if (item->thing.fd >= 0)
			mpr_waitset_look_away(c->w, item);
	}
}

int
mpr_waitset_collect(mproc_waitset *w, struct mproc_waitable *items, int n,
		    int *ret_why)
{
	static void (*const kinds[])(struct collect *c) = {
		collect_looks, collect_shared, collect_polled,
	};
	struct collect c = { .w = w, .items = items, .n = n };

	/* All six orders in turn. */
	w->round++;
	for (unsigned i = 0; i < 3; i++)
		kinds[(w->round / 2 + (w->round % 2 ? i : 3 - i)) % 3](&c);
	*ret_why = c.got ? 0 : c.why;
	return c.got;
}
