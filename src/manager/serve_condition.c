/* SPDX-License-Identifier: MIT */
/*
 * Conditions. Who waits gives back a lock that it has of this manager, and stands here
 * until it is notified; then it is one of those who wait for the lock. In the arena all
 * who wait for one condition are a crowd (sync/crowd.h), to which they are added before
 * the lock is given back, by whoever serves, so nobody notifies in between. They are called
 * as they came. One deputy, the crier, sleeps for all crowds, and says that some were
 * called somewhere.
 */
#include <errno.h>

#include "base/error.h"
#include "manager/desk_priv.h"
#include "sync/condition.h"
#include "sync/wait.h"

static bool
has_leases(const struct mpr_post *p)
{
	(void)p;
	return false;
}

/* It waits for its lock by now. Whoever can go on there does; @k may be no more. */
static void
come_back(struct mpr_kept *k, int why)
{
	struct mpr_post *p = k->post;
	struct mpr_post *lock = mpr_post_find(p->desk, k->lock, k->generation);

	if (!lock) {
		mpr_fail(-ESTALE, "the lock was destroyed");
		mpr_kept_answer(k, -ESTALE);
		return;
	}
	k->comes_back = true;
	k->why = why;
	if (!why) {
		p->n_coming++;
		k->party.called = p->object;
		k->party.generation = p->generation;
	}
	mpr_kept_move(k, lock);
	mpr_post_go_on(lock);
}

static void
see_who_is_first(struct mpr_post *p)
{
	if (p->first && p->crowd.place)
		mpr_crowd_since(&p->crowd, p->first->since);
}

static void
end_crowd(struct mpr_post *p)
{
	if (!p->crowd.place)
		return;
	mpr_crowd_end(&p->crowd);
	p->desk->n_crowds--;
}

/* Nobody waits, and nobody who was notified has the lock since, or is to have it. Until
 * then our death notifies all others, as the crowd is in the table: nobody else knows
 * whether the client has had its answer. */
static void
end_if_idle(struct mpr_post *p)
{
	if (!p->first && !p->n_coming)
		end_crowd(p);
}

/* Somebody has scribbled there: nobody knows who was called. */
static void
scatter(struct mpr_post *p)
{
	end_crowd(p);
	while (p->first)
		come_back(p->first, -EBADMSG);
}

/* What @n were called for, at its place, is others'. */
static void
call_others(const struct mpr_post *p, unsigned n)
{
	mproc_arena *a = p->desk->arena;
	struct mpr_wake k;

	if (!n)
		return;
	mpr_wake_begin(&k, a, mpr_self_in(a), p->object);
	k.calls = true;
	mpr_wake_n(&k, n);
	mpr_wake_end(&k);
}

/* Whoever has called then meant another condition, in the place of that one. */
static bool
is_replaced(const struct mpr_post *p)
{
	const struct mpr_cell *cell = p->object;

	return atomic_load(&cell->generation) != p->generation;
}

static bool
refresh(struct mpr_post *p)
{
	int n = p->crowd.place ? mpr_crowd_take(&p->crowd) : 0;
	unsigned called;
	bool replaced;

	if (n < 0) {
		scatter(p);
		return true;
	}
	/* Some may have just gone, and been the last. */
	called = (unsigned)n < p->n_kept ? (unsigned)n : p->n_kept;
	replaced = n > 0 && is_replaced(p);
	/* Before those come back, and the crowd may end: until then our death notifies
	 * all. */
	call_others(p, replaced ? (unsigned)n : (unsigned)n - called);
	for (; called; called--)
		come_back(p->first, replaced ? -ESHUTDOWN : 0);
	if (n)
		see_who_is_first(p);
	return n > 0;
}

static void
go_on(struct mpr_post *p)
{
	(void)refresh(p);
	end_if_idle(p);
}

static bool
part(struct mpr_kept *k)
{
	struct mpr_post *p = k->post;
	bool parted = !p->crowd.place || mpr_crowd_part(&p->crowd);

	if (parted && p->crowd.place && k == p->first && k->next)
		mpr_crowd_since(&p->crowd, k->next->since);
	return parted;
}

static void
stop(struct mpr_kept *k, int why)
{
	struct mpr_post *p = k->post;

	/* If it was just called, it was called. */
	if (part(k))
		come_back(k, why);
	else
		(void)refresh(p);
}

/*
 * The crier.
 */

static int
cry(struct mpr_errand *errand)
{
	return mpr_crowds_await(errand->self);
}

/* Where clients wait, those go on who were called. Returns whether all have had their
 * turn: the next post may end with one, as a condition's lock. */
static bool
go_on_in_bucket(struct mpr_desk *d, struct mpr_post *p)
{
	unsigned n_ended = d->n_ended;
	struct mpr_post *next;

	for (; p && d->n_ended == n_ended; p = next) {
		next = p->next;
		if (p->crowd.place && mpr_post_is_gone(p))
			mpr_post_end(p);
		else if (p->crowd.place)
			go_on(p);
	}
	return d->n_ended == n_ended;
}

static int send_crier(struct mpr_desk *d);

/* It is back. */
static void
hear(struct mpr_post *crier)
{
	struct mpr_desk *d = crier->desk;

	for (unsigned i = 0; i < MPR_DESK_BUCKETS;)
		i += go_on_in_bucket(d, d->posts[i]);
	if (d->n_crowds)
		(void)send_crier(d);
}

static const struct mpr_post_ops crier_ops = {
	.has_leases = has_leases,
	.run = cry,
	.go_on = hear,
};

/* From now on somebody hears it. */
static int
send_crier(struct mpr_desk *d)
{
	struct mpr_post *crier = &d->crier;
	struct mpr_self *first;
	int r = 0;

	if (crier->is_out)
		return 0;
	if (crier->errand.deputy) {
		mpr_deputies_send_again(d->deputies, &crier->errand);
	} else {
		*crier = (struct mpr_post){
			.errand = { .run = cry, .keeps = true },
			.ops = &crier_ops,
			.desk = d,
		};
		/* There may be no deputies yet. */
		r = mpr_desk_get_first(d, &first);
		if (r == 0)
			r = mpr_deputies_send(d->deputies, &crier->errand);
	}
	crier->is_out = r == 0;
	return r;
}

/*
 * Waiting.
 */

/* In how many crowds its threads are, each in one at most: those that wait, and those that
 * were notified and keep the lock. */
static unsigned
count_places(const struct mpr_served *c)
{
	unsigned n = 0;

	for (const struct mpr_kept *k = c->kept; k; k = k->next_of)
		n += k->post->ops == &mpr_post_condition || k->party.called;
	for (const struct mpr_lease *lease = c->leases; lease; lease = lease->next_of)
		n += lease->party.called != NULL;
	return n;
}

/* @k is the first one who waits there. */
static int
begin_crowd(struct mpr_post *p, const struct mpr_kept *k)
{
	struct mpr_desk *d = p->desk;
	int r = send_crier(d);

	if (r < 0)
		return r;
	/* Not more than half of what others leave. */
	r = count_places(k->party.client) <= MPR_CROWDS_MAX - mpr_crowds_count(d->arena) ?
		    mpr_crowd_begin(&p->crowd, d->crier.errand.self, p->object,
				    p->generation) : -EBUSY;
	if (r == -EBUSY)
		return mpr_fail(-ENOLCK, "clients wait for as many conditions as they "
				"may, or have locks since they were notified");
	if (r < 0)
		return r;
	d->n_crowds++;
	return 0;
}

/* A place among those who wait. */
static int
stand_in_line(struct mpr_post *p, const struct mpr_kept *k)
{
	int r = p->crowd.place ? 0 : begin_crowd(p, k);

	if (r < 0)
		return r;
	see_who_is_first(p);
	r = mpr_crowd_join(&p->crowd);
	switch (r) {
	case 0:
		return 0;
	case -ESTALE:
		return mpr_fail(r, "condition %p was destroyed", p->object);
	case -EBUSY:
		return mpr_fail(-ENOLCK, "%d clients wait for this condition",
				MPR_CROWD_MOST);
	}
	return mpr_fail(r, "somebody has written to what those say who wait");
}

/* The lock is its own again if that fails. */
static int
give_lock_back(struct mpr_kept *k, struct mpr_lease *lease)
{
	struct mpr_post *lock = lease->post;
	int r = mpr_post_is_gone(lock) ? -ESTALE :
					 lock->ops->give(lock, lease, false);

	if (r < 0)
		return mpr_fail(r, "the lock was destroyed");
	mpr_lease_take_out(lease);
	k->party.reserve = lease;
	mpr_post_go_on(lock);
	return 0;
}

static int
wait(struct mpr_post *p, const struct mpr_request *q, int64_t time)
{
	struct mpr_post *lock;
	struct mpr_lease *lease;
	struct mpr_kept *k;
	int r;

	if (!q->other || q->other->kind != MPR_CELL_LOCK)
		return mpr_fail(-EINVAL, "who waits for a condition has a lock");
	lock = mpr_post_of(p->desk, q->other);
	if (!lock)
		return -ENOMEM;
	lease = mpr_lease_find(lock, &q->party);
	if (!lease)
		return mpr_lock_fail_other(lock);
	if (mpr_post_is_gone(p))
		return mpr_fail(-ESTALE, "condition %p was destroyed", p->object);
	if (time == 0)
		return mpr_fail(-EAGAIN, "nobody is notified without a wait");
	r = mpr_kept_make(p, q, time, NULL, &k);
	if (r < 0)
		return r;
	k->lock = q->other->object;
	k->generation = q->other->generation;
	r = stand_in_line(p, k);
	if (r == 0) {
		r = give_lock_back(k, lease);
		if (r < 0)
			(void)mpr_crowd_part(&p->crowd);
	}
	if (r == 0)
		return MPR_KEPT;
	mpr_kept_drop(k);
	go_on(p);
	return r;
}

static int
notify(struct mpr_post *p, int64_t n)
{
	int r;

	if (n < 0 || n > UINT32_MAX)
		return mpr_fail(-EINVAL, "%lld are to be notified", (long long)n);
	r = n == UINT32_MAX ? mproc_condition_notify_all(p->object) :
			      mproc_condition_notify(p->object, (unsigned)n);
	if (r < 0)
		return mpr_fail(r, "condition %p was destroyed", p->object);
	go_on(p);
	return r;
}

void
mpr_condition_pass_on(struct mpr_desk *d, const struct mpr_party *party)
{
	struct mpr_post *p = party->called ?
		mpr_post_find(d, party->called, party->generation) : NULL;

	if (p)
		(void)notify(p, 1);
}

void
mpr_condition_is_back(struct mpr_desk *d, const struct mpr_party *party)
{
	struct mpr_post *p = party->called ?
		mpr_post_look_up(d, party->called, party->generation) : NULL;

	/* It may have been forgotten, and be there once more. */
	if (!p || !p->n_coming)
		return;
	p->n_coming--;
	end_if_idle(p);
}

static int
serve(struct mpr_post *p, const struct mpr_request *q, struct mpr_remote_call *call)
{
	switch ((int)call->op) {
	case MPR_OP_CONDITION_WAIT:
		return wait(p, q, call->args[2].i64);
	case MPR_OP_CONDITION_NOTIFY:
		return notify(p, call->args[0].i64);
	}
	return mpr_fail(-EINVAL, "a condition has no operation %d", (int)call->op);
}

const struct mpr_post_ops mpr_post_condition = {
	.has_leases = has_leases,
	.serve = serve,
	.go_on = go_on,
	.refresh = refresh,
	.stop = stop,
	.part = part,
	.clear = end_crowd,
};
