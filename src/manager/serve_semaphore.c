/* SPDX-License-Identifier: MIT */
/*
 * Semaphores. A permit that has an owner is a deputy's, with a lease for each; of the
 * others nobody knows who has them, here as in the family.
 */
#include <errno.h>

#include "base/error.h"
#include "manager/desk.h"
#include "sync/remote.h"
#include "sync/semaphore.h"

static bool
has_leases(const struct mpr_post *p)
{
	return mpr_semaphore_has_owners(p->object);
}

static int
try(struct mpr_post *p, const struct mpr_party *party, struct mpr_self *self,
    const struct mpr_news *seen)
{
	struct mpr_lease *lease;
	int r;

	(void)seen;
	if (!has_leases(p))
		return mpr_semaphore_try_for(p->object, self);
	r = mpr_lease_make(p, party, &lease);
	if (r < 0)
		return r;
	r = mpr_semaphore_try_for(p->object, self);
	if (r >= 0)
		mpr_lease_begin(lease, self);
	else
		mpr_lease_forget(lease);
	return r;
}

static int
run(struct mpr_errand *errand)
{
	return mproc_semaphore_acquire(((struct mpr_post *)errand)->object,
				       MPROC_FOREVER);
}

static int
give_up(struct mpr_post *p, struct mpr_self *self)
{
	return mpr_semaphore_release_for(p->object, self);
}

static int
give(struct mpr_post *p, const struct mpr_lease *lease, bool died)
{
	(void)died;
	return give_up(p, lease->self);
}

static int
release(struct mpr_post *p, const struct mpr_party *party)
{
	struct mpr_lease *mine = mpr_lease_find(p, party);
	int r;

	if (mine)
		return mpr_lease_end(mine, false);
	if (has_leases(p))
		return mpr_fail(-EPERM, "this thread has no permit of semaphore %p",
				p->object);
	r = mproc_semaphore_release(p->object);
	if (r == 0)
		mpr_post_go_on(p);
	else
		mpr_fail(r, "%s", mproc_strerror(r));
	return r;
}

static int
serve(struct mpr_post *p, const struct mpr_request *q, struct mpr_remote_call *call)
{
	switch ((int)call->op) {
	case MPR_OP_RELEASE:
		return release(p, &q->party);
	case MPR_OP_VALUE:
		return mproc_semaphore_value(p->object);
	}
	return mpr_fail(-EINVAL, "a semaphore has no operation %d", (int)call->op);
}

const struct mpr_post_ops mpr_post_semaphore = {
	.has_leases = has_leases,
	.try = try,
	.run = run,
	.give = give,
	.give_up = give_up,
	.serve = serve,
};
