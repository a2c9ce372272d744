/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/macros.h"
#include "containers/remote.h"
#include "manager/desk_priv.h"
#include "os/clock.h"
#include "os/epoll.h"
#include "os/generation.h"
#include "os/socket.h"
#include "sync/cell.h"
#include "sync/remote.h"

static const struct mpr_post_ops *
ops_of(enum mpr_cell_kind kind)
{
	switch (kind) {
	case MPR_CELL_LOCK:
	case MPR_CELL_RLOCK:
		return &mpr_post_lock;
	case MPR_CELL_SEMAPHORE:
		return &mpr_post_semaphore;
	case MPR_CELL_EVENT:
		return &mpr_post_event;
	case MPR_CELL_CONDITION:
		return &mpr_post_condition;
	case MPR_CELL_BARRIER:
		return &mpr_post_barrier;
	default:
		return NULL;
	}
}

bool
mpr_desk_is_for(enum mpr_cell_kind kind)
{
	return ops_of(kind) != NULL;
}

void *
mpr_desk_take_memory(struct mpr_served *c, size_t size)
{
	bool may = mpr_budget_take(&c->budget, size);
	void *p = may ? mpr_zalloc(size) : NULL;

	if (may && !p)
		mpr_budget_give(&c->budget, size);
	if (!p)
		mpr_fail(-ENOMEM, "the manager has no memory for another one who waits "
			 "or has something");
	return p;
}

void
mpr_desk_give_memory(struct mpr_served *c, void *p, size_t size)
{
	free(p);
	mpr_budget_give(&c->budget, size);
}

/* Who has what is to be had at once. */
int
mpr_desk_get_first(struct mpr_desk *d, struct mpr_self **ret_self)
{
	int r = 0;

	if (!d->deputies) {
		r = mpr_deputies_open(&d->deputies, d->arena);
		if (r == 0)
			r = mpr_epoll_add(d->set, mpr_deputies_fd(d->deputies),
					  MPR_SOCKET_IN, d->id);
		if (r < 0) {
			mpr_deputies_close(d->deputies);
			d->deputies = NULL;
			return mpr_fail(r, "no descriptor for threads that wait");
		}
	}
	return mpr_deputies_first(d->deputies, ret_self);
}

/*
 * Objects.
 */

static struct mpr_post **
bucket_of(struct mpr_desk *d, const void *object)
{
	return &d->posts[(uintptr_t)object / MPR_CELL % MPR_DESK_BUCKETS];
}

bool
mpr_post_is_gone(const struct mpr_post *p)
{
	const struct mpr_cell *cell = p->object;

	return atomic_load(&cell->word) & MPR_GONE ||
	       atomic_load(&cell->generation) != p->generation;
}

static void
set_missed(struct mpr_post *p, bool missed)
{
	struct mpr_desk *d = p->desk;
	int64_t soon;

	if (p->is_missed == missed)
		return;
	p->is_missed = missed;
	if (!missed) {
		d->n_missed--;
		return;
	}
	d->n_missed++;
	soon = mproc_now() + MPR_DESK_LOOK_ALONE;
	if (soon < d->look_at)
		d->look_at = soon;
}

/* Does first what has happened meanwhile. Returns whether somebody does not wait there
 * any more. */
static bool
refresh(struct mpr_post *p)
{
	return p->ops->refresh && p->ops->refresh(p);
}

/* Who waits does so no more, for the reason @why, with the text. */
static void
stop(struct mpr_kept *k, int why)
{
	if (k->post->ops->stop)
		k->post->ops->stop(k, why);
	else
		mpr_kept_answer(k, why);
}

void
mpr_post_end(struct mpr_post *p)
{
	struct mpr_post **link = bucket_of(p->desk, p->object);

	while (*link != p)
		link = &(*link)->next;
	*link = p->next;
	p->desk->n_ended++;
	set_missed(p, false);
	p->is_over = true;
	while (p->first) {
		/* Of a lock that is to be had again: as of one that was held. */
		int r = p->first->comes_back ? -ESTALE : -ESHUTDOWN;

		mpr_fail(r, "%p was destroyed", p->object);
		stop(p->first, r);
	}
	while (p->leases)
		mpr_lease_drop(p->leases);
	if (p->is_out) {
		mpr_deputies_recall(p->desk->deputies, &p->errand);
		return;
	}
	if (p->ops->clear)
		p->ops->clear(p);
	free(p);
}

struct mpr_post *
mpr_post_find(struct mpr_desk *d, const void *object, uint32_t generation)
{
	struct mpr_post *p = *bucket_of(d, object);

	/* Who asks may mean one that was there before: only what is gone is ended. */
	while (p && (p->object != object || p->generation != generation)) {
		if (p->object == object && mpr_post_is_gone(p)) {
			mpr_post_end(p);
			p = *bucket_of(d, object);
		} else {
			p = p->next;
		}
	}
	return p;
}

struct mpr_post *
mpr_post_look_up(struct mpr_desk *d, const void *object, uint32_t generation)
{
	struct mpr_post *p = *bucket_of(d, object);

	while (p && (p->object != object || p->generation != generation))
		p = p->next;
	return p;
}

struct mpr_post *
mpr_post_of(struct mpr_desk *d, const struct mpr_object *o)
{
	struct mpr_post *p = mpr_post_find(d, o->object, o->generation);

	if (p)
		return p;
	p = mpr_zalloc(sizeof(*p));
	if (!p) {
		mpr_fail(-ENOMEM, "no memory for another object");
		return NULL;
	}
	p->ops = ops_of(o->kind);
	p->errand.run = p->ops->run;
	p->desk = d;
	p->object = o->object;
	p->kind = o->kind;
	p->generation = o->generation;
	p->next = *bucket_of(d, o->object);
	*bucket_of(d, o->object) = p;
	return p;
}

/* The client at its head does not take more than half of the deputies that others
 * leave. */
static bool
may_send(const struct mpr_post *p)
{
	const struct mpr_served *c = p->first->party.client;
	unsigned out = 0, theirs = 0;

	for (unsigned i = 1; i < MPR_DEPUTIES; i++) {
		const struct mpr_post *other = (const struct mpr_post *)
			mpr_deputies_errand(p->desk->deputies, i);

		out += other != NULL;
		theirs += other && other->first &&
			  other->first->party.client == c;
	}
	return theirs < MPR_DEPUTIES - 1 - out;
}

int
mpr_post_send(struct mpr_post *p)
{
	struct mpr_self *first;
	int r;

	if (p->is_out)
		return 0;
	/* There may be none yet. */
	r = mpr_desk_get_first(p->desk, &first);
	if (r == 0)
		r = may_send(p) ? mpr_deputies_send(p->desk->deputies, &p->errand) :
				  -EBUSY;
	p->is_out = r == 0;
	return r;
}

/* Others than clients have it. */
static void
send_out(struct mpr_post *p)
{
	if (!p->is_out)
		p->seen = p->first->seen;
	set_missed(p, mpr_post_send(p) < 0);
}

void
mpr_post_wait_on(struct mpr_post *p, bool for_others)
{
	if (p->first && for_others)
		send_out(p);
	/* It has a place in the line, which it keeps for the others that wait. */
	if (!p->first && p->is_out)
		mpr_deputies_recall(p->desk->deputies, &p->errand);
}

/* Those who wait, as they came, for as long as it is to be had. */
void
mpr_post_go_on(struct mpr_post *p)
{
	struct mpr_self *self;
	int r = 0;

	set_missed(p, false);
	if (p->ops->go_on) {
		p->ops->go_on(p);
		return;
	}
	while (p->first) {
		r = mpr_desk_get_first(p->desk, &self);
		if (r == 0)
			r = p->ops->try(p, &p->first->party, self, &p->first->seen);
		if (r == -EBUSY || r == -EAGAIN)
			break;
		if (r == -ESTALE) {
			mpr_post_end(p);
			return;
		}
		mpr_kept_answer(p->first, r);
	}
	mpr_post_wait_on(p, r == -EBUSY);
}

int
mpr_lease_end(struct mpr_lease *lease, bool died)
{
	struct mpr_post *p = lease->post;
	struct mpr_desk *d = p->desk;
	const struct mpr_party party = lease->party;
	/* What lies there now may be another one, to which it does not belong. */
	int r = mpr_post_is_gone(p) ? -ESTALE : p->ops->give(p, lease, died);

	/* It is not back before another one is notified for it. */
	lease->party.called = NULL;
	mpr_lease_drop(lease);
	if (r == -ESTALE)
		mpr_post_end(p);
	else
		mpr_post_go_on(p);
	/* Nobody knows whether it had its answer. */
	if (died)
		mpr_condition_pass_on(d, &party);
	mpr_condition_is_back(d, &party);
	return r;
}

/* A deputy has it, for the one who waits longest. */
static void
hand_out(struct mpr_post *p, struct mpr_self *self, int r)
{
	struct mpr_kept *k = p->first;
	struct mpr_lease *lease;
	int made = 0;

	if (k && p->ops->has_leases(p)) {
		made = mpr_lease_make(p, &k->party, &lease);
		if (made < 0)
			mpr_kept_answer(k, made);
		else
			mpr_lease_begin(lease, self);
	}
	if (k && made == 0)
		mpr_kept_answer(k, r);
	else
		(void)p->ops->give_up(p, self);
}

static void
receive(struct mpr_post *p)
{
	int r = p->errand.result;

	p->is_out = false;
	if (p->is_over) {
		/* It may have come to one that was made in the same place. */
		if (r >= 0 && p->ops->give_up)
			(void)p->ops->give_up(p, p->errand.self);
		free(p);
		return;
	}
	if (r >= 0 && p->ops->give_up) {
		hand_out(p, p->errand.self, r);
	} else if (r < 0 && r != -EINTR && p->first) {
		if (r == -ESHUTDOWN || r == -ESTALE) {
			mpr_post_end(p);
			return;
		}
		mpr_fail(r, "%s", mproc_strerror(r));
		mpr_kept_answer(p->first, r);
	}
	mpr_post_go_on(p);
}

void
mpr_desk_hear(struct mpr_desk *d)
{
	struct mpr_errand *errand;

	while ((errand = mpr_deputies_back(d->deputies)))
		receive((struct mpr_post *)errand);
}

/*
 * Requests.
 */

static int
acquire(struct mpr_post *p, const struct mpr_request *q, int64_t time)
{
	struct mpr_news seen = { .object = NULL };
	struct mpr_self *self;
	struct mpr_kept *k;
	int r, kept;

	if (!p->ops->try)
		return mpr_fail(-EINVAL, "this is not to be had");
	r = mpr_desk_get_first(p->desk, &self);
	if (r < 0)
		return r;
	if (p->ops->see)
		seen = p->ops->see(p);
	/* Who waits comes first; who has it already does not wait. */
	r = p->first && !p->ops->see && !mpr_lease_find(p, &q->party) ?
		    -EAGAIN : p->ops->try(p, &q->party, self, &seen);
	if (r != -EBUSY && r != -EAGAIN)
		return r;
	if (time == 0)
		return mpr_fail(-EAGAIN, "it is not to be had now");
	/* Before the deputy goes, so that what it brings is for this one. */
	kept = mpr_kept_make(p, q, time, &seen, &k);
	if (kept < 0)
		return kept;
	if (r == -EBUSY)
		send_out(p);
	return MPR_KEPT;
}

/* How many numbers an operation has; the first one is the thread, where there is one. */
static unsigned
count_numbers(unsigned op)
{
	switch (op) {
	case MPR_OP_CONDITION_WAIT:
		return 3;
	case MPR_OP_ACQUIRE:
	case MPR_OP_BARRIER_WAIT:
		return 2;
	case MPR_OP_CONDITION_NOTIFY:
	case MPR_OP_BARRIER_ENROLL:
	case MPR_OP_RELEASE:
	case MPR_OP_CONSISTENT:
	case MPR_OP_WITHDRAW:
	case MPR_OP_LEAVE:
		return 1;
	}
	return 0;
}

static int
check(const struct mpr_remote_call *call)
{
	unsigned n = count_numbers(call->op);
	bool wrong = call->n_args != n;

	for (unsigned i = 0; i < n && !wrong; i++)
		wrong = call->args[i].kind != MPROC_INT;
	return wrong ? mpr_fail(-EINVAL, "operation %u has %u numbers",
				(unsigned)call->op, n) : 0;
}

int
mpr_desk_serve(struct mpr_desk *d, struct mpr_served *c, int64_t number,
	       const struct mpr_object *o, const struct mpr_object *other,
	       struct mpr_remote_call *call)
{
	struct mpr_request q = {
		.party = { .client = c }, .number = number, .other = other,
	};
	struct mpr_post *p;
	int r = check(call);

	if (r < 0)
		return r;
	if (call->op == MPR_OP_CHECK)
		return atomic_load(&((struct mpr_cell *)o->object)->word) & MPR_GONE ?
			       mpr_fail(-ESTALE, "the object was destroyed") : 0;
	p = mpr_post_of(d, o);
	if (!p)
		return -ENOMEM;
	if (call->n_args)
		q.party.thread = call->args[0].i64;
	return (unsigned)call->op == MPR_OP_ACQUIRE ?
		       acquire(p, &q, call->args[1].i64) :
		       p->ops->serve(p, &q, call);
}

static struct mpr_kept *
find_request(struct mpr_served *c, int64_t number)
{
	struct mpr_kept *k = c->kept;

	while (k && k->number != number)
		k = k->next_of;
	return k;
}

/* It is answered, if it is still kept, and can be called off. */
static void
withdraw(struct mpr_served *c, int64_t number)
{
	struct mpr_kept *k = find_request(c, number);
	struct mpr_post *p;

	/* The same may have become something else by that. */
	if (k && refresh(k->post))
		k = find_request(c, number);
	if (!k || k->comes_back)
		return;
	p = k->post;
	mpr_fail(-EINTR, "interrupted");
	stop(k, -EINTR);
	mpr_post_go_on(p);
}

static struct mpr_kept *
find_kept_of(struct mpr_served *c, const int64_t *thread)
{
	struct mpr_kept *k = c->kept;

	while (k && thread && k->party.thread != *thread)
		k = k->next_of;
	return k;
}

static struct mpr_lease *
find_lease_of(struct mpr_served *c, const int64_t *thread)
{
	struct mpr_lease *lease = c->leases;

	while (lease && thread && lease->party.thread != *thread)
		lease = lease->next_of;
	return lease;
}

/* Who waited is gone. */
static void
forget(struct mpr_kept *k)
{
	struct mpr_post *p = k->post;
	struct mpr_desk *d = p->desk;
	const struct mpr_party party = k->party;

	mpr_kept_drop(k);
	/* A deputy may be on its way for it alone. */
	if (!p->first)
		mpr_post_go_on(p);
	mpr_condition_pass_on(d, &party);
	mpr_condition_is_back(d, &party);
}

/* All that it waits for, then all that it has. @thread: of that one, or of all if it
 * is NULL. */
static void
leave(struct mpr_served *c, const int64_t *thread)
{
	struct mpr_lease *lease;
	struct mpr_kept *k;

	while ((k = find_kept_of(c, thread)))
		if (!refresh(k->post) &&
		    (!k->post->ops->part || k->post->ops->part(k)))
			forget(k);
	while ((lease = find_lease_of(c, thread)))
		(void)mpr_lease_end(lease, true);
}

int
mpr_desk_serve_client(struct mpr_desk *d, struct mpr_served *c,
		      struct mpr_remote_call *call)
{
	int r = check(call);

	(void)d;
	if (r < 0)
		return r;
	if ((unsigned)call->op == MPR_OP_WITHDRAW)
		withdraw(c, call->args[0].i64);
	else
		leave(c, &call->args[0].i64);
	return 0;
}

void
mpr_desk_leave(struct mpr_desk *d, struct mpr_served *c)
{
	/* What a forked child has of it is a copy. */
	if (d && d->generation == mpr_generation())
		leave(c, NULL);
}

void
mpr_desk_destroyed(struct mpr_desk *d, const struct mpr_object *o)
{
	struct mpr_post *p = mpr_post_find(d, o->object, o->generation);

	if (p)
		mpr_post_end(p);
}

/* Where somebody waits, whether it is still there; and if nobody waits for it in the
 * arena, whether it is to be had. */
static void
look_around(struct mpr_desk *d)
{
	struct mpr_post *p, *next;
	unsigned n_ended;

	for (unsigned i = 0; i < MPR_DESK_BUCKETS; i++)
		for (p = d->posts[i]; p; p = next) {
			next = p->next;
			n_ended = d->n_ended;
			if (p->first && mpr_post_is_gone(p))
				mpr_post_end(p);
			else if (p->is_missed)
				mpr_post_go_on(p);
			/* The next one may have ended with it, as a condition's lock:
			 * the others have their turn at the next look. */
			if (d->n_ended != n_ended)
				break;
		}
}

int64_t
mpr_desk_look(struct mpr_desk *d)
{
	struct mpr_post *p;
	int64_t now;

	if (!d->n_kept)
		return MPR_NEVER;
	now = mproc_now();
	while (d->soonest && d->soonest->deadline <= now) {
		p = d->soonest->post;
		if (refresh(p))
			continue;
		mpr_fail(-ETIMEDOUT, "not to be had in that time");
		stop(d->soonest, -ETIMEDOUT);
		if (!p->first)
			mpr_post_go_on(p);
	}
	if (now >= d->look_at) {
		d->look_at = now + MPR_DESK_LOOK;
		look_around(d);
	}
	/* Also if nobody waits any more: the next time it says so. */
	return d->soonest && d->soonest->deadline < d->look_at ?
		       d->soonest->deadline : d->look_at;
}

int
mpr_desk_open(struct mpr_desk **ret_d, mproc_arena *a, struct mpr_served_by *by,
	      int set, uint64_t id,
	      void (*tell)(struct mpr_served_by *by, struct mpr_served *c))
{
	struct mpr_desk *d = mpr_zalloc(sizeof(*d));

	if (!d)
		return mpr_fail(-ENOMEM, "no memory for a manager");
	*d = (struct mpr_desk){
		.generation = mpr_generation(), .arena = a, .by = by,
		.set = set, .id = id, .tell = tell,
	};
	*ret_d = d;
	return 0;
}

void
mpr_desk_close(struct mpr_desk *d)
{
	struct mpr_post *p, *next;

	if (!d)
		return;
	/* What they bring is given back in their names, while they have them. */
	if (d->deputies && mpr_deputies_call_back(d->deputies)) {
		mpr_desk_hear(d);
		mpr_deputies_end(d->deputies);
	}
	mpr_deputies_close(d->deputies);
	for (unsigned i = 0; i < MPR_DESK_BUCKETS; i++)
		for (p = d->posts[i]; p; p = next) {
			next = p->next;
			free(p);
		}
	free(d);
}
