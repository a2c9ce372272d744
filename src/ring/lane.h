/* SPDX-License-Identifier: MIT */
/*
 * A lane: one producer's ring of frames in shared memory.
 *
 * head is the position of the next byte to consume, tail that of the next to
 * produce. Both only grow and never wrap in 64 bits; position p is the byte
 * buffer[p mod capacity].
 *
 *   I1  Only the owner stores tail, and every frame below it is complete.
 *   I2  head moves over whole frames only; frames in [head, tail) do not change.
 *   I3  The byte at position p is overwritten only after the owner has seen a
 *       head above p - capacity.
 *
 * A producer that dies leaves nothing half done: bytes above tail were never
 * there. A consumer that dies has either moved head or it has not. So nothing
 * in here needs repair.
 *
 * Shared and private parts are apart: struct mpr_lane is shared and believed
 * by nobody, struct mpr_producer and struct mpr_consumer are one thread's own.
 *
 * Source: field design "lanes", after Lamport's single-producer ring with
 * cached indices (rigtorp, folly); the consumers' copy-then-claim is the
 * optimistic take of seqlock readers, validated by a CAS on head.
 */
#ifndef MPR_RING_LANE_H
#define MPR_RING_LANE_H

#include <assert.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/macros.h"
#include "ring/frame.h"

/* States of mpr_lane.owner (base/owner.h). */
enum mpr_lane_state {
	MPR_LANE_FREE = 0,
	MPR_LANE_ACTIVE = 1,
};

struct mpr_lane {
	/* Who produces here. Changed by CAS only. */
	alignas(MPR_APART) _Atomic uint64_t owner;
	/* Offset of the queue's next lane in the arena; 0 while there is none.
	 * Set once. */
	_Atomic uint64_t next;
	/* Offset of the queue that the lane is one of. Whoever links lanes sets
	 * it before, and clears it before the memory is freed; nothing in here
	 * looks at it. */
	_Atomic uint64_t queue;

	/* Written by the owner. count is the number of the next message, stored
	 * before the tail that covers it; frames have its low half. */
	alignas(MPR_APART) _Atomic uint64_t tail;
	_Atomic uint64_t count;
	/* Of the owner's last reference the object, its use, and the tail that
	 * covers it. The object is 0 while that is being written. */
	_Atomic uint64_t last_object;
	_Atomic uint64_t last_use;
	_Atomic uint64_t last_tail;

	/* Written by consumers. */
	alignas(MPR_APART) _Atomic uint64_t head;

	/* 0, or: the owner sleeps, wake it when head reaches this. Set by the
	 * owner, cleared by who wakes it. */
	alignas(MPR_APART) _Atomic uint64_t want;
	/* The same for something else than room in the lane: since when the
	 * owner waits for that, among all who do. Nothing in here looks at it,
	 * but a new owner finds 0. */
	_Atomic uint64_t awaits;

	/* 1 while the owner is inside a put. In a line of its own: nobody looks
	 * until the queue is shut down. */
	alignas(MPR_APART) _Atomic uint32_t busy;
	/* 1 while the owner has taken messages that it may put back, also after a shutdown.
	 * Nothing in here looks at it, but a new owner finds 0. */
	_Atomic uint32_t owes;

	alignas(MPR_APART) unsigned char buffer[];
};

static_assert(offsetof(struct mpr_lane, queue) == 16, "shared layout");
static_assert(offsetof(struct mpr_lane, tail) == 128, "shared layout");
static_assert(offsetof(struct mpr_lane, last_object) == 144, "shared layout");
static_assert(offsetof(struct mpr_lane, head) == 256, "shared layout");
static_assert(offsetof(struct mpr_lane, want) == 384, "shared layout");
static_assert(offsetof(struct mpr_lane, busy) == 512, "shared layout");
static_assert(offsetof(struct mpr_lane, owes) == 516, "shared layout");
static_assert(offsetof(struct mpr_lane, buffer) == 640, "shared layout");

/* The producer's own part. */
struct mpr_producer {
	struct mpr_lane *lane;
	size_t capacity;    /* of buffer, a power of two */
	uint64_t tail;	    /* what we published last */
	uint64_t end;	    /* how far we may write, for all we know */
	uint64_t straight;  /* the same without padding; mpr_producer_aim() */
	uint64_t count;
	uint64_t claimed; /* see mpr_producer_claim() */
	size_t longest;	  /* of a batch; what the lane takes, or less */
	/* See mpr_producer_restrict(). */
	uint64_t first;
	uint64_t memory;
	bool is_restricted;
	/* See mpr_producer_reserve(). */
	void *reserved; /* NULL: nothing */
	size_t reserved_len;
	uint64_t end_aside;
};

/* A consumer's own part, one for each lane. */
struct mpr_consumer {
	struct mpr_lane *lane;
	size_t capacity;
	uint64_t head; /* the real one, or, of several, what it was last */
	uint64_t tail_seen; /* tail, as we saw it last: never above the real */
	uint64_t straight; /* how far frames can go; mpr_consumer_aim() */
	uint32_t takes_lines; /* mpr_consumer_take_lines() */

	uint32_t reference_size; /* after -EREMOTE: of the frame at head */

	/* The last short message: the low half of its header. Where the next one
	 * is like it, its place does not have to wait until its header is loaded
	 * and taken apart (lane_fast.h). */
	uint64_t like; /* or MPR_LIKE_NONE */
	/* What the last header said, short or not. */
	uint32_t like_len;
	uint32_t like_size; /* of the frame */
};

#define MPR_LIKE_NONE UINT64_MAX /* half a header is less */

/* A power of two: they lie in arrays. */
static_assert(sizeof(struct mpr_consumer) == 64 || sizeof(size_t) != 8,
	      "fast places");

/* What a frame says of a message that lies elsewhere: which object holds it, in
 * which of its uses, and where it belongs among those of all lanes. */
struct mpr_reference {
	uint64_t object;
	uint64_t use;
	uint64_t stamp;
};

/* Bytes of a lane with @capacity. */
static inline size_t
mpr_lane_size(size_t capacity)
{
	return sizeof(struct mpr_lane) + capacity;
}

/* The longest message that a lane of @capacity takes. */
static inline size_t
mpr_lane_message_max(size_t capacity)
{
	return capacity - MPR_FRAME_HEADER;
}

/* Makes fresh memory (not yet shared) an empty lane with this owner word, of no
 * queue. */
void mpr_lane_init(struct mpr_lane *lane, uint64_t owner);

/*
 * Starts to produce in a lane that the caller owns, after what a former owner
 * left there. Returns 0, or -EBADMSG if the lane's words make no sense.
 */
int mpr_producer_begin(struct mpr_producer *p, struct mpr_lane *lane,
		       size_t capacity);

/*
 * A lane whose memory is not all there yet: the producer writes nowhere but
 * where it was told that there is some, from its tail on. To begin with that is
 * nowhere. When mpr_producer_extend() has added up to the lane's capacity, the
 * restriction is over.
 */
void mpr_producer_restrict(struct mpr_producer *p);

/* There is memory for @bytes more. */
void mpr_producer_extend(struct mpr_producer *p, size_t bytes);

/*
 * Puts a message of @len bytes, which fits the lane. Wait-free. Returns 0;
 * -EAGAIN if there is no room; -ENOBUFS if there is none before more memory is
 * there; -EBADMSG.
 */
int mpr_producer_put(struct mpr_producer *p, const void *msg, size_t len);

/* The same for a message in @n parts, @len bytes together. */
int mpr_producer_putv(struct mpr_producer *p, const struct iovec *parts, int n,
		      size_t len);

/*
 * Puts as many of @n > 0 messages as there is room for, from the first on,
 * and publishes them with one store: killed before it, none was put. Stops
 * before one of more than p->longest bytes, or, behind the first, of which there
 * is nothing but a length. Wait-free. Returns how many, or, if that would be none,
 * an error as above or -EMSGSIZE.
 */
int mpr_producer_put_many(struct mpr_producer *p, const struct iovec *msgs,
			  int n);

/*
 * Finds room for a message of up to @len bytes, which fits the lane, for the
 * caller to write there: at *@ret_p, aligned to 8 bytes. Nobody sees anything
 * of it. Then mpr_producer_put_reserved() puts it with the length that it has
 * come to, at most @len, or mpr_producer_abort() forgets it. Both always
 * succeed. Before that nothing else is put: -EBUSY.
 *
 * To whoever looks for room there is none meanwhile, so that what asks for room
 * anyway is all that has to ask. Wait-free. Returns as mpr_producer_put().
 */
int mpr_producer_reserve(struct mpr_producer *p, size_t len, void **ret_p);
void mpr_producer_put_reserved(struct mpr_producer *p, size_t len);

/*
 * Puts a reference where a message was reserved; its frame takes as much of the
 * lane as the message would have, for which at least MPR_FRAME_REFERENCE_LEN
 * bytes are to be reserved. Always succeeds.
 */
void mpr_producer_put_reference(struct mpr_producer *p,
				const struct mpr_reference *ref);
void mpr_producer_abort(struct mpr_producer *p);

/*
 * The head position at which there is room for a message of @len bytes, and
 * for at least @spare bytes. Leaving "full" as soon as one message fits would
 * make both sides exchange cache lines for each message.
 */
uint64_t mpr_producer_want(const struct mpr_producer *p, size_t len,
			   size_t spare);

/* Whether head has reached @want. */
bool mpr_producer_may_go(const struct mpr_producer *p, uint64_t want);

/* Starts to consume from a lane; takes over its head. */
void mpr_consumer_begin(struct mpr_consumer *c, struct mpr_lane *lane,
			size_t capacity);

/*
 * Takes the next message if it fits @size; *@ret_len is its length, also with
 * -EMSGSIZE. mpr_consumer_get() is for the only consumer of the lane,
 * mpr_consumer_get_shared() for one of several: it copies, then claims.
 *
 * Killed before the store or CAS of head, nothing has happened; after it, the
 * message is gone with the consumer.
 *
 * Returns 0; -EAGAIN if the lane is empty; -EMSGSIZE, nothing taken; -EREMOTE,
 * nothing taken, if the next one is a reference; -EBADMSG; shared, -EBUSY after
 * more lost races than can be luck; alone, -ESTALE, nothing taken, if somebody else has
 * moved head, which is looked at with long messages only.
 */
int mpr_consumer_get(struct mpr_consumer *c, void *buf, size_t size,
		     size_t *ret_len);
int mpr_consumer_get_shared(struct mpr_consumer *c, void *buf, size_t size,
			    size_t *ret_len);

/* What mpr_consumer_get_shared() would say to who has room for everything; nothing
 * but padding is taken. */
int mpr_consumer_look_shared(struct mpr_consumer *c, size_t *ret_len);

/*
 * Takes up to @n > 0 messages with one store or CAS of head, as many as fit
 * @size bytes. They lie in @buf one behind the other, @ret_msgs tells where.
 * Killed before the claim, nothing has happened; after it, they are all gone
 * with the consumer.
 *
 * Returns how many, or, if that would be none, an error as above; with
 * -EMSGSIZE *@ret_len is the length of the next message.
 */
int mpr_consumer_get_many(struct mpr_consumer *c, void *buf, size_t size,
			  struct iovec *ret_msgs, int n, size_t *ret_len);
int mpr_consumer_get_many_shared(struct mpr_consumer *c, void *buf, size_t size,
				 struct iovec *ret_msgs, int n,
				 size_t *ret_len);

/*
 * Shows the next message to the only consumer, where it lies: at *@ret_p,
 * aligned to 8 bytes. It stays there, also for others if we die, until
 * mpr_consumer_release() takes it; nothing is taken in between. *@ret_len is
 * within the lane, and what mpr_consumer_release() is to be told: whatever has
 * been written into the frame meanwhile, head goes on by that.
 *
 * Returns 0; -EAGAIN if the lane is empty; -EREMOTE; -EBADMSG.
 */
int mpr_consumer_peek(struct mpr_consumer *c, const void **ret_p,
		      size_t *ret_len);
void mpr_consumer_release(struct mpr_consumer *c, size_t len);

/*
 * After -EREMOTE: what the reference says. Returns false if somebody else has
 * passed it meanwhile.
 */
bool mpr_consumer_reference(struct mpr_consumer *c, struct mpr_reference *ret);

/* Passes the reference, for the only consumer; the one that
 * mpr_consumer_reference() has told, for one of several, if nobody else has
 * passed it. */
void mpr_consumer_pass(struct mpr_consumer *c);
void mpr_consumer_pass_shared(struct mpr_consumer *c);

/*
 * Whether a reference to this use of @object was published in the lane, by its
 * owner's last put of a reference. Anyone may ask, also of a lane whose memory
 * is about to be somebody else's: only struct mpr_lane is looked at. If the
 * owner goes on meanwhile, false may be wrong.
 */
bool mpr_lane_refers(struct mpr_lane *lane, const struct mpr_reference *ref);

/* Whether all has been taken that the consumer knows of; there may be more. */
static inline bool
mpr_consumer_is_through(const struct mpr_consumer *c)
{
	return c->head == c->tail_seen;
}

/* Messages in the lane; exact while nobody uses it. */
size_t mpr_lane_len(struct mpr_lane *lane, size_t capacity);

/* Bytes that the messages in the lane take, with headers and padding. */
size_t mpr_lane_bytes(struct mpr_lane *lane, size_t capacity);

/* Whether the lane has no message, by its words as they are now. */
bool mpr_lane_is_empty(struct mpr_lane *lane);

/*
 * Whether the owner sleeps and head has come far enough to wake it. True for
 * one caller only. To be asked after each move of head, which padding can
 * cause even where no message was found, with a fence between that pairs with
 * the owner's heavy one.
 */
bool mpr_lane_take_want(struct mpr_lane *lane);

#endif
