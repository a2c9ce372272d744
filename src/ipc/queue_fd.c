/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that are readable when there is something in a queue: those who
 * ask for one, the gets that find nothing, and the end.
 */
#include <errno.h>

#include "base/error.h"
#include "ipc/bell_priv.h"
#include "ipc/queue_fd.h"
#include "ipc/watched.h"
#include "os/clock.h"
#include "os/generation.h"
#include "os/thread.h"
#include "os/waker.h"
#include "sync/park.h"

/* ns. How often who asks looks whether it is in a forked child by now, where
 * there is no watcher. */
#define ASK_EVERY 50000000

/* Under the process lock, down to answer(). */

/* Has the watcher watch the queue that is OPEN as @open says; @e is its entry, or
 * NULL. */
static int
ask(struct mpr_watched *e, const struct mpr_attachment *at)
{
	int fd = e ? e->fd : -1, r;

	if (!mpr_waker_is_open(fd))
		fd = mpr_waker_open();
	if (fd < 0)
		return mpr_fail(fd, "no eventfd: %s", mproc_strerror(fd));
	r = mpr_watched_start(at->arena);
	if (r < 0)
		mpr_fail(r, "no thread to watch queues: %s", mproc_strerror(r));
	if (r == 0 && !e) {
		e = mpr_watched_new_fd(at->arena, at->q);
		if (!e)
			r = mpr_fail(-ENOMEM, "no memory for a descriptor");
	}
	if (r < 0) {
		if (!e || fd != e->fd)
			mpr_waker_close(fd);
		return r;
	}
	/* What is readable now is that of an earlier queue. */
	mpr_waker_reset(fd);
	e->fd = fd;
	e->open = at->open;
	mpr_watched_note(e, MPR_WATCHED_ASKED);
	return 0;
}

/* Returns the descriptor; 0 if the watcher has to say something first; or an
 * error. */
static int
answer(const struct mpr_attachment *at)
{
	struct mpr_watched *e = mpr_watched_find_fd(at->q);
	unsigned state = e ? mpr_watched_state(e) : MPR_WATCHED_FREE;
	bool is_same = e && e->open == at->open;
	int error;

	if (state == MPR_WATCHED_FAILED) {
		error = e->error;
		mpr_watched_give_up(e);
		e = NULL;
		/* What was wrong with an earlier queue is not wrong with this
		 * one. */
		if (is_same)
			return mpr_fail(error, "watching %s: %s",
					mpr_queue_label(at->q).text,
					mproc_strerror(error));
	} else if (is_same && mpr_watched_runs(at->arena)) {
		if (state == MPR_WATCHED_ASKED)
			return 0;
		if (state != MPR_WATCHED_CLOSED && mpr_waker_is_open(e->fd))
			return e->fd;
	}
	return ask(e, at);
}

/* One attempt; returns 0 if another one is needed. */
static int
get_fd(mproc_queue *q)
{
	struct mpr_attachment *at;
	struct mpr_self *self;
	uint32_t ticket;
	int r;

	/* Each time: a signal handler may have forked, and we be in the
	 * child. */
	r = mpr_attachment_get(q, &at);
	if (r < 0)
		return r;
	/* The thread that watches sleeps in one arena. */
	if (at->arena != mpr_arena_peek())
		return mpr_fail(-ENOTSUP, "%s is not in the default arena",
				mpr_queue_label(q).text);
	r = mpr_self(at->arena, &self);
	if (r < 0)
		return r;
	mpr_fork_lock(); /* as in mpr_bell_open() */
	mpr_watched_lock();
	ticket = mpr_park_ticket(self);
	r = answer(at);
	mpr_watched_unlock();
	mpr_fork_unlock();
	if (r == 0)
		mpr_parker_wait(&self->shared->parker, ticket,
				mproc_now() + ASK_EVERY);
	return r;
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
	struct mpr_watched *e;

	mpr_watched_lock();
	e = mpr_watched_find_fd(at->q);
	if (e && mpr_watched_state(e) == MPR_WATCHED_READY &&
	    e->open == at->open) {
		mpr_waker_reset(e->fd);
		mpr_watched_note(e, MPR_WATCHED_QUIET);
	}
	mpr_watched_unlock();
}

void
mpr_queue_fd_close_now(const mproc_queue *q)
{
	struct mpr_watched *e;

	mpr_watched_lock();
	e = mpr_watched_find_fd(q);
	if (e) {
		/* For those who poll it just now. */
		mpr_waker_wake(e->fd);
		mpr_waker_close(e->fd);
		e->fd = -1;
		if (mpr_watched_state(e) == MPR_WATCHED_FAILED)
			mpr_watched_give_up(e);
		else
			mpr_watched_note(e, MPR_WATCHED_CLOSED);
	}
	mpr_watched_unlock();
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
	const struct mpr_watched *e;
	bool old;

	mpr_watched_lock();
	e = mpr_watched_find_fd(q);
	old = e && e->fd >= 0 && e->open != atomic_load(&q->state);
	mpr_watched_unlock();
	return old;
}

void
mpr_queue_fd_forget_now(void)
{
	mpr_watched_lock();
	mpr_watched_unlock();
}
