/* SPDX-License-Identifier: MIT */
/*
 * What clients are given of queues. Whatever could fail is done before a message is
 * taken: there is memory for it, and room in what the client is sent. So a message that
 * was taken is in an answer, and until the kernel has all of that it is here, too.
 */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "ipc/queue_remote.h"
#include "manager/queue_desk_priv.h"

#define FIRST ((size_t)4 << 10) /* bytes of memory for a message, if that is enough */
#define OTHERS 64 /* bytes of an answer but for messages and their lengths, at most */
#define LENGTH 4
#define HELD_MOST 4096 /* messages of one client that are not done */

/* Who is looked at so often in a row, while others wait for what it has not taken, and could
 * not be sent so many bytes more, has to go. Looks are counted, and not the time: who has no
 * CPU may be all of us. */
#define LOOKS 5
#define LEAST ((size_t)32 << 10)

/*
 * Lists.
 */

static void
link_handed(struct mpr_handed *h)
{
	struct mpr_queue_post *p = h->post;
	struct mpr_served *c = h->party.client;

	h->previous = p->last_handed;
	if (h->previous)
		h->previous->next = h;
	else
		p->handed = h;
	p->last_handed = h;
	h->previous_of = c->last_handed;
	if (h->previous_of)
		h->previous_of->next_of = h;
	else
		c->handed = h;
	c->last_handed = h;
	c->n_held += p->at->keeps;
}

static void
unlink_handed(struct mpr_handed *h)
{
	struct mpr_queue_post *p = h->post;
	struct mpr_served *c = h->party.client;

	if (h->next)
		h->next->previous = h->previous;
	else
		p->last_handed = h->previous;
	if (h->previous)
		h->previous->next = h->next;
	else
		p->handed = h->next;
	if (h->next_of)
		h->next_of->previous_of = h->previous_of;
	else
		c->last_handed = h->previous_of;
	if (h->previous_of)
		h->previous_of->next_of = h->next_of;
	else
		c->handed = h->next_of;
	c->n_held -= p->at->keeps;
	h->next = h->previous = h->next_of = h->previous_of = NULL;
}

static void
drop_bytes(struct mpr_handed *h)
{
	mpr_queue_desk_give_memory(h->budget, h->memory, h->size);
	h->memory = NULL;
	h->size = 0;
}

static void
forget(struct mpr_handed *h)
{
	drop_bytes(h);
	mpr_queue_desk_give_memory(h->budget, h, sizeof(*h));
}

/* With room for @n messages of @len bytes in all, and what answers with them takes of what
 * the client is sent. */
static struct mpr_handed *
make(struct mpr_queue_post *p, const struct mpr_party *party, size_t len, int n)
{
	struct mpr_budget *budget = &party->client->budget;
	struct mpr_handed *h;
	size_t before = (size_t)n * (sizeof(*h->msgs) + LENGTH);

	if (mpr_buffer_room(&party->client->out, len + (size_t)n * LENGTH + OTHERS) < 0) {
		mpr_fail(-ENOMEM, "the manager has no memory for the answer");
		return NULL;
	}
	h = mpr_queue_desk_take_memory(budget, sizeof(*h));
	if (!h)
		return NULL;
	*h = (struct mpr_handed){
		.post = p,
		.party = *party,
		/* A byte, so that no message lies at NULL. */
		.size = before + len + 1,
		.budget = budget,
	};
	h->memory = mpr_queue_desk_take_memory(budget, h->size);
	if (!h->memory) {
		mpr_queue_desk_give_memory(budget, h, sizeof(*h));
		return NULL;
	}
	h->msgs = h->memory;
	h->lengths = (unsigned char *)(h->msgs + n);
	h->bytes = h->lengths + (size_t)n * LENGTH;
	return h;
}

/* Whose blocks those are in which messages of the queue lie. */
static struct mpr_attachment *
lies_in(const struct mpr_queue_post *p)
{
	return p->at->origin ? p->at->origin : p->at;
}

/*
 * Answers.
 */

static int
write_answer(struct mpr_queue_post *p, struct mpr_handed *h, const struct mpr_queued *k,
	     size_t len)
{
	struct mproc_any values[3] = {
		mproc_int((int64_t)len),
		mproc_bytes(h->lengths, (size_t)h->n * LENGTH),
		mproc_bytes(h->msgs[0].iov_base, len),
	};

	for (int i = 0; i < h->n; i++)
		mpr_queue_write_length(h->lengths + i * LENGTH, h->msgs[i].iov_len);
	return mpr_served_answer(p->desk->by, k->party.client, k->number, h->n, values,
				 3, NULL);
}

/* Messages that are not kept may come back as long as they are on their way, or here. */
static void
owe_less(struct mpr_queue_post *p)
{
	if (!p->handed && !p->back)
		mpr_put_owe_nothing(p->at, true);
}

/* It is nobody's then. */
static void
come_back(struct mpr_handed *h)
{
	struct mpr_queue_post *p = h->post;

	/* The client may go, and its part of the memory with it. */
	mpr_budget_give(h->budget, sizeof(*h) + h->size);
	h->budget = p->desk->budget;
	(void)mpr_budget_take(h->budget, sizeof(*h) + h->size);
	h->party = (struct mpr_party){ .client = NULL };
	h->previous = p->last_back;
	if (h->previous)
		h->previous->next = h;
	else
		p->back = h;
	p->last_back = h;
	/* It is put into the queue again, if no client takes it. */
	mpr_queue_post_set_busy(p);
}

static void
leave_back(struct mpr_handed *h)
{
	struct mpr_queue_post *p = h->post;

	p->back = h->next;
	if (h->next)
		h->next->previous = NULL;
	else
		p->last_back = NULL;
	h->next = NULL;
}

/* The client was not told of it, or, @died, has had it and not done it. Others learn it
 * from mpr_messages_left(). */
static void
return_one(struct mpr_handed *h, bool died)
{
	struct mpr_queue_post *p = h->post;

	if (!h->taken.block) {
		come_back(h);
		return;
	}
	if (died)
		(void)mpr_message_leave(p->at, &h->taken);
	else
		(void)mpr_message_lay_back(&h->taken, p->at->dead_letters ?
							      MPR_MESSAGE_DEAD :
							      MPR_MESSAGE_RETURNED);
	forget(h);
}

/* The same for one that is not kept, and that the client has. */
static void
let_go(struct mpr_handed *h)
{
	struct mpr_queue_post *p = h->post;

	if (h->taken.block) {
		(void)mpr_message_free(lies_in(p), &h->taken);
		/* Who joins may have waited for that. */
		mpr_porter_knock(p->desk->porter);
	}
	forget(h);
	owe_less(p);
}

/* @len: of all messages. */
static int
answer(struct mpr_queue_post *p, struct mpr_handed *h, const struct mpr_queued *k,
       size_t len)
{
	struct mpr_served *c = k->party.client;
	int r = write_answer(p, h, k, len);

	/* As there was room for it, it does not fail. */
	if (r < 0) {
		return_one(h, false);
		mpr_messages_left(lies_in(p));
		return mpr_fail(r, "the manager has no memory for the answer");
	}
	h->end = c->sent + mpr_buffer_len(&c->out);
	if (h->taken.block)
		drop_bytes(h);
	link_handed(h);
	return 0;
}

/* The next one is too long: it stays where it is. */
static int
tell_length(struct mpr_queue_post *p, const struct mpr_queued *k, size_t len)
{
	const struct mproc_any values[3] = { mproc_int((int64_t)len), mproc_nil(),
					     mproc_nil() };

	return mpr_served_answer(p->desk->by, k->party.client, k->number, 0, values, 3,
				 NULL);
}

/*
 * Taking.
 */

static size_t
len_of(const struct mpr_handed *h)
{
	size_t len = 0;

	for (int i = 0; i < h->n; i++)
		len += h->msgs[i].iov_len;
	return len;
}

/* What has come back, the first of all, and one message of it. */
static int
hand_back_one(struct mpr_queue_post *p, const struct mpr_queued *k, size_t most)
{
	struct mpr_handed *from = p->back, *h;
	const struct iovec msg = *from->msgs;

	if (msg.iov_len > most)
		return tell_length(p, k, msg.iov_len);
	h = make(p, &k->party, msg.iov_len, 1);
	if (!h)
		return -ENOMEM;
	h->n = 1;
	h->msgs[0] = (struct iovec){ h->bytes, msg.iov_len };
	if (msg.iov_len)
		memcpy(h->msgs[0].iov_base, msg.iov_base, msg.iov_len);
	from->msgs++;
	if (!--from->n) {
		leave_back(from);
		forget(from);
	}
	return answer(p, h, k, msg.iov_len);
}

/* Whether what is taken of it lies nowhere but here. */
static bool
is_owed(const struct mpr_queue_post *p)
{
	return !lies_in(p)->keeps;
}

/* Into memory of the size that the message turns out to need. */
static int
take(struct mpr_queue_post *p, const struct mpr_queued *k, size_t most, int n)
{
	size_t room = most < FIRST ? most : FIRST, len = 0;
	struct mpr_handed *h;
	struct mpr_sink to;
	int r;

	for (;;) {
		h = make(p, &k->party, room, n);
		if (!h)
			return -ENOMEM;
		to = (struct mpr_sink){
			.buf = h->bytes,
			.size = room,
			.msgs = n > 1 ? h->msgs : NULL,
			.n = n > 1 ? n : 0,
		};
		if (is_owed(p))
			mpr_put_owe(p->at);
		r = mpr_get_for(p->at, &to, &len, &h->taken);
		if (r >= 0)
			break;
		if (!p->handed && !p->back)
			mpr_put_owe_nothing(p->at, false);
		forget(h);
		if (r == -EMSGSIZE && len > most)
			return tell_length(p, k, len);
		if (r != -EMSGSIZE)
			return r == -EBUSY ? 1 : r;
		room = len;
	}
	if (n == 1)
		h->msgs[0] = (struct iovec){ to.buf, len };
	h->n = n == 1 ? 1 : r;
	return answer(p, h, k, len_of(h));
}

/* There may be one consumer at a time, here and in the family. */
static int
claim_role(struct mpr_queue_post *p, const struct mpr_party *party)
{
	struct mpr_attachment *at = p->at;
	int r;

	if (p->consumer.client && (p->consumer.client != party->client ||
				   p->consumer.thread != party->thread))
		return mpr_fail(-EBUSY, "%s has a consumer already",
				mpr_queue_label(p->q).text);
	r = at->is_consumer ? 0 : mpr_attachment_add_consumer(at);
	if (r < 0 || !at->single_consumer || p->consumer.client)
		return r;
	p->consumer = *party;
	party->client->n_roles++;
	return 0;
}

/* After a drain what others have may come back. */
static int
settle(const struct mpr_queue_post *p, const struct mpr_queued *k, int r)
{
	uint32_t closing = atomic_load(&p->q->closing);

	if (r == -ESHUTDOWN && closing == MPROC_DRAIN &&
	    mpr_queue_others_have(p, &k->party))
		r = -EAGAIN;
	if (r == -EAGAIN && closing && k->deadline && mpr_queue_has(p, &k->party))
		return mpr_fail(-EDEADLK, "this thread and others hold messages of %s, "
				"which is shut down", mpr_queue_label(p->q).text);
	return r;
}

int
mpr_queue_hand(struct mpr_queue_post *p, const struct mpr_queued *k)
{
	size_t longest = p->desk->by->max_message, most, lengths;
	int n = k->most, r = claim_role(p, &k->party);

	if (r < 0)
		return r;
	if (p->at->keeps && k->party.client->n_held == HELD_MOST)
		return mpr_fail(-ENOLCK, "this client holds %d messages already",
				HELD_MOST);
	if ((size_t)n > longest / (8 * LENGTH))
		n = (int)(longest / (8 * LENGTH));
	if (n < 1)
		n = 1;
	lengths = (size_t)n * LENGTH + OTHERS;
	most = longest > lengths ? longest - lengths : 0;
	if (k->size < most)
		most = k->size;
	if (p->back && atomic_load(&p->q->closing) != MPROC_IMMEDIATE)
		return hand_back_one(p, k, most);
	return settle(p, k, take(p, k, most, n));
}

/*
 * What clients have.
 */

static bool
is_of(const struct mpr_handed *h, const struct mpr_party *party)
{
	return h->party.client == party->client && h->party.thread == party->thread;
}

/* The first one. */
static struct mpr_handed *
first_of(const struct mpr_queue_post *p, const struct mpr_party *party)
{
	struct mpr_handed *h = party->client->handed;

	while (h && !(h->post == p && h->party.thread == party->thread))
		h = h->next_of;
	return h;
}

bool
mpr_queue_has(const struct mpr_queue_post *p, const struct mpr_party *party)
{
	return p->at->keeps && first_of(p, party);
}

bool
mpr_queue_others_have(const struct mpr_queue_post *p, const struct mpr_party *party)
{
	const struct mpr_handed *h = p->handed;

	while (h && is_of(h, party))
		h = h->next;
	return h;
}

/* The one that it has had longest. */
static int
find(const struct mpr_queue_post *p, const struct mpr_party *party,
     struct mpr_handed **ret)
{
	if (!p->at->keeps)
		return mpr_fail(-EINVAL, "%s was made without .joinable and .ack",
				mpr_queue_label(p->q).text);
	*ret = first_of(p, party);
	return *ret ? 0 : mpr_fail(-EINVAL, "this thread holds no message of %s",
				mpr_queue_label(p->q).text);
}

static int
end_one(struct mpr_queue_post *p, const struct mpr_party *party,
	bool (*change)(const struct mpr_attachment *at, struct mpr_taken *t))
{
	struct mpr_handed *h;
	int r = find(p, party, &h);

	if (r < 0)
		return r;
	unlink_handed(h);
	if (!change(p->at, &h->taken))
		r = mpr_fail(-EBADMSG, "a block of %s is corrupt",
			     mpr_queue_label(p->q).text);
	forget(h);
	/* Others may have waited for that. */
	mpr_porter_knock(p->desk->porter);
	return r;
}

int
mpr_queue_desk_done(struct mpr_queue_post *p, const struct mpr_party *party)
{
	return end_one(p, party, mpr_message_free);
}

int
mpr_queue_desk_requeue(struct mpr_queue_post *p, const struct mpr_party *party)
{
	return end_one(p, party, mpr_message_return);
}

void
mpr_queue_hand_back(struct mpr_served *c, const int64_t *thread)
{
	const struct mpr_attachment *left = NULL;
	struct mpr_handed *h, *next;

	for (h = c->handed; h; h = next) {
		bool had = h->end <= c->sent;

		next = h->next_of;
		if (thread && h->party.thread != *thread)
			continue;
		unlink_handed(h);
		if (had && !h->post->at->keeps) {
			let_go(h);
			continue;
		}
		/* Those of a queue come together, mostly, and are told of at once. */
		if (left && left != lies_in(h->post))
			mpr_messages_left(left);
		left = h->taken.block ? lies_in(h->post) : NULL;
		return_one(h, had);
	}
	if (left)
		mpr_messages_left(left);
}

/*
 * Who takes nothing of what it is sent.
 */

static bool
has_unsent(const struct mpr_served *c)
{
	/* They are sent as they were taken. */
	return c->last_handed && !c->last_handed->is_sent;
}

void
mpr_queue_forget_stuck(struct mpr_queue_desk *d, struct mpr_served *c)
{
	if (!c->is_stuck)
		return;
	if (c->next_stuck)
		c->next_stuck->previous_stuck = c->previous_stuck;
	if (c->previous_stuck)
		c->previous_stuck->next_stuck = c->next_stuck;
	else
		d->stuck = c->next_stuck;
	c->next_stuck = c->previous_stuck = NULL;
	c->is_stuck = false;
}

/* It has all the looks for what is next. */
static void
begin_part(struct mpr_served *c)
{
	c->stuck_looks = 0;
	c->stuck_at = c->sent;
}

/* It may take the rest later. */
static void
note_stuck(struct mpr_queue_desk *d, struct mpr_served *c)
{
	if (c->is_stuck) {
		if (c->sent - c->stuck_at >= LEAST)
			begin_part(c);
		return;
	}
	begin_part(c);
	c->is_stuck = true;
	c->next_stuck = d->stuck;
	if (c->next_stuck)
		c->next_stuck->previous_stuck = c;
	d->stuck = c;
}

/* What is on its way may come back: a drain waits for that, and a join for a dead letter. */
static bool
is_waited_for(const struct mpr_handed *h)
{
	const struct mpr_queue_post *p = h->post;
	const mproc_queue *q = lies_in(p)->q;

	return atomic_load(&q->closing) == MPROC_DRAIN ||
	       (p->at->dead_letters && (mpr_message_is_watched(&h->taken) ||
					mpr_queue_is_joined(p->desk, q)));
}

static bool
holds_others_up(const struct mpr_served *c)
{
	const struct mpr_handed *h = c->last_handed;

	for (; h && !h->is_sent; h = h->previous_of)
		if (is_waited_for(h))
			return true;
	return false;
}

/* Besides what it has not taken: then it is as somebody in the family who is stopped, and
 * others wait. */
static bool
has_something(const struct mpr_served *c)
{
	/* They are sent as they were taken. */
	return c->leases || c->n_roles || (c->handed && c->handed->is_sent);
}

void
mpr_queue_look_for_stuck(struct mpr_queue_desk *d)
{
	struct mpr_served *c, *next;

	for (c = d->stuck; c; c = next) {
		next = c->next_stuck;
		if (!has_unsent(c)) {
			mpr_queue_forget_stuck(d, c);
			continue;
		}
		if (has_something(c) || !holds_others_up(c)) {
			begin_part(c);
			continue;
		}
		if (++c->stuck_looks < LOOKS - 1)
			continue;
		if (c->stuck_looks >= LOOKS) {
			mpr_log(MPROC_LOG_WARNING, "a client that holds nothing was "
				"disconnected: it takes no answers, and others wait for "
				"the messages in them");
			c->is_over = true;
		}
		/* First it is sent what it has room for: the kernel tells of that when
		 * most of it is free, and it may have taken less. */
		d->tell(d->by, c);
	}
}

void
mpr_queue_desk_sent(struct mpr_queue_desk *d, struct mpr_served *c)
{
	struct mpr_handed *h = c->last_handed, *previous;

	/* The last ones are those that are not. */
	for (; h && !h->is_sent; h = previous) {
		previous = h->previous_of;
		if (h->end > c->sent)
			continue;
		h->is_sent = true;
		if (h->post->at->keeps)
			continue;
		unlink_handed(h);
		let_go(h);
	}
	if (has_unsent(c))
		note_stuck(d, c);
	else
		mpr_queue_forget_stuck(d, c);
	if (c->is_passed_over && !mpr_queue_is_slow(c)) {
		c->is_passed_over = false;
		mpr_porter_knock(d->porter);
	}
}

void
mpr_queue_put_back(struct mpr_queue_post *p)
{
	struct mpr_handed *h;
	int r;

	while ((h = p->back)) {
		/* Nobody gets anything any more. */
		r = atomic_load(&p->q->closing) == MPROC_IMMEDIATE ?
			    h->n : mpr_put_back_for(p->at, h->msgs, h->n);
		if (r < 0)
			return;
		h->msgs += r;
		h->n -= r;
		if (h->n)
			continue;
		leave_back(h);
		forget(h);
	}
	owe_less(p);
}

void
mpr_queue_forget_handed(struct mpr_queue_post *p)
{
	struct mpr_handed *h;

	while ((h = p->handed)) {
		unlink_handed(h);
		forget(h);
	}
	while ((h = p->back)) {
		leave_back(h);
		forget(h);
	}
}
