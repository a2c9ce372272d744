/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/error.h"
#include "manager/desk_priv.h"
#include "os/clock.h"

#define KEPT_MOST 1024 /* requests of one client */

static void
link_deadline(struct mpr_desk *d, struct mpr_kept *k)
{
	struct mpr_kept *after = d->latest;

	/* Most come in this order. */
	while (after && after->deadline > k->deadline)
		after = after->sooner;
	k->sooner = after;
	k->later = after ? after->later : d->soonest;
	if (k->later)
		k->later->sooner = k;
	else
		d->latest = k;
	if (after)
		after->later = k;
	else
		d->soonest = k;
}

static void
unlink_deadline(struct mpr_desk *d, struct mpr_kept *k)
{
	if (k->later)
		k->later->sooner = k->sooner;
	else
		d->latest = k->sooner;
	if (k->sooner)
		k->sooner->later = k->later;
	else
		d->soonest = k->later;
}

static void
link_to_post(struct mpr_kept *k, struct mpr_post *p)
{
	k->post = p;
	k->next = NULL;
	k->previous = p->last;
	if (p->last)
		p->last->next = k;
	else
		p->first = k;
	p->last = k;
	p->n_kept++;
}

static void
unlink_from_post(struct mpr_kept *k)
{
	struct mpr_post *p = k->post;

	if (k->next)
		k->next->previous = k->previous;
	else
		p->last = k->previous;
	if (k->previous)
		k->previous->next = k->next;
	else
		p->first = k->next;
	p->n_kept--;
}

int
mpr_kept_make(struct mpr_post *p, const struct mpr_request *q, int64_t time,
	      const struct mpr_news *seen, struct mpr_kept **ret)
{
	struct mpr_desk *d = p->desk;
	struct mpr_served *c = q->party.client;
	struct mpr_kept *k;

	if (c->n_kept == KEPT_MOST)
		return mpr_fail(-ENOLCK, "%d threads of this client wait already",
				KEPT_MOST);
	k = mpr_desk_take_memory(c, sizeof(*k));
	if (!k)
		return -ENOMEM;
	*k = (struct mpr_kept){
		.party = q->party,
		.number = q->number,
		.deadline = MPR_NEVER,
		.since = mproc_now(),
		.next_of = c->kept,
	};
	if (seen)
		k->seen = *seen;
	link_to_post(k, p);
	if (k->next_of)
		k->next_of->previous_of = k;
	c->kept = k;
	c->n_kept++;
	if (d->n_kept++ == 0)
		d->look_at = k->since + MPR_DESK_LOOK;
	if (time >= 0 && time < MPR_NEVER - k->since) {
		k->deadline = k->since + time;
		link_deadline(d, k);
	}
	*ret = k;
	return 0;
}

static void
forget_deadline(struct mpr_kept *k)
{
	if (k->deadline != MPR_NEVER)
		unlink_deadline(k->post->desk, k);
	k->deadline = MPR_NEVER;
}

void
mpr_kept_move(struct mpr_kept *k, struct mpr_post *p)
{
	forget_deadline(k);
	unlink_from_post(k);
	link_to_post(k, p);
}

void
mpr_kept_drop(struct mpr_kept *k)
{
	struct mpr_desk *d = k->post->desk;
	struct mpr_served *c = k->party.client;
	struct mpr_lease *reserve = k->party.reserve;

	forget_deadline(k);
	unlink_from_post(k);
	if (k->next_of)
		k->next_of->previous_of = k->previous_of;
	if (k->previous_of)
		k->previous_of->next_of = k->next_of;
	else
		c->kept = k->next_of;
	c->n_kept--;
	d->n_kept--;
	/* If it has become a lease it is no reserve any more. */
	if (reserve && !reserve->self)
		mpr_desk_give_memory(c, reserve, sizeof(*reserve));
	mpr_desk_give_memory(c, k, sizeof(*k));
}

void
mpr_kept_answer(struct mpr_kept *k, int r)
{
	struct mpr_desk *d = k->post->desk;
	struct mpr_served *c = k->party.client;
	const struct mpr_party party = k->party;
	/* Nobody knows whether it gets its answer, or looks at it: it is back when it
	 * gives the lock back. */
	bool has_lock = party.reserve && party.reserve->self;

	if (r == 0 && k->why)
		r = mpr_fail(k->why, "%s", mproc_strerror(k->why));
	/* Who cannot be told has to go: what it has got it gives back then. */
	if (mpr_served_answer(d->by, c, k->number, r, NULL, 0,
			      r < 0 ? mproc_error_detail() : NULL) < 0)
		c->leaves = true;
	mpr_kept_drop(k);
	if (!has_lock)
		mpr_condition_is_back(d, &party);
	d->tell(d->by, c);
}
