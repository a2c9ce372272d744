/* SPDX-License-Identifier: MIT */
/*
 * One order for the messages of all lanes.
 *
 * Each put draws a stamp, after it has found room and before it publishes. A
 * get takes the message with the lowest stamp of those at the heads of all
 * lanes. If one put happened before another, its message was published before
 * the other drew its stamp; so who has seen the other's message, and then looks
 * once more at the lanes that were empty, sees it. Stamps that were drawn by
 * one who died before it published are never seen, and nobody waits for them.
 *
 * All messages lie in blocks, so the order is one of references.
 *
 * Source: field design "lanes", section on strict order.
 */
#include <errno.h>

#include "ipc/attachment.h"
#include "ipc/queue_get.h"
#include "ring/lane_priv.h"

/* The message that is first, as far as is known. */
struct first {
	unsigned lane;
	uint64_t stamp;
	bool found;
};

/* The stamp at the head of a lane. Returns 0, -EAGAIN if it is empty, -EBUSY if
 * others are taking from it all the time, -EBADMSG. */
static int
stamp_of(const struct mpr_attachment *at, struct mpr_consumer *c,
	 uint64_t *ret_stamp)
{
	struct mpr_reference ref;
	size_t len;
	int r;

	for (int attempt = 0; attempt < MPR_LANE_ATTEMPTS; attempt++) {
		r = at->single_consumer ?
			    mpr_consumer_get(c, NULL, 0, &len) :
			    mpr_consumer_get_shared(c, NULL, 0, &len);
		if (r == -EAGAIN || r == -EBUSY)
			return r;
		/* Nothing but references is put here. */
		if (r != -EREMOTE)
			return -EBADMSG;
		if (mpr_consumer_reference(c, &ref)) {
			*ret_stamp = ref.stamp;
			return 0;
		}
	}
	return -EBUSY;
}

/* One look at all lanes. */
static int
look(struct mpr_attachment *at, struct first *ret)
{
	uint64_t stamp = 0;
	int r = mpr_attachment_find_lanes(at);

	*ret = (struct first){ 0 };
	for (unsigned i = 0; i < at->n_consumers && r >= 0; i++) {
		r = stamp_of(at, &at->consumers[i], &stamp);
		if (r == -EAGAIN)
			r = 0;
		else if (r == 0 &&
			 (!ret->found || (int64_t)(stamp - ret->stamp) < 0))
			*ret = (struct first){ i, stamp, true };
	}
	return r < 0 ? r : 0;
}

/* Finds the first message of all: what two looks in turn say is that. The
 * second one sees all that happened before what the first one saw. */
static int
find_first(struct mpr_attachment *at, struct first *ret)
{
	struct first before = { 0 };
	int r;

	for (int attempt = 0; attempt < MPR_LANE_ATTEMPTS; attempt++) {
		r = look(at, ret);
		if (r < 0)
			return r;
		if (!ret->found)
			return -EAGAIN;
		if (before.found && before.lane == ret->lane &&
		    before.stamp == ret->stamp)
			return 0;
		before = *ret;
	}
	return -EBUSY;
}

int
mpr_get_first(struct mpr_attachment *at, const struct mpr_sink *to,
	      size_t *ret_len)
{
	int r;

	for (int attempt = 0; attempt < MPR_LANE_ATTEMPTS; attempt++) {
		struct first f;

		r = find_first(at, &f);
		if (r < 0)
			return r;
		/* A release finds it there. */
		at->cursor = f.lane;
		r = mpr_get_block(at, &at->consumers[f.lane], to, ret_len);
		if (r == 0)
			return to->n ? 1 : 0;
		if (r != -ENOENT && r != -EAGAIN)
			return r;
	}
	return -EBUSY;
}
