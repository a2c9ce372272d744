/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that are readable when there is something in a queue: those who
 * ask for one, the gets that find nothing, and the end.
 */
#include <errno.h>

#include "base/error.h"
#include "ipc/bell_priv.h"
#include "ipc/queue_fd.h"
#include "ipc/queue_remote.h"
#include "ipc/watched.h"
#include "ipc/watched_fd.h"
#include "os/thread.h"

/* One attempt; returns 0 if another one is needed. */
static int
get_fd(mproc_queue *q)
{
	struct mpr_attachment *at;
	struct mpr_self *self;
	struct mpr_watched_what what = { .q = q };
	int r;

	/* Each time: a signal handler may have forked, and we be in the
	 * child. */
	r = mpr_attachment_get(q, &at);
	if (mpr_queue_is_remote(q, r))
		return mpr_fail(-ENOTSUP, "%p is a manager's queue: one waits for it "
				"alone", (void *)q);
	if (r < 0)
		return r;
	/* The thread that watches sleeps in one arena. */
	if (at->arena != mpr_arena_peek())
		return mpr_fail(-ENOTSUP, "%s is not in the default arena",
				mpr_queue_label(q).text);
	r = mpr_self(at->arena, &self);
	if (r < 0)
		return r;
	what.open = at->open;
	return mpr_watched_fd(&what, self, mpr_queue_label(q).text);
}

int
mproc_queue_fd(mproc_queue *q)
{
	int cancel = mpr_thread_forbid_cancel(), r;

	do
		r = get_fd(q);
	while (r == 0);
	mpr_thread_allow_cancel(cancel);
	return r;
}

/* The others. */

void
mpr_queue_fd_make_quiet(const struct mpr_attachment *at)
{
	mpr_watched_fd_make_quiet(at->q, at->open);
}

void
mpr_queue_fd_close_now(const mproc_queue *q)
{
	uint64_t open;

	(void)mpr_watched_fd_close(q, &open);
}

bool
mpr_queue_fd_is_one(int fd)
{
	bool is_one;

	mpr_watched_lock();
	is_one = mpr_watched_has_fd(fd) || mpr_bells_have_fd(fd);
	mpr_watched_unlock();
	return is_one;
}

bool
mpr_queue_fd_has_old(const mproc_queue *q)
{
	return mpr_watched_fd_has_old(q, atomic_load(&q->state));
}

void
mpr_queue_fd_forget_now(void)
{
	mpr_watched_lock();
	mpr_watched_unlock();
}
