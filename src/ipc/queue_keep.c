/* SPDX-License-Identifier: MIT */
/*
 * Messages that are kept until they are done.
 *
 * Whose they are says the owner word of each one's block, so that a death gives
 * them back (message_block.h). What is here is private: the order in which this
 * thread took them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "ipc/attachment.h"
#include "ipc/killers.h"
#include "ipc/queue_agent.h"
#include "ipc/queue_keep.h"
#include "ipc/queue_remote.h"
#include "os/clock.h"
#include "os/interrupt.h"
#include "sync/park.h"

#define HELD_FIRST 8

static struct mpr_taken *
held_at(struct mpr_held *h, unsigned i)
{
	return &h->taken[(h->first + i) & (h->room - 1)];
}

int
mpr_held_make_room(struct mpr_attachment *at)
{
	struct mpr_held *h = &at->held;
	unsigned room = h->room ? 2 * h->room : HELD_FIRST;
	struct mpr_taken *more;

	if (mpr_likely(h->n < h->room))
		return 0;
	more = mpr_realloc(NULL, room * sizeof(*more));
	if (!more)
		return mpr_fail(-ENOMEM, "no memory to hold %u messages", room);
	for (unsigned i = 0; i < h->n; i++)
		more[i] = *held_at(h, i);
	free(h->taken);
	h->taken = more;
	h->first = 0;
	h->room = room;
	return 0;
}

void
mpr_held_add(struct mpr_attachment *at, const struct mpr_taken *t)
{
	at->held.n++;
	*held_at(&at->held, at->held.n - 1) = *t;
}

static struct mpr_taken
take_oldest(struct mpr_held *h)
{
	struct mpr_taken t = *held_at(h, 0);

	h->first++;
	h->n--;
	return t;
}

struct mpr_taken
mpr_held_take_newest(struct mpr_attachment *at)
{
	at->held.n--;
	return *held_at(&at->held, at->held.n);
}

void
mpr_held_return(struct mpr_attachment *at)
{
	struct mpr_taken t;

	while (at->held.n) {
		t = take_oldest(&at->held);
		mpr_message_return(at, &t);
	}
}

bool
mpr_may_return(struct mpr_attachment *at)
{
	unsigned i = 0, dead = 0;

	return at->keeps && mpr_message_unfinished(at, &i, &dead);
}

/* The calling thread's attachment to a queue that keeps messages. */
static int
attach(mproc_queue *q, struct mpr_attachment **ret_at)
{
	int r = mpr_attachment_get(q, ret_at);

	if (r == 0 && !(*ret_at)->keeps)
		return mpr_fail(-EINVAL, "%s was made without .joinable and "
				".ack", mpr_queue_label(q).text);
	return r;
}

/* What the thread has held longest, to be done or returned. */
static int
oldest(mproc_queue *q, struct mpr_attachment **ret_at, struct mpr_taken *ret)
{
	struct mpr_attachment *at;
	int r = attach(q, &at);

	if (r < 0)
		return r;
	if (!at->held.n)
		return mpr_fail(-EINVAL, "this thread holds no message of %s",
				mpr_queue_label(q).text);
	if (held_at(&at->held, 0)->block == at->shown_block.block)
		return mpr_fail(-EBUSY, "this thread has peeked at that message "
				"of %s: release it first",
				mpr_queue_label(q).text);
	*ret = take_oldest(&at->held);
	*ret_at = at;
	return 0;
}

/* Whether a message's block was still what it was. */
static int
had(const mproc_queue *q, bool had)
{
	return had ? 0 : mpr_fail(-EBADMSG, "a block of %s is corrupt",
				  mpr_queue_label(q).text);
}

int
mproc_queue_task_done(mproc_queue *q)
{
	struct mpr_attachment *at;
	struct mpr_taken t;
	int r = oldest(q, &at, &t);

	if (mpr_queue_is_remote(q, r))
		return mpr_queue_remote_done(q);
	return r < 0 ? r : had(q, mpr_message_free(at, &t));
}

int
mproc_queue_requeue(mproc_queue *q)
{
	struct mpr_attachment *at;
	struct mpr_taken t;
	int r = oldest(q, &at, &t);

	if (mpr_queue_is_remote(q, r))
		return mpr_queue_remote_requeue(q);
	return r < 0 ? r : had(q, mpr_message_return(at, &t));
}

/* Why there is no use in waiting, or 0. */
static int
why_in_vain(const struct mpr_attachment *at)
{
	if (atomic_load(&at->q->state) != at->open ||
	    atomic_load(&at->q->closing) == MPROC_IMMEDIATE)
		return mpr_fail(-ESHUTDOWN, "%s is shut down",
				mpr_queue_label(at->q).text);
	return 0;
}

/* Sleeps until block @i may be done, a wake-up, or @deadline. */
static int
sleep_for_done(struct mpr_attachment *at, unsigned i, int64_t deadline)
{
	unsigned now = i, dead = 0;
	uint32_t ticket;
	int r;

	ticket = mpr_park_ticket(at->self);
	mpr_message_watch(at, i);
	/* No fence: see wake_waiting() of blocks. */
	r = why_in_vain(at);
	if (r < 0 || !mpr_message_unfinished(at, &now, &dead) || now != i)
		return r;
	return mpr_park(at->self, at->q, ticket, deadline);
}

/* Waits until each block was seen not to be in use. *@ret_dead counts the dead
 * letters among them. */
static int
wait_once(struct mpr_attachment *at, unsigned *ret_dead, mproc_timeout timeout,
	  int64_t deadline)
{
	unsigned i = 0;
	int r = 0;

	*ret_dead = 0;
	while (r == 0 && mpr_message_unfinished(at, &i, ret_dead)) {
		r = timeout.ns == 0 ? -EAGAIN : sleep_for_done(at, i, deadline);
		if (mpr_unlikely(mpr_attachment_is_copy(at)))
			return -ECHILD;
		if (r < 0 && mpr_message_unfinished(at, &i, ret_dead)) {
			if (r == -EINTR)
				mpr_interrupt_answer();
			return r;
		}
	}
	return 0;
}

/* All are done, but for dead letters. */
static int
joined(const struct mpr_attachment *at, unsigned dead)
{
	return dead ? mpr_fail(-EOWNERDEAD, "%u messages of %s are dead letters",
			       dead, mpr_queue_label(at->q).text) : 0;
}

int
mproc_queue_join(mproc_queue *q, mproc_timeout timeout)
{
	struct mpr_attachment *at;
	unsigned dead;
	uint64_t filled;
	int64_t deadline;
	int r = attach(q, &at);

	if (r < 0)
		return mpr_queue_is_remote(q, r) ?
			       mpr_queue_remote_join(q, timeout) : r;
	if (at->held.n)
		return mpr_fail(-EDEADLK, "this thread holds %u messages of %s",
				at->held.n, mpr_queue_label(q).text);
	deadline = mpr_deadline(timeout);
	/* A block that was seen to be done may have got a new message before
	 * the last one was; then its lane is filled further. */
	do {
		filled = mpr_queue_filled(at);
		r = wait_once(at, &dead, timeout, deadline);
		if (r == -ECHILD)
			return mproc_queue_join(q, mproc_until(deadline));
		if (r < 0)
			return r;
	} while (mpr_queue_filled(at) != filled);
	return joined(at, dead);
}

int
mpr_join_for(struct mpr_attachment *at)
{
	unsigned dead, i, now;
	uint64_t filled;
	int r;

	do {
		filled = mpr_queue_filled(at);
		i = dead = 0;
		/* As sleep_for_done(), but for who is not to sleep. */
		while (mpr_message_unfinished(at, &i, &dead)) {
			mpr_message_watch(at, i);
			r = why_in_vain(at);
			if (r < 0)
				return r;
			now = i;
			if (mpr_message_unfinished(at, &now, &dead) && now == i)
				return -EAGAIN;
			i = now;
		}
	} while (mpr_queue_filled(at) != filled);
	return joined(at, dead);
}

int
mproc_queue_dead_letters(mproc_queue *q, mproc_queue **ret_dlq)
{
	struct mpr_attachment *at;
	mproc_queue *dead;
	int r;

	if (!ret_dlq)
		return mpr_fail(-EINVAL, "ret_dlq is NULL");
	r = attach(q, &at);
	if (r < 0)
		return mpr_queue_is_remote(q, r) ?
			       mpr_queue_remote_dead_letters(q, ret_dlq) : r;
	dead = mpr_queue_partner(at->arena, q);
	if (!dead && atomic_load(&q->state) != at->open)
		return mpr_queue_stale(q);
	if (!dead)
		return mpr_fail(-EBADMSG, "%s has lost its dead letters",
				mpr_queue_label(q).text);
	*ret_dlq = dead;
	return 0;
}

bool
mpr_has_kept(struct mpr_attachment *at)
{
	enum mpr_message_place place = MPR_MESSAGE_RETURNED;
	struct mpr_attachment *from = at;
	struct mpr_taken t;
	mproc_queue *origin;
	uint64_t returned;

	if (!at->keeps && !at->dead_letters)
		return false;
	/* Before the search; whoever returns one counts it after that. */
	returned = atomic_load(&at->q->returned);
	if (returned == at->returned_seen)
		return false;
	if (at->dead_letters) {
		place = MPR_MESSAGE_DEAD;
		origin = mpr_queue_partner(at->arena, at->q);
		/* Whoever gets is told what is wrong. An attachment that is
		 * there stays, the caller may have it. */
		from = origin ? mpr_attachment_present(origin) : NULL;
		if (from && atomic_load(&origin->state) != from->open)
			return true;
		if (!from && (!origin || mpr_attachment_get(origin, &from) < 0))
			return true;
	}
	/* Whoever gets is told what is wrong. */
	if (mpr_message_find_at(from, place, &t) != -EAGAIN)
		return true;
	at->returned_seen = returned;
	return false;
}

void
mpr_dead_letters_end(const struct mpr_attachment *at)
{
	mproc_queue *origin = mpr_queue_partner(at->arena, at->q);
	struct mpr_attachment *from =
		origin ? mpr_attachment_present(origin) : NULL;

	if (from && atomic_load(&origin->state) != from->open &&
	    !mpr_attachment_is_held(from))
		mpr_attachment_drop(from);
}

/* A letter: who died, then the message. */
static void
write_letter(const struct mpr_taken *t, const struct mpr_sink *to, size_t len)
{
	struct mproc_dead_letter letter;
	unsigned char *buf = to->buf;

	mpr_killers_read(t->block, &letter);
	memcpy(buf, &letter, sizeof(letter));
	if (t->len)
		memcpy(buf + sizeof(letter), t->memory, t->len);
	if (to->n)
		to->msgs[0] = (struct iovec){ buf, len };
}

/* The thread's attachment to the queue that the letters come from. */
static int
attach_to_origin(const struct mpr_attachment *at, struct mpr_attachment **ret_from)
{
	mproc_queue *origin = mpr_queue_partner(at->arena, at->q);
	int r;

	if (!origin)
		/* They end together. */
		return atomic_load(&at->q->state) != at->open ? -EAGAIN :
								-EBADMSG;
	r = mpr_attachment_get(origin, ret_from);
	/* It is gone, and the letters go with it. */
	return r == -ESTALE ? mpr_fail(-ESHUTDOWN, "%s is shut down",
				       mpr_queue_label(at->q).text) : r;
}

/*
 * The letters lie in blocks of the queue that they come from, in which the
 * thread therefore needs a seat. A reader that dies leaves what it has taken to
 * the next one, and is a killer like others.
 */
int
mpr_take_dead_letter(struct mpr_attachment *at, const struct mpr_sink *to,
		     size_t *ret_len)
{
	uint64_t returned = atomic_load(&at->q->returned);
	struct mpr_attachment *from = at->origin;
	struct mpr_taken t;
	int r;

	if (mpr_likely(returned == at->returned_seen))
		return -EAGAIN;
	r = from ? mpr_held_make_room(from) : attach_to_origin(at, &from);
	if (r < 0)
		return r;
	while ((r = mpr_message_find_at(from, MPR_MESSAGE_DEAD, &t)) == 0) {
		*ret_len = sizeof(struct mproc_dead_letter) + t.len;
		if (*ret_len > to->size)
			return -EMSGSIZE;
		if (!mpr_message_take(from, &t))
			continue;
		write_letter(&t, to, *ret_len);
		/* Who takes it for others says when they have it. */
		if (at->origin)
			mpr_held_add(from, &t);
		else
			mpr_message_free(from, &t);
		return to->n ? 1 : 0;
	}
	if (r == -EAGAIN)
		at->returned_seen = returned;
	return r;
}
