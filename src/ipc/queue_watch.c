/* SPDX-License-Identifier: MIT */
#include "ipc/pipe_use.h"
#include "ipc/queue_get.h"
#include "ipc/queue_keep.h"
#include "ipc/queue_watch.h"
#include "sync/asymmetric.h"

/* What is looked for in the lanes. */
struct look {
	bool messages;
	bool may_come; /* a producer is inside a put */
	bool corrupt;
};

static struct look
look_through(const struct mpr_attachment *at, bool closing)
{
	const _Atomic uint64_t *link = &at->q->lanes;
	struct look look = { 0 };
	struct mpr_lane *lane;
	unsigned n = 0;

	while ((lane = mpr_queue_lane(at->arena, at->q, link, at->capacity,
				      &look.corrupt))) {
		if (++n > MPR_LANES_MAX) {
			look.corrupt = true;
			break;
		}
		/* In this order: who is not busy has put all that it will. */
		if (closing && mpr_get_may_come(at->arena, lane))
			look.may_come = true;
		if (!mpr_lane_is_empty(lane)) {
			look.messages = true;
			break;
		}
		link = &lane->next;
	}
	return look;
}

bool
mpr_watch_is_ready(const struct mpr_watch *w)
{
	struct mpr_attachment *at = w->at;
	uint32_t closing = atomic_load(&at->q->closing);
	struct look look;

	if (!closing)
		closing = mpr_pipe_closing(at, false);
	if (atomic_load(&at->q->state) != at->open ||
	    closing == MPROC_IMMEDIATE)
		return true;
	if (closing)
		mpr_fence_rare(at->arena); /* frequent side: mpr_put_enter() */
	if (mpr_has_kept(at))
		return true;
	look = look_through(at, closing);
	if (look.messages || look.corrupt)
		return true;
	return closing && !look.may_come && !mpr_may_return(at);
}

bool
mpr_watch_is_told(const struct mpr_watch *w)
{
	/* seq_cst, and thereby acquire: it pairs with the CAS of who chose us,
	 * whose message is then seen. */
	return w->waits && mpr_owner_state(atomic_load(w->at->seat)) !=
				   MPR_SEAT_WAITING;
}

static void
unwait(struct mpr_watch *w)
{
	if (w->waits && mpr_seat_unwait(w->at->seat))
		w->chosen++;
	w->waits = false;
}

void
mpr_watch_begin(struct mpr_watch *w)
{
	/* Not over the head of who is choosing us just now. */
	unwait(w);
	mpr_seat_wait(w->at->seat, &w->at->q->hint);
	w->waits = true;
}

void
mpr_watch_go_on(struct mpr_watch *w)
{
	w->chosen = 0;
}

void
mpr_watch_end(struct mpr_watch *w)
{
	mproc_queue *q = w->at->q;

	unwait(w);
	if (w->chosen)
		mpr_seats_wake(w->at->arena, &q->seats, &q->hint, w->chosen);
	w->chosen = 0;
}
