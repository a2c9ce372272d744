/* SPDX-License-Identifier: MIT */
/*
 * Barriers. A thread of a client is a party by a note of a deputy's, and has that as a
 * lease: if it is gone, so is the note, and the barrier is broken as by who was killed.
 * Who has arrived waits here, and one deputy for all of them in the arena.
 */
#include <errno.h>

#include "base/error.h"
#include "manager/desk_priv.h"
#include "sync/barrier.h"

static bool
has_leases(const struct mpr_post *p)
{
	(void)p;
	return true;
}

static int
run(struct mpr_errand *errand)
{
	const struct mpr_post *p = (const struct mpr_post *)errand;

	return mpr_barrier_await(p->object, p->generation, p->seen.word);
}

/* All who have an outcome. */
static void
go_on(struct mpr_post *p)
{
	struct mpr_kept *k, *next;
	int r;

	for (k = p->first; k; k = next) {
		next = k->next;
		r = mpr_barrier_outcome(p->object, p->generation, k->seen.word);
		if (r != -EINPROGRESS)
			mpr_kept_answer(k, r);
	}
	mpr_post_wait_on(p, true);
}

static void
stop(struct mpr_kept *k, int why)
{
	struct mpr_post *p = k->post;

	mpr_kept_answer(k, mpr_barrier_give_up(p->object, p->generation,
					       k->seen.word, why));
	/* The others learn of it. */
	go_on(p);
}

static int
give(struct mpr_post *p, const struct mpr_lease *lease, bool died)
{
	(void)died;
	mpr_barrier_leave_for(p->object, p->generation, lease->note);
	return 0;
}

/* It may be none yet, or, if the barrier was initialised again, none any more. */
static int
find_place(struct mpr_post *p, const struct mpr_request *q, struct mpr_lease **ret,
	   struct mpr_self **ret_self)
{
	int r;

	*ret = mpr_lease_find(p, &q->party);
	if (*ret)
		return 0;
	r = mpr_lease_make(p, &q->party, ret);
	if (r == 0)
		r = mpr_lease_take_note(*ret, ret_self);
	if (r < 0 && *ret)
		mpr_lease_forget(*ret);
	return r;
}

/* It is one, or it is as if it had not tried. */
static void
settle(struct mpr_post *p, struct mpr_lease *lease, struct mpr_self *self)
{
	if (lease->self)
		return;
	if (mpr_barrier_has(p->object, p->generation, lease->note))
		mpr_lease_begin(lease, self);
	else
		mpr_lease_forget(lease);
}

static int
wait(struct mpr_post *p, const struct mpr_request *q, int64_t time)
{
	struct mpr_lease *lease;
	struct mpr_self *self;
	struct mpr_kept *k;
	int r = find_place(p, q, &lease, &self);

	if (r < 0)
		return r;
	/* Who has an outcome gets it before the next phase can be complete, after which
	 * it could not be told any more: a client may ask again without waiting. */
	go_on(p);
	/* Before it arrives, which cannot be taken back. */
	r = mpr_kept_make(p, q, time, NULL, &k);
	if (r == 0) {
		r = mpr_barrier_arrive_for(p->object, p->generation, lease->note,
					   time == 0, &k->seen.word);
		if (r != -EINPROGRESS)
			mpr_kept_drop(k);
	}
	settle(p, lease, self);
	if (r == -EINPROGRESS)
		mpr_post_wait_on(p, true);
	else
		go_on(p);
	return r == -EINPROGRESS ? MPR_KEPT : r;
}

static int
enroll(struct mpr_post *p, const struct mpr_request *q)
{
	struct mpr_lease *lease;
	struct mpr_self *self;
	int r = find_place(p, q, &lease, &self);

	if (r < 0)
		return r;
	r = mpr_barrier_enroll_for(p->object, p->generation, lease->note);
	settle(p, lease, self);
	return r;
}

static int
serve(struct mpr_post *p, const struct mpr_request *q, struct mpr_remote_call *call)
{
	int r;

	switch ((int)call->op) {
	case MPR_OP_BARRIER_WAIT:
		return wait(p, q, call->args[1].i64);
	case MPR_OP_BARRIER_ENROLL:
		return enroll(p, q);
	case MPR_OP_BARRIER_WAITING:
		return mproc_barrier_waiting(p->object);
	case MPR_OP_BARRIER_BROKEN:
		return mproc_barrier_broken(p->object);
	case MPR_OP_BARRIER_ABORT:
		r = mproc_barrier_abort(p->object);
		break;
	case MPR_OP_BARRIER_RESET:
		r = mproc_barrier_reset(p->object);
		break;
	default:
		return mpr_fail(-EINVAL, "a barrier has no operation %d",
				(int)call->op);
	}
	if (r == 0)
		go_on(p);
	return r;
}

const struct mpr_post_ops mpr_post_barrier = {
	.has_leases = has_leases,
	.run = run,
	.give = give,
	.serve = serve,
	.go_on = go_on,
	.stop = stop,
};
