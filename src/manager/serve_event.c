/* SPDX-License-Identifier: MIT */
/*
 * Events. How often one was set is known, so that who waits here goes on if it was set
 * and cleared again meanwhile, by whomever.
 */
#include <errno.h>

#include "base/error.h"
#include "manager/desk.h"
#include "sync/event.h"
#include "sync/remote.h"

static bool
has_leases(const struct mpr_post *p)
{
	(void)p;
	return false;
}

static struct mpr_news
see(const struct mpr_post *p)
{
	return mpr_event_see(p->object);
}

static int
try(struct mpr_post *p, const struct mpr_party *party, struct mpr_self *self,
    const struct mpr_news *seen)
{
	int r = mpr_event_look(seen);

	(void)party;
	(void)self;
	return r == -ESTALE ? mpr_fail(r, "event %p was destroyed", p->object) : r;
}

static int
run(struct mpr_errand *errand)
{
	return mpr_event_wait_since(&((struct mpr_post *)errand)->seen, MPROC_FOREVER);
}

static int
set(struct mpr_post *p)
{
	int r = mproc_event_set(p->object);

	mpr_post_go_on(p);
	return r;
}

static int
serve(struct mpr_post *p, const struct mpr_request *q, struct mpr_remote_call *call)
{
	int r = -EINVAL;

	(void)q;
	switch ((int)call->op) {
	case MPR_OP_EVENT_SET:
		r = set(p);
		break;
	case MPR_OP_EVENT_CLEAR:
		r = mproc_event_clear(p->object);
		break;
	case MPR_OP_EVENT_IS_SET:
		r = mproc_event_is_set(p->object);
		break;
	}
	return r < 0 ? mpr_fail(r, "operation %d of an event: %s", (int)call->op,
				mproc_strerror(r)) : r;
}

const struct mpr_post_ops mpr_post_event = {
	.has_leases = has_leases,
	.see = see,
	.try = try,
	.run = run,
	.serve = serve,
};
