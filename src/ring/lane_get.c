/* SPDX-License-Identifier: MIT */
/*
 * The consumers' part of a lane. The labels are those of lane_priv.h.
 */
#include <errno.h>

#include "base/macros.h"
#include "ring/access.h"
#include "ring/lane.h"
#include "ring/lane_priv.h"

void
mpr_consumer_begin(struct mpr_consumer *c, struct mpr_lane *lane,
		   size_t capacity)
{
	uint64_t head = mpr_load(&lane->head, memory_order_acquire);

	*c = (struct mpr_consumer){
		.lane = lane,
		.capacity = capacity,
		.head = head,
		.tail_seen = head,
	};
}

int
mpr_consumer_get(struct mpr_consumer *c, void *buf, size_t size,
		 size_t *ret_len)
{
	struct mpr_lane *lane = c->lane;
	uint64_t header;
	size_t extent, len;

	for (;;) {
		if (c->head == c->tail_seen) {
			/* C1, pairs with P2. */
			c->tail_seen =
				mpr_load(&lane->tail, memory_order_acquire);
			if (c->head == c->tail_seen)
				return -EAGAIN;
			if (!mpr_lane_is_sane(c->head, c->tail_seen, c->capacity)) {
				c->tail_seen = c->head;
				return -EBADMSG;
			}
		}
		header = mpr_load(mpr_lane_header(lane, c->capacity, c->head),
				  memory_order_relaxed);
		extent = mpr_frame_extent(header);
		if (!mpr_lane_fits(c->head, c->tail_seen, extent, c->capacity))
			return -EBADMSG;
		if (mpr_likely(mpr_frame_kind(header) == MPR_FRAME_MESSAGE))
			break;
		c->head += extent;
		/* C3, pairs with P1. */
		mpr_store(&lane->head, c->head, memory_order_release);
	}
	len = mpr_frame_len(header);
	*ret_len = len;
	if (mpr_unlikely(len > size))
		return -EMSGSIZE;
	if (len)
		mpr_copy_out(buf,
			     mpr_lane_at(lane, c->capacity, c->head) + MPR_FRAME_HEADER,
			     len);
	c->head += extent;
	/* C3, pairs with P1: the copy is made before the bytes can be
	 * overwritten. The message is taken from here on. */
	mpr_store(&lane->head, c->head, memory_order_release);
	return 0;
}

int
mpr_consumer_get_shared(struct mpr_consumer *c, void *buf, size_t size,
			size_t *ret_len)
{
	struct mpr_lane *lane = c->lane;
	uint64_t head, header;
	size_t extent, len;

	for (int attempt = 0; attempt < MPR_LANE_ATTEMPTS; attempt++) {
		head = mpr_load(&lane->head, memory_order_acquire);
		/* tail only grows, so an old value of it is a safe one until
		 * head reaches it. */
		if ((int64_t)(head - c->tail_seen) >= 0)
			/* C1, pairs with P2. */
			c->tail_seen =
				mpr_load(&lane->tail, memory_order_acquire);
		if (head == c->tail_seen)
			return -EAGAIN;
		if (!mpr_lane_is_sane(head, c->tail_seen, c->capacity))
			goto suspect;
		/* C2, pairs with the fence in P1: may be the header of a later
		 * frame, then head has moved. */
		header = mpr_load(mpr_lane_header(lane, c->capacity, head),
				  memory_order_acquire);
		extent = mpr_frame_extent(header);
		if (!mpr_lane_fits(head, c->tail_seen, extent, c->capacity))
			goto suspect;
		if (mpr_frame_kind(header) == MPR_FRAME_PAD) {
			/* C3. Someone else may have done it: all the same. */
			mpr_cas(&lane->head, &head, head + extent,
				memory_order_acq_rel);
			continue;
		}
		len = mpr_frame_len(header);
		*ret_len = len;
		if (mpr_unlikely(len > size)) {
			if (mpr_load(&lane->head, memory_order_acquire) != head)
				continue;
			return -EMSGSIZE;
		}
		if (len)
			mpr_copy_out(buf,
				     mpr_lane_at(lane, c->capacity, head) +
					     MPR_FRAME_HEADER,
				     len);
		/*
		 * C3, pairs with P1: release keeps the copy before it, and its
		 * success says that the bytes were still ours to copy. The
		 * message is taken from here on.
		 */
		if (mpr_likely(mpr_cas(&lane->head, &head, head + extent,
				       memory_order_acq_rel))) {
			c->head = head + extent;
			return 0;
		}
		continue;
suspect:
		/* Nonsense is normal if others took the frame meanwhile, and
		 * corruption if nobody did. */
		if (mpr_load(&lane->head, memory_order_acquire) == head)
			return -EBADMSG;
	}
	return -EBUSY;
}


/* Messages on their way into the caller's buffer. */
struct batch {
	unsigned char *buf;
	size_t size;
	size_t used;
	struct iovec *msgs;
	int n;
	int got;
	size_t next_len; /* of the message that does not fit @size */
};

/*
 * Copies what lies from @head on into the batch, up to @tail, @n messages, or
 * one that does not fit any more. Returns the position behind the last frame
 * that was copied or is padding, and in *@ret_why why it is not farther on:
 * 0, -EMSGSIZE, or -EBADMSG.
 */
static inline uint64_t
gather(const struct mpr_consumer *c, uint64_t head, uint64_t tail,
       struct batch *b, memory_order order, int *ret_why)
{
	uint64_t header;
	size_t extent, len;

	b->got = 0;
	b->used = 0;
	*ret_why = 0;
	while (b->got < b->n && head != tail) {
		header = mpr_load(mpr_lane_header(c->lane, c->capacity, head),
				  order);
		extent = mpr_frame_extent(header);
		if (!mpr_lane_fits(head, tail, extent, c->capacity)) {
			*ret_why = -EBADMSG;
			break;
		}
		if (mpr_frame_kind(header) == MPR_FRAME_MESSAGE) {
			unsigned char *to = b->used ? b->buf + b->used : b->buf;

			len = mpr_frame_len(header);
			if (len > b->size - b->used) {
				b->next_len = len;
				*ret_why = -EMSGSIZE;
				break;
			}
			if (len)
				mpr_copy_out(to,
					     mpr_lane_at(c->lane, c->capacity,
							 head) +
						     MPR_FRAME_HEADER,
					     len);
			b->msgs[b->got].iov_base = to;
			b->msgs[b->got].iov_len = len;
			b->got++;
			b->used += len;
		}
		head += extent;
	}
	return head;
}

int
mpr_consumer_get_many(struct mpr_consumer *c, void *buf, size_t size,
		      struct iovec *ret_msgs, int n, size_t *ret_len)
{
	struct batch b = { .buf = buf, .size = size, .msgs = ret_msgs, .n = n };
	struct mpr_lane *lane = c->lane;
	uint64_t head;
	int why;

	/* More than once only where there was nothing but padding. */
	for (;;) {
		if (c->head == c->tail_seen) {
			/* C1, pairs with P2. */
			c->tail_seen =
				mpr_load(&lane->tail, memory_order_acquire);
			if (c->head == c->tail_seen)
				return -EAGAIN;
			if (!mpr_lane_is_sane(c->head, c->tail_seen,
					      c->capacity)) {
				c->tail_seen = c->head;
				return -EBADMSG;
			}
		}
		head = gather(c, c->head, c->tail_seen, &b,
			      memory_order_relaxed, &why);
		if (head != c->head) {
			c->head = head;
			/* C3, pairs with P1: the copies are made before the
			 * bytes can be overwritten. All of them are taken from
			 * here on. */
			mpr_store(&lane->head, head, memory_order_release);
		}
		if (b.got)
			return b.got;
		if (why < 0) {
			*ret_len = b.next_len;
			return why;
		}
	}
}

int
mpr_consumer_get_many_shared(struct mpr_consumer *c, void *buf, size_t size,
			     struct iovec *ret_msgs, int n, size_t *ret_len)
{
	struct batch b = { .buf = buf, .size = size, .msgs = ret_msgs, .n = n };
	struct mpr_lane *lane = c->lane;
	uint64_t head, next;
	int why;

	for (int attempt = 0; attempt < MPR_LANE_ATTEMPTS; attempt++) {
		head = mpr_load(&lane->head, memory_order_acquire);
		/* tail only grows, so an old value of it is a safe one until
		 * head reaches it. */
		if ((int64_t)(head - c->tail_seen) >= 0)
			/* C1, pairs with P2. */
			c->tail_seen =
				mpr_load(&lane->tail, memory_order_acquire);
		if (head == c->tail_seen)
			return -EAGAIN;
		next = head;
		why = -EBADMSG;
		if (mpr_lane_is_sane(head, c->tail_seen, c->capacity))
			/* C2, pairs with the fence in P1: what does not make
			 * sense may be of a later lap, then head has moved. */
			next = gather(c, head, c->tail_seen, &b,
				      memory_order_acquire, &why);
		if (next == head) {
			if (mpr_load(&lane->head, memory_order_acquire) != head)
				continue;
			*ret_len = b.next_len;
			return why;
		}
		/*
		 * C3, pairs with P1: release keeps the copies before it. Its
		 * success says that head has not moved since we read it, so
		 * all frames in between were still what they were. They are
		 * taken from here on.
		 */
		if (mpr_likely(mpr_cas(&lane->head, &head, next,
				       memory_order_acq_rel)) &&
		    b.got) {
			c->head = next;
			return b.got;
		}
		/* The longer it takes to copy a batch, the surer someone who
		 * takes less is faster: they would win for ever. */
		if (b.got > 1)
			b.n = (b.got + 3) / 4;
	}
	return -EBUSY;
}
