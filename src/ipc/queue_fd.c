/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that are readable when there is something in a queue: those who
 * ask for one, the gets that find nothing, and the end.
 *
 * Who makes an entry quiet does not have to look once more: the watcher is
 * woken and does. While an entry is READY, nobody waits for its queue, so
 * nobody has to be woken.
 */
#include <errno.h>

#include "base/alloc.h"
#include "base/error.h"
#include "ipc/queue_fd_priv.h"
#include "os/clock.h"
#include "os/generation.h"
#include "os/thread.h"
#include "os/waker.h"
#include "sync/park.h"

/* ns. How often who asks looks whether it is in a forked child by now, where
 * there is no watcher. */
#define ASK_EVERY 50000000

_Atomic(struct mpr_queue_fd *) mpr_queue_fds;

/* Under the process lock. */
static uint64_t generation; /* of the process that all this belongs to */
static struct watcher {
	bool runs;
	bool has_slot; /* where it is woken */
	unsigned slot;
} watcher;

static void
set(struct mpr_queue_fd *e, unsigned state)
{
	atomic_store_explicit(&e->state, state, memory_order_release);
}

static struct mpr_queue_fd *
find(const mproc_queue *q)
{
	struct mpr_queue_fd *e;

	for (e = mpr_queue_fd_first(); e; e = e->next)
		if (atomic_load(&e->q) == q &&
		    mpr_queue_fd_state(e) != MPR_QUEUE_FD_FREE)
			break;
	return e;
}

static void
close_fd(struct mpr_queue_fd *e)
{
	mpr_waker_close(e->fd);
	e->fd = -1;
}

static void
forget_parents(void)
{
	if (generation == mpr_generation())
		return;
	for (struct mpr_queue_fd *e = mpr_queue_fd_first(); e; e = e->next) {
		close_fd(e);
		e->watch = (struct mpr_watch){ 0 };
		set(e, MPR_QUEUE_FD_FREE);
	}
	watcher = (struct watcher){ 0 };
	generation = mpr_generation();
}

static void
lock(void)
{
	mpr_process_lock();
	forget_parents();
}

/* Has the watcher begin a new round, if something has @changed. */
static void
unlock_and_tell(const mproc_arena *a, bool changed)
{
	struct watcher w = watcher;

	mpr_process_unlock();
	if (changed && w.has_slot)
		mpr_unpark(a, w.slot);
}

/* What the watcher does with entries. */

static void
change(struct mpr_queue_fd *e, unsigned from, unsigned to)
{
	lock();
	if (mpr_queue_fd_state(e) == from)
		set(e, to);
	mpr_process_unlock();
}

void
mpr_queue_fd_make_ready(struct mpr_queue_fd *e)
{
	unsigned state;

	lock();
	state = mpr_queue_fd_state(e);
	if (state == MPR_QUEUE_FD_ASKED || state == MPR_QUEUE_FD_QUIET) {
		/* Before it can be seen to be readable: a get that finds
		 * nothing would leave it so, and nobody look any more. */
		set(e, MPR_QUEUE_FD_READY);
		mpr_waker_wake(e->fd);
	}
	mpr_process_unlock();
}

void
mpr_queue_fd_settle(struct mpr_queue_fd *e)
{
	change(e, MPR_QUEUE_FD_ASKED, MPR_QUEUE_FD_QUIET);
}

void
mpr_queue_fd_make_free(struct mpr_queue_fd *e)
{
	change(e, MPR_QUEUE_FD_CLOSED, MPR_QUEUE_FD_FREE);
}

static void
fail(struct mpr_queue_fd *e, int error)
{
	close_fd(e);
	e->error = error;
	set(e, MPR_QUEUE_FD_FAILED);
}

void
mpr_queue_fd_make_failed(struct mpr_queue_fd *e, int error)
{
	lock();
	if (mpr_queue_fd_state(e) == MPR_QUEUE_FD_ASKED)
		fail(e, error);
	mpr_process_unlock();
}

const mproc_queue *
mpr_queue_fd_any_queue(void)
{
	const mproc_queue *q = NULL;
	struct mpr_queue_fd *e;

	lock();
	for (e = mpr_queue_fd_first(); e && !q; e = e->next)
		if (mpr_queue_fd_state(e) != MPR_QUEUE_FD_FREE &&
		    mpr_queue_fd_state(e) != MPR_QUEUE_FD_FAILED)
			q = atomic_load(&e->q);
	if (!q)
		watcher = (struct watcher){ 0 };
	mpr_process_unlock();
	return q;
}

void
mpr_queue_fd_watcher_began(unsigned slot)
{
	lock();
	watcher.has_slot = true;
	watcher.slot = slot;
	mpr_process_unlock();
}

void
mpr_queue_fd_watcher_ended(int error)
{
	struct mpr_queue_fd *e;

	lock();
	for (e = mpr_queue_fd_first(); e; e = e->next) {
		if (error && mpr_queue_fd_state(e) == MPR_QUEUE_FD_ASKED)
			fail(e, error);
		else if (mpr_queue_fd_state(e) == MPR_QUEUE_FD_CLOSED)
			set(e, MPR_QUEUE_FD_FREE);
	}
	watcher = (struct watcher){ 0 };
	mpr_process_unlock();
}

/* Those who ask. Under the process lock, down to answer(). */

static int
add(mproc_queue *q, struct mpr_queue_fd **ret_e)
{
	struct mpr_queue_fd *e;

	for (e = mpr_queue_fd_first(); e; e = e->next)
		if (mpr_queue_fd_state(e) == MPR_QUEUE_FD_FREE)
			break;
	if (!e) {
		e = mpr_zalloc(sizeof(*e));
		if (!e)
			return mpr_fail(-ENOMEM, "no memory for a descriptor");
		e->fd = -1;
		e->next = mpr_queue_fd_first();
		atomic_store_explicit(&mpr_queue_fds, e, memory_order_release);
	}
	atomic_store(&e->q, q);
	*ret_e = e;
	return 0;
}

/* Has the watcher watch the queue that is OPEN as @open says. */
static int
ask(struct mpr_queue_fd *e, mproc_arena *a, uint64_t open)
{
	int fd = e->fd, r = 0;

	if (!mpr_waker_is_open(fd))
		fd = mpr_waker_open();
	if (fd < 0)
		return mpr_fail(fd, "no eventfd: %s", mproc_strerror(fd));
	if (!watcher.runs) {
		r = mpr_thread_start(mpr_queue_watcher, a);
		if (r < 0) {
			if (fd != e->fd)
				mpr_waker_close(fd);
			return mpr_fail(r, "no thread to watch queues: %s",
					mproc_strerror(r));
		}
		watcher.runs = true;
	}
	/* What is readable now is that of an earlier queue. */
	mpr_waker_reset(fd);
	e->fd = fd;
	atomic_store(&e->open, open);
	set(e, MPR_QUEUE_FD_ASKED);
	return 0;
}

/* Returns the descriptor; 0 if the watcher has to say something first; or an
 * error. */
static int
answer(const struct mpr_attachment *at)
{
	struct mpr_queue_fd *e = find(at->q);
	unsigned state = e ? mpr_queue_fd_state(e) : MPR_QUEUE_FD_FREE;
	int r = 0;

	if (state == MPR_QUEUE_FD_FAILED) {
		set(e, MPR_QUEUE_FD_FREE);
		/* What was wrong with an earlier queue is not wrong with this
		 * one. */
		if (atomic_load(&e->open) != at->open)
			return ask(e, at->arena, at->open);
		return mpr_fail(e->error, "watching %s: %s",
				mpr_queue_label(at->q).text,
				mproc_strerror(e->error));
	}
	if (e && atomic_load(&e->open) == at->open && watcher.runs) {
		if (state == MPR_QUEUE_FD_ASKED)
			return 0;
		if (state != MPR_QUEUE_FD_CLOSED && mpr_waker_is_open(e->fd))
			return e->fd;
	}
	if (!e)
		r = add(at->q, &e);
	return r < 0 ? r : ask(e, at->arena, at->open);
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
	lock();
	ticket = mpr_park_ticket(self);
	r = answer(at);
	unlock_and_tell(at->arena, r == 0);
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
	struct mpr_queue_fd *e = find(at->q);
	bool changed;

	if (!e || mpr_queue_fd_state(e) != MPR_QUEUE_FD_READY)
		return;
	lock();
	changed = mpr_queue_fd_state(e) == MPR_QUEUE_FD_READY &&
		  atomic_load(&e->q) == at->q &&
		  atomic_load(&e->open) == at->open;
	if (changed) {
		mpr_waker_reset(e->fd);
		set(e, MPR_QUEUE_FD_QUIET);
	}
	unlock_and_tell(at->arena, changed);
}

void
mpr_queue_fd_close_now(const mproc_queue *q)
{
	struct mpr_queue_fd *e;

	lock();
	e = find(q);
	if (e) {
		/* For those who poll it just now. */
		mpr_waker_wake(e->fd);
		close_fd(e);
		if (mpr_queue_fd_state(e) == MPR_QUEUE_FD_FAILED)
			set(e, MPR_QUEUE_FD_FREE);
		else
			set(e, MPR_QUEUE_FD_CLOSED);
	}
	unlock_and_tell(mpr_arena_peek(), e != NULL);
}

bool
mpr_queue_fd_is_one(int fd)
{
	struct mpr_queue_fd *e;

	lock();
	for (e = mpr_queue_fd_first(); e && e->fd != fd; e = e->next)
		;
	mpr_process_unlock();
	return e != NULL;
}

bool
mpr_queue_fd_has_old(const mproc_queue *q)
{
	const struct mpr_queue_fd *e;
	bool old;

	lock();
	e = find(q);
	old = e && e->fd >= 0 &&
	      atomic_load(&e->open) != atomic_load(&q->state);
	mpr_process_unlock();
	return old;
}

void
mpr_queue_fd_forget_now(void)
{
	lock();
	mpr_process_unlock();
}

unsigned
mpr_queue_fd_threads(void)
{
	bool runs;

	mpr_process_lock();
	runs = watcher.runs && generation == mpr_generation();
	mpr_process_unlock();
	return runs;
}
