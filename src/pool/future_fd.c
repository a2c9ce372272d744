/* SPDX-License-Identifier: MIT */
#include "arena/table.h"
#include "os/thread.h"
#include "pool/entries.h"
#include "pool/future_fd.h"

/* One attempt; returns 0 if another one is needed. */
static int
get_fd(mproc_future *f)
{
	struct mpr_watched_what what = { .q = NULL };
	struct mpr_self *self;
	/* Each time: a signal handler may have forked, and we be in the child. */
	int r = mpr_future_note(f, &what.seen);

	if (r == 0)
		r = mpr_self(mpr_arena_of(f), &self);
	if (r < 0)
		return r;
	what.open = what.seen.word & MPR_FUTURE_ID;
	return mpr_watched_fd(&what, self, "a future");
}

int
mproc_future_fd(mproc_future *f)
{
	int cancel = mpr_thread_forbid_cancel(), r;

	do
		r = get_fd(f);
	while (r == 0);
	mpr_thread_allow_cancel(cancel);
	return r;
}

void
mpr_future_fd_close_all(const struct mpr_pool_use *u)
{
	struct mpr_entries_walk walk = mpr_entries_walk(u);
	struct mproc_future *f;

	while (mpr_queue_fd_any() && (f = mpr_entries_next(&walk)))
		(void)mpr_future_fd_close(f, 0);
}
