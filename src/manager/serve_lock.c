/* SPDX-License-Identifier: MIT */
/*
 * Locks, recursive or not: a deputy has one for the client that has its lease.
 */
#include <errno.h>

#include "base/error.h"
#include "containers/remote.h"
#include "manager/desk.h"
#include "sync/remote.h"
#include "sync/rlock.h"

static bool
has_leases(const struct mpr_post *p)
{
	(void)p;
	return true;
}

static int
try(struct mpr_post *p, const struct mpr_party *party, struct mpr_self *self,
    const struct mpr_news *seen)
{
	struct mpr_lease *mine = mpr_lease_find(p, party);
	int r;

	(void)seen;
	if (mine && p->kind == MPR_CELL_LOCK)
		return mpr_fail(-EDEADLK, "this thread holds lock %p", p->object);
	if (mine && mine->nested == UINT32_MAX)
		return mpr_fail(-EOVERFLOW, "this thread has taken lock %p %u times "
				"and once more", p->object, mine->nested);
	if (mine) {
		mine->nested++;
		return 0;
	}
	/* That it is a deputy's says nothing of who waits for it. */
	if (p->leases)
		return -EAGAIN;
	r = mpr_lease_make(p, party, &mine);
	if (r < 0)
		return r;
	r = p->kind == MPR_CELL_RLOCK ? mpr_rlock_try_for(p->object, self) :
					mpr_lock_try_for(p->object, self);
	if (r >= 0)
		mpr_lease_begin(mine, self);
	else
		mpr_lease_forget(mine);
	return r;
}

static int
run(struct mpr_errand *errand)
{
	const struct mpr_post *p = (const struct mpr_post *)errand;

	return p->kind == MPR_CELL_RLOCK ?
		       mproc_rlock_acquire(p->object, MPROC_FOREVER) :
		       mproc_lock_acquire(p->object, MPROC_FOREVER);
}

static int
give(struct mpr_post *p, const struct mpr_lease *lease, bool died)
{
	return mpr_lock_release_for(p->object, lease->self, died);
}

static int
give_up(struct mpr_post *p, struct mpr_self *self)
{
	return mpr_lock_release_for(p->object, self, false);
}

int
mpr_lock_fail_other(const struct mpr_post *p)
{
	struct mproc_owner owner;
	int r = mproc_lock_owner(p->object, &owner);

	if (r < 0)
		return r;
	if (p->leases)
		return mpr_fail(-EPERM, "another client, or another thread, holds "
				"lock %p", p->object);
	if (!owner.pid)
		return mpr_fail(-EPERM, "nobody holds lock %p", p->object);
	return mpr_fail(-EPERM, "process %d holds lock %p", (int)owner.pid, p->object);
}

static int
release(struct mpr_post *p, const struct mpr_party *party)
{
	struct mpr_lease *mine = mpr_lease_find(p, party);

	if (!mine)
		return mpr_lock_fail_other(p);
	if (mine->nested) {
		mine->nested--;
		return 0;
	}
	return mpr_lease_end(mine, false);
}

static int
make_consistent(const struct mpr_post *p, const struct mpr_party *party)
{
	struct mpr_lease *mine = mpr_lease_find(p, party);

	return mine ? mpr_lock_consistent_for(p->object, mine->self) :
		      mpr_lock_fail_other(p);
}

/* Two numbers in one, as the page says. */
static struct mproc_any
pair(pid_t pid, pid_t tid)
{
	return mproc_int((int64_t)pid << 32 | tid);
}

static int
describe(const struct mpr_post *p, struct mpr_remote_call *call)
{
	struct mproc_owner owner;
	int r = mproc_lock_owner(p->object, &owner);
	int64_t since = p->first ? p->first->since : 0, now = mproc_now();

	if (r < 0)
		return r;
	/* The deputy waits for those who are here. */
	if (p->is_out && owner.waiters)
		owner.waiters--;
	if (owner.waiters && owner.since && (!since || owner.since < since))
		since = owner.since;
	call->rets[0] = pair(owner.pid, owner.tid);
	call->rets[1] = pair(owner.died_pid, owner.died_tid);
	call->rets[2] = mproc_int((int64_t)owner.waiters + p->n_kept);
	call->rets[3] = mproc_int(since && since < now ? now - since : 0);
	call->n_rets = 4;
	return 0;
}

static int
serve(struct mpr_post *p, const struct mpr_request *q, struct mpr_remote_call *call)
{
	switch ((int)call->op) {
	case MPR_OP_RELEASE:
		return release(p, &q->party);
	case MPR_OP_CONSISTENT:
		return make_consistent(p, &q->party);
	case MPR_OP_IS_CONSISTENT:
		return mproc_lock_is_consistent(p->object);
	case MPR_OP_OWNER:
		return describe(p, call);
	}
	return mpr_fail(-EINVAL, "a lock has no operation %d", (int)call->op);
}

const struct mpr_post_ops mpr_post_lock = {
	.has_leases = has_leases,
	.try = try,
	.run = run,
	.give = give,
	.give_up = give_up,
	.serve = serve,
};
