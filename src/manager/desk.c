/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/macros.h"
#include "containers/remote.h"
#include "manager/desk.h"
#include "os/clock.h"
#include "os/epoll.h"
#include "os/generation.h"
#include "os/socket.h"
#include "sync/cell.h"
#include "sync/remote.h"

#define BUCKETS 256
#define KEPT_MOST 1024 /* requests of one client */

/* How often those who wait look by themselves: whether what they wait for is still
 * there, and where no deputy was left to wait, for it. */
#define LOOK INT64_C(100000000) /* ns */
#define LOOK_ALONE INT64_C(5000000)

struct mpr_desk {
	uint64_t generation;
	mproc_arena *arena;
	struct mpr_served_by *by;
	struct mpr_budget *budget;
	int set;
	uint64_t id;
	void (*tell)(struct mpr_served_by *by, struct mpr_served *c);
	struct mpr_deputies *deputies; /* NULL: none yet */
	struct mpr_post *posts[BUCKETS];
	unsigned n_kept, n_missed;
	struct mpr_kept *soonest, *latest;
	int64_t look_at;
};

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
	default:
		return NULL;
	}
}

bool
mpr_desk_is_for(enum mpr_cell_kind kind)
{
	return ops_of(kind) != NULL;
}

/* As what clients have on the way. */
static void *
take_memory(struct mpr_desk *d, size_t size)
{
	void *p = d->budget->left >= size ? mpr_zalloc(size) : NULL;

	if (p)
		d->budget->left -= size;
	else
		mpr_fail(-ENOMEM, "the manager has no memory for another one who waits "
			 "or has something");
	return p;
}

static void
give_memory(struct mpr_desk *d, void *p, size_t size)
{
	free(p);
	d->budget->left += size;
}

/* Who has what is to be had at once. */
static int
get_first(struct mpr_desk *d, struct mpr_self **ret_self)
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
 * Leases.
 */

struct mpr_lease *
mpr_lease_make(struct mpr_post *p, const struct mpr_party *party)
{
	struct mpr_lease *lease = take_memory(p->desk, sizeof(*lease));

	if (lease) {
		lease->post = p;
		lease->party = *party;
	}
	return lease;
}

void
mpr_lease_begin(struct mpr_lease *lease, struct mpr_self *self)
{
	struct mpr_post *p = lease->post;
	struct mpr_served *c = lease->party.client;

	lease->self = self;
	lease->next = p->leases;
	if (lease->next)
		lease->next->previous = lease;
	p->leases = lease;
	lease->next_of = c->leases;
	if (lease->next_of)
		lease->next_of->previous_of = lease;
	c->leases = lease;
}

void
mpr_lease_forget(struct mpr_lease *lease)
{
	give_memory(lease->post->desk, lease, sizeof(*lease));
}

struct mpr_lease *
mpr_lease_find(const struct mpr_post *p, const struct mpr_party *party)
{
	struct mpr_lease *lease = p->leases;

	while (lease && (lease->party.client != party->client ||
			 lease->party.thread != party->thread))
		lease = lease->next;
	return lease;
}

static void
end_lease(struct mpr_lease *lease)
{
	if (lease->next)
		lease->next->previous = lease->previous;
	if (lease->previous)
		lease->previous->next = lease->next;
	else
		lease->post->leases = lease->next;
	if (lease->next_of)
		lease->next_of->previous_of = lease->previous_of;
	if (lease->previous_of)
		lease->previous_of->next_of = lease->next_of;
	else
		lease->party.client->leases = lease->next_of;
	mpr_lease_forget(lease);
}

/*
 * Requests that are kept.
 */

static void
link_deadline(struct mpr_desk *d, struct mpr_kept *k)
{
	struct mpr_kept *after = d->latest;

	/* Most come in this order. */
	while (after && after->deadline > k->deadline)
		after = after->sooner;
	k->sooner = after;
	k->later = after ? after->later : d->soonest;
	if (k->later)
		k->later->sooner = k;
	else
		d->latest = k;
	if (after)
		after->later = k;
	else
		d->soonest = k;
}

static void
unlink_deadline(struct mpr_desk *d, struct mpr_kept *k)
{
	if (k->later)
		k->later->sooner = k->sooner;
	else
		d->latest = k->sooner;
	if (k->sooner)
		k->sooner->later = k->later;
	else
		d->soonest = k->later;
}

static int
keep(struct mpr_post *p, const struct mpr_party *party, int64_t number,
     int64_t deadline, const struct mpr_news *seen)
{
	struct mpr_desk *d = p->desk;
	struct mpr_served *c = party->client;
	struct mpr_kept *k;

	if (c->n_kept == KEPT_MOST)
		return mpr_fail(-ENOLCK, "%d threads of this client wait already",
				KEPT_MOST);
	k = take_memory(d, sizeof(*k));
	if (!k)
		return -ENOMEM;
	*k = (struct mpr_kept){
		.post = p,
		.party = *party,
		.number = number,
		.deadline = deadline,
		.since = mproc_now(),
		.seen = *seen,
		.previous = p->last,
		.next_of = c->kept,
	};
	if (p->last)
		p->last->next = k;
	else
		p->first = k;
	p->last = k;
	p->n_kept++;
	if (k->next_of)
		k->next_of->previous_of = k;
	c->kept = k;
	c->n_kept++;
	if (d->n_kept++ == 0)
		d->look_at = k->since + LOOK;
	if (deadline != MPR_NEVER)
		link_deadline(d, k);
	return 0;
}

static void
drop(struct mpr_kept *k)
{
	struct mpr_post *p = k->post;
	struct mpr_desk *d = p->desk;
	struct mpr_served *c = k->party.client;

	if (k->deadline != MPR_NEVER)
		unlink_deadline(d, k);
	if (k->next)
		k->next->previous = k->previous;
	else
		p->last = k->previous;
	if (k->previous)
		k->previous->next = k->next;
	else
		p->first = k->next;
	p->n_kept--;
	if (k->next_of)
		k->next_of->previous_of = k->previous_of;
	if (k->previous_of)
		k->previous_of->next_of = k->next_of;
	else
		c->kept = k->next_of;
	c->n_kept--;
	d->n_kept--;
	give_memory(d, k, sizeof(*k));
}

/* Its answer. Of an error the text is there. */
static void
answer(struct mpr_kept *k, int r)
{
	struct mpr_desk *d = k->post->desk;
	struct mpr_served *c = k->party.client;

	/* Who cannot be told has to go: what it has got it gives back then. */
	if (mpr_served_answer(d->by, c, k->number, r, NULL, 0,
			      r < 0 ? mproc_error_detail() : NULL) < 0)
		c->leaves = true;
	drop(k);
	d->tell(d->by, c);
}

/*
 * Objects.
 */

static struct mpr_post **
bucket_of(struct mpr_desk *d, const void *object)
{
	return &d->posts[(uintptr_t)object / MPR_CELL % BUCKETS];
}

static bool
is_gone(const struct mpr_post *p)
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
	soon = mproc_now() + LOOK_ALONE;
	if (soon < d->look_at)
		d->look_at = soon;
}

/* It was destroyed. */
static void
end_post(struct mpr_post *p)
{
	struct mpr_post **link = bucket_of(p->desk, p->object);

	while (*link != p)
		link = &(*link)->next;
	*link = p->next;
	set_missed(p, false);
	p->is_over = true;
	while (p->first) {
		mpr_fail(-ESHUTDOWN, "%p was destroyed", p->object);
		answer(p->first, -ESHUTDOWN);
	}
	while (p->leases)
		end_lease(p->leases);
	if (p->is_out)
		mpr_deputies_recall(p->desk->deputies, &p->errand);
	else
		free(p);
}

static struct mpr_post *
find_post(struct mpr_desk *d, const struct mpr_object *o)
{
	struct mpr_post *p = *bucket_of(d, o->object);

	while (p && p->object != o->object)
		p = p->next;
	if (p && p->generation != o->generation) {
		end_post(p);
		p = NULL;
	}
	return p;
}

static struct mpr_post *
post_of(struct mpr_desk *d, const struct mpr_object *o)
{
	struct mpr_post *p = find_post(d, o);

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

/* Others than clients have it. */
static void
send_out(struct mpr_post *p)
{
	struct mpr_desk *d = p->desk;

	if (p->is_out)
		return;
	p->seen = p->first->seen;
	p->is_out = mpr_deputies_send(d->deputies, &p->errand) == 0;
	set_missed(p, !p->is_out);
}

/* Those who wait, as they came, for as long as it is to be had. */
void
mpr_post_go_on(struct mpr_post *p)
{
	struct mpr_self *self;
	int r = 0;

	set_missed(p, false);
	while (p->first) {
		r = get_first(p->desk, &self);
		if (r == 0)
			r = p->ops->try(p, &p->first->party, self, &p->first->seen);
		if (r == -EBUSY || r == -EAGAIN)
			break;
		if (r == -ESTALE) {
			end_post(p);
			return;
		}
		answer(p->first, r);
	}
	if (p->first && r == -EBUSY)
		send_out(p);
	/* It has a place in the line, which it keeps for the others that wait. */
	if (!p->first && p->is_out)
		mpr_deputies_recall(p->desk->deputies, &p->errand);
}

int
mpr_lease_end(struct mpr_lease *lease, bool died)
{
	struct mpr_post *p = lease->post;
	/* What lies there now may be another one, to which it does not belong. */
	int r = is_gone(p) ? -ESTALE : p->ops->give(p, lease->self, died);

	end_lease(lease);
	if (r == -ESTALE)
		end_post(p);
	else
		mpr_post_go_on(p);
	return r;
}

/* A deputy has it, for the one who waits longest. */
static void
hand_out(struct mpr_post *p, struct mpr_self *self, int r)
{
	struct mpr_kept *k = p->first;
	struct mpr_lease *lease = NULL;

	if (k && p->ops->has_leases(p)) {
		lease = mpr_lease_make(p, &k->party);
		if (!lease)
			answer(k, -ENOMEM);
		else
			mpr_lease_begin(lease, self);
	}
	if (k && (lease || !p->ops->has_leases(p)))
		answer(k, r);
	else
		(void)p->ops->give(p, self, false);
}

static void
receive(struct mpr_post *p)
{
	int r = p->errand.result;

	p->is_out = false;
	if (p->is_over) {
		/* It may have come to one that was made in the same place. */
		if (r >= 0 && p->ops->give)
			(void)p->ops->give(p, p->errand.self, false);
		free(p);
		return;
	}
	if (r >= 0 && p->ops->give) {
		hand_out(p, p->errand.self, r);
	} else if (r < 0 && r != -EINTR && p->first) {
		if (r == -ESHUTDOWN || r == -ESTALE) {
			end_post(p);
			return;
		}
		mpr_fail(r, "%s", mproc_strerror(r));
		answer(p->first, r);
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
acquire(struct mpr_post *p, const struct mpr_party *party, int64_t number,
	int64_t time)
{
	struct mpr_news seen = { .object = NULL };
	int64_t now, deadline = MPR_NEVER;
	struct mpr_self *self;
	int r;

	r = get_first(p->desk, &self);
	if (r < 0)
		return r;
	if (p->ops->see)
		seen = p->ops->see(p);
	/* Who waits comes first; who has it already does not wait. */
	r = p->first && !p->ops->see && !mpr_lease_find(p, party) ?
		    -EAGAIN : p->ops->try(p, party, self, &seen);
	if (r != -EBUSY && r != -EAGAIN)
		return r;
	if (time == 0)
		return mpr_fail(-EAGAIN, "it is not to be had now");
	now = mproc_now();
	if (time > 0 && time < MPR_NEVER - now)
		deadline = now + time;
	/* Before the deputy goes, so that what it brings is for this one. */
	now = r;
	r = keep(p, party, number, deadline, &seen);
	if (r < 0)
		return r;
	if (now == -EBUSY)
		send_out(p);
	return MPR_KEPT;
}

/* How many numbers an operation has, the first of which is the thread. */
static unsigned
count_numbers(unsigned op)
{
	switch (op) {
	case MPR_OP_ACQUIRE:
		return 2;
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
	       const struct mpr_object *o, struct mpr_remote_call *call)
{
	struct mpr_party party = { .client = c };
	struct mpr_post *p;
	int r = check(call);

	if (r < 0)
		return r;
	p = post_of(d, o);
	if (!p)
		return -ENOMEM;
	if (call->n_args)
		party.thread = call->args[0].i64;
	return (unsigned)call->op == MPR_OP_ACQUIRE ?
		       acquire(p, &party, number, call->args[1].i64) :
		       p->ops->serve(p, &party, call);
}

/* It is answered, if it is still kept. */
static void
withdraw(struct mpr_served *c, int64_t number)
{
	struct mpr_kept *k = c->kept;
	struct mpr_post *p;

	while (k && k->number != number)
		k = k->next_of;
	if (!k)
		return;
	p = k->post;
	mpr_fail(-EINTR, "interrupted");
	answer(k, -EINTR);
	mpr_post_go_on(p);
}

static struct mpr_lease *
find_lease_of(struct mpr_served *c, const int64_t *thread)
{
	struct mpr_lease *lease = c->leases;

	while (lease && thread && lease->party.thread != *thread)
		lease = lease->next_of;
	return lease;
}

/* All that it waits for, then all that it has. @thread: of that one, or of all if it
 * is NULL. */
static void
leave(struct mpr_served *c, const int64_t *thread)
{
	struct mpr_lease *lease;
	struct mpr_post *p;

	for (struct mpr_kept *k = c->kept, *next; k; k = next) {
		next = k->next_of;
		if (thread && k->party.thread != *thread)
			continue;
		p = k->post;
		drop(k);
		/* A deputy may be on its way for it alone. */
		if (!p->first)
			mpr_post_go_on(p);
	}
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
	struct mpr_post *p = find_post(d, o);

	if (p)
		end_post(p);
}

/* Where somebody waits, whether it is still there; and if nobody waits for it in the
 * arena, whether it is to be had. */
static void
look_around(struct mpr_desk *d)
{
	struct mpr_post *p, *next;

	for (unsigned i = 0; i < BUCKETS; i++)
		for (p = d->posts[i]; p; p = next) {
			next = p->next;
			if (p->first && is_gone(p))
				end_post(p);
			else if (p->is_missed)
				mpr_post_go_on(p);
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
		mpr_fail(-ETIMEDOUT, "not to be had in that time");
		answer(d->soonest, -ETIMEDOUT);
		if (!p->first)
			mpr_post_go_on(p);
	}
	if (now >= d->look_at) {
		d->look_at = now + LOOK;
		look_around(d);
	}
	/* Also if nobody waits any more: the next time it says so. */
	return d->soonest && d->soonest->deadline < d->look_at ?
		       d->soonest->deadline : d->look_at;
}

int
mpr_desk_open(struct mpr_desk **ret_d, mproc_arena *a, struct mpr_served_by *by,
	      struct mpr_budget *budget, int set, uint64_t id,
	      void (*tell)(struct mpr_served_by *by, struct mpr_served *c))
{
	struct mpr_desk *d = mpr_zalloc(sizeof(*d));

	if (!d)
		return mpr_fail(-ENOMEM, "no memory for a manager");
	*d = (struct mpr_desk){
		.generation = mpr_generation(), .arena = a, .by = by, .budget = budget,
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
	for (unsigned i = 0; i < BUCKETS; i++)
		for (p = d->posts[i]; p; p = next) {
			next = p->next;
			free(p);
		}
	free(d);
}
