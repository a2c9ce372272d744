/* SPDX-License-Identifier: MIT */
/*
 * The consumers' part of a lane. The labels are those of lane_priv.h.
 */
#include <errno.h>

#include "base/macros.h"
#include "ring/access.h"
#include "ring/lane.h"
#include "ring/lane_fast.h"
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
		.straight = head,
		.like = MPR_LIKE_NONE,
	};
}

/* Lines that are taken between two looks, in bytes. */
#define PIECE (16 * MPR_LINE)

bool
mpr_consumer_copy_long(const struct mpr_consumer *c, unsigned char *to,
		       unsigned char *bytes, size_t len)
{
	/* Relaxed: one may go on right after the other one's look in any case. */
	while (mpr_load(&c->lane->head, memory_order_relaxed) == c->head) {
		/* No line lies in two. */
		size_t part = PIECE - (uintptr_t)bytes % PIECE;

		if (!len)
			return true;
		if (part > len)
			part = len;
		mpr_copy_out_taking(to, bytes, part);
		to += part;
		bytes += part;
		len -= part;
	}
	return false;
}

/* How far the frame at @head goes. Returns 0 if what is there, below @tail,
 * is none. */
static size_t
frame_at(const struct mpr_consumer *c, uint64_t head, uint64_t tail,
	 memory_order order, unsigned *ret_kind)
{
	uint64_t header = mpr_load(mpr_lane_header(c->lane, c->capacity, head),
				   order);
	size_t extent = mpr_frame_extent(header);

	*ret_kind = mpr_frame_kind(header);
	return mpr_lane_fits(head, tail, extent, c->capacity) ? extent : 0;
}

/* Passes the padding at head. Returns 0, or -EBADMSG if there is none; -EREMOTE
 * if there is a reference. */
static int
pass_padding(struct mpr_consumer *c)
{
	unsigned kind;
	size_t extent = frame_at(c, c->head, c->tail_seen,
				 memory_order_relaxed, &kind);

	if (!extent || kind == MPR_FRAME_MESSAGE)
		return -EBADMSG;
	if (kind == MPR_FRAME_REFERENCE) {
		c->reference_size = (uint32_t)extent;
		return -EREMOTE;
	}
	c->head += extent;
	/* C3, pairs with P1. */
	mpr_store(&c->lane->head, c->head, memory_order_release);
	return 0;
}

int
mpr_consumer_get(struct mpr_consumer *c, void *buf, size_t size,
		 size_t *ret_len)
{
	int r;

	/* More than once only if there is padding. */
	do {
		if (c->head == c->straight) {
			r = mpr_consumer_see(c);
			if (r < 0)
				return r;
		}
		r = mpr_consumer_take(c, buf, size, ret_len, SIZE_MAX);
		if (r != -EAGAIN)
			return r;
		r = pass_padding(c);
	} while (r == 0);
	return r;
}

int
mpr_consumer_peek(struct mpr_consumer *c, const void **ret_p, size_t *ret_len)
{
	unsigned char *bytes;
	int r;

	/* As above. */
	do {
		if (c->head == c->straight) {
			r = mpr_consumer_see(c);
			if (r < 0)
				return r;
		}
		bytes = mpr_consumer_message(c, c->lane, SIZE_MAX,
					     memory_order_relaxed);
		if (bytes) {
			*ret_p = bytes;
			*ret_len = c->like_len;
			return 0;
		}
		r = pass_padding(c);
	} while (r == 0);
	return r;
}

void
mpr_consumer_release(struct mpr_consumer *c, size_t len)
{
	c->head += mpr_frame_size(len);
	/* C3, pairs with P1: who was shown the message has read it before its
	 * bytes can be overwritten. It is taken from here on. */
	mpr_store(&c->lane->head, c->head, memory_order_release);
}

/* What is at @head is a reference, as it seems, or nothing. */
static int
remote(struct mpr_consumer *c, uint64_t head, size_t extent)
{
	c->head = head;
	c->reference_size = (uint32_t)extent;
	return extent ? -EREMOTE : -EBADMSG;
}

/* What keeps a claim from being made: padding, which is passed; a reference; or
 * nonsense, which is normal if others took the frame meanwhile. Returns 0,
 * -EREMOTE or -EBADMSG. */
static int
pass(struct mpr_consumer *c, uint64_t head)
{
	_Atomic uint64_t *shared = &c->lane->head;
	size_t extent = 0;
	unsigned kind = 0;

	if (mpr_lane_is_sane(head, c->tail_seen, c->capacity))
		/* C2, as in mpr_consumer_claim(). */
		extent = frame_at(c, head, c->tail_seen, memory_order_acquire,
				  &kind);
	if (!extent || kind == MPR_FRAME_REFERENCE)
		return mpr_load(shared, memory_order_acquire) == head ?
			       remote(c, head, extent) : 0;
	if (kind == MPR_FRAME_PAD)
		/* C3. Someone else may have done it: all the same. */
		mpr_cas(shared, &head, head + extent, memory_order_acq_rel);
	return 0;
}

bool
mpr_consumer_reference(struct mpr_consumer *c, struct mpr_reference *ret)
{
	_Atomic uint64_t *words =
		mpr_lane_header(c->lane, c->capacity, c->head);

	/* C2, as in mpr_consumer_claim(). */
	ret->object = mpr_load(&words[1], memory_order_acquire);
	ret->use = mpr_load(&words[2], memory_order_acquire);
	ret->stamp = mpr_load(&words[3], memory_order_acquire);
	return mpr_load(&c->lane->head, memory_order_acquire) == c->head;
}

void
mpr_consumer_pass(struct mpr_consumer *c)
{
	c->head += c->reference_size;
	/* C3, pairs with P1. */
	mpr_store(&c->lane->head, c->head, memory_order_release);
}

void
mpr_consumer_pass_shared(struct mpr_consumer *c)
{
	uint64_t head = c->head;

	/* C3, pairs with P1. */
	mpr_cas(&c->lane->head, &head, head + c->reference_size,
		memory_order_acq_rel);
}

int
mpr_consumer_get_shared(struct mpr_consumer *c, void *buf, size_t size,
			size_t *ret_len)
{
	uint64_t head;
	int r;

	for (int attempt = 0; attempt < MPR_LANE_ATTEMPTS; attempt++) {
		head = mpr_consumer_see_shared(c);
		if (head == c->tail_seen)
			return -EAGAIN;
		r = mpr_consumer_claim(c, c->lane, buf, size, ret_len, SIZE_MAX);
		if (r == -EAGAIN)
			r = pass(c, head);
		else
			return r;
		if (r < 0)
			return r;
	}
	return -EBUSY;
}

int
mpr_consumer_look_shared(struct mpr_consumer *c, size_t *ret_len)
{
	uint64_t head;
	int r;

	for (int attempt = 0; attempt < MPR_LANE_ATTEMPTS; attempt++) {
		head = mpr_consumer_see_shared(c);
		if (head == c->tail_seen)
			return -EAGAIN;
		/* C2, as in mpr_consumer_claim(). */
		if (mpr_consumer_message(c, c->lane, SIZE_MAX,
					 memory_order_acquire)) {
			*ret_len = c->like_len;
			if (mpr_load(&c->lane->head, memory_order_acquire) ==
			    head)
				return 0;
			continue;
		}
		r = pass(c, head);
		if (r < 0)
			return r;
	}
	return -EBUSY;
}

/* Messages on their way into the caller's buffer. */
struct batch {
	unsigned char *buf;
	size_t size;
	struct iovec *msgs;
	int n;
	int got;
	size_t next_len; /* of the message that does not fit @size; of the
			  * frame that is a reference */
};

/*
 * Copies what lies from c->head on into the batch, up to c->tail_seen, @n messages, or
 * one that does not fit any more. Returns the position behind the last frame
 * that was copied or is padding, and in *@ret_why why it is not farther on:
 * 0, -EMSGSIZE, -EREMOTE, or -EBADMSG; -ESTALE, and then it is nowhere.
 */
static inline uint64_t
gather(struct mpr_consumer *c, struct batch *b, bool alone, int *ret_why)
{
	/* Copies of what is the same for all: the compiler cannot know that
	 * messages are not written over it. */
	struct mpr_lane *lane = c->lane;
	uint64_t head = c->head, tail = c->tail_seen, straight = c->straight;
	size_t capacity = c->capacity, left = b->size;
	size_t len = c->like_len, extent = c->like_size;
	uint64_t like = c->like, header;
	struct iovec *msg = b->msgs, *end = msg + b->n;
	unsigned char *to = b->buf, *frame;
	/* One of several: see mpr_consumer_get_many_shared(). */
	memory_order order = alone ? memory_order_relaxed : memory_order_acquire;

	*ret_why = 0;
	for (; msg != end && head != tail; head += extent) {
		frame = mpr_lane_at(lane, capacity, head);
		header = mpr_load((_Atomic uint64_t *)(void *)frame, order);
		/* As in mpr_consumer_message(). */
		if (mpr_unlikely((uint32_t)header != like ||
				 extent > straight - head)) {
			extent = mpr_frame_extent(header);
			like = MPR_LIKE_NONE;
			if (!mpr_lane_fits(head, tail, extent, capacity)) {
				*ret_why = -EBADMSG;
				break;
			}
			if (mpr_frame_kind(header) == MPR_FRAME_REFERENCE) {
				b->next_len = extent;
				*ret_why = -EREMOTE;
				break;
			}
			if (!mpr_consumer_learn(c, header, SIZE_MAX))
				continue; /* padding */
			like = (uint32_t)header;
			len = c->like_len;
			straight = mpr_lane_straight(head, tail, capacity);
		}
		if (mpr_unlikely(len > left)) {
			b->next_len = len;
			*ret_why = -EMSGSIZE;
			break;
		}
		*msg++ = (struct iovec){ .iov_base = to, .iov_len = len };
		if (len) {
			if (!alone) {
				mpr_copy_out(to, frame + MPR_FRAME_HEADER, len);
			} else if (!mpr_consumer_copy_alone(
					   c, to, frame + MPR_FRAME_HEADER, len)) {
				*ret_why = -ESTALE;
				return c->head;
			}
			to += len;
			left -= len;
		}
		mpr_consumer_take_lines(c, head, head + extent, alone, alone);
	}
	b->got = (int)(msg - b->msgs);
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
		if (c->head == c->straight) {
			why = mpr_consumer_see(c);
			if (why < 0)
				return why;
		}
		head = gather(c, &b, true, &why);
		if (head != c->head) {
			(void)mpr_consumer_aim(c, head, c->tail_seen);
			/* C3, pairs with P1: the copies are made before the
			 * bytes can be overwritten. All of them are taken from
			 * here on. */
			mpr_store(&lane->head, head, memory_order_release);
		}
		if (b.got)
			return b.got;
		if (why < 0) {
			*ret_len = b.next_len;
			c->reference_size = (uint32_t)b.next_len;
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
		head = mpr_consumer_see_shared(c);
		if (head == c->tail_seen)
			return -EAGAIN;
		next = head;
		why = -EBADMSG;
		if (head != c->straight)
			/* C2, pairs with the fence in P1: what does not make
			 * sense may be of a later lap, then head has moved. */
			next = gather(c, &b, false, &why);
		if (next == head) {
			if (mpr_load(&lane->head, memory_order_acquire) != head)
				continue;
			*ret_len = b.next_len;
			c->reference_size = (uint32_t)b.next_len;
			c->head = head;
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
			(void)mpr_consumer_aim(c, next, c->tail_seen);
			return b.got;
		}
		/* The longer it takes to copy a batch, the surer someone who
		 * takes less is faster: they would win for ever. */
		if (b.got > 1)
			b.n = (b.got + 3) / 4;
	}
	return -EBUSY;
}
