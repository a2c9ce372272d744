/* SPDX-License-Identifier: MIT */
/*
 * The producer's part of a lane. The labels are those of lane_priv.h.
 */
#include <errno.h>

#include "base/macros.h"
#include "ring/access.h"
#include "ring/lane.h"
#include "ring/lane_fast.h"
#include "ring/lane_priv.h"

int
mpr_producer_begin(struct mpr_producer *p, struct mpr_lane *lane,
		   size_t capacity)
{
	uint64_t tail = mpr_load(&lane->tail, memory_order_relaxed);
	uint64_t head = mpr_load(&lane->head, memory_order_acquire); /* P1 */
	uint64_t stored = mpr_load(&lane->count, memory_order_relaxed);
	uint64_t count = stored, header;
	size_t extent;

	/* P1, pairs with C2, as in refresh(). */
	mpr_fence(memory_order_release);
	if (!mpr_lane_is_sane(head, tail, capacity))
		return -EBADMSG;
	/*
	 * A former owner may have died between its stores of count and tail.
	 * What counts is the last frame: nobody overwrites it but us, however
	 * far the consumers get meanwhile.
	 */
	for (uint64_t position = head; position != tail; position += extent) {
		header = mpr_load(mpr_lane_header(lane, capacity, position),
				  memory_order_relaxed);
		extent = mpr_frame_extent(header);
		if (!mpr_lane_fits(position, tail, extent, capacity))
			return -EBADMSG;
		/* The frame has the low half of its number, which is below what
		 * was stored. */
		if (mpr_frame_counts(header))
			count = stored - ((uint32_t)stored -
					  (mpr_frame_sequence(header) + 1));
	}
	mpr_store(&lane->count, count, memory_order_relaxed);
	mpr_store(&lane->want, 0, memory_order_relaxed);
	mpr_store(&lane->awaits, 0, memory_order_relaxed);
	mpr_store(&lane->busy, 0, memory_order_relaxed);
	mpr_store(&lane->owes, 0, memory_order_relaxed);
	*p = (struct mpr_producer){
		.lane = lane,
		.capacity = capacity,
		.tail = tail,
		.end = head + capacity,
		.claimed = tail,
		.longest = mpr_lane_message_max(capacity),
		.count = count,
	};
	mpr_producer_aim(p);
	return 0;
}

void
mpr_producer_restrict(struct mpr_producer *p)
{
	p->first = p->memory = p->end = p->straight = p->tail;
	p->is_restricted = true;
}

void
mpr_producer_extend(struct mpr_producer *p, size_t bytes)
{
	p->memory += bytes;
	/* Positions repeat after one lap, and so does their memory. */
	if (p->memory - p->first >= p->capacity)
		p->is_restricted = false;
}

/*
 * Sees how far the consumers are, and so how far we may write. Returns 0 or
 * -EBADMSG.
 */
static int
refresh(struct mpr_producer *p)
{
	/* P1, pairs with C3: their reads of the bytes come before our writes.
	 * Relaxed, a consumer could read what we write next. */
	uint64_t head = mpr_load(&p->lane->head, memory_order_acquire);
	uint64_t end = head + p->capacity;

	/*
	 * P1, pairs with C2: orders the head that we saw before the headers we
	 * are going to store, so that a consumer who reads one of these also
	 * sees that head has moved. Without it a slow consumer could take a
	 * new header for the one it came for.
	 */
	mpr_fence(memory_order_release);
	if (!mpr_lane_is_sane(head, p->tail, p->capacity))
		return -EBADMSG;
	if (p->is_restricted && end - p->tail > p->memory - p->tail)
		end = p->memory;
	/* Both limits only grow. Were it less, a batch that is half written
	 * would lie beyond it. */
	if (end - p->tail < p->end - p->tail)
		return -EBADMSG;
	p->end = end;
	return 0;
}

/* Why there is no room even after a look. */
static int
lacking(const struct mpr_producer *p)
{
	return p->is_restricted && p->end == p->memory ? -ENOBUFS : -EAGAIN;
}

/* Bytes to the lane's end if a frame of @need bytes at @tail would cross it. */
static size_t
pad_before(const struct mpr_producer *p, uint64_t tail, size_t need)
{
	size_t room_to_end = p->capacity - (tail & (p->capacity - 1));

	return need > room_to_end ? room_to_end : 0;
}

static void
write_pad(struct mpr_producer *p, uint64_t tail, size_t pad)
{
	mpr_store(mpr_lane_header(p->lane, p->capacity, tail),
		  mpr_frame(MPR_FRAME_PAD, pad, 0), memory_order_relaxed);
}

/* As make_room(), which see. */
static MPR_NOINLINE int
find_room(struct mpr_producer *p, size_t need)
{
	size_t pad;
	int r;

	for (;;) {
		pad = pad_before(p, p->tail, need);
		if (mpr_unlikely(pad + need > p->end - p->tail)) {
			if (p->reserved)
				return -EBUSY;
			r = refresh(p);
			if (r < 0)
				return r;
		}
		mpr_producer_aim(p);
		if (mpr_likely(!pad))
			return need > p->end - p->tail ? lacking(p) : 0;
		/* The pad goes first and by itself: a message as large as the
		 * lane would otherwise never fit. */
		if (pad > p->end - p->tail)
			return lacking(p);
		write_pad(p, p->tail, pad);
		mpr_producer_publish(p, p->tail + pad);
	}
}

/* Makes sure that there is room for a frame of @need bytes at the tail. */
static inline int
make_room(struct mpr_producer *p, size_t need)
{
	return mpr_likely(need <= p->straight - p->tail) ? 0 :
							   find_room(p, need);
}

int
mpr_producer_put(struct mpr_producer *p, const void *msg, size_t len)
{
	int r = make_room(p, mpr_frame_size(len));

	if (mpr_unlikely(r < 0))
		return r;
	mpr_producer_write(p, p->lane, p->tail, msg, len);
	return 0;
}

int
mpr_producer_putv(struct mpr_producer *p, const struct iovec *parts, int n,
		  size_t len)
{
	size_t need = mpr_frame_size(len), left = len, part;
	unsigned char *to;
	int r;

	r = make_room(p, need);
	if (r < 0)
		return r;
	to = mpr_producer_header(p, p->tail, MPR_FRAME_MESSAGE, len, p->count);
	for (int i = 0; i < n; i++) {
		/* The caller added them up; someone may have changed them. */
		part = parts[i].iov_len < left ? parts[i].iov_len : left;
		if (part)
			mpr_copy_in(to, parts[i].iov_base, part);
		to += part;
		left -= part;
	}
	mpr_producer_commit(p, p->tail + need, p->count + 1);
	return 0;
}

/*
 * Finds room for a frame of @need bytes of a batch, which has come to @tail and was
 * not published, where there is none straight on. There is one look for all of
 * them: another one for each message would follow the consumers step by step.
 * Returns after how much padding, or SIZE_MAX if there is no room.
 */
static MPR_NOINLINE size_t
go_on(struct mpr_producer *p, uint64_t tail, size_t need, bool *looked)
{
	size_t pad = pad_before(p, tail, need);

	if (pad + need > p->end - tail && !*looked) {
		*looked = true;
		if (refresh(p) < 0)
			return SIZE_MAX;
	}
	if (pad + need > p->end - tail)
		return SIZE_MAX;
	if (pad)
		write_pad(p, tail, pad);
	return pad;
}

int
mpr_producer_put_many(struct mpr_producer *p, const struct iovec *msgs, int n)
{
	/* What is the same for all: see gather() of consumers. */
	struct mpr_lane *lane = p->lane;
	size_t capacity = p->capacity, longest = p->longest;
	size_t len = msgs[0].iov_len, need, pad;
	const void *msg = msgs[0].iov_base;
	uint64_t tail, straight, count = p->count;
	unsigned char *frame;
	bool looked = false;
	int i = 0, r;

	if (len > longest)
		return -EMSGSIZE;
	need = mpr_frame_size(len);
	r = make_room(p, need);
	if (r < 0)
		return r;
	tail = p->tail;
	straight = p->straight;
	for (;;) {
		mpr_producer_claim_next(p, tail);
		frame = mpr_lane_at(lane, capacity, tail);
		mpr_store((_Atomic uint64_t *)(void *)frame,
			  mpr_frame(MPR_FRAME_MESSAGE, len, (uint32_t)count),
			  memory_order_relaxed);
		count++;
		mpr_copy_in_batch(frame + MPR_FRAME_HEADER, msg, len);
		tail += need;
		if (++i == n)
			break;
		len = msgs[i].iov_len;
		msg = msgs[i].iov_base;
		if (len > longest || (!msg && len))
			break;
		need = mpr_frame_size(len);
		if (mpr_unlikely(need > straight - tail)) {
			pad = go_on(p, tail, need, &looked);
			if (pad == SIZE_MAX)
				break;
			tail += pad;
			straight = mpr_lane_straight(tail, p->end, capacity);
		}
	}
	/* Not before: a program may leave this by a jump, if a message is at no
	 * address of anything, and then the tail is where it was. */
	p->straight = straight;
	mpr_producer_commit(p, tail, count);
	return i;
}

int
mpr_producer_reserve(struct mpr_producer *p, size_t len, void **ret_p)
{
	int r = make_room(p, mpr_frame_size(len));

	if (r < 0)
		return r;
	p->reserved = mpr_lane_at(p->lane, p->capacity, p->tail) +
		      MPR_FRAME_HEADER;
	p->reserved_len = len;
	/* Whoever puts now finds no room, and has to look why. */
	p->end_aside = p->end;
	p->end = p->straight = p->tail;
	*ret_p = p->reserved;
	return 0;
}

void
mpr_producer_abort(struct mpr_producer *p)
{
	p->end = p->end_aside;
	p->reserved = NULL;
	mpr_producer_aim(p);
}

void
mpr_producer_put_reserved(struct mpr_producer *p, size_t len)
{
	mpr_producer_abort(p);
	(void)mpr_producer_header(p, p->tail, MPR_FRAME_MESSAGE, len, p->count);
	mpr_producer_commit(p, p->tail + mpr_frame_size(len), p->count + 1);
}

/* For who asks, after our death, whether we have published it. Each release
 * pairs with an acquire in mpr_lane_refers(); without them it could find this
 * object with the use or the tail of the last one. */
static void
note_reference(struct mpr_producer *p, const struct mpr_reference *ref,
	       uint64_t tail)
{
	struct mpr_lane *lane = p->lane;

	mpr_store(&lane->last_object, 0, memory_order_relaxed);
	mpr_store(&lane->last_tail, tail, memory_order_release);
	mpr_store(&lane->last_use, ref->use, memory_order_release);
	mpr_store(&lane->last_object, ref->object, memory_order_release);
}

void
mpr_producer_put_reference(struct mpr_producer *p,
			   const struct mpr_reference *ref)
{
	size_t size = mpr_frame_size(p->reserved_len);
	_Atomic uint64_t *words;

	mpr_producer_abort(p);
	note_reference(p, ref, p->tail + size);
	words = (_Atomic uint64_t *)(void *)mpr_producer_header(
		p, p->tail, MPR_FRAME_REFERENCE, size, p->count);
	mpr_store(&words[0], ref->object, memory_order_relaxed);
	mpr_store(&words[1], ref->use, memory_order_relaxed);
	mpr_store(&words[2], ref->stamp, memory_order_relaxed);
	mpr_producer_commit(p, p->tail + size, p->count + 1);
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

