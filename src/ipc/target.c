/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "ipc/pipe_use.h"
#include "ipc/target.h"
#include "sync/many.h"

static bool
is_news(const struct mpr_target *t)
{
	return t->object != NULL;
}

/* What is not watched any more is not touched. */
static bool
has_news(const struct mpr_target *t, bool waits)
{
	return t->entries && mpr_watched_has_news(t->entries, waits);
}

bool
mpr_target_is_gone(const struct mpr_target *t)
{
	const struct mpr_attachment *at = t->watch.at;

	return at && atomic_load(&at->q->state) != at->open;
}

int
mpr_target_enter(struct mpr_target *t)
{
	struct mpr_attachment *at;
	int r;

	if (is_news(t) || t->watch.at)
		return 0;
	/* What we have of a later queue there is another thing's. */
	if (atomic_load(&t->q->state) != t->open)
		return -ESTALE;
	r = mpr_attachment_get(t->q, &at);
	if (r < 0)
		return r;
	if (at->open == t->open) {
		t->watch.at = at;
		return 0;
	}
	/* Another queue is there by now. */
	mpr_attachment_drop(at);
	return -ESTALE;
}

struct mpr_attachment *
mpr_target_origin(const struct mpr_target *t)
{
	const struct mpr_attachment *at = t->watch.at;
	mproc_queue *origin = NULL;

	if (at && at->dead_letters)
		origin = mpr_queue_partner(at->arena, at->q);
	return origin ? mpr_attachment_present(origin) : NULL;
}

void
mpr_target_leave(struct mpr_target *t, struct mpr_target_many *many)
{
	mpr_target_end(t, many);
	if (t->watch.at)
		mpr_attachment_drop(t->watch.at);
	t->watch.at = NULL;
}

bool
mpr_target_is_told(const struct mpr_target *t)
{
	const struct mpr_watch *w = &t->watch;

	if (is_news(t))
		return t->bit && has_news(t, false);
	return w->at && (mpr_watch_is_told(w) || mpr_target_is_gone(t) ||
			 (w->waits && mpr_pipe_is_over(w->at, false)));
}

bool
mpr_target_is_ready(const struct mpr_target *t)
{
	return is_news(t) ? has_news(t, false) :
			     mpr_watch_is_ready(&t->watch);
}

void
mpr_target_begin(struct mpr_target *t, struct mpr_target_many *many)
{
	if (!is_news(t)) {
		mpr_watch_begin(&t->watch);
	} else if (!t->bit) {
		t->bit = mpr_many_bit(many->arena, t->object);
		many->bits |= t->bit;
		many->n[__builtin_ctzll(t->bit)]++;
	}
}

void
mpr_target_announce(struct mpr_target_many *many, struct mpr_self *self)
{
	if (many->announced == many->bits)
		return;
	mpr_many_announce(self, many->bits);
	many->announced = many->bits;
}

bool
mpr_target_goes_on(struct mpr_target *t)
{
	if (is_news(t))
		return !has_news(t, true);
	if (mpr_watch_is_ready(&t->watch))
		return false;
	mpr_watch_go_on(&t->watch);
	return true;
}

void
mpr_target_end(struct mpr_target *t, struct mpr_target_many *many)
{
	if (t->watch.at)
		mpr_watch_end(&t->watch);
	if (t->bit && --many->n[__builtin_ctzll(t->bit)] == 0)
		many->bits &= ~t->bit;
	t->bit = 0;
}
