/* SPDX-License-Identifier: MIT */
/*
 * The steps of put and get that move a message once it is known that there is
 * room, or a frame. They are inline so that a caller can do the frequent case
 * without a call; lane_put.c and lane_get.c consist of the same steps, so that
 * what is explored there is what runs here.
 *
 * @longest: messages of more bytes are left to others. With MPR_COPY_SHORT the
 * compiler sees that nothing is called.
 */
#ifndef MPR_RING_LANE_FAST_H
#define MPR_RING_LANE_FAST_H

#include <errno.h>

#include "ring/access.h"
#include "ring/lane.h"
#include "ring/lane_priv.h"

#define MPR_CLAIM_LINES 8 /* as many as mpr_prefetch_8_to_write() has */

/* The same for a consumer: so many lines lie one behind the other at a time. */
#define MPR_TAKE_LINES 8
#define MPR_TAKE ((uint64_t)MPR_TAKE_LINES * MPR_LINE)
#define MPR_TAKE_ALL (16 * MPR_LINE) /* bytes, of which all lines are taken */

/* Works out how far the producer may go on from its tail, for all it knows, without
 * padding, so that each message need not ask for both. */
static inline void
mpr_producer_aim(struct mpr_producer *p)
{
	p->straight = mpr_lane_straight(p->tail, p->end, p->capacity);
}

/* Whether there is room for a message of @len bytes at the tail, for all the
 * producer knows, and without padding. */
static inline bool
mpr_producer_has_room(const struct mpr_producer *p, size_t len)
{
	return mpr_frame_size(len) <= p->straight - p->tail;
}

/* Writes the header of a frame at @tail that counts, with the number @count. Returns
 * where its bytes go. */
static inline unsigned char *
mpr_producer_header(const struct mpr_producer *p, uint64_t tail,
		    enum mpr_frame_kind kind, size_t len, uint64_t count)
{
	unsigned char *frame = mpr_lane_at(p->lane, p->capacity, tail);

	mpr_store((_Atomic uint64_t *)(void *)frame,
		  mpr_frame(kind, len, (uint32_t)count), memory_order_relaxed);
	return frame + MPR_FRAME_HEADER;
}

static inline void
mpr_producer_publish(struct mpr_producer *p, uint64_t tail)
{
	p->tail = tail;
	/* P2, pairs with C1: the frames are complete before they can be seen.
	 * Relaxed, a consumer could copy old bytes. */
	mpr_store(&p->lane->tail, tail, memory_order_release);
}

/* Takes a line that the producer may write from other CPUs. */
static inline void
mpr_producer_claim_line(unsigned char *line)
{
	/* There was never anything there. */
	mpr_store((_Atomic uint64_t *)(void *)line, 0, memory_order_relaxed);
}

/*
 * Claims the next lines in which messages are going to lie, before they are written.
 * @tail is where the next frame begins.
 *
 * A line comes back from the consumer's CPU when it is to be written, and stores
 * leave a CPU one after the other: one that waits for its line holds up all behind
 * it, and there is room for few messages' stores to wait. So about one line came at
 * a time. Stores to nothing but lines that are needed soon all fit, and their lines
 * come together; what is written there afterwards waits for nothing.
 *
 * And the lines behind these are fetched, as the next such stores wait for theirs:
 * where CPUs are far apart that takes long. Fetching alone does not do, as some CPUs
 * that still have a line, though not for themselves, do not fetch it for that.
 */
static inline void
mpr_producer_claim(struct mpr_producer *p, uint64_t tail)
{
	struct mpr_lane *lane = p->lane;
	size_t capacity = p->capacity;
	uint64_t at = mpr_round_up(tail, MPR_LINE), to;
	unsigned char *line;

	if ((int64_t)(p->claimed - at) > 0)
		at = p->claimed;
	to = at + MPR_CLAIM_LINES * MPR_LINE;
	if (mpr_likely((int64_t)(p->straight - to) >=
		       MPR_CLAIM_LINES * MPR_LINE)) {
		p->claimed = to;
		line = mpr_lane_at(lane, capacity, at);
		mpr_producer_claim_line(line);
		mpr_producer_claim_line(line + 1 * MPR_LINE);
		mpr_producer_claim_line(line + 2 * MPR_LINE);
		mpr_producer_claim_line(line + 3 * MPR_LINE);
		mpr_producer_claim_line(line + 4 * MPR_LINE);
		mpr_producer_claim_line(line + 5 * MPR_LINE);
		mpr_producer_claim_line(line + 6 * MPR_LINE);
		mpr_producer_claim_line(line + 7 * MPR_LINE);
		mpr_prefetch_8_to_write(line + MPR_CLAIM_LINES * MPR_LINE);
		return;
	}
	/* Not what a consumer is still to read. */
	if ((int64_t)(p->end - to) < 0)
		to = p->end;
	for (; (int64_t)(to - at) > 0; at += MPR_LINE)
		mpr_producer_claim_line(mpr_lane_at(lane, capacity, at));
	p->claimed = at;
}

/* Claims more lines if few are left of the last ones: after a message has been
 * published, not before, as a consumer may be waiting for it. */
static inline void
mpr_producer_claim_next(struct mpr_producer *p, uint64_t tail)
{
	if ((int64_t)(p->claimed - tail) <= MPR_LINE)
		mpr_producer_claim(p, tail);
}

/* What was written up to @tail is in the queue from here on, up to the number @count.
 * That is not the producer's before: a program may leave a put by a jump, if its message
 * is at no address of anything. */
static inline void
mpr_producer_commit(struct mpr_producer *p, uint64_t tail, uint64_t count)
{
	p->count = count;
	mpr_store(&p->lane->count, count, memory_order_relaxed);
	mpr_producer_publish(p, tail);
	mpr_producer_claim_next(p, tail);
}

/* Puts a message at @tail, where there is room for it; @lane and @tail are the
 * producer's, which a caller that has them need not load again. */
static inline void
mpr_producer_write(struct mpr_producer *p, struct mpr_lane *lane, uint64_t tail,
		   const void *msg, size_t len)
{
	uint64_t count = p->count, next;
	unsigned char *frame = mpr_lane_at(lane, p->capacity, tail);

	mpr_store((_Atomic uint64_t *)(void *)frame,
		  mpr_frame(MPR_FRAME_MESSAGE, len, (uint32_t)count),
		  memory_order_relaxed);
	mpr_copy_in(frame + MPR_FRAME_HEADER, msg, len);
	/* Not before the copy: see mpr_producer_commit(). */
	next = tail + mpr_frame_size(len);
	p->count = count + 1;
	p->tail = next;
	mpr_store(&lane->count, count + 1, memory_order_relaxed);
	/* P2, pairs with C1, as in mpr_producer_publish(). */
	mpr_store(&lane->tail, next, memory_order_release);
	mpr_producer_claim_next(p, next);
}

/*
 * From now on the consumer is at @head, and knows of frames up to @tail. How far they
 * can go on from there without the lane's end between is worked out once for all of
 * them. Returns false, and there is nothing, if these make no sense.
 */
static inline bool
mpr_consumer_aim(struct mpr_consumer *c, uint64_t head, uint64_t tail)
{
	bool sane = mpr_lane_is_sane(head, tail, c->capacity);

	if (tail != c->tail_seen)
		c->takes_lines = tail - head <= c->capacity / 2;
	c->head = head;
	c->tail_seen = tail;
	c->straight = mpr_likely(sane) ?
			      mpr_lane_straight(head, tail, c->capacity) : head;
	return sane;
}

/* Takes the header of a message apart that is not like the last one. Returns false
 * if it is none's, or that of one of more than @longest bytes. */
static inline bool
mpr_consumer_learn(struct mpr_consumer *c, uint64_t header, size_t longest)
{
	size_t len = mpr_frame_len(header);

	if (mpr_frame_kind(header) != MPR_FRAME_MESSAGE || len > longest)
		return false;
	c->like = len <= MPR_COPY_SHORT ? (uint32_t)header : MPR_LIKE_NONE;
	c->like_len = (uint32_t)len;
	c->like_size = (uint32_t)mpr_frame_size(len);
	return true;
}

/*
 * Where the bytes of the message at c->head, where head of @lane is, lie; or NULL if
 * there is nothing, or no message that can lie there, or one of more than @longest
 * bytes. Of a message c->like_len and c->like_size are the length and the frame's.
 */
static inline unsigned char *
mpr_consumer_message(struct mpr_consumer *c, struct mpr_lane *lane,
		     size_t longest, memory_order order)
{
	uint64_t head = c->head, room = c->straight - head, header;
	unsigned char *frame = mpr_lane_at(lane, c->capacity, head);

	if (mpr_unlikely(!room))
		return NULL;
	header = mpr_load((_Atomic uint64_t *)(void *)frame, order);
	if (mpr_unlikely((uint32_t)header != c->like) &&
	    !mpr_consumer_learn(c, header, longest))
		return NULL;
	return mpr_likely(c->like_size <= room) ? frame + MPR_FRAME_HEADER :
						  NULL;
}

/*
 * Before the frame from @head to @next is given up: has the next few lines of frames be
 * this CPU's alone, if that is another group of lines.
 *
 * A line that the consumer only reads stays the producer's as well, but not its alone,
 * and some CPUs take a long time to give it back to that: many times as long as for one
 * that is nowhere else. So the consumer writes to it, all lines of a group together, as
 * in mpr_producer_claim(), and changes nothing: the only consumer stores a word that it
 * has loaded, since nobody else writes to [head, tail); one of several needs the CPU's
 * help, as others may have taken the frame, and the producer may be overwriting it.
 *
 * That makes producers faster and consumers slower. So it is only done with what a look
 * finds in a lane that is not half full (takes_lines), unless the consumer takes a
 * batch by a single store of head (@by_batch), which costs it little.
 */
static inline void
mpr_consumer_take_lines(const struct mpr_consumer *c, uint64_t head, uint64_t next,
			bool alone, bool by_batch)
{
	uint64_t group = next & ~(MPR_TAKE - 1);
	unsigned char *line;

	if (mpr_likely((head ^ next) < MPR_TAKE) ||
	    (!by_batch && !c->takes_lines) ||
	    (int64_t)(c->straight - group) < (int64_t)MPR_TAKE)
		return;
	line = mpr_lane_at(c->lane, c->capacity, group);
	for (int i = 0; i < MPR_TAKE_LINES; i++, line += MPR_LINE) {
		if (alone)
			mpr_take_own_line(line);
		else
			mpr_take_line(line);
	}
}

/*
 * Copies a message of MPR_TAKE_ALL bytes or more for the only consumer, and has its lines
 * be this CPU's alone on the way, whatever waits for what: of so many, each costs the
 * consumer little, and without it the producer several times as much.
 *
 * A signal handler may have forked the consumer: then there are two for a while, and the
 * lines are the producer's as soon as one has gone on. Returns false if it has, and the
 * other one stops.
 */
bool mpr_consumer_copy_long(const struct mpr_consumer *c, unsigned char *to,
			    unsigned char *bytes, size_t len);

static inline bool
mpr_consumer_copy_alone(const struct mpr_consumer *c, unsigned char *to,
			unsigned char *bytes, size_t len)
{
	if (len >= MPR_TAKE_ALL)
		return mpr_consumer_copy_long(c, to, bytes, len);
	mpr_copy_out(to, bytes, len);
	return true;
}

/* Goes on at the lane's end, or looks for more when all that is known has been
 * taken. For the only consumer. Returns 0, -EAGAIN, or -EBADMSG. */
static inline int
mpr_consumer_see(struct mpr_consumer *c)
{
	uint64_t tail = c->tail_seen;

	if (c->head == tail)
		/* C1, pairs with P2. */
		tail = mpr_load(&c->lane->tail, memory_order_acquire);
	if (c->head == tail)
		return -EAGAIN;
	if (mpr_consumer_aim(c, c->head, tail))
		return 0;
	c->tail_seen = c->head;
	return -EBADMSG;
}

/* The same for one of several. Returns head; tail_seen is not behind it. */
static inline uint64_t
mpr_consumer_see_shared(struct mpr_consumer *c)
{
	uint64_t head = mpr_load(&c->lane->head, memory_order_acquire);
	uint64_t tail = c->tail_seen;

	/* tail only grows, so an old value of it is a safe one until head
	 * reaches it. */
	if ((int64_t)(head - tail) >= 0)
		/* C1, pairs with P2. */
		tail = mpr_load(&c->lane->tail, memory_order_acquire);
	/* What makes no sense shows when nothing can be claimed. */
	(void)mpr_consumer_aim(c, head, tail);
	return head;
}

/*
 * Whether the lane has nothing, by one look. False may also mean that others
 * have taken what there was. Relaxed: who sees something there looks again to
 * take it.
 */
static inline bool
mpr_consumer_is_empty(const struct mpr_consumer *c)
{
	/* Head is between the one that we know and tail. */
	return mpr_load(&c->lane->tail, memory_order_relaxed) == c->head;
}

/*
 * Takes the message at head, for the only consumer. Returns 0; -EAGAIN if no
 * message is known to be there, or one of more than @longest bytes; -EMSGSIZE; -ESTALE.
 */
static MPR_INLINE int
mpr_consumer_take(struct mpr_consumer *c, void *buf, size_t size,
		  size_t *ret_len, size_t longest)
{
	struct mpr_lane *lane = c->lane;
	uint64_t head = c->head;
	unsigned char *bytes;
	size_t len, frame;

	bytes = mpr_consumer_message(c, lane, longest, memory_order_relaxed);
	if (mpr_unlikely(!bytes))
		return -EAGAIN;
	len = c->like_len;
	frame = c->like_size;
	*ret_len = len;
	if (mpr_unlikely(len > size))
		return -EMSGSIZE;
	mpr_assume(len <= longest);
	if (mpr_unlikely(!mpr_consumer_copy_alone(c, buf, bytes, len)))
		return -ESTALE;
	mpr_consumer_take_lines(c, head, head + frame, true, false);
	head += frame;
	c->head = head;
	/* C3, pairs with P1: the copy is made before the bytes can be
	 * overwritten. The message is taken from here on. */
	mpr_store(&lane->head, head, memory_order_release);
	return 0;
}

/*
 * Takes the message at c->head, which is where head of @lane was just now, for one of
 * several consumers. Returns as above; also -EAGAIN if head has moved meanwhile.
 */
static inline int
mpr_consumer_claim(struct mpr_consumer *c, struct mpr_lane *lane, void *buf,
		   size_t size, size_t *ret_len, size_t longest)
{
	uint64_t head = c->head, next;
	const unsigned char *bytes;
	size_t len;

	/* C2, pairs with the fence in P1: may be the header of a later frame,
	 * then head has moved. */
	bytes = mpr_consumer_message(c, lane, longest, memory_order_acquire);
	if (mpr_unlikely(!bytes))
		return -EAGAIN;
	len = c->like_len;
	next = head + c->like_size;
	*ret_len = len;
	if (mpr_unlikely(len > size))
		return mpr_load(&lane->head, memory_order_acquire) == head ?
			       -EMSGSIZE : -EAGAIN;
	mpr_assume(len <= longest);
	mpr_copy_out(buf, bytes, len);
	mpr_consumer_take_lines(c, head, next, false, false);
	/*
	 * C3, pairs with P1: release keeps the copy before it, and its success
	 * says that the bytes were still ours to copy. The message is taken
	 * from here on.
	 */
	if (mpr_unlikely(!mpr_cas(&lane->head, &head, next,
				  memory_order_acq_rel)))
		return -EAGAIN;
	c->head = next;
	return 0;
}

#endif
