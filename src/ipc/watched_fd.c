/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/error.h"
#include "ipc/watched.h"
#include "ipc/watched_fd.h"
#include "os/clock.h"
#include "os/generation.h"
#include "os/waker.h"
#include "sync/park.h"

/* ns. How often who asks looks whether it is in a forked child by now, where
 * there is no watcher. */
#define ASK_EVERY 50000000

static const void *
object_of(const struct mpr_watched_what *what)
{
	return what->q ? (const void *)what->q : what->seen.object;
}

/* Under the process lock, down to answer(). */

/* Has the watcher watch what is there by that name; @e is its entry, or NULL. */
static int
ask(struct mpr_watched *e, const struct mpr_watched_what *what, mproc_arena *a)
{
	int fd = e ? e->fd : -1, r;

	if (!mpr_waker_is_open(fd))
		fd = mpr_waker_open();
	if (fd < 0)
		return mpr_fail(fd, "no eventfd: %s", mproc_strerror(fd));
	r = mpr_watched_start(a);
	if (r < 0)
		mpr_fail(r, "no thread to watch with: %s", mproc_strerror(r));
	if (r == 0 && !e) {
		e = mpr_watched_new_fd(a, what->q, &what->seen);
		if (!e)
			r = mpr_fail(-ENOMEM, "no memory for a descriptor");
	}
	if (r < 0) {
		if (!e || fd != e->fd)
			mpr_waker_close(fd);
		return r;
	}
	/* What is readable now is that of what was there before. */
	mpr_waker_reset(fd);
	e->fd = fd;
	e->open = what->open;
	e->seen = what->seen;
	mpr_watched_note(e, MPR_WATCHED_ASKED);
	return 0;
}

/* Returns the descriptor; 0 if the watcher has to say something first; or an
 * error. */
static int
answer(const struct mpr_watched_what *what, mproc_arena *a, const char *label)
{
	struct mpr_watched *e = mpr_watched_find_fd(object_of(what));
	unsigned state = e ? mpr_watched_state(e) : MPR_WATCHED_FREE;
	bool is_same = e && e->open == what->open;
	int error;

	if (state == MPR_WATCHED_FAILED) {
		error = e->error;
		mpr_watched_give_up(e);
		e = NULL;
		/* What was wrong with an earlier one is not wrong with this
		 * one. */
		if (is_same)
			return mpr_fail(error, "watching %s: %s", label,
					mproc_strerror(error));
	} else if (is_same && mpr_watched_runs(a)) {
		if (state == MPR_WATCHED_ASKED)
			return 0;
		if (state != MPR_WATCHED_CLOSED && mpr_waker_is_open(e->fd))
			return e->fd;
	}
	return ask(e, what, a);
}

int
mpr_watched_fd(const struct mpr_watched_what *what, struct mpr_self *self,
	       const char *label)
{
	uint32_t ticket;
	int r;

	mpr_fork_lock(); /* as in mpr_bell_open() */
	mpr_watched_lock();
	ticket = mpr_park_ticket(self);
	r = answer(what, self->arena, label);
	mpr_watched_unlock();
	mpr_fork_unlock();
	if (r == 0)
		mpr_parker_wait(&self->shared->parker, ticket,
				mproc_now() + ASK_EVERY);
	return r;
}

void
mpr_watched_fd_make_quiet(const void *object, uint64_t open)
{
	struct mpr_watched *e;

	mpr_watched_lock();
	e = mpr_watched_find_fd(object);
	if (e && mpr_watched_state(e) == MPR_WATCHED_READY && e->open == open) {
		mpr_waker_reset(e->fd);
		mpr_watched_note(e, MPR_WATCHED_QUIET);
	}
	mpr_watched_unlock();
}

bool
mpr_watched_fd_close(const void *object, uint64_t *ret_open)
{
	struct mpr_watched *e;
	bool found;

	mpr_watched_lock();
	e = mpr_watched_find_fd(object);
	found = e && e->fd >= 0;
	if (e) {
		*ret_open = e->open;
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
	return found;
}

/* Which name that has which is there; false if there is none. */
static bool
find_name(const void *object, uint64_t *ret_open)
{
	const struct mpr_watched *e;
	bool found;

	mpr_watched_lock();
	e = mpr_watched_find_fd(object);
	found = e && e->fd >= 0;
	if (found)
		*ret_open = e->open;
	mpr_watched_unlock();
	return found;
}

bool
mpr_watched_fd_has(const void *object, uint64_t open)
{
	uint64_t name;

	return find_name(object, &name) && name == open;
}

bool
mpr_watched_fd_has_old(const void *object, uint64_t open)
{
	uint64_t name;

	return find_name(object, &name) && name != open;
}
