/* SPDX-License-Identifier: MIT */
/*
 * Getting: from one lane after the other.
 */
#include <errno.h>

#include "arena/recover.h"
#include "base/error.h"
#include "base/macros.h"
#include "ipc/attachment.h"
#include "ipc/pipe_use.h"
#include "ipc/poll.h"
#include "ipc/queue_agent.h"
#include "ipc/queue_fd.h"
#include "ipc/queue_fast.h"
#include "ipc/queue_get.h"
#include "ipc/queue_keep.h"
#include "ipc/queue_remote.h"
#include "ipc/turns.h"
#include "os/clock.h"
#include "os/interrupt.h"
#include "ring/lane_fast.h"
#include "sync/asymmetric.h"
#include "sync/park.h"

/* Wakes the lane's owner if it waits for the room that was just made. */
static inline void
wake_producer(const struct mpr_attachment *at, struct mpr_lane *lane)
{
	/* head before want: the frequent side of sleep_for_room(). */
	mpr_fence_light_by(at->light_fences);
	if (mpr_unlikely(mpr_lane_take_want(lane)))
		mpr_unpark(at->arena,
			   mpr_owner_slot(atomic_load(&lane->owner)));
}

/* @n messages more from the lane at cursor. */
static inline void
count_taken(struct mpr_attachment *at, unsigned n)
{
	if (mpr_likely(at->quantum > n)) {
		at->quantum -= n;
		return;
	}
	/* New lanes must not starve behind busy ones. What is wrong with them
	 * shows when nothing else is left. */
	(void)mpr_attachment_find_lanes(at);
	mpr_turn_end(at);
}

static inline int
take_in_lane(struct mpr_attachment *at, struct mpr_consumer *c,
	     struct mpr_sink to, size_t *ret_len)
{
	if (to.n)
		return at->single_consumer ?
			       mpr_consumer_get_many(c, to.buf, to.size,
						     to.msgs, to.n, ret_len) :
			       mpr_consumer_get_many_shared(c, to.buf, to.size,
							    to.msgs, to.n,
							    ret_len);
	if (to.looks)
		return mpr_consumer_look_shared(c, ret_len);
	if (!at->single_consumer) {
		if (to.ret_p)
			*to.ret_p = to.buf;
		return mpr_consumer_get_shared(c, to.buf, to.size, ret_len);
	}
	if (to.ret_p)
		return mpr_consumer_peek(c, to.ret_p, ret_len);
	return mpr_consumer_get(c, to.buf, to.size, ret_len);
}

/* @r is -EREMOTE or -ESTALE. */
static MPR_NOINLINE int
take_other(struct mpr_attachment *at, struct mpr_consumer *c,
	   struct mpr_sink to, size_t *ret_len, int r)
{
	for (int attempt = 0; attempt < MPR_LANE_ATTEMPTS; attempt++) {
		r = r == -ESTALE ? mpr_get_catch_up(at, c) :
				   mpr_get_block(at, c, &to, ret_len);
		if (r == 0)
			return to.n ? 1 : 0;
		if (r != -ENOENT && r != -EAGAIN)
			return r;
		r = take_in_lane(at, c, to, ret_len);
		if (r != -EREMOTE && r != -ESTALE)
			return r;
	}
	return -EBUSY;
}

static inline int
take_from(struct mpr_attachment *at, struct mpr_consumer *c, struct mpr_sink to,
	  size_t *ret_len)
{
	int r = take_in_lane(at, c, to, ret_len);

	return mpr_likely(r != -EREMOTE && r != -ESTALE) ?
		       r : take_other(at, c, to, ret_len, r);
}

/*
 * Takes from whichever known lane has something: from the one whose turn it is,
 * or else from others, a few or @all of them. Returns how many messages, or 0
 * for the one; -EAGAIN if none of these lanes has any, -EBUSY if other
 * consumers were always faster.
 */
static inline int
take(struct mpr_attachment *at, struct mpr_sink to, size_t *ret_len, bool all)
{
	struct mpr_consumer *c;
	bool contended = false;
	unsigned looked = 0;
	int r;

	if (mpr_unlikely(at->keeps || at->dead_letters)) {
		r = mpr_get_kept(at, &to, ret_len);
		if (r != -EAGAIN)
			return r;
	}
	if (mpr_unlikely(!at->n_consumers))
		return -EAGAIN;
	if (mpr_unlikely(at->ordered)) {
		r = mpr_get_first(at, &to, ret_len);
		/* Of any lane padding may have been passed. */
		for (unsigned i = 0; i < at->n_consumers; i++)
			wake_producer(at, at->consumers[i].lane);
		return r;
	}
	do {
		c = &at->consumers[at->cursor];
		r = take_from(at, c, to, ret_len);
		/* Padding may have been passed even if nothing was taken. */
		wake_producer(at, c->lane);
		if (mpr_likely(r >= 0)) {
			/* What the single consumer is shown is not taken
			 * yet. */
			if (!to.looks && (!to.ret_p || !at->single_consumer ||
					  at->keeps))
				count_taken(at, to.n ? (unsigned)r : 1);
			return r;
		}
		if (r == -EBUSY)
			contended = true;
		else if (r != -EAGAIN)
			return r;
	} while (mpr_turn_pass(at, all, &looked));
	return contended ? -EBUSY : -EAGAIN;
}

/* The same with new lanes, which are all looked at. */
static int
take_any(struct mpr_attachment *at, const struct mpr_sink *to, size_t *ret_len,
	 bool all)
{
	int r = take(at, *to, ret_len, all);

	if (r != -EAGAIN)
		return r;
	r = mpr_attachment_find_lanes(at);
	if (r <= 0)
		return r < 0 ? r : -EAGAIN;
	return take(at, *to, ret_len, true);
}

bool
mpr_get_may_come(mproc_arena *a, const struct mpr_lane *lane)
{
	uint64_t owner;

	/* Acquire pairs with the release in mpr_put_leave(): if not busy, its
	 * tail is seen next. So it does with that in mpr_put_owe_nothing(). */
	if (!atomic_load_explicit(&lane->busy, memory_order_acquire) &&
	    !atomic_load_explicit(&lane->owes, memory_order_acquire))
		return false;
	owner = atomic_load(&lane->owner);
	return mpr_owner_state(owner) == MPR_LANE_ACTIVE &&
	       !mpr_recover_slot(a, mpr_owner_slot(owner));
}

/*
 * The queue was shut down, and no message was found: is that final? It is, if
 * no producer is inside a put: one that enters later sees closing. The caller
 * has executed the rare side's fence (frequent side: mpr_put_enter()) and knows
 * all lanes.
 */
static bool
is_final(const struct mpr_attachment *at)
{
	bool final = true;

	/* We are in no put, but a program may have left one by a jump, if its
	 * message was at no address of anything. Others see that, too. */
	if (at->producer.lane)
		atomic_store_explicit(&at->producer.lane->busy, 0,
				      memory_order_release);
	for (unsigned i = 0; i < at->n_consumers; i++)
		/* Who takes for others knows itself what it may put back. */
		if (at->consumers[i].lane != at->producer.lane &&
		    mpr_get_may_come(at->arena, at->consumers[i].lane))
			final = false;
	return final;
}

static bool
is_gone(const struct mpr_attachment *at)
{
	return atomic_load(&at->q->state) != at->open;
}

static int
closed(const struct mpr_attachment *at)
{
	return mpr_fail(-ESHUTDOWN, "%s is shut down",
			mpr_queue_label(at->q).text);
}

/*
 * Like take_any(), for a queue that may be closing: -ESHUTDOWN if nothing can
 * come any more. With -EBUSY there are messages, so that is not final.
 */
static int
take_or_close(struct mpr_attachment *at, const struct mpr_sink *to,
	      size_t *ret_len, bool all)
{
	uint32_t closing = atomic_load(&at->q->closing);
	bool final;
	int r;

	if (mpr_likely(!closing))
		closing = mpr_pipe_closing(at, false);
	if (mpr_unlikely(is_gone(at) || closing == MPROC_IMMEDIATE))
		return closed(at);
	if (mpr_likely(!closing))
		return take_any(at, to, ret_len, all);
	mpr_fence_rare(at->arena);
	r = mpr_attachment_find_lanes(at);
	if (r < 0)
		return r;
	/* What may come is asked for after the lanes were found empty, as it
	 * may take long, and before they are looked at for the last time. */
	r = take_any(at, to, ret_len, true);
	if (r != -EAGAIN)
		return r;
	final = is_final(at) && !mpr_may_return(at);
	r = take_any(at, to, ret_len, true);
	if (r != -EAGAIN || !final)
		return r;
	/* One may have been put and taken meanwhile by who owed nothing when we
	 * looked at its lane. It owes before it takes, and we have seen that it has
	 * taken. */
	final = is_final(at) && !mpr_may_return(at);
	r = take_any(at, to, ret_len, true);
	return r == -EAGAIN && final ? closed(at) : r;
}

/* Whether a wait goes on with that: nothing was found, or others took it all
 * the time. */
static bool
is_to_wait(int r)
{
	return r == -EAGAIN || r == -EBUSY;
}

/* Sleeps until there may be something to take. */
static int
sleep_for_message(struct mpr_attachment *at, const struct mpr_sink *to,
		  size_t *ret_len, int64_t deadline)
{
	mproc_queue *q = at->q;
	int look, r, why = 0;
	uint32_t ticket;
	bool chosen;

	ticket = mpr_park_ticket(at->self);
	mpr_seat_wait(at->seat, &q->hint);
	mpr_fence_rare(at->arena); /* frequent side: mpr_put_leave() */
	/* Who returns a message may be stopped before it is counted: all blocks
	 * are looked at once in each sleep. */
	at->returned_seen = UINT64_MAX;
	look = take_or_close(at, to, ret_len, true);
	/* With -EBUSY there are messages, and nobody may be left who takes them
	 * or wakes us. An old ticket is over at once, but minds the deadline
	 * and interrupts. */
	if (is_to_wait(look))
		why = mpr_park(at->self, q,
			       look == -EBUSY ? ticket - 1 : ticket, deadline);
	/* The seat is the parent's, also if the copy has found something. */
	if (mpr_unlikely(mpr_attachment_is_copy(at)))
		return is_to_wait(look) ? -ECHILD : look;
	chosen = mpr_seat_unwait(at->seat);
	r = is_to_wait(look) ? take_or_close(at, to, ret_len, true) : look;
	/*
	 * A wake-up that we were chosen for and do not use up belongs to
	 * someone else: we took a message without having slept, or could not
	 * take the one that we were woken for, or only look.
	 */
	if (chosen && r != -EAGAIN &&
	    (to->looks || !(look == -EAGAIN && r >= 0)))
		mpr_seats_wake(at->arena, &q->seats, &q->hint, 1);
	if (!is_to_wait(r) || why == 0)
		return r;
	if (why == -EINTR)
		mpr_interrupt_answer();
	return why;
}

/* After a drain nothing comes but what others hold, and give back. They may
 * wait for us in the same way. */
static bool
holds_in_drain(const struct mpr_attachment *at)
{
	return at->held.n && atomic_load(&at->q->closing);
}

/* Whether the thread has put something since it last got. */
static inline bool
awaits_answer(const struct mpr_attachment *at)
{
	return at->puts_seen != mpr_thread_puts;
}

/* Whether looks at tails say what a get to @to would find. */
static inline bool
may_look(const struct mpr_attachment *at, const struct mpr_sink *to)
{
	return at->n_consumers && !at->keeps && !at->dead_letters &&
	       !at->ordered && !to->n && !to->looks && !to->ret_p;
}

/*
 * A look for an answer, which is to be had as soon as it is there: at the tails of a few
 * lanes and at nothing else. A message that is as usual is taken by the frequent steps.
 * Until the tail has come nothing of the message is asked for: its lines would leave the
 * producer before that has written them (0137). Returns as take_or_close(); -EAGAIN also
 * where that may find something; -ECHILD.
 */
static MPR_INLINE int
look(struct mpr_attachment *at, const struct mpr_sink *to, size_t *ret_len)
{
	struct mpr_consumer *c = &at->consumers[at->cursor];
	unsigned looked = 0;

	if (mpr_consumer_is_empty(c)) {
		if (!mpr_turn_pass(at, false, &looked))
			return -EAGAIN;
		c = &at->consumers[at->cursor];
	}
	if (mpr_unlikely(mpr_attachment_is_copy(at)))
		return -ECHILD;
	if (mpr_get_is_frequent(at, to->buf, to->size) &&
	    mpr_get_look(at, c, to->buf, to->size, ret_len) == 0) {
		/* As in wake_producer(). */
		mpr_fence_light_by(at->light_fences);
		return mpr_get_taken(at, c->lane);
	}
	return take_or_close(at, to, ret_len, false);
}

/* The first probes of who waits for an answer. Returns as look(), also -EAGAIN where other
 * probes are needed. */
static inline int
take_answer(struct mpr_attachment *at, const struct mpr_sink *to, size_t *ret_len,
	    struct mpr_poll *poll)
{
	int r = -EAGAIN;

	if (!may_look(at, to))
		return -EAGAIN;
	while (is_to_wait(r) && mpr_poll_next_is_tight(poll)) {
		mpr_poll_tightly(poll);
		r = look(at, to, ret_len);
	}
	return r;
}

/* A wait begins. */
static inline void
begin_wait(struct mpr_attachment *at, const struct mpr_sink *to,
	   mproc_timeout timeout, struct mpr_poll *poll)
{
	unsigned probes = 0;

	at->until = mpr_deadline(timeout);
	if (awaits_answer(at))
		probes = may_look(at, to) ? MPR_POLL_LOOKS : MPR_POLL_GETS;
	at->puts_seen = mpr_thread_puts;
	mpr_poll_begin(poll, at, probes);
}

/* The rest of it, after a whole attempt. */
static MPR_NOINLINE int
wait_on(struct mpr_attachment *at, const struct mpr_sink *to, size_t *ret_len,
	struct mpr_poll *poll)
{
	int64_t deadline = at->until;
	bool is_tight;
	int r;

	for (;;) {
		/* At once, or after a yield. */
		r = take_answer(at, to, ret_len, poll);
		if (!is_to_wait(r))
			goto done;
		is_tight = mpr_poll_next_is_tight(poll);
		if (!mpr_poll_again(poll))
			break;
		r = -ECHILD;
		if (mpr_unlikely(mpr_attachment_is_copy(at)))
			goto done;
		r = take_or_close(at, to, ret_len, !is_tight);
		if (!is_to_wait(r))
			goto done;
	}
	do
		r = mpr_attachment_is_copy(at) ? -ECHILD :
		    holds_in_drain(at)	       ? -EDEADLK :
						 sleep_for_message(
							 at, to, ret_len,
							 deadline);
	while (is_to_wait(r));
done:
	mpr_poll_end(poll);
	return r;
}

static int
corrupt(const struct mpr_attachment *at)
{
	return mpr_fail(-EBADMSG, "a lane of %s is corrupt",
			mpr_queue_label(at->q).text);
}

/* Whatever a get ends with that is no message. */
static MPR_NOINLINE int
fail(struct mpr_attachment *at, int r, const struct mpr_sink *to, size_t len)
{
	if (r == -EAGAIN || r == -ETIMEDOUT)
		mpr_queue_fd_found_nothing(at);
	if (r == -ESHUTDOWN && at->dead_letters)
		mpr_dead_letters_end(at);
	if (r == -EMSGSIZE)
		return mpr_fail(r, "a message of %zu bytes in %s, the buffer "
				"has %zu", len, mpr_queue_label(at->q).text,
				to->size);
	if (r == -EDEADLK)
		return mpr_fail(r, "this thread and others hold messages of %s, "
				"which is shut down",
				mpr_queue_label(at->q).text);
	return r == -EBADMSG ? corrupt(at) : r;
}

/* The fast attempt has failed with @r. */
static MPR_NOINLINE int
get_slowly(struct mpr_attachment *at, int r, const struct mpr_sink *to,
	   size_t *ret_len, mproc_timeout timeout)
{
	struct mpr_poll poll;

	if (is_to_wait(r))
		r = take_or_close(at, to, ret_len, timeout.ns == 0);
	if (is_to_wait(r) && timeout.ns != 0) {
		mpr_poll_found_nothing(at);
		begin_wait(at, to, timeout, &poll);
		r = wait_on(at, to, ret_len, &poll);
	} else if (is_to_wait(r)) {
		r = -EAGAIN;
	} else if (r == -ECHILD) {
		at->until = timeout.ns != 0 ? mpr_deadline(timeout) : 0;
	}
	return r < 0 ? fail(at, r, to, *ret_len) : r;
}

MPR_NOINLINE int
mpr_get_become_consumer(struct mpr_attachment *at)
{
	if (at->shown)
		return mpr_fail(-EBUSY, "this thread has peeked at %zu bytes "
				"in %s: release them first", at->shown_len,
				mpr_queue_label(at->q).text);
	return at->is_consumer ? 0 : mpr_attachment_add_consumer(at);
}

/* All that is known in the lane at cursor has been taken. Goes on elsewhere; when it has
 * been at all lanes, it pauses if it is too fast, unless the thread waits for an answer. */
static MPR_NOINLINE bool
go_on(struct mpr_attachment *at)
{
	unsigned looked;

	if (awaits_answer(at) || mpr_turn_go_on(at, &looked))
		return false;
	/* As in count_taken(): turns may be over before so many were taken. */
	(void)mpr_attachment_find_lanes(at);
	mpr_poll_pace(at, looked);
	return mpr_attachment_is_copy(at);
}

/* Returns whether a signal handler has forked while it paused: then this is the copy, and
 * the attachment its parent's. */
static inline bool
pace(struct mpr_attachment *at, mproc_timeout timeout)
{
	/* The last pause was before another look, which has found something. */
	at->paced = false;
	if (mpr_likely(!at->n_consumers || timeout.ns == 0 ||
		       !mpr_consumer_is_through(&at->consumers[at->cursor])))
		return false;
	/* With one order all lanes are looked at for each message. */
	if (at->ordered && at->n_consumers != 1)
		return false;
	return go_on(at);
}

/* The calling thread's attachment, as a consumer. */
static inline int
attach(mproc_queue *q, mproc_timeout timeout, struct mpr_attachment **ret_at)
{
	struct mpr_attachment *at;
	int r;

	*ret_at = NULL;
	do {
		r = mpr_attachment_get(q, &at);
		if (mpr_unlikely(r < 0))
			return r;
		if (mpr_unlikely(!at->is_consumer || at->shown)) {
			r = mpr_get_become_consumer(at);
			if (r < 0)
				return r;
		}
	} while (mpr_unlikely(pace(at, timeout)));
	*ret_at = at;
	return 0;
}

/* The fast attempt, for a queue that is not closing. */
static inline int
try_take(struct mpr_attachment *at, struct mpr_sink to, size_t *ret_len)
{
	if (mpr_likely(!atomic_load_explicit(&at->q->closing,
					     memory_order_relaxed)))
		return take(at, to, ret_len, false);
	return -EAGAIN;
}

static MPR_NOINLINE int
get(mproc_queue *q, void *buf, size_t size, size_t *ret_len,
    mproc_timeout timeout)
{
	struct mpr_attachment *at;
	size_t len = 0;
	int r;

	if (mpr_unlikely(!buf && size))
		return mpr_fail(-EINVAL, "buf is NULL");
	r = attach(q, timeout, &at);
	if (mpr_unlikely(r < 0))
		return mpr_queue_is_remote(q, r) ?
			       mpr_queue_remote_get(q, buf, size, ret_len, timeout) :
			       r;
	r = try_take(at, (struct mpr_sink){ .buf = buf, .size = size }, &len);
	if (mpr_unlikely(r < 0))
		r = get_slowly(at, r,
			       &(struct mpr_sink){ .buf = buf, .size = size },
			       &len, timeout);
	if (mpr_unlikely(r == -ECHILD))
		return get(q, buf, size, ret_len, mpr_attachment_rest(at));
	if (ret_len && (r == 0 || r == -EMSGSIZE))
		*ret_len = len;
	return r;
}

/*
 * The frequent steps have found nothing that is as usual. Who waits for an answer looks
 * for it before all else, once, and if the thread is alone as long as such looks go on: it
 * may be there before all that get() asks has been asked, and would be late by that.
 */
static MPR_NOINLINE int
get_anew(struct mpr_attachment *at, void *buf, size_t size, size_t *ret_len,
	 mproc_timeout timeout)
{
	struct mpr_sink to = { .buf = buf, .size = size };
	struct mpr_poll poll;
	size_t len = 0;
	int r;

	if (timeout.ns == 0 || !awaits_answer(at) || !may_look(at, &to))
		return get(at->q, buf, size, ret_len, timeout);
	/* As in pace(); there was no pause before these looks. */
	at->paced = false;
	r = look(at, &to, &len);
	if (is_to_wait(r)) {
		begin_wait(at, &to, timeout, &poll);
		r = take_answer(at, &to, &len, &poll);
		if (mpr_unlikely(is_to_wait(r)))
			r = mpr_attachment_is_copy(at) ?
				    -ECHILD :
				    take_or_close(at, &to, &len, false);
		if (mpr_unlikely(is_to_wait(r)))
			r = wait_on(at, &to, &len, &poll);
	} else if (mpr_unlikely(r == -ECHILD)) {
		at->until = mpr_deadline(timeout);
	}
	if (mpr_unlikely(r == -ECHILD))
		return get(at->q, buf, size, ret_len, mpr_attachment_rest(at));
	if (mpr_unlikely(r < 0))
		r = fail(at, r, &to, len);
	if (ret_len && (r == 0 || r == -EMSGSIZE))
		*ret_len = len;
	return r;
}

MPR_NOINLINE int
mpr_get_wake(const struct mpr_attachment *at, struct mpr_lane *lane)
{
	wake_producer(at, lane);
	return 0;
}

/* The frequent case of each kind of consumer. */
static MPR_NOINLINE int
get_alone(struct mpr_attachment *at, void *buf, size_t size, size_t *ret_len,
	  mproc_timeout timeout)
{
	struct mpr_consumer *c = &at->consumers[at->cursor];
	size_t len;

	if (mpr_unlikely(mpr_consumer_take(c, buf, size, &len,
					   MPR_COPY_SHORT) < 0))
		return get_anew(at, buf, size, ret_len, timeout);
	if (ret_len)
		*ret_len = len;
	return mpr_get_taken(at, c->lane);
}

static MPR_NOINLINE int
get_shared(struct mpr_attachment *at, void *buf, size_t size, size_t *ret_len,
	   mproc_timeout timeout)
{
	struct mpr_consumer *c = &at->consumers[at->cursor];
	struct mpr_lane *lane = c->lane;
	size_t len;

	if (mpr_unlikely(mpr_get_claim(c, lane, buf, size, &len) < 0))
		return get_anew(at, buf, size, ret_len, timeout);
	if (ret_len)
		*ret_len = len;
	return mpr_get_taken(at, lane);
}

int
mproc_queue_get(mproc_queue *q, void *buf, size_t size, size_t *ret_len,
		mproc_timeout timeout)
{
	struct mpr_attachment *at = mpr_attachment_at_hand(q);

	if (mpr_unlikely(!at || !mpr_get_is_frequent(at, buf, size)))
		return get(q, buf, size, ret_len, timeout);
	return at->single_consumer ?
		       get_alone(at, buf, size, ret_len, timeout) :
		       get_shared(at, buf, size, ret_len, timeout);
}

int
mproc_queue_get_many(mproc_queue *q, void *buf, size_t size,
		     struct iovec *ret_msgs, int n, mproc_timeout timeout)
{
	struct mpr_attachment *at;
	struct mpr_sink to = { .buf = buf, .size = size,
			       .msgs = ret_msgs, .n = n };
	size_t len = 0;
	int r;

	if (!buf && size)
		return mpr_fail(-EINVAL, "buf is NULL");
	if (n <= 0 || !ret_msgs)
		return mpr_fail(-EINVAL, "%d messages at %p", n,
				(const void *)ret_msgs);
	r = attach(q, timeout, &at);
	if (mpr_unlikely(r < 0))
		return mpr_queue_is_remote(q, r) ?
			       mpr_queue_remote_get_many(q, buf, size, ret_msgs, n,
							 timeout) : r;
	r = try_take(at, to, &len);
	if (mpr_unlikely(r < 0))
		r = get_slowly(at, r, &to, &len, timeout);
	if (mpr_unlikely(r == -ECHILD))
		return mproc_queue_get_many(q, buf, size, ret_msgs, n,
					    mpr_attachment_rest(at));
	if (mpr_unlikely(r == -EMSGSIZE)) {
		ret_msgs[0].iov_base = NULL;
		ret_msgs[0].iov_len = len;
	}
	return r;
}

int
mpr_get_next(struct mpr_attachment *at, const struct mpr_sink *to,
	     size_t *ret_len, mproc_timeout timeout)
{
	int r;

	if (mpr_unlikely(pace(at, timeout))) {
		at->until = mpr_deadline(timeout);
		return -ECHILD;
	}
	r = try_take(at, *to, ret_len);
	return r < 0 ? get_slowly(at, r, to, ret_len, timeout) : r;
}

int
mpr_get_for(struct mpr_attachment *at, const struct mpr_sink *to, size_t *ret_len,
	    struct mpr_taken *ret)
{
	struct mpr_attachment *lies_in = at->origin ? at->origin : at;
	int r = at->is_consumer ? 0 : mpr_attachment_add_consumer(at);

	if (r == 0)
		r = take_or_close(at, to, ret_len, true);
	if (r >= 0 && lies_in->keeps)
		*ret = mpr_held_take_newest(lies_in);
	return r == -EBADMSG ? corrupt(at) : r;
}

void
mpr_get_release(struct mpr_attachment *at, size_t len)
{
	struct mpr_consumer *c = &at->consumers[at->cursor];

	mpr_consumer_release(c, len);
	wake_producer(at, c->lane);
	count_taken(at, 1);
}

void
mpr_get_release_block(struct mpr_attachment *at)
{
	struct mpr_consumer *c = &at->consumers[at->cursor];

	if (at->keeps) {
		at->shown_block.block = NULL;
		return;
	}
	mpr_message_free(at, &at->shown_block);
	if (!at->single_consumer)
		return;
	mpr_consumer_pass(c);
	wake_producer(at, c->lane);
	count_taken(at, 1);
}
