/* SPDX-License-Identifier: MIT */
/*
 * What can be seen of a queue while others use it. Each word is read once and
 * none is believed; together they are a picture of no single moment.
 */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "ipc/attachment.h"
#include "ipc/queue_remote.h"
#include "ipc/queue_shm.h"

/* Queued messages that are in no lane. */
static size_t
elsewhere(struct mpr_attachment *at)
{
	struct mpr_attachment *from;
	mproc_queue *origin;

	if (at->keeps)
		return mpr_message_count(at, MPR_MESSAGE_QUEUED,
					 MPR_MESSAGE_RETURNED);
	if (!at->dead_letters)
		return 0;
	origin = mpr_queue_partner(at->arena, at->q);
	if (!origin || mpr_attachment_get(origin, &from) < 0)
		return 0;
	return mpr_message_count(from, MPR_MESSAGE_QUEUED, MPR_MESSAGE_DEAD);
}

size_t
mproc_queue_len(mproc_queue *q)
{
	const _Atomic uint64_t *link;
	struct mpr_attachment *at;
	struct mpr_lane *lane;
	bool bad = false;
	unsigned n = 0;
	size_t len = 0;

	int r = mpr_attachment_get(q, &at);

	if (r < 0)
		return mpr_queue_is_remote(q, r) ? mpr_queue_remote_len(q) : 0;
	link = &q->lanes;
	while ((lane = mpr_queue_lane(at->arena, q, link, at->capacity,
				      &bad)) &&
	       n++ < MPR_LANES_MAX) {
		len += mpr_lane_len(lane, at->capacity);
		link = &lane->next;
	}
	return len + elsewhere(at);
}

uint64_t
mpr_queue_filled(const struct mpr_attachment *at)
{
	const _Atomic uint64_t *link = &at->q->lanes;
	struct mpr_lane *lane;
	bool bad = false;
	uint64_t filled = 0;
	unsigned n = 0;

	while ((lane = mpr_queue_lane(at->arena, at->q, link, at->capacity,
				      &bad)) &&
	       n++ < MPR_LANES_MAX) {
		filled += atomic_load(&lane->tail);
		link = &lane->next;
	}
	return filled;
}

static void
count_lane(const struct mpr_attachment *at, struct mpr_lane *lane,
	   struct mproc_queue_stat *st)
{
	st->lanes++;
	st->depth += mpr_lane_len(lane, at->capacity);
	st->bytes += mpr_lane_bytes(lane, at->capacity);
	st->puts += atomic_load(&lane->count);
	if (mpr_owner_state(atomic_load(&lane->owner)) != MPR_LANE_ACTIVE)
		return;
	st->producers++;
	st->sleeping_producers += atomic_load(&lane->want) != 0 ||
				  atomic_load(&lane->awaits) != 0;
}

static void
count_seats(const struct mpr_attachment *at, struct mproc_queue_stat *st)
{
	struct mpr_seat_walk walk = { 0 };
	_Atomic uint64_t *seat;

	while ((seat = mpr_seat_next(at->arena, &at->q->seats, &walk))) {
		unsigned state = mpr_owner_state(atomic_load(seat));

		st->consumers += state == MPR_SEAT_AWAKE ||
				 state == MPR_SEAT_WAITING;
		st->sleeping_consumers += state == MPR_SEAT_WAITING;
	}
}

static int
state_of(const mproc_queue *q)
{
	uint32_t closing = atomic_load(&q->closing);

	if (!closing)
		return MPROC_QUEUE_OPEN;
	return closing == MPROC_DRAIN ? MPROC_QUEUE_DRAINING :
					MPROC_QUEUE_CLOSED;
}

int
mproc_queue_stat(mproc_queue *q, struct mproc_queue_stat *ret_stat)
{
	struct mproc_queue_stat st = { 0 };
	const _Atomic uint64_t *link;
	struct mpr_attachment *at;
	struct mpr_lane *lane;
	bool bad = false;
	int r;

	if (!ret_stat)
		return mpr_fail(-EINVAL, "ret_stat is NULL");
	r = mpr_attachment_get(q, &at);
	if (r < 0)
		return mpr_queue_is_remote(q, r) ?
			       mpr_queue_remote_stat(q, ret_stat) : r;
	memcpy(st.name, q->name, sizeof(st.name) - 1);
	st.state = state_of(q);
	st.single_consumer = at->single_consumer;
	st.capacity = at->capacity;
	st.max_message = at->max_message;
	st.max_items = at->max_items;
	link = &q->lanes;
	while ((lane = mpr_queue_lane(at->arena, q, link, at->capacity,
				      &bad))) {
		if (st.lanes == MPR_LANES_MAX) {
			bad = true;
			break;
		}
		count_lane(at, lane, &st);
		link = &lane->next;
	}
	if (bad)
		return mpr_fail(-EBADMSG, "the lanes of %s are corrupt",
				mpr_queue_label(q).text);
	count_seats(at, &st);
	st.depth += elsewhere(at);
	if (at->keeps) {
		st.held = mpr_message_count(at, MPR_MESSAGE_TAKEN, 0);
		st.dead_letters = mpr_message_count(at, MPR_MESSAGE_QUEUED,
						    MPR_MESSAGE_DEAD);
	}
	/* What is not there any more has been taken. */
	st.gets = st.puts > st.depth ? st.puts - st.depth : 0;
	*ret_stat = st;
	return 0;
}
