/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "arena/recover.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/macros.h"
#include "ipc/queue_keep.h"
#include "manager/queue_desk_priv.h"
#include "os/clock.h"
#include "os/epoll.h"
#include "os/generation.h"
#include "os/socket.h"

#define QUEUED_MOST 1024 /* requests of one client */
#define SLOW ((size_t)64 << 10) /* bytes that a client has not taken */

/* How often those who wait look by themselves: a waker may have been stopped. And for the
 * dead, as the porter does not. */
#define LOOK INT64_C(100000000) /* ns */

#define NS_PER_MS INT64_C(1000000)

/* How often, at most, whether queues are gone of which we keep the memory. */
#define SWEEP INT64_C(1000000000) /* ns */

void *
mpr_queue_desk_take_memory(struct mpr_budget *budget, size_t size)
{
	bool taken = mpr_budget_take(budget, size);
	void *p = taken ? mpr_malloc(size) : NULL;

	if (!p)
		mpr_fail(-ENOMEM, "the manager has no memory for a message, or for "
			 "another one who waits");
	if (!p && taken)
		mpr_budget_give(budget, size);
	return p;
}

void
mpr_queue_desk_give_memory(struct mpr_budget *budget, void *p, size_t size)
{
	free(p);
	mpr_budget_give(budget, size);
}

bool
mpr_queue_is_slow(const struct mpr_served *c)
{
	return mpr_buffer_len(&c->out) >= SLOW;
}

/*
 * Requests that wait.
 */

static size_t
memory_of(const struct mpr_queued *k)
{
	size_t memory = sizeof(*k) + (size_t)k->n * sizeof(*k->msgs);

	for (int i = 0; i < k->n; i++)
		memory += k->msgs[i].iov_len;
	return memory;
}

/* What it is to put lies in a request that goes. */
static void
copy_messages(struct mpr_queued *k)
{
	struct iovec *msgs = (struct iovec *)(k + 1);
	unsigned char *to = (unsigned char *)(msgs + k->n);

	for (int i = 0; i < k->n; i++) {
		msgs[i] = (struct iovec){ to, k->msgs[i].iov_len };
		if (msgs[i].iov_len)
			memcpy(to, k->msgs[i].iov_base, msgs[i].iov_len);
		to += msgs[i].iov_len;
	}
	k->msgs = msgs;
}

void
mpr_queue_post_set_busy(struct mpr_queue_post *p)
{
	struct mpr_queue_desk *d = p->desk;
	bool busy = p->back || p->awaits || p->put_wait.lacks;

	for (int line = 0; line < MPR_QUEUE_LINES; line++)
		busy |= p->first[line] != NULL;
	if (busy == p->is_busy)
		return;
	p->is_busy = busy;
	if (!busy) {
		if (p->next_busy)
			p->next_busy->previous_busy = p->previous_busy;
		if (p->previous_busy)
			p->previous_busy->next_busy = p->next_busy;
		else
			d->busy = p->next_busy;
		return;
	}
	if (!d->busy)
		d->look_at = mproc_now() + LOOK;
	p->previous_busy = NULL;
	p->next_busy = d->busy;
	if (p->next_busy)
		p->next_busy->previous_busy = p;
	d->busy = p;
}

static int
keep(struct mpr_queue_post *p, const struct mpr_queued *like)
{
	struct mpr_queue_desk *d = p->desk;
	struct mpr_served *c = like->party.client;
	size_t memory = memory_of(like);
	struct mpr_queued *k;

	if (c->n_queued == QUEUED_MOST)
		return mpr_fail(-ENOLCK, "%d threads of this client wait already",
				QUEUED_MOST);
	k = mpr_queue_desk_take_memory(&c->budget, memory);
	if (!k)
		return -ENOMEM;
	*k = *like;
	copy_messages(k);
	k->memory = memory;
	k->previous = p->last[k->line];
	if (k->previous)
		k->previous->next = k;
	else
		p->first[k->line] = k;
	p->last[k->line] = k;
	k->next_of = c->queued;
	if (k->next_of)
		k->next_of->previous_of = k;
	c->queued = k;
	c->n_queued++;
	if (k->deadline < d->soonest)
		d->soonest = k->deadline;
	mpr_queue_post_set_busy(p);
	return 0;
}

static void
drop(struct mpr_queued *k)
{
	struct mpr_queue_post *p = k->post;
	struct mpr_served *c = k->party.client;

	if (k->next)
		k->next->previous = k->previous;
	else
		p->last[k->line] = k->previous;
	if (k->previous)
		k->previous->next = k->next;
	else
		p->first[k->line] = k->next;
	if (k->next_of)
		k->next_of->previous_of = k->previous_of;
	if (k->previous_of)
		k->previous_of->next_of = k->next_of;
	else
		c->queued = k->next_of;
	c->n_queued--;
	mpr_queue_desk_give_memory(&c->budget, k, k->memory);
}

/* Its answer was written, or is its result. Of an error the text is there. */
static void
end(struct mpr_queued *k, int r, bool answered)
{
	struct mpr_queue_desk *d = k->post->desk;
	struct mpr_served *c = k->party.client;

	/* Who cannot be told has to go. */
	if (!answered && mpr_served_answer(d->by, c, k->number, r, NULL, 0,
					   r < 0 ? mproc_error_detail() : NULL) < 0)
		c->leaves = true;
	drop(k);
	d->tell(d->by, c);
}

/*
 * Queues.
 */

static struct mpr_queue_post **
bucket_of(struct mpr_queue_desk *d, const mproc_queue *q)
{
	return &d->posts[(uintptr_t)q / MPR_APART % MPR_QUEUE_BUCKETS];
}

static bool
is_gone(const struct mpr_queue_post *p)
{
	return atomic_load(&p->q->state) != p->at->open;
}

static void
end_role(struct mpr_queue_post *p)
{
	if (!p->consumer.client)
		return;
	p->consumer.client->n_roles--;
	p->consumer = (struct mpr_party){ .client = NULL };
}

/* It was destroyed. */
static void
end_post(struct mpr_queue_post *p)
{
	struct mpr_queue_post **link = bucket_of(p->desk, p->q);

	while (*link != p)
		link = &(*link)->next;
	*link = p->next;
	for (int line = 0; line < MPR_QUEUE_LINES; line++)
		while (p->first[line]) {
			mpr_fail(-ESHUTDOWN, "queue %p was destroyed", (void *)p->q);
			end(p->first[line], -ESHUTDOWN, false);
		}
	mpr_queue_forget_handed(p);
	end_role(p);
	p->awaits = false;
	p->put_wait.lacks = 0;
	mpr_queue_post_set_busy(p);
	mpr_attachment_drop(p->at);
	p->desk->n_posts--;
	free(p);
}

static int
begin(struct mpr_queue_desk *d)
{
	int r = mpr_porter_open(&d->porter, d->arena);

	if (r < 0)
		return r;
	r = mpr_epoll_add(d->set, mpr_porter_fd(d->porter), MPR_SOCKET_IN, d->id);
	if (r == 0)
		return 0;
	mpr_porter_close(d->porter);
	d->porter = NULL;
	return mpr_fail(r, "no descriptor for a thread that waits");
}

static int
make_post(struct mpr_queue_desk *d, mproc_queue *q, struct mpr_queue_post **ret)
{
	struct mpr_queue_post *p, **bucket = bucket_of(d, q);
	int r = d->porter ? 0 : begin(d);

	if (r < 0)
		return r;
	p = mpr_zalloc(sizeof(*p));
	if (!p)
		return mpr_fail(-ENOMEM, "no memory for another queue");
	r = mpr_attachment_make(q, mpr_porter_self(d->porter), &p->at);
	if (r < 0) {
		free(p);
		return r;
	}
	p->desk = d;
	p->q = q;
	p->next = *bucket;
	*bucket = p;
	d->n_posts++;
	*ret = p;
	return 0;
}

/* NULL: nobody has used it. */
static struct mpr_queue_post *
look_up(struct mpr_queue_desk *d, const mproc_queue *q)
{
	struct mpr_queue_post *p = *bucket_of(d, q);

	while (p && p->q != q)
		p = p->next;
	return p;
}

int
mpr_queue_desk_find(struct mpr_queue_desk *d, mproc_queue *q,
		    struct mpr_queue_post **ret)
{
	struct mpr_queue_post *p = look_up(d, q);

	if (p && is_gone(p)) {
		end_post(p);
		p = NULL;
	}
	*ret = p;
	return p ? 0 : make_post(d, q, ret);
}

/*
 * Attempts.
 */

/* Whether dead letters of its are on their way. */
static bool
letters_go(const struct mpr_queue_post *p)
{
	const mproc_queue *dead = mpr_queue_partner(p->desk->arena, p->q);
	const struct mpr_queue_post *letters = dead ? look_up(p->desk, dead) : NULL;

	return letters && letters->handed;
}

/* Returns how many were put; -EAGAIN if there is no room, and the porter waits for it. */
static int
put(struct mpr_queue_post *p, const struct mpr_queued *k)
{
	struct mpr_attachment *at = p->at;
	bool offered = mpr_put_unawait(at, &p->put_wait);
	int r;

	/* Their memory comes free, as that in the queue does; what this one has itself is
	 * not to be waited for. */
	at->others_have = at->keeps &&
			  (mpr_queue_others_have(p, &k->party) || letters_go(p));
	for (;;) {
		at->lacks = 0;
		r = mpr_put_for(at, k->msgs, k->n);
		if (offered)
			mpr_put_pass_on(at, r);
		offered = false;
		if (r != -EAGAIN || !at->lacks || !k->deadline)
			break;
		/* Announced, and looked once more for the same. */
		if (p->put_wait.lacks == at->lacks)
			return r;
		offered = mpr_put_unawait(at, &p->put_wait);
		if (!offered)
			mpr_put_await(at, k->msgs[0].iov_len, &p->put_wait);
	}
	/* Not for this one any more. */
	if (mpr_put_unawait(at, &p->put_wait))
		mpr_message_offer(at);
	p->put_wait.since = 0;
	return r;
}

/* Whether all is done, whoever asks. */
static int
try_join(struct mpr_queue_post *p)
{
	if (!p->handed && !letters_go(p))
		return mpr_join_for(p->at);
	/* What clients have, or may read, is the porter's, and is not done; when it is,
	 * the porter is knocked. */
	if (is_gone(p) || atomic_load(&p->q->closing) == MPROC_IMMEDIATE)
		return mpr_fail(-ESHUTDOWN, "%s is shut down",
				mpr_queue_label(p->q).text);
	return -EAGAIN;
}

bool
mpr_queue_is_joined(struct mpr_queue_desk *d, const mproc_queue *q)
{
	const struct mpr_queue_post *p = look_up(d, q);

	return p && p->first[MPR_QUEUE_JOINS];
}

static int
join(struct mpr_queue_post *p, const struct mpr_queued *k)
{
	if (!p->at->keeps)
		return mpr_fail(-EINVAL, "%s was made without .joinable and .ack",
				mpr_queue_label(p->q).text);
	if (mpr_queue_has(p, &k->party))
		return mpr_fail(-EDEADLK, "this thread holds messages of %s",
				mpr_queue_label(p->q).text);
	return try_join(p);
}

/* *@ret_answered: the answer was written. -EAGAIN: not now. */
static int
try(struct mpr_queue_post *p, const struct mpr_queued *k, bool *ret_answered)
{
	int r;

	*ret_answered = false;
	if (k->line == MPR_QUEUE_PUTS)
		return put(p, k);
	if (k->line == MPR_QUEUE_JOINS)
		return join(p, k);
	r = mpr_queue_hand(p, k);
	*ret_answered = r == 0;
	return r == 1 ? -EAGAIN : r;
}

/* The first one that takes its answers. */
static struct mpr_queued *
first_fast(const struct mpr_queue_post *p)
{
	struct mpr_queued *k = p->first[MPR_QUEUE_GETS];

	for (; k && mpr_queue_is_slow(k->party.client); k = k->next)
		k->party.client->is_passed_over = true;
	return k;
}

/*
 * Gives those who wait what there is. The seat says that the porter waits, if nothing was
 * there, and was looked at once more after that.
 */
static void
go_on_getting(struct mpr_queue_post *p)
{
	bool chosen = p->awaits && mpr_get_unawait(p->at), nothing = false;
	struct mpr_queued *k;
	int r;

	p->awaits = false;
	while ((k = first_fast(p))) {
		r = mpr_queue_hand(p, k);
		nothing = r == -EAGAIN;
		if (r == 1) {
			/* They may be gone the next time, and nobody else. */
			mpr_porter_knock(p->desk->porter);
			break;
		}
		if (nothing && p->awaits) {
			mpr_served_rest(p->desk->by, k->party.client);
			break;
		}
		if (nothing) {
			mpr_get_await(p->at);
			p->awaits = true;
			continue;
		}
		if (p->awaits)
			chosen |= mpr_get_unawait(p->at);
		p->awaits = false;
		end(k, r, r == 0);
	}
	if (p->awaits && !nothing) {
		chosen |= mpr_get_unawait(p->at);
		p->awaits = false;
	}
	/* It was for somebody, who may not be one of ours. */
	if (chosen && !nothing)
		mpr_get_pass_on(p->at);
}

static void
go_on_putting(struct mpr_queue_post *p)
{
	struct mpr_queued *k;
	int r;

	while ((k = p->first[MPR_QUEUE_PUTS])) {
		r = put(p, k);
		if (r == -EAGAIN && p->put_wait.lacks)
			return;
		end(k, r, false);
	}
	if (mpr_put_unawait(p->at, &p->put_wait))
		mpr_message_offer(p->at);
	p->put_wait.since = 0;
}

static void
go_on_joining(struct mpr_queue_post *p)
{
	struct mpr_queued **first = &p->first[MPR_QUEUE_JOINS];
	int r = *first ? try_join(p) : 0;

	/* It takes as long as there are messages, and is the same for all of them. */
	while (*first && r != -EAGAIN)
		end(*first, r, false);
}

/* Those who wait, as far as they can. The post may be gone after that. */
static void
go_on(struct mpr_queue_post *p)
{
	if (is_gone(p)) {
		end_post(p);
		return;
	}
	go_on_getting(p);
	if (!first_fast(p))
		mpr_queue_put_back(p);
	go_on_putting(p);
	go_on_joining(p);
	mpr_queue_post_set_busy(p);
}

static void
go_on_all(struct mpr_queue_desk *d)
{
	struct mpr_queue_post *p, *next;

	for (p = d->busy; p; p = next) {
		next = p->next_busy;
		go_on(p);
	}
}

/* Those who wait, for what may come; after a shutdown for what may come back. If there may
 * be something they get that, and the rest is for who asks now. */
static bool
others_come_first(struct mpr_queue_post *p, const struct mpr_queued *k)
{
	if (k->line == MPR_QUEUE_JOINS || atomic_load(&p->q->closing))
		return false;
	if (k->line == MPR_QUEUE_PUTS) {
		if (p->first[k->line] && mpr_put_is_told(p->at, &p->put_wait))
			go_on_putting(p);
		return p->first[k->line];
	}
	if (first_fast(p) && (!p->awaits || mpr_get_is_told(p->at)))
		go_on_getting(p);
	return first_fast(p);
}

/* @time: ns from now on, below 0 for ever. */
static int64_t
deadline_of(int64_t time)
{
	int64_t now = time < 0 ? 0 : mproc_now();

	return time < 0 || time >= MPR_NEVER - now ? MPR_NEVER : now + time;
}

int
mpr_queue_desk_ask(struct mpr_queue_post *p, struct mpr_queued *k, int64_t time)
{
	bool answered = false;
	int r = -EAGAIN;

	k->post = p;
	/* The clock is for who has to wait. */
	k->deadline = time ? MPR_NEVER : 0;
	if (!others_come_first(p, k))
		r = try(p, k, &answered);
	if (r == -EAGAIN && k->deadline) {
		k->deadline = deadline_of(time);
		r = keep(p, k);
		if (r == 0) {
			/* Announces it, and looks once more. */
			go_on(p);
			return MPR_KEPT;
		}
	} else if (r == -EAGAIN) {
		mpr_fail(r, "queue %p is empty, full, or not done", (void *)p->q);
	}
	/* What was announced in vain. */
	mpr_queue_post_set_busy(p);
	return answered ? MPR_KEPT : r;
}

void
mpr_queue_desk_withdraw(struct mpr_queue_desk *d, struct mpr_served *c, int64_t number)
{
	struct mpr_queued *k = c->queued;

	while (k && k->number != number)
		k = k->next_of;
	if (!k)
		return;
	mpr_fail(-EINTR, "interrupted");
	end(k, -EINTR, false);
	mpr_porter_knock(d->porter);
}

/* They may be many, but few clients have such a role. */
static void
leave_roles(struct mpr_queue_desk *d, struct mpr_served *c, const int64_t *thread)
{
	struct mpr_queue_post *p;

	for (unsigned i = 0; i < MPR_QUEUE_BUCKETS && c->n_roles; i++)
		for (p = d->posts[i]; p; p = p->next) {
			if (p->consumer.client != c ||
			    (thread && p->consumer.thread != *thread))
				continue;
			end_role(p);
			mpr_attachment_end_consumer(p->at);
		}
}

void
mpr_queue_desk_leave(struct mpr_queue_desk *d, struct mpr_served *c,
		     const int64_t *thread)
{
	struct mpr_queued *k, *next;

	/* What a forked child has of it is a copy. */
	if (!d || !d->porter || d->generation != mpr_generation())
		return;
	for (k = c->queued; k; k = next) {
		next = k->next_of;
		if (!thread || k->party.thread == *thread)
			drop(k);
	}
	mpr_queue_hand_back(c, thread);
	if (!thread)
		mpr_queue_forget_stuck(d, c);
	leave_roles(d, c, thread);
	/* Others may have it now. */
	mpr_porter_knock(d->porter);
}

void
mpr_queue_desk_destroyed(struct mpr_queue_desk *d, const mproc_queue *q)
{
	struct mpr_queue_post *p = look_up(d, q);

	if (p && is_gone(p))
		end_post(p);
}

void
mpr_queue_desk_hear(struct mpr_queue_desk *d)
{
	mpr_porter_reset(d->porter);
	d->woken |= mpr_porter_is_woken(d->porter);
	go_on_all(d);
}

/*
 * Time.
 */

static void
expire(struct mpr_queue_desk *d, int64_t now)
{
	struct mpr_queued *k, *next;

	d->soonest = MPR_NEVER;
	for (struct mpr_queue_post *p = d->busy; p; p = p->next_busy)
		for (int line = 0; line < MPR_QUEUE_LINES; line++)
			for (k = p->first[line]; k; k = next) {
				next = k->next;
				if (k->deadline > now) {
					if (k->deadline < d->soonest)
						d->soonest = k->deadline;
					continue;
				}
				mpr_fail(-ETIMEDOUT, "not in that time");
				end(k, -ETIMEDOUT, false);
				mpr_porter_knock(d->porter);
			}
}

static void
sweep(struct mpr_queue_desk *d)
{
	struct mpr_queue_post *p, *next;

	for (unsigned i = 0; i < MPR_QUEUE_BUCKETS; i++)
		for (p = d->posts[i]; p; p = next) {
			next = p->next;
			if (is_gone(p))
				end_post(p);
		}
}

int64_t
mpr_queue_desk_look(struct mpr_queue_desk *d)
{
	int64_t now, next;

	/* Mostly there is nothing to do, and it is asked after each request. */
	if (!d->n_posts || (!d->busy && !d->stuck && !d->woken &&
			    mpr_now_roughly() * NS_PER_MS - d->swept < SWEEP))
		return MPR_NEVER;
	now = mproc_now();
	if (now - d->swept >= SWEEP) {
		d->swept = now;
		d->woken = false;
		sweep(d);
	}
	/* Who destroys a queue wakes all, and it may be the last one to do so. */
	next = d->woken ? d->swept + SWEEP : MPR_NEVER;
	if (d->stuck && now >= d->stuck_look) {
		d->stuck_look = now + MPR_QUEUE_STUCK_LOOK;
		mpr_queue_look_for_stuck(d);
	}
	if (d->stuck && d->stuck_look < next)
		next = d->stuck_look;
	if (!d->busy)
		return next;
	if (now >= d->soonest)
		expire(d, now);
	if (now >= d->look_at) {
		d->look_at = now + LOOK;
		(void)mpr_recover_now_and_then(d->arena);
		go_on_all(d);
	}
	if (d->soonest < next)
		next = d->soonest;
	return d->look_at < next ? d->look_at : next;
}

int
mpr_queue_desk_open(struct mpr_queue_desk **ret_d, mproc_arena *a,
		    struct mpr_served_by *by, struct mpr_budget *budget, int set,
		    uint64_t id,
		    void (*tell)(struct mpr_served_by *by, struct mpr_served *c))
{
	struct mpr_queue_desk *d = mpr_zalloc(sizeof(*d));

	if (!d)
		return mpr_fail(-ENOMEM, "no memory for a manager");
	*d = (struct mpr_queue_desk){
		.generation = mpr_generation(), .arena = a, .by = by, .budget = budget,
		.set = set, .id = id, .tell = tell, .soonest = MPR_NEVER,
	};
	*ret_d = d;
	return 0;
}

/* What has come back goes into the queue if there is room, and is lost otherwise. */
static void
close_post(struct mpr_queue_post *p)
{
	mpr_queue_put_back(p);
	if (mpr_put_unawait(p->at, &p->put_wait))
		mpr_message_offer(p->at);
	mpr_queue_forget_handed(p);
	mpr_put_owe_nothing(p->at, true);
	if (p->awaits && mpr_get_unawait(p->at))
		mpr_get_pass_on(p->at);
	mpr_attachment_drop(p->at);
	free(p);
}

void
mpr_queue_desk_close(struct mpr_queue_desk *d)
{
	struct mpr_queue_post *p, *next;

	if (!d)
		return;
	for (unsigned i = 0; i < MPR_QUEUE_BUCKETS; i++)
		for (p = d->posts[i]; p; p = next) {
			next = p->next;
			/* In a forked child it is a copy. */
			if (d->generation == mpr_generation()) {
				close_post(p);
				continue;
			}
			mpr_attachment_forget(p->at);
			free(p);
		}
	mpr_porter_close(d->porter);
	free(d);
}
