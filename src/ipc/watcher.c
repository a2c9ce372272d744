/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "ipc/pipe_use.h"
#include "ipc/queue_watch.h"
#include "ipc/watched.h"
#include "ipc/watcher.h"
#include "os/clock.h"
#include "os/interrupt.h"
#include "os/task.h"
#include "os/thread.h"
#include "sync/asymmetric.h"
#include "sync/park.h"
#include "sync/told.h"

/* ns. How often it looks at things that it was not told of, as a waker may have
 * been stopped; at how many of them at most; and how often whether it is the only
 * thread left. */
#define THOROUGH_EVERY 50000000
#define THOROUGH_MOST 256
#define LAST_EVERY 1000000000

/* What is watched, for one entry or several. */
struct mpr_thing {
	struct mpr_watch watch;
	mproc_queue *q;
	uint64_t open;
	struct mpr_watched *entries;
	unsigned place; /* sync/told.h */
	struct mpr_thing *next_in_place;
	struct mpr_thing *next_look; /* in this round */
	bool looks;
	bool has_begun; /* between the two looks of a round */
	struct mpr_thing *next, *previous; /* of all, in a ring */
};

struct watcher {
	mproc_arena *arena;
	struct mpr_self *self;
	const void *shown; /* what others see that it sleeps for */
	struct mpr_thing *turn; /* in the ring: who is looked at next */
	unsigned n;
	struct mpr_thing *looks; /* in this round */
	bool was_asked;
	struct mpr_thing *places[MPR_TOLD_PLACES];
};

static bool
is_gone(const struct mpr_attachment *at)
{
	return atomic_load(&at->q->state) != at->open;
}

static unsigned
place_of(const struct watcher *w, const mproc_queue *q)
{
	return mpr_told_place(mpr_arena_name(w->arena, &q->seats));
}

static struct mpr_thing *
find(const struct watcher *w, const mproc_queue *q, uint64_t open)
{
	struct mpr_thing *t = w->places[place_of(w, q)];

	while (t && (t->q != q || t->open != open))
		t = t->next_in_place;
	return t;
}

/* NULL without memory. */
static struct mpr_thing *
add(struct watcher *w, mproc_queue *q, uint64_t open)
{
	struct mpr_thing *t = mpr_zalloc(sizeof(*t)), **first;

	if (!t)
		return NULL;
	t->q = q;
	t->open = open;
	t->place = place_of(w, q);
	first = &w->places[t->place];
	t->next_in_place = *first;
	*first = t;
	if (w->turn) {
		t->next = w->turn;
		t->previous = w->turn->previous;
		t->previous->next = t;
		t->next->previous = t;
	} else {
		t->next = t->previous = t;
		w->turn = t;
	}
	w->n++;
	w->shown = q;
	return t;
}

static void
drop(struct watcher *w, struct mpr_thing *t)
{
	struct mpr_thing **link = &w->places[t->place];

	while (*link != t)
		link = &(*link)->next_in_place;
	*link = t->next_in_place;
	t->next->previous = t->previous;
	t->previous->next = t->next;
	if (w->turn == t)
		w->turn = t->next != t ? t->next : NULL;
	w->n--;
	free(t);
}

/* The seat in the queue that dead letters come from, unless that is watched,
 * too: it keeps that queue's memory. */
static void
leave_origin(const struct watcher *w, const struct mpr_attachment *at)
{
	struct mpr_attachment *from = NULL;
	const struct mpr_thing *t;
	mproc_queue *origin = NULL;

	if (at->dead_letters)
		origin = mpr_queue_partner(at->arena, at->q);
	if (origin)
		from = mpr_attachment_present(origin);
	if (!from)
		return;
	t = find(w, origin, from->open);
	if (!t || t->watch.at != from)
		mpr_attachment_drop(from);
}

static void
leave(const struct watcher *w, struct mpr_thing *t)
{
	struct mpr_attachment *at;

	if (!t->watch.at)
		return;
	mpr_watch_end(&t->watch);
	at = t->watch.at;
	t->watch.at = NULL;
	leave_origin(w, at);
	mpr_attachment_drop(at);
}

/* Attaches the watcher to the queue, unless it is. */
static int
enter(struct mpr_thing *t)
{
	struct mpr_attachment *at;
	int r;

	if (t->watch.at)
		return 0;
	/* What we have of a later queue there is another thing's. */
	if (atomic_load(&t->q->state) != t->open)
		return -ESTALE;
	r = mpr_attachment_get(t->q, &at);
	if (r < 0)
		return r;
	t->watch.at = at;
	if (at->open == t->open)
		return 0;
	/* Another queue is there by now. */
	t->watch.at = NULL;
	mpr_attachment_drop(at);
	return -ESTALE;
}

static void
mark(struct watcher *w, struct mpr_thing *t)
{
	if (t->looks)
		return;
	t->looks = true;
	t->next_look = w->looks;
	w->looks = t;
}

static void
unlink_entry(struct watcher *w, struct mpr_watched *e)
{
	struct mpr_watched **link;

	if (!e->thing)
		return;
	link = &e->thing->entries;
	while (*link != e)
		link = &(*link)->next_of_thing;
	*link = e->next_of_thing;
	mark(w, e->thing);
	e->thing = NULL;
}

/* Reacts to what somebody has noted. */
static void
take(struct watcher *w, struct mpr_watched *e,
     const struct mpr_watched_now *now)
{
	struct mpr_thing *t;

	if (now->state == MPR_WATCHED_CLOSED) {
		unlink_entry(w, e);
		mpr_watched_make_free(e);
		return;
	}
	if (now->state != MPR_WATCHED_ASKED &&
	    now->state != MPR_WATCHED_QUIET)
		return;
	w->was_asked |= now->state == MPR_WATCHED_ASKED;
	if (e->thing && (e->thing->q != now->q || e->thing->open != now->open))
		unlink_entry(w, e);
	if (!e->thing) {
		t = find(w, now->q, now->open);
		if (!t)
			t = add(w, now->q, now->open);
		if (!t) {
			mpr_watched_fail(e, -ENOMEM);
			return;
		}
		e->thing = t;
		e->next_of_thing = t->entries;
		t->entries = e;
	}
	mark(w, e->thing);
}

static void
take_all(struct watcher *w)
{
	struct mpr_watched_now now;
	struct mpr_watched *e;

	w->was_asked = false;
	while ((e = mpr_watched_take(&now)))
		take(w, e, &now);
}

/* Whether somebody is to be told of it. */
static bool
is_wanted(const struct mpr_thing *t)
{
	for (struct mpr_watched *e = t->entries; e; e = e->next_of_thing) {
		unsigned state = mpr_watched_state(e);

		if (state == MPR_WATCHED_ASKED || state == MPR_WATCHED_QUIET)
			return true;
	}
	return false;
}

static void
settle(struct mpr_thing *t)
{
	for (struct mpr_watched *e = t->entries; e; e = e->next_of_thing)
		if (mpr_watched_state(e) == MPR_WATCHED_ASKED)
			mpr_watched_settle(e);
}

static void
fail(struct mpr_thing *t, int error)
{
	for (struct mpr_watched *e = t->entries; e; e = e->next_of_thing)
		mpr_watched_fail(e, error);
}

static void
make_ready(struct mpr_thing *t)
{
	for (struct mpr_watched *e = t->entries; e; e = e->next_of_thing)
		mpr_watched_make_ready(e);
}

/* Whether there is a reason to look: somebody has woken us for it. */
static bool
is_told(const struct mpr_thing *t)
{
	return t->watch.at &&
	       (mpr_watch_is_told(&t->watch) || is_gone(t->watch.at) ||
		(t->watch.waits && mpr_pipe_is_over(t->watch.at, false)));
}

static void
mark_told(struct watcher *w)
{
	uint64_t told = mpr_told_take(w->self);

	if (!told)
		return;
	for (unsigned row = 0; row < MPR_TOLD_ROWS; row++) {
		if (!(told >> row & 1))
			continue;
		for (unsigned i = 0; i < MPR_TOLD_COLUMNS; i++) {
			unsigned place = row * MPR_TOLD_COLUMNS + i;
			struct mpr_thing *t = mpr_told_has(told, place) ?
						      w->places[place] : NULL;

			for (; t; t = t->next_in_place)
				if (is_told(t))
					mark(w, t);
		}
	}
}

static void
mark_some(struct watcher *w)
{
	unsigned n = w->n < THOROUGH_MOST ? w->n : THOROUGH_MOST;

	for (; n; n--) {
		mark(w, w->turn);
		w->turn = w->turn->next;
	}
}

/* The look before the watcher announces that it is about to sleep. Returns false
 * if the thing is no more. */
static bool
look_first(struct watcher *w, struct mpr_thing *t)
{
	int r;

	t->looks = false;
	t->has_begun = false;
	if (!t->entries) {
		leave(w, t);
		drop(w, t);
		return false;
	}
	if (!is_wanted(t)) {
		/* Our seat keeps the memory of a queue. */
		if (t->watch.at && is_gone(t->watch.at))
			leave(w, t);
		return true;
	}
	r = enter(t);
	if (r < 0) {
		fail(t, r);
		return true;
	}
	if (mpr_watch_is_ready(&t->watch)) {
		make_ready(t);
		mpr_watch_end(&t->watch);
		return true;
	}
	mpr_watch_begin(&t->watch);
	t->has_begun = true;
	return true;
}

/* The look after it, and after the fence. */
static void
look_again(struct mpr_thing *t)
{
	if (mpr_watch_is_ready(&t->watch)) {
		make_ready(t);
		mpr_watch_end(&t->watch);
	} else {
		mpr_watch_go_on(&t->watch);
		settle(t);
	}
}

static void
look_at_marked(struct watcher *w)
{
	struct mpr_thing *begun = NULL, *t;

	while ((t = w->looks)) {
		w->looks = t->next_look;
		if (look_first(w, t) && t->has_begun) {
			t->next_look = begun;
			begun = t;
		}
	}
	if (begun)
		mpr_fence_rare(w->arena); /* frequent side: mpr_put_leave() */
	for (t = begun; t; t = t->next_look)
		look_again(t);
	/* Those who asked look for themselves. */
	if (w->was_asked)
		mpr_unpark_process(w->arena);
}

/* At the end of the process: what is asked for then, another watcher does. */
static void
give_up(struct watcher *w)
{
	struct mpr_thing *t;

	while ((t = w->turn)) {
		while (t->entries)
			unlink_entry(w, t->entries);
		leave(w, t);
		drop(w, t);
	}
	mpr_watched_ended(0);
}

/* Whether it is over. */
static bool
is_over(struct watcher *w, int64_t now, int64_t *asked, int64_t *ret_until)
{
	if (mpr_watched_is_over(now, ret_until))
		return true;
	if (now - *asked < LAST_EVERY)
		return false;
	*asked = now;
	if (!mpr_task_is_last())
		return false;
	give_up(w);
	return true;
}

static void
watch(struct watcher *w)
{
	int64_t looked = 0, asked = mproc_now(), now, until;
	uint32_t ticket;

	for (;;) {
		/* Before all that it is woken for. */
		ticket = mpr_park_ticket(w->self);
		now = mproc_now();
		take_all(w);
		mark_told(w);
		if (now - looked >= THOROUGH_EVERY) {
			looked = now;
			mark_some(w);
		}
		look_at_marked(w);
		if (is_over(w, now, &asked, &until))
			return;
		/* An interrupt is not meant for us. */
		if (mpr_park(w->self, w->shown, ticket, until) == -EINTR)
			mpr_interrupt_answer();
	}
}

void *
mpr_watcher(void *arena)
{
	struct watcher w = { .arena = arena };
	int r;

	mpr_thread_show_name("mproc-watcher");
	r = mpr_self(arena, &w.self);
	if (r < 0) {
		mpr_watched_ended(r);
		mpr_unpark_process(arena);
		return NULL;
	}
	w.shown = w.self->shared;
	mpr_watched_began(w.self->slot);
	watch(&w);
	return NULL;
}
