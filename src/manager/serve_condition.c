/* SPDX-License-Identifier: MIT */
/*
 * Conditions. Who waits gives back a lock that it has of this manager, and stands here
 * until it is notified; then it is one of those who wait for the lock. In the arena all
 * of them are a crowd (sync/crowd.h), whose place is a deputy's: it stands there before
 * the lock is given back, by whoever serves, so nobody notifies in between; the deputy
 * itself only sleeps, and says that some were called. They are called as they came.
 */
#include <errno.h>

#include "base/error.h"
#include "manager/desk_priv.h"
#include "sync/condition.h"

static bool
has_leases(const struct mpr_post *p)
{
	(void)p;
	return false;
}

static int
run(struct mpr_errand *errand)
{
	return mpr_crowd_await(&((struct mpr_post *)errand)->crowd);
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
		k->party.called = p->object;
		k->party.generation = p->generation;
	}
	mpr_kept_move(k, lock);
	mpr_post_go_on(lock);
}

static void
see_who_is_first(struct mpr_post *p)
{
	if (p->first && p->crowd.is_there)
		mpr_crowd_since(&p->crowd, p->first->since);
}

static bool
refresh(struct mpr_post *p)
{
	uint32_t n = p->crowd.is_there ? mpr_crowd_take(&p->crowd) : 0;
	bool some = n;

	for (; n && p->first; n--)
		come_back(p->first, 0);
	if (some)
		see_who_is_first(p);
	return some;
}

static void
clear(struct mpr_post *p)
{
	if (p->crowd.is_there)
		mpr_crowd_end(&p->crowd);
	if (p->errand.deputy)
		mpr_deputies_let_go(p->desk->deputies, &p->errand);
}

/* Also when its deputy is back. */
static void
go_on(struct mpr_post *p)
{
	(void)refresh(p);
	if (p->is_out && !p->first)
		mpr_deputies_recall(p->desk->deputies, &p->errand);
	if (p->is_out || !p->errand.deputy)
		return;
	if (!p->first) {
		clear(p);
		return;
	}
	p->is_out = true;
	mpr_deputies_send_again(p->desk->deputies, &p->errand);
}

static bool
part(struct mpr_kept *k)
{
	struct mpr_post *p = k->post;
	bool parted = !p->crowd.is_there || mpr_crowd_part(&p->crowd);

	if (parted && k == p->first && k->next)
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

/* A place among those who wait. */
static int
stand_in_line(struct mpr_post *p)
{
	int r;

	if (!p->crowd.is_there) {
		p->errand.keeps = true;
		p->crowd.condition = p->object;
		p->crowd.generation = p->generation;
		r = mpr_post_send(p);
		if (r == -EBUSY)
			return mpr_fail(-ENOLCK, "clients wait for as many things as "
					"they may");
		if (r < 0)
			return r;
		mpr_crowd_begin(&p->crowd, p->errand.self);
		see_who_is_first(p);
	}
	r = mpr_crowd_join(&p->crowd);
	return r < 0 ? mpr_fail(r, "condition %p was destroyed", p->object) : 0;
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
	r = stand_in_line(p);
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
	.run = run,
	.serve = serve,
	.go_on = go_on,
	.refresh = refresh,
	.stop = stop,
	.part = part,
	.clear = clear,
};
