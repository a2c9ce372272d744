/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "ipc/target.h"
#include "ipc/watched.h"
#include "ipc/watcher.h"
#include "os/clock.h"
#include "os/interrupt.h"
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

struct watcher {
	mproc_arena *arena;
	struct mpr_self *self;
	const void *shown; /* what others see that it sleeps for */
	struct mpr_target *turn; /* in the ring: who is looked at next */
	unsigned n;
	struct mpr_target *looks; /* in this round */
	struct mpr_target_many many;
	bool was_asked;
	struct mpr_target *places[MPR_TOLD_PLACES];
};

/* Of what an entry is for. */
static unsigned
place_of(const struct watcher *w, const void *object)
{
	return mpr_told_place(mpr_arena_name(w->arena, object));
}

static struct mpr_target *
find(const struct watcher *w, const mproc_queue *q, uint64_t open)
{
	struct mpr_target *t = w->places[place_of(w, &q->seats)];

	while (t && (t->q != q || t->open != open))
		t = t->next_in_place;
	return t;
}

/* NULL without memory. */
static struct mpr_target *
add(struct watcher *w, const struct mpr_watched_now *now)
{
	struct mpr_target *t = mpr_zalloc(sizeof(*t)), **first;

	if (!t)
		return NULL;
	t->q = now->q;
	t->open = now->open;
	t->object = now->object;
	w->shown = t->q ? (void *)t->q : t->object;
	t->place = place_of(w, t->q ? (void *)&t->q->seats : w->shown);
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
	return t;
}

static void
drop(struct watcher *w, struct mpr_target *t)
{
	struct mpr_target **link = &w->places[t->place];

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

static void
leave(struct watcher *w, struct mpr_target *t)
{
	struct mpr_attachment *from = mpr_target_origin(t);
	const struct mpr_target *origin = NULL;

	if (from)
		origin = find(w, from->q, from->open);
	mpr_target_leave(t, &w->many);
	/* The seat in the queue that dead letters come from, unless that is
	 * watched, too: it keeps that queue's memory. */
	if (from && !(origin && origin->watch.at == from))
		mpr_attachment_drop(from);
}

static void
mark(struct watcher *w, struct mpr_target *t)
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

	if (!e->target)
		return;
	link = &e->target->entries;
	while (*link != e)
		link = &(*link)->next_of_target;
	*link = e->next_of_target;
	mark(w, e->target);
	e->target = NULL;
}

/* What the entry is for. NULL without memory. */
static struct mpr_target *
target_for(struct watcher *w, struct mpr_watched *e,
	  const struct mpr_watched_now *now)
{
	struct mpr_target *t = e->target;

	/* The object is the same: an entry that is used again has no target. */
	if (t && (now->object || (t->q == now->q && t->open == now->open)))
		return t;
	unlink_entry(w, e);
	t = now->q ? find(w, now->q, now->open) : NULL;
	if (!t)
		t = add(w, now);
	if (!t)
		return NULL;
	e->target = t;
	e->next_of_target = t->entries;
	t->entries = e;
	return t;
}

/* Reacts to what somebody has noted. */
static void
take(struct watcher *w, struct mpr_watched *e,
     const struct mpr_watched_now *now)
{
	struct mpr_target *t;

	if (now->state == MPR_WATCHED_CLOSED) {
		unlink_entry(w, e);
		mpr_watched_make_free(e);
		return;
	}
	if (now->state != MPR_WATCHED_ASKED &&
	    now->state != MPR_WATCHED_QUIET)
		return;
	w->was_asked |= now->state == MPR_WATCHED_ASKED;
	t = target_for(w, e, now);
	if (t)
		mark(w, t);
	else
		mpr_watched_fail(e, -ENOMEM);
}

static void
take_all(struct watcher *w)
{
	struct mpr_watched_now now;
	struct mpr_watched *e;

	w->was_asked = false;
	while ((e = mpr_watched_take(w->arena, &now)))
		take(w, e, &now);
}

/* Whether somebody is to be told of it. */
static bool
is_wanted(const struct mpr_target *t)
{
	for (struct mpr_watched *e = t->entries; e; e = e->next_of_target) {
		unsigned state = mpr_watched_state(e);

		if (state == MPR_WATCHED_ASKED || state == MPR_WATCHED_QUIET)
			return true;
	}
	return false;
}

static void
settle(struct mpr_target *t)
{
	for (struct mpr_watched *e = t->entries; e; e = e->next_of_target)
		if (mpr_watched_state(e) == MPR_WATCHED_ASKED)
			mpr_watched_settle(e);
}

/* Its entries do not stay with it, as another watcher may be the next one that they
 * meet. */
static void
fail(struct watcher *w, struct mpr_target *t, int error)
{
	struct mpr_watched *e;

	while ((e = t->entries)) {
		unlink_entry(w, e);
		mpr_watched_fail(e, error);
	}
}

/* There is something. */
static void
make_ready(struct watcher *w, struct mpr_target *t)
{
	for (struct mpr_watched *e = t->entries; e; e = e->next_of_target)
		mpr_watched_make_ready(e);
	mpr_target_end(t, &w->many);
	/* Our seat keeps the memory of a queue. And who has it watched again is
	 * told why it cannot be. */
	if (mpr_target_is_gone(t))
		leave(w, t);
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
			struct mpr_target *t = mpr_told_has(told, place) ?
						      w->places[place] : NULL;

			for (; t; t = t->next_in_place)
				if (mpr_target_is_told(t))
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

/* The look before the watcher announces that it is about to sleep. Returns whether
 * there is to be another one. */
static bool
look_first(struct watcher *w, struct mpr_target *t)
{
	int r;

	t->looks = false;
	if (!t->entries) {
		leave(w, t);
		drop(w, t);
		return false;
	}
	if (!is_wanted(t)) {
		mpr_target_end(t, &w->many);
		/* Our seat keeps the memory of a queue. */
		if (mpr_target_is_gone(t))
			leave(w, t);
		return false;
	}
	r = mpr_target_enter(t);
	if (r < 0) {
		fail(w, t, r);
		return false;
	}
	if (mpr_target_is_ready(t)) {
		make_ready(w, t);
		return false;
	}
	mpr_target_begin(t, &w->many);
	return true;
}

/* The look after it, and after the fence. */
static void
look_again(struct watcher *w, struct mpr_target *t)
{
	if (mpr_target_goes_on(t))
		settle(t);
	else
		make_ready(w, t);
}

static void
look_at_marked(struct watcher *w)
{
	struct mpr_target *begun = NULL, *t;

	while ((t = w->looks)) {
		w->looks = t->next_look;
		if (look_first(w, t)) {
			t->next_look = begun;
			begun = t;
		}
	}
	mpr_target_announce(&w->many, w->self);
	if (begun)
		mpr_fence_rare(w->arena); /* frequent side: mpr_put_leave() */
	for (t = begun; t; t = t->next_look)
		look_again(w, t);
	/* Those who asked look for themselves. */
	if (w->was_asked)
		mpr_unpark_process(w->arena);
}

/* At the end of the process: what is asked for then, another watcher does. */
static void
give_up(struct watcher *w)
{
	struct mpr_target *t;

	while ((t = w->turn)) {
		while (t->entries)
			unlink_entry(w, t->entries);
		leave(w, t);
		drop(w, t);
	}
	mpr_watched_ended(w->arena, 0);
}

/* Whether it is over. */
static bool
is_over(struct watcher *w, int64_t now, int64_t *asked, int64_t *ret_until)
{
	if (mpr_watched_is_over(w->arena, now, ret_until))
		return true;
	if (now - *asked < LAST_EVERY)
		return false;
	*asked = now;
	if (!mpr_watched_are_last())
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
	struct watcher w = { .arena = arena, .many.arena = arena };
	int r;

	mpr_thread_show_name("mproc-watcher");
	r = mpr_self(arena, &w.self);
	if (r < 0) {
		mpr_watched_ended(arena, r);
		mpr_unpark_process(arena);
	} else if (mpr_watched_began(arena, w.self->slot)) {
		w.shown = w.self->shared;
		watch(&w);
	}
	mpr_watched_left(arena);
	return NULL;
}
