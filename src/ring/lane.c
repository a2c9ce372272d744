/* SPDX-License-Identifier: MIT */
/*
 * The lane's algorithm. Labels name the two ends of each ordering edge:
 *
 *   P2 -> C1   tail: the frame's bytes are there before the tail that covers
 *              them
 *   C3 -> P1   head: a consumer has done with the bytes before the producer
 *              overwrites them
 *   P1 -> C2   a consumer that still finds its old head after reading a frame
 *              has read a frame and not its overwriting
 */
#include <errno.h>

#include "base/macros.h"
#include "base/owner.h"
#include "ring/access.h"
#include "ring/lane.h"

/* A shared take that loses so many races in a row is not losing races. */
#define ATTEMPTS 1000

static unsigned char *
at(struct mpr_lane *lane, size_t capacity, uint64_t position)
{
	return lane->buffer + (position & (capacity - 1));
}

static _Atomic uint64_t *
header_at(struct mpr_lane *lane, size_t capacity, uint64_t position)
{
	return (_Atomic uint64_t *)(void *)at(lane, capacity, position);
}

/* Whether [head, tail) can be a lane's contents. */
static bool
is_sane(uint64_t head, uint64_t tail, size_t capacity)
{
	return tail - head <= capacity &&
	       (head | tail) % MPR_FRAME_ALIGN == 0;
}

/*
 * Whether a frame of @extent bytes can lie at @head, below @tail: within the
 * lane's contents and not across its end.
 */
static bool
fits(uint64_t head, uint64_t tail, size_t extent, size_t capacity)
{
	return extent && extent <= tail - head &&
	       (head & (capacity - 1)) + extent <= capacity;
}

void
mpr_lane_init(struct mpr_lane *lane, uint64_t owner)
{
	atomic_init(&lane->owner, owner);
	atomic_init(&lane->next, 0);
	atomic_init(&lane->tail, 0);
	atomic_init(&lane->count, 0);
	atomic_init(&lane->head, 0);
	atomic_init(&lane->want, 0);
	atomic_init(&lane->busy, 0);
}

int
mpr_producer_begin(struct mpr_producer *p, struct mpr_lane *lane,
		   size_t capacity)
{
	uint64_t tail = mpr_load(&lane->tail, memory_order_relaxed);
	uint64_t head = mpr_load(&lane->head, memory_order_acquire); /* P1 */
	uint32_t count = mpr_load(&lane->count, memory_order_relaxed);
	uint64_t header;
	size_t extent;

	/* P1, pairs with C2, as in refresh_head(). */
	mpr_fence(memory_order_release);
	if (!is_sane(head, tail, capacity))
		return -EBADMSG;
	/*
	 * A former owner may have died between its stores of count and tail.
	 * What counts is the last frame: nobody overwrites it but us, however
	 * far the consumers get meanwhile.
	 */
	for (uint64_t position = head; position != tail; position += extent) {
		header = mpr_load(header_at(lane, capacity, position),
				  memory_order_relaxed);
		extent = mpr_frame_extent(header);
		if (!fits(position, tail, extent, capacity))
			return -EBADMSG;
		if (mpr_frame_kind(header) == MPR_FRAME_MESSAGE)
			count = mpr_frame_sequence(header) + 1;
	}
	mpr_store(&lane->count, count, memory_order_relaxed);
	mpr_store(&lane->want, 0, memory_order_relaxed);
	mpr_store(&lane->busy, 0, memory_order_relaxed);
	*p = (struct mpr_producer){
		.lane = lane,
		.capacity = capacity,
		.tail = tail,
		.head_seen = head,
		.count = count,
	};
	return 0;
}

/* Sees how far the consumers are. Returns 0 or -EBADMSG. */
static int
refresh_head(struct mpr_producer *p)
{
	/* P1, pairs with C3: their reads of the bytes come before our writes.
	 * Relaxed, a consumer could read what we write next. */
	uint64_t head = mpr_load(&p->lane->head, memory_order_acquire);

	/*
	 * P1, pairs with C2: orders the head that we saw before the headers we
	 * are going to store, so that a consumer who reads one of these also
	 * sees that head has moved. Without it a slow consumer could take a
	 * new header for the one it came for.
	 */
	mpr_fence(memory_order_release);
	if (!is_sane(head, p->tail, p->capacity))
		return -EBADMSG;
	p->head_seen = head;
	return 0;
}

static void
publish(struct mpr_producer *p, size_t bytes)
{
	p->tail += bytes;
	/* P2, pairs with C1: the frame is complete before it can be seen.
	 * Relaxed, a consumer could copy old bytes. */
	mpr_store(&p->lane->tail, p->tail, memory_order_release);
}

int
mpr_producer_put(struct mpr_producer *p, const void *msg, size_t len)
{
	struct mpr_lane *lane = p->lane;
	size_t need = mpr_frame_size(len);
	size_t room_to_end, pad, used;
	unsigned char *frame;
	int r;

	for (;;) {
		room_to_end = p->capacity - (p->tail & (p->capacity - 1));
		pad = need > room_to_end ? room_to_end : 0;
		used = (size_t)(p->tail - p->head_seen);
		if (mpr_unlikely(used + pad + need > p->capacity)) {
			r = refresh_head(p);
			if (r < 0)
				return r;
			used = (size_t)(p->tail - p->head_seen);
		}
		if (mpr_unlikely(pad)) {
			/* The pad goes first and by itself: a message as large
			 * as the lane would otherwise never fit. */
			if (used + pad > p->capacity)
				return -EAGAIN;
			mpr_store(header_at(lane, p->capacity, p->tail),
				  mpr_frame(MPR_FRAME_PAD, pad, 0),
				  memory_order_relaxed);
			publish(p, pad);
			continue;
		}
		if (mpr_unlikely(used + need > p->capacity))
			return -EAGAIN;
		break;
	}
	frame = at(lane, p->capacity, p->tail);
	mpr_store((_Atomic uint64_t *)(void *)frame,
		  mpr_frame(MPR_FRAME_MESSAGE, len, p->count),
		  memory_order_relaxed);
	if (len)
		mpr_copy_in(frame + MPR_FRAME_HEADER, msg, len);
	p->count++;
	mpr_store(&lane->count, p->count, memory_order_relaxed);
	publish(p, need); /* the message is in the queue from here on */
	return 0;
}

uint64_t
mpr_producer_want(const struct mpr_producer *p, size_t len, size_t spare)
{
	size_t need = mpr_frame_size(len);
	size_t room_to_end = p->capacity - (p->tail & (p->capacity - 1));

	/* Where a pad is needed that does not fit yet, wait for its room: with
	 * the pad in place the message may fit behind it or wait again. */
	if (need > room_to_end)
		need = room_to_end;
	return p->tail + (need > spare ? need : spare) - p->capacity;
}

bool
mpr_producer_may_go(const struct mpr_producer *p, uint64_t want)
{
	uint64_t head = mpr_load(&p->lane->head, memory_order_relaxed);

	return (int64_t)(head - want) >= 0;
}

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
			if (!is_sane(c->head, c->tail_seen, c->capacity)) {
				c->tail_seen = c->head;
				return -EBADMSG;
			}
		}
		header = mpr_load(header_at(lane, c->capacity, c->head),
				  memory_order_relaxed);
		extent = mpr_frame_extent(header);
		if (!fits(c->head, c->tail_seen, extent, c->capacity))
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
			     at(lane, c->capacity, c->head) + MPR_FRAME_HEADER,
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

	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		head = mpr_load(&lane->head, memory_order_acquire);
		/* tail only grows, so an old value of it is a safe one until
		 * head reaches it. */
		if ((int64_t)(head - c->tail_seen) >= 0)
			/* C1, pairs with P2. */
			c->tail_seen =
				mpr_load(&lane->tail, memory_order_acquire);
		if (head == c->tail_seen)
			return -EAGAIN;
		if (!is_sane(head, c->tail_seen, c->capacity))
			goto suspect;
		/* C2, pairs with the fence in P1: may be the header of a later
		 * frame, then head has moved. */
		header = mpr_load(header_at(lane, c->capacity, head),
				  memory_order_acquire);
		extent = mpr_frame_extent(header);
		if (!fits(head, c->tail_seen, extent, c->capacity))
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
				     at(lane, c->capacity, head) +
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

/* Counts the messages in [head, tail) of a lane that nobody produces in. */
static size_t
count_frames(struct mpr_lane *lane, size_t capacity, uint64_t head,
	     uint64_t tail)
{
	uint64_t header;
	size_t extent, n = 0;

	for (uint64_t position = head; position != tail; position += extent) {
		header = mpr_load(header_at(lane, capacity, position),
				  memory_order_relaxed);
		extent = mpr_frame_extent(header);
		if (!fits(position, tail, extent, capacity))
			break;
		n += mpr_frame_kind(header) == MPR_FRAME_MESSAGE;
	}
	return n;
}

size_t
mpr_lane_len(struct mpr_lane *lane, size_t capacity)
{
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		uint64_t head = mpr_load(&lane->head, memory_order_acquire);
		uint64_t tail = mpr_load(&lane->tail, memory_order_acquire);
		uint64_t owner = mpr_load(&lane->owner, memory_order_relaxed);
		uint64_t header;
		uint32_t count, n;

		if (head == tail || !is_sane(head, tail, capacity))
			return 0;
		/* An owner that died may have counted a message that it did not
		 * publish. */
		if (mpr_owner_state(owner) != MPR_LANE_ACTIVE)
			return count_frames(lane, capacity, head, tail);
		header = mpr_load(header_at(lane, capacity, head),
				  memory_order_acquire);
		count = mpr_load(&lane->count, memory_order_relaxed);
		if (mpr_load(&lane->head, memory_order_acquire) != head)
			continue;
		if (mpr_frame_kind(header) != MPR_FRAME_MESSAGE)
			return count_frames(lane, capacity, head, tail);
		n = count - mpr_frame_sequence(header);
		return n <= capacity / MPR_FRAME_ALIGN ? n : 0;
	}
	return 0;
}

bool
mpr_lane_is_empty(struct mpr_lane *lane)
{
	uint64_t head = mpr_load(&lane->head, memory_order_acquire);

	return head == mpr_load(&lane->tail, memory_order_acquire);
}

bool
mpr_lane_take_want(struct mpr_lane *lane)
{
	uint64_t want = mpr_load(&lane->want, memory_order_relaxed);

	if (mpr_likely(!want))
		return false;
	if ((int64_t)(mpr_load(&lane->head, memory_order_relaxed) - want) < 0)
		return false;
	/* Only the want that we looked at: the owner may have been woken by
	 * someone else meanwhile, and want more by now. */
	return mpr_cas(&lane->want, &want, 0, memory_order_acq_rel);
}
