/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/error.h"
#include "base/log.h"
#include "os/clock.h"
#include "sync/holder.h"
#include "sync/remote.h"

#define DESTROY 2 /* MPR_OP_DESTROY of containers/remote.h */

static_assert(MPR_REMOTE_WORD == MPR_GONE, "a handle goes the slow way");

int64_t
mpr_remote_time(mproc_timeout timeout)
{
	int64_t deadline, now;

	/* From now on: that takes no clock. */
	if (timeout.ns >= 0 && timeout.ns != MPROC_FOREVER.ns)
		return timeout.ns;
	deadline = mpr_deadline(timeout);
	if (deadline == MPR_NEVER)
		return -1;
	now = mproc_now();
	return deadline > now ? deadline - now : 0;
}

int
mpr_remote_ask(enum mpr_cell_kind kind, const void *handle,
	       struct mpr_remote_ask *ask)
{
	const struct mpr_remote *remote = mpr_remote_at(handle);
	struct mpr_remote_owner *owner;

	owner = remote ? atomic_load_explicit(&remote->owner,
					      memory_order_relaxed) : NULL;
	if (!owner)
		return mpr_fail(-ESTALE, "%p was destroyed, or its manager closed", handle);
	if (remote->kind != kind)
		return mpr_fail(-EBADMSG, "%p is a handle to something else",
				handle);
	if (ask->takes)
		mpr_remote_meet(owner);
	return owner->ask(owner, remote, ask);
}

int
mpr_remote_ask_simply(enum mpr_cell_kind kind, const void *handle, unsigned op)
{
	struct mpr_remote_ask ask = { .op = op };

	return mpr_remote_ask(kind, handle, &ask);
}

int
mpr_remote_ask_as(enum mpr_cell_kind kind, const void *handle, unsigned op)
{
	int64_t thread = mpr_remote_thread();
	struct mpr_remote_ask ask = {
		.op = op,
		.n_args = 1,
		.args = { thread },
	};

	return thread < 0 ? (int)thread : mpr_remote_ask(kind, handle, &ask);
}

int
mpr_remote_ask_to_wait(enum mpr_cell_kind kind, const void *handle, unsigned op,
		       mproc_timeout timeout)
{
	int64_t thread = mpr_remote_thread();
	struct mpr_remote_ask ask = {
		.op = op,
		.n_args = 2,
		.args = { thread, mpr_remote_time(timeout) },
		.takes = true,
		.waits = true,
	};
	int r = thread < 0 ? (int)thread : mpr_remote_ask(kind, handle, &ask);

	/* What is over when it is asked for is not waited for. */
	return r == -EAGAIN && timeout.ns ? -ETIMEDOUT : r;
}

int
mpr_remote_owner_of(enum mpr_cell_kind kind, const void *handle,
		    struct mproc_owner *ret_owner)
{
	struct mpr_remote_ask ask = { .op = MPR_OP_OWNER, .n_rets = 4 };
	int r = mpr_remote_ask(kind, handle, &ask);

	if (r < 0)
		return r;
	*ret_owner = (struct mproc_owner){
		.pid = (pid_t)(ask.rets[0] >> 32),
		.tid = (pid_t)(ask.rets[0] & INT32_MAX),
		.died_pid = (pid_t)(ask.rets[1] >> 32),
		.died_tid = (pid_t)(ask.rets[1] & INT32_MAX),
		.waiters = (unsigned)(ask.rets[2] & INT32_MAX),
		/* Clocks differ, but not in how fast they go. */
		.since = ask.rets[3] > 0 ? mproc_now() - ask.rets[3] : 0,
	};
	return 0;
}

bool
mpr_remote_destroy(enum mpr_cell_kind kind, const void *object)
{
	int r;

	if (!mpr_remote_has(object))
		return false;
	r = mpr_remote_ask_simply(kind, object, DESTROY);
	if (r < 0)
		mpr_log(MPROC_LOG_ERROR, "%p was not destroyed: %s", object,
			mproc_strerror(r));
	return true;
}
