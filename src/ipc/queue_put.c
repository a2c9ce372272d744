/* SPDX-License-Identifier: MIT */
/*
 * Putting: into the thread's own lane, published by one store.
 */
#include <errno.h>

#include "base/error.h"
#include "base/macros.h"
#include "ipc/attachment.h"
#include "ipc/pipe_use.h"
#include "ipc/poll.h"
#include "ipc/queue_agent.h"
#include "ipc/queue_fast.h"
#include "ipc/queue_put.h"
#include "ipc/queue_remote.h"
#include "os/clock.h"
#include "os/interrupt.h"
#include "ring/lane_fast.h"
#include "sync/asymmetric.h"
#include "sync/park.h"

/* A lane that was full is left with this part of it free, so that the two
 * sides stay many messages apart. */
#define SPARE_PART 8

/* And with this part by who has slept: a sleep takes as long as hundreds of short
 * messages. */
#define SLEEP_PART 2

/* But a consumer may want nothing more before it has this one message. So who sleeps
 * looks now and then whether it still takes any. The shortest and the longest time before
 * a look, and the one to begin with, ns. */
#define LOOK_LEAST 1000000
#define LOOK_FIRST 4000000
#define LOOK_MOST 32000000

int
mpr_put_closed(const struct mpr_attachment *at)
{
	return mpr_fail(-ESHUTDOWN, "%s is shut down",
			mpr_queue_label(at->q).text);
}

void
mpr_put_look_for_sleepers(const struct mpr_attachment *at, unsigned n)
{
	mproc_queue *q = at->q;

	if (atomic_load_explicit(&q->closing, memory_order_relaxed) ||
	    mpr_pipe_is_over(at, true))
		/* All of them may wait for us not to be busy. */
		mpr_seats_wake_all(at->arena, &q->seats);
	else
		/* As many as there is work for; padding alone has to be taken
		 * out of the way, too. */
		mpr_seats_wake(at->arena, &q->seats, &q->hint, n ? n : 1);
}

static inline int
try_put(struct mpr_attachment *at, const void *msg, size_t len)
{
	uint64_t tail = at->producer.tail;
	int r = -ESHUTDOWN;

	if (mpr_put_enter(at))
		r = mpr_producer_put(&at->producer, msg, len);
	mpr_put_leave(at, tail, r == 0);
	return r;
}

static inline int
try_putv(struct mpr_attachment *at, const struct iovec *parts, int n,
	 size_t len)
{
	uint64_t tail = at->producer.tail;
	int r = -ESHUTDOWN;

	if (mpr_put_enter(at))
		r = mpr_producer_putv(&at->producer, parts, n, len);
	mpr_put_leave(at, tail, r == 0);
	return r;
}

static inline int
try_put_many(struct mpr_attachment *at, const struct iovec *msgs, int n)
{
	uint64_t tail = at->producer.tail;
	int r = -ESHUTDOWN;

	if (mpr_put_enter(at))
		r = mpr_producer_put_many(&at->producer, msgs, n);
	mpr_put_leave(at, tail, r > 0 ? (unsigned)r : 0);
	return r;
}

/* Padding alone is put, if any. */
static inline int
try_reserve(struct mpr_attachment *at, size_t len, void **ret_p)
{
	uint64_t tail = at->producer.tail;
	int r = -ESHUTDOWN;

	if (mpr_put_enter(at))
		r = mpr_producer_reserve(&at->producer, len, ret_p);
	mpr_put_leave(at, tail, 0);
	return r;
}

/* Whether a message of @len bytes lies in a block. */
static inline bool
is_long(const struct mpr_attachment *at, size_t len)
{
	return len >= at->lane_limit;
}

/* Bytes of the lane that it takes, without the frame's header. */
static size_t
lane_len(const struct mpr_attachment *at, size_t len)
{
	size_t most = at->capacity / MPR_QUEUE_LONG_MAX - MPR_FRAME_HEADER;

	if (!is_long(at, len))
		return len;
	if (len > most)
		len = most;
	return len > MPR_FRAME_REFERENCE_LEN ? len : MPR_FRAME_REFERENCE_LEN;
}

/* Room in the lane first: nothing is to fail once there is a block. Returns
 * -ENOSR if one may become free, -EXFULL if memory may. */
static int
try_reserve_block(struct mpr_attachment *at, size_t len, void **ret_p)
{
	void *in_lane;
	int r;

	r = try_reserve(at, lane_len(at, len), &in_lane);
	if (r < 0)
		return r;
	r = mpr_message_begin(at, len, &at->writes);
	if (r < 0) {
		mpr_producer_abort(&at->producer);
		return r;
	}
	*ret_p = at->writes.memory;
	return 0;
}

/* What a call is to put, for when it does not succeed at once. */
struct load {
	enum { ONE, IN_PARTS, MANY, RESERVED, IN_BLOCK } kind;
	const void *msg;
	void **ret_p; /* where it is to be written; the last two */
	const struct iovec *iov;
	int n;
	size_t len; /* of the message, the first one of several */
};

/* One attempt, with as much of the lane's memory as it needs. */
static int
try(struct mpr_attachment *at, const struct load *load)
{
	int r;

	for (;;) {
		if (mpr_pipe_is_over(at, true))
			return -ESHUTDOWN;
		if (load->kind == ONE)
			r = try_put(at, load->msg, load->len);
		else if (load->kind == IN_PARTS)
			r = try_putv(at, load->iov, load->n, load->len);
		else if (load->kind == RESERVED)
			r = try_reserve(at, load->len, load->ret_p);
		else if (load->kind == IN_BLOCK)
			r = try_reserve_block(at, load->len, load->ret_p);
		else
			r = try_put_many(at, load->iov, load->n);
		if (r != -ENOBUFS)
			return r;
		r = mpr_attachment_back(at);
		if (r < 0)
			return r;
	}
}

/* Sleeps until head has reached @want, a wake-up, or @until. */
static int
sleep_for_room(struct mpr_attachment *at, uint64_t want, int64_t until)
{
	struct mpr_lane *lane = at->producer.lane;
	uint32_t ticket;
	int r = 0;

	ticket = mpr_park_ticket(at->self);
	atomic_store(&lane->want, want);
	mpr_fence_rare(at->arena); /* frequent side: consumers, after a take */
	if (!mpr_producer_may_go(&at->producer, want) &&
	    !mpr_put_is_closed(at) && !mpr_pipe_is_over(at, true))
		r = mpr_park(at->self, at->q, ticket, until);
	if (mpr_unlikely(mpr_attachment_is_copy(at)))
		return -ECHILD;
	atomic_store_explicit(&lane->want, 0, memory_order_relaxed);
	return r;
}

/*
 * Sleeps until there is spare room, @deadline, or a reason to try again: there is room for
 * this message, and since the last look nothing was taken; or it was long.
 *
 * A consumer of many lanes comes to each of them only now and then. So each look comes
 * later than the one before. If the first one was in vain, the next sleep's comes later,
 * too; and sooner, if the consumer did wait.
 */
static int
sleep_for_spare(struct mpr_attachment *at, size_t len, int64_t deadline)
{
	const struct mpr_producer *p = &at->producer;
	uint64_t want = mpr_producer_want(p, len, at->capacity / SLEEP_PART);
	uint64_t least = mpr_producer_want(p, len, 0), head, was;
	int64_t first = at->look_after ? at->look_after : LOOK_FIRST;
	int64_t look, pause;
	int why = 0;

	/* Relaxed, here and below: only whether it moves. */
	head = atomic_load_explicit(&p->lane->head, memory_order_relaxed);
	for (pause = first; pause <= LOOK_MOST; pause *= 2) {
		/* The last sleep may have ended long after it was to. */
		look = mproc_now();
		look = pause < deadline - look ? look + pause : deadline;
		why = sleep_for_room(at, want, look);
		if (why != -ETIMEDOUT || look == deadline)
			break;
		why = 0;
		was = head;
		head = atomic_load_explicit(&p->lane->head,
					    memory_order_relaxed);
		if (head == was && mpr_producer_may_go(p, least)) {
			at->look_after = first > LOOK_LEAST ? first / 2 : first;
			return 0;
		}
	}
	if (pause != first && first < LOOK_MOST / 2)
		at->look_after = 2 * first;
	return why;
}

/* A wait for a block. */
struct block_wait {
	uint64_t since; /* 0: has not begun */
	bool offered; /* a block was, and is still to be taken */
};

/* Whether a wait goes on with that: there is no block, or no memory. */
static bool
is_short(int r)
{
	return r == -ENOSR || r == -EXFULL;
}

/* Or no room. */
static bool
is_full(int r)
{
	return r == -EAGAIN || is_short(r);
}

/* Sleeps until somebody frees a block, a wake-up, or @until, for the reason *@r.
 * *@r becomes what a last attempt before the sleep has said. */
static int
sleep_for_block(struct mpr_attachment *at, const struct load *load,
		struct block_wait *w, int64_t until, int *r)
{
	bool memory = *r == -EXFULL, sleeps;
	uint32_t ticket;
	int why = 0;

	ticket = mpr_park_ticket(at->self);
	if (memory)
		atomic_store(&at->q->wants_memory, 1);
	else
		mpr_message_await(at, &w->since);
	/* No fence: see wake_waiting() of blocks. */
	*r = try(at, load);
	sleeps = *r == (memory ? -EXFULL : -ENOSR);
	if (sleeps)
		why = mpr_park(at->self, at->q, ticket, until);
	if (mpr_unlikely(sleeps && mpr_attachment_is_copy(at))) {
		*r = -ECHILD;
		return 0;
	}
	if (memory || !mpr_message_unawait(at, w->since))
		return why;
	if (sleeps)
		w->offered = true;
	else
		mpr_message_offer(at);
	return why;
}

/* The last attempt has failed with @r. */
static int
put_waiting(struct mpr_attachment *at, int r, const struct load *load,
	    mproc_timeout timeout)
{
	size_t spare = at->capacity / SPARE_PART, len = lane_len(at, load->len);
	uint64_t want = mpr_producer_want(&at->producer, len, spare);
	int64_t deadline = mpr_deadline(timeout);
	struct block_wait wait = { 0 };
	struct mpr_poll poll;
	/* Who polls for a block that others sleep for already takes their CPU. */
	bool polls = r != -ENOSR || !atomic_load_explicit(
					    &at->q->wants_block,
					    memory_order_relaxed);
	int why = 0;

	at->until = deadline;
	mpr_poll_begin(&poll, at, 0);
	while (polls && mpr_poll_again(&poll)) {
		if (mpr_unlikely(mpr_attachment_is_copy(at)))
			break;
		if (!mpr_producer_may_go(&at->producer, want) &&
		    !mpr_put_is_closed(at) && !mpr_pipe_is_over(at, true))
			continue;
		r = try(at, load);
		if (!is_full(r))
			goto done;
		want = mpr_producer_want(&at->producer, len, spare);
	}
	for (;;) {
		r = -ECHILD;
		if (mpr_unlikely(mpr_attachment_is_copy(at)))
			break;
		r = try(at, load);
		if (is_full(r) && why == -EINTR)
			mpr_interrupt_answer();
		if (is_full(r) && why < 0)
			r = why;
		/* An offer that is not used belongs to someone else. If there
		 * is no block after all, it is used already. */
		if (wait.offered && r < 0 && r != -ENOSR)
			mpr_message_offer(at);
		wait.offered = false;
		if (is_short(r))
			why = sleep_for_block(at, load, &wait, deadline, &r);
		if (is_short(r))
			continue;
		if (r != -EAGAIN)
			break;
		want = mpr_producer_want(&at->producer, len, 0);
		why = spare ? sleep_for_spare(at, len, deadline) :
			      sleep_for_room(at, want, deadline);
		spare = 0;
	}
done:
	mpr_poll_end(&poll);
	return r;
}

/* The fast attempt has failed with @r. */
static MPR_NOINLINE int
put_slowly(struct mpr_attachment *at, int r, const struct load *load,
	   mproc_timeout timeout)
{
	if (r == -ENOBUFS)
		r = try(at, load);
	/* The program has left a put by a jump: its message was at no address
	 * of anything. */
	if (r == -EBUSY && at->puts_block) {
		at->puts_block = false;
		mpr_put_abort(at);
		r = try(at, load);
	}
	if (is_full(r)) {
		at->lacks = r;
		r = timeout.ns != 0 ? put_waiting(at, r, load, timeout) :
				      -EAGAIN;
	}
	if (r == -ESHUTDOWN)
		return mpr_put_closed(at);
	if (r == -EBUSY)
		return mpr_fail(r, "this thread has reserved %zu bytes in %s: "
				"commit or abort them first",
				mpr_put_reserved_len(at),
				mpr_queue_label(at->q).text);
	if (r == -EBADMSG)
		return mpr_fail(r, "the lane of this thread in %s is corrupt",
				mpr_queue_label(at->q).text);
	return r;
}

/* A lane for a message of @len bytes. */
static inline int
prepare(struct mpr_attachment *at, size_t len)
{
	if (mpr_unlikely(at->dead_letters))
		return mpr_fail(-EPERM, "%s holds dead letters",
				mpr_queue_label(at->q).text);
	if (mpr_unlikely(len > at->max_message))
		return mpr_fail(-EMSGSIZE, "a message of %zu bytes, %s takes "
				"at most %zu", len,
				mpr_queue_label(at->q).text, at->max_message);
	if (mpr_likely(at->producer.lane))
		return 0;
	/* No lane for a message that will not be taken. */
	if (mpr_put_is_closed(at))
		return mpr_put_closed(at);
	return mpr_attachment_add_producer(at);
}

/* The calling thread's attachment, with a lane for a message of @len bytes. */
static inline int
attach(mproc_queue *q, size_t len, struct mpr_attachment **ret_at)
{
	int r = mpr_attachment_get(q, ret_at);

	return mpr_unlikely(r < 0) ? r : prepare(*ret_at, len);
}

/* Finds room for a message of @len bytes, in the lane or in a block. */
static int
reserve(struct mpr_attachment *at, size_t len, void **ret_p,
	mproc_timeout timeout)
{
	struct load load = {
		.kind = is_long(at, len) ? IN_BLOCK : RESERVED,
		.ret_p = ret_p,
		.len = len,
	};
	int r = try(at, &load);

	return mpr_unlikely(r < 0) ? put_slowly(at, r, &load, timeout) : r;
}

int
mpr_put_commit(struct mpr_attachment *at, size_t len)
{
	struct mpr_written *w = &at->writes;
	uint64_t tail = at->producer.tail;
	struct mpr_reference ref;
	bool entered = mpr_put_enter(at);

	if (!entered) {
		mpr_put_abort(at);
	} else if (w->block) {
		ref = mpr_message_reference(at, w, len);
		/* Whatever happened before this put has its stamp. */
		if (at->ordered)
			ref.stamp = atomic_fetch_add(&at->q->stamps, 1);
		mpr_producer_put_reference(&at->producer, &ref);
	} else {
		mpr_producer_put_reserved(&at->producer, len);
	}
	mpr_put_leave(at, tail, entered);
	if (w->block)
		mpr_message_queued(w);
	return entered ? 0 : -ESHUTDOWN;
}

void
mpr_put_abort(struct mpr_attachment *at)
{
	mpr_producer_abort(&at->producer);
	if (at->writes.block)
		mpr_message_abandon(at, &at->writes);
}

/* Puts a message that lies in a block, which it is copied to before anybody
 * may have to wait for it. */
static MPR_NOINLINE int
put_long(struct mpr_attachment *at, const struct iovec *parts, int n,
	 size_t len, mproc_timeout timeout)
{
	unsigned char *to;
	size_t left = len, part;
	void *p;
	int r;

	r = reserve(at, len, &p, timeout);
	if (r == -ECHILD)
		return mproc_queue_putv(at->q, parts, n,
					mpr_attachment_rest(at));
	if (r < 0)
		return r;
	to = p;
	at->puts_block = true;
	for (int i = 0; i < n; i++) {
		/* Someone may have changed them since they were added up. */
		part = parts[i].iov_len < left ? parts[i].iov_len : left;
		if (part)
			mpr_message_copy(&at->way, to, parts[i].iov_base,
					 part);
		to += part;
		left -= part;
	}
	at->puts_block = false;
	r = mpr_put_commit(at, len);
	return r == -ESHUTDOWN ? mpr_put_closed(at) : r;
}

MPR_NOINLINE int
mpr_put(mproc_queue *q, const void *msg, size_t len, mproc_timeout timeout)
{
	const struct iovec part = { (void *)(uintptr_t)msg, len };
	struct mpr_attachment *at;
	int r;

	if (mpr_unlikely(!msg && len))
		return mpr_fail(-EINVAL, "msg is NULL");
	r = attach(q, len, &at);
	if (mpr_unlikely(r < 0))
		return mpr_queue_is_remote(q, r) ?
			       mpr_queue_remote_put(q, &part, 1, len, timeout) : r;
	if (mpr_unlikely(is_long(at, len)))
		return put_long(at, &part, 1, len, timeout);
	r = try_put(at, msg, len);
	if (mpr_unlikely(r < 0))
		r = put_slowly(at, r, &(struct load){
			.kind = ONE,
			.msg = msg,
			.len = len,
		}, timeout);
	if (mpr_unlikely(r == -ECHILD))
		return mpr_put(q, msg, len, mpr_attachment_rest(at));
	return r;
}

MPR_NOINLINE int
mpr_put_wake(const struct mpr_attachment *at)
{
	mpr_put_look_for_sleepers(at, 1);
	return 0;
}

/* The frequent case first; what is not as usual starts anew in mpr_put(). */
int
mproc_queue_put(mproc_queue *q, const void *msg, size_t len,
		mproc_timeout timeout)
{
	struct mpr_attachment *at = mpr_attachment_at_hand(q);
	struct mpr_lane *lane;
	uint64_t tail;

	if (mpr_unlikely(!at || !mpr_put_is_frequent(at, msg, len)))
		return mpr_put(q, msg, len, timeout);
	lane = at->producer.lane;
	tail = at->producer.tail;
	mpr_put_announce(lane);
	if (mpr_unlikely(mpr_put_is_closed(at)))
		return mpr_put(q, msg, len, timeout);
	return mpr_put_frequent(at, lane, tail, msg, len);
}

/* Adds up the parts of a message; SIZE_MAX if that is too little to say how
 * long it is. Returns 0 or -EINVAL. */
static int
add_up(const struct iovec *parts, int n, size_t *ret_len)
{
	size_t len = 0;

	if (n < 0 || (n > 0 && !parts))
		return mpr_fail(-EINVAL, "%d parts at %p", n,
				(const void *)parts);
	for (int i = 0; i < n; i++) {
		if (!parts[i].iov_base && parts[i].iov_len)
			return mpr_fail(-EINVAL, "part %d of %d is NULL", i, n);
		len = parts[i].iov_len > SIZE_MAX - len ?
			      SIZE_MAX : len + parts[i].iov_len;
	}
	*ret_len = len;
	return 0;
}

int
mproc_queue_putv(mproc_queue *q, const struct iovec *parts, int n,
		 mproc_timeout timeout)
{
	struct mpr_attachment *at;
	size_t len = 0;
	int r;

	r = add_up(parts, n, &len);
	if (r < 0)
		return r;
	r = attach(q, len, &at);
	if (r < 0)
		return mpr_queue_is_remote(q, r) ?
			       mpr_queue_remote_put(q, parts, n, len, timeout) : r;
	if (is_long(at, len))
		return put_long(at, parts, n, len, timeout);
	r = try_putv(at, parts, n, len);
	if (mpr_unlikely(r < 0))
		r = put_slowly(at, r, &(struct load){
			.kind = IN_PARTS,
			.iov = parts,
			.n = n,
			.len = len,
		}, timeout);
	if (mpr_unlikely(r == -ECHILD))
		return mproc_queue_putv(q, parts, n, mpr_attachment_rest(at));
	return r;
}

static int
put_many(struct mpr_attachment *at, const struct iovec *msgs, int n,
	 mproc_timeout timeout)
{
	int r;

	if (is_long(at, msgs[0].iov_len)) {
		r = put_long(at, msgs, 1, msgs[0].iov_len, timeout);
		return r < 0 ? r : 1;
	}
	/* Up to the first that lies in a block, or can never be put. */
	r = try_put_many(at, msgs, n);
	if (mpr_unlikely(r < 0))
		r = put_slowly(at, r, &(struct load){
			.kind = MANY,
			.iov = msgs,
			.n = n,
			.len = msgs[0].iov_len,
		}, timeout);
	if (mpr_unlikely(r == -ECHILD))
		return mproc_queue_put_many(at->q, msgs, n,
					    mpr_attachment_rest(at));
	return r;
}

int
mproc_queue_put_many(mproc_queue *q, const struct iovec *msgs, int n,
		     mproc_timeout timeout)
{
	struct mpr_attachment *at;
	int r;

	if (n <= 0 || !msgs)
		return mpr_fail(-EINVAL, "%d messages at %p", n,
				(const void *)msgs);
	if (!msgs[0].iov_base && msgs[0].iov_len)
		return mpr_fail(-EINVAL, "the first message is NULL");
	r = attach(q, msgs[0].iov_len, &at);
	if (mpr_unlikely(r < 0))
		return mpr_queue_is_remote(q, r) ?
			       mpr_queue_remote_put_many(q, msgs, n, timeout) : r;
	return put_many(at, msgs, n, timeout);
}

int
mpr_put_for(struct mpr_attachment *at, const struct iovec *msgs, int n)
{
	int r = prepare(at, msgs[0].iov_len);

	return r < 0 ? r : put_many(at, msgs, n, MPROC_NOWAIT);
}

size_t
mpr_put_lane_len(const struct mpr_attachment *at, size_t len)
{
	return lane_len(at, len);
}

int
mpr_put_reserve(mproc_queue *q, size_t len, void **ret_p, mproc_timeout timeout)
{
	struct mpr_attachment *at;
	int r;

	r = attach(q, len, &at);
	if (r < 0)
		return r;
	r = reserve(at, len, ret_p, timeout);
	return r == -ECHILD ? mpr_put_reserve(q, len, ret_p,
					      mpr_attachment_rest(at)) : r;
}
