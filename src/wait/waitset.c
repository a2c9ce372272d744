/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "ipc/conn.h"
#include "os/clock.h"
#include "os/epoll.h"
#include "os/generation.h"
#include "os/interrupt.h"
#include "os/thread.h"
#include "pool/future.h"
#include "process/handle.h"
#include "sync/event.h"
#include "wait/shared.h"
#include "wait/waitset.h"

#define PAUSE_FIRST INT64_C(1000000) /* ns */
#define PAUSE_MAX 64 /* times as long */

static int
check(const mproc_waitset *w)
{
	if (!w)
		return mpr_fail(-EINVAL, "the waitset is NULL");
	if (w->generation != mpr_generation())
		return mpr_fail(-ECHILD, "the waitset is another process's");
	return 0;
}

static void
lock(mproc_waitset *w)
{
	/* Nobody has it for long. */
	mpr_interrupt_hold();
	mpr_turn_take(&w->turn, MPR_NEVER);
	mpr_interrupt_unhold();
}

static void
unlock(mproc_waitset *w)
{
	mpr_turn_give(&w->turn);
}

int
mproc_waitset_create(mproc_waitset **ret_w)
{
	int cancel = mpr_thread_forbid_cancel(), r = 0;
	mproc_waitset *w = NULL;

	if (!ret_w)
		r = mpr_fail(-EINVAL, "ret_w is NULL");
	else
		*ret_w = NULL;
	if (r == 0) {
		w = mpr_zalloc(sizeof(*w));
		if (!w)
			r = mpr_fail(-ENOMEM, "no memory for a waitset");
	}
	if (r == 0) {
		r = w->fd = mpr_epoll_open();
		if (r < 0)
			mpr_fail(r, "no descriptor for a waitset: %s",
				 mproc_strerror(r));
	}
	mpr_thread_allow_cancel(cancel);
	if (r < 0) {
		free(w);
		return r;
	}
	w->generation = mpr_generation();
	mpr_turn_init(&w->turn);
	*ret_w = w;
	return 0;
}

/* What is to be waited for. As mpr_thing_see(), but a queue is not attached to, and
 * whether any of it is ready does not matter. Returns 0, or why it cannot be. */
static int
find_thing(const struct mproc_waitable *what, struct mpr_thing *t)
{
	struct mpr_conn_source from;
	int r;

	*t = (struct mpr_thing){ .fd = -1 };
	switch (what->kind) {
	case MPROC_WAIT_QUEUE:
		t->q = what->object;
		return 0;
	case MPROC_WAIT_EVENT:
		r = mproc_event_is_set(what->object);
		if (r >= 0)
			t->seen = mpr_event_see(what->object);
		return r < 0 ? r : 0;
	case MPROC_WAIT_FUTURE:
		return mpr_future_note(what->object, &t->seen);
	case MPROC_WAIT_CONN:
		r = mpr_conn_source(what->object, &from);
		if (r < 0)
			return r;
		t->q = from.q;
		if (!from.q)
			t->fd = mpr_socket_conn_fd(from.socket);
		break;
	case MPROC_WAIT_PROCESS:
		r = mpr_process_check(what->object);
		if (r < 0)
			return r;
		t->process = what->object;
		t->fd = t->process->child.fd;
		break;
	default:
		r = mpr_thing_see(what, t);
		if (r < 0)
			return r;
	}
	if (what->kind != MPROC_WAIT_FD)
		t->events = POLLIN;
	return 0;
}

/* Under the turn. */
static int
have_bell(mproc_waitset *w)
{
	struct mpr_bell *bell;
	int r;

	if (w->bell)
		return 0;
	r = mpr_bell_open(&bell);
	if (r < 0)
		return r;
	r = mpr_epoll_add(w->fd, mpr_bell_fd(bell), POLLIN, MPR_WAITSET_BELL);
	if (r < 0) {
		mpr_bell_close(bell);
		return mpr_fail(r, "no room in a waitset: %s",
				mproc_strerror(r));
	}
	w->bell = bell;
	return 0;
}

static int
watch(mproc_waitset *w, struct mpr_waitset_item *item)
{
	int r = have_bell(w);

	if (r < 0)
		return r;
	if (item->thing.q)
		return mpr_bell_watch_queue(w->bell, item->thing.q, item,
					    &item->watched);
	item->seen = item->thing.seen;
	return mpr_bell_watch_news(w->bell, &item->seen, item, &item->watched);
}

static int
poll_for(mproc_waitset *w, struct mpr_waitset_item *item)
{
	const struct mpr_thing *t = &item->thing;
	int r;

	if (t->fd < 0) {
		w->n_pausing++;
		mpr_waitset_look_at(w, item);
		return 0;
	}
	r = mpr_epoll_add(w->fd, t->fd, t->events, item->id);
	if (r == -EPERM)
		return mpr_fail(r, "descriptor %d is always ready", t->fd);
	if (r == -EEXIST)
		return mpr_fail(r, "descriptor %d is in the set already", t->fd);
	if (r < 0)
		return mpr_fail(r, "descriptor %d: %s", t->fd,
				mproc_strerror(r));
	/* It may have been told before that it is over. */
	if (item->what.kind == MPROC_WAIT_CONN)
		mpr_waitset_look_at(w, item);
	return 0;
}

/* Under the turn, or the last to have it. */
static void
drop(mproc_waitset *w, struct mpr_waitset_item *item)
{
	if (item->watched)
		mpr_bell_unwatch(item->watched);
	else if (item->thing.fd >= 0)
		mpr_epoll_remove(w->fd, item->thing.fd);
	else
		w->n_pausing--;
	mpr_waitset_drop(w, item);
}

/* A future that was closed, and at whose address there is another one by now. */
static void
drop_closed(mproc_waitset *w, const struct mproc_waitable *what,
	    const struct mpr_thing *t)
{
	struct mpr_waitset_item *item = mpr_waitset_find(w, what);

	if (item && what->kind == MPROC_WAIT_FUTURE &&
	    !mpr_future_is_one(&item->thing.seen, &t->seen))
		drop(w, item);
}

static int
add(mproc_waitset *w, const struct mproc_waitable *what)
{
	struct mpr_waitset_item *item;
	struct mpr_thing t;
	int r = find_thing(what, &t);

	if (r < 0)
		return r;
	drop_closed(w, what, &t);
	r = mpr_waitset_enter(w, what, &item);
	if (r < 0)
		return r;
	item->thing = t;
	r = t.q || t.seen.object ? watch(w, item) : poll_for(w, item);
	if (r < 0)
		mpr_waitset_drop(w, item);
	return r;
}

int
mproc_waitset_add(mproc_waitset *w, const struct mproc_waitable *item)
{
	int cancel = mpr_thread_forbid_cancel(), r = check(w);

	if (r == 0 && !item)
		r = mpr_fail(-EINVAL, "item is NULL");
	if (r == 0 && item->kind != MPROC_WAIT_FD && item->events & ~POLLIN)
		r = mpr_fail(-EINVAL, "events of an object are POLLIN");
	if (r == 0) {
		lock(w);
		r = add(w, item);
		unlock(w);
	}
	mpr_thread_allow_cancel(cancel);
	return r;
}

int
mproc_waitset_remove(mproc_waitset *w, const struct mproc_waitable *item)
{
	int cancel = mpr_thread_forbid_cancel(), r = check(w);
	struct mpr_waitset_item *found;

	if (r == 0 && !item)
		r = mpr_fail(-EINVAL, "item is NULL");
	if (r == 0) {
		lock(w);
		found = mpr_waitset_find(w, item);
		if (found)
			drop(w, found);
		else
			r = mpr_fail(-ENOENT, "this is not in the set");
		unlock(w);
	}
	mpr_thread_allow_cancel(cancel);
	return r;
}

/* Returns how many are ready; 0; MPR_WAIT_ANEW if there is something to do before *@what is
 * waited for, not if that is NULL; or an error. */
static int
collect(mproc_waitset *w, struct mproc_waitable *items, int n, bool *ret_pauses,
	struct mproc_waitable *what)
{
	int got = 0, why = 0;

	lock(w);
	/* First what the call before this has left, which had others to tell. */
	if (!what || !w->cares)
		got = mpr_waitset_collect(w, items, n, &why);
	if (!got && w->cares && what) {
		*what = w->cares->what;
		w->cares = NULL;
		why = MPR_WAIT_ANEW;
	}
	*ret_pauses = w->n_pausing != 0;
	unlock(w);
	return got ? got : why;
}

/* It is done, but not by this thread, which is none of a worker's. */
#define FOR_OTHERS 1

/* Without the turn: a keeper is started, or a task runs that may use the set. Returns 0,
 * FOR_OTHERS, or why it cannot be waited for. */
static int
look_after(mproc_waitset *w, const struct mproc_waitable *what)
{
	struct mpr_thing t;
	int r = mpr_thing_see(what, &t);

	/* A task may have forked a child that has returned from it. */
	if (mpr_generation() != w->generation)
		return check(w);
	if (r)
		return r < 0 ? r : 0;
	return mpr_news_look(&t.seen, false) == MPR_NEWS_NONE ? FOR_OTHERS : 0;
}

/* Sleeps until something may be ready; if @rings says that the set's descriptor is readable
 * in any case, for a while. Returns 0, or the wait's error. */
static int
sleep_for(mproc_waitset *w, int64_t deadline, bool pauses, bool rings,
	  unsigned *tries)
{
	struct pollfd pfd[2] = { { .fd = w->fd, .events = POLLIN } };
	int64_t until = deadline;
	int r;

	if (mpr_interrupt_pending()) {
		mpr_interrupt_answer();
		return -EINTR;
	}
	if (pauses || rings) {
		*tries += *tries < PAUSE_MAX;
		until = mproc_now() + *tries * PAUSE_FIRST;
		if (until > deadline)
			until = deadline;
	}
	r = mpr_interrupt_poll(pfd, !rings, until);
	/* A signal handler may have forked. */
	if (mpr_generation() != w->generation)
		return check(w);
	if (r == -EBADF)
		return mpr_fail(r, "the waitset's descriptor is closed");
	return r == -ETIMEDOUT && until < deadline ? 0 : r;
}

static int
wait_for(mproc_waitset *w, struct mproc_waitable *items, int n,
	 mproc_timeout timeout)
{
	int64_t deadline = 0; /* not known yet */
	struct mproc_waitable what;
	unsigned tries = 0;
	bool pauses, over = false;
	int r, why = 0;

	for (;;) {
		r = collect(w, items, n, &pauses, why ? NULL : &what);
		if (r == MPR_WAIT_ANEW) {
			why = look_after(w, &what);
			if (why == -ECHILD)
				return why;
			continue;
		}
		if (r || why < 0)
			return r ? r : why;
		if (over)
			return -ETIMEDOUT;
		if (!timeout.ns)
			return -EAGAIN;
		if (!deadline)
			deadline = mpr_deadline(timeout);
		r = sleep_for(w, deadline, pauses, why == FOR_OTHERS, &tries);
		why = 0;
		if (r < 0 && r != -ETIMEDOUT)
			return r;
		over = r == -ETIMEDOUT;
	}
}

int
mproc_waitset_wait(mproc_waitset *w, struct mproc_waitable *items, int n,
		   mproc_timeout timeout)
{
	int cancel = mpr_thread_forbid_cancel(), r = check(w);

	if (r == 0 && (n <= 0 || !items))
		r = mpr_fail(-EINVAL, "%d items at %p", n, (void *)items);
	if (r == 0)
		r = wait_for(w, items, n, timeout);
	mpr_thread_allow_cancel(cancel);
	return r;
}

int
mproc_waitset_fd(mproc_waitset *w)
{
	int r = check(w);

	return r < 0 ? r : w->fd;
}

/* What a forked child has is the parent's: the kernel's set is one for both, and the
 * bell is none of the child's. */
static void
forget(mproc_waitset *w)
{
	for (unsigned i = 0; i < w->size; i++)
		free(w->items[i]);
}

static void
close_own(mproc_waitset *w)
{
	for (unsigned i = 0; i < w->size; i++)
		if (w->items[i])
			drop(w, w->items[i]);
	if (w->bell)
		mpr_bell_close(w->bell);
	mpr_turn_destroy(&w->turn);
}

void
mproc_waitset_close(mproc_waitset *w)
{
	int cancel;

	if (!w)
		return;
	cancel = mpr_thread_forbid_cancel();
	if (w->generation == mpr_generation())
		close_own(w);
	else
		forget(w);
	mpr_epoll_close(w->fd);
	free(w->items);
	free(w->buckets);
	free(w);
	mpr_thread_allow_cancel(cancel);
}
