/* SPDX-License-Identifier: MIT */
/*
 * A bell's descriptor is readable while the list of those that have rung is not
 * empty. Both change together, under the process lock.
 */
#include <errno.h>

#include "arena/arena.h"
#include "arena/table.h"
#include "base/alloc.h"
#include "base/error.h"
#include "ipc/attachment.h"
#include "ipc/bell.h"
#include "ipc/bell_priv.h"
#include "ipc/queue_fd.h"
#include "ipc/watched.h"
#include "os/generation.h"
#include "os/waker.h"

struct mpr_bell {
	struct mpr_bell *next; /* of all there are; constant */
	/* Under the process lock. */
	struct mpr_bell *next_free;
	int fd; /* -1: closed */
	struct mpr_watched *first, *last; /* those that have rung */
};

/* Used again, and never freed, as entries are. Published with a release. */
static _Atomic(struct mpr_bell *) all;
static struct mpr_bell *free_ones; /* under the process lock */

static struct mpr_bell *
first_bell(void)
{
	/* Acquire pairs with the release of who adds one, for a forked child. */
	return atomic_load_explicit(&all, memory_order_acquire);
}

void
mpr_bells_forget(void)
{
	free_ones = NULL;
	for (struct mpr_bell *b = first_bell(); b; b = b->next) {
		mpr_waker_close(b->fd);
		*b = (struct mpr_bell){
			.next = b->next,
			.next_free = free_ones,
			.fd = -1,
		};
		free_ones = b;
	}
}

bool
mpr_bells_have_fd(int fd)
{
	struct mpr_bell *b = first_bell();

	while (b && b->fd != fd)
		b = b->next;
	return b != NULL;
}

static struct mpr_bell *
new_bell(void)
{
	struct mpr_bell *b = free_ones;

	if (b) {
		free_ones = b->next_free;
		return b;
	}
	b = mpr_zalloc(sizeof(*b));
	if (!b)
		return NULL;
	b->fd = -1;
	b->next = first_bell();
	atomic_store_explicit(&all, b, memory_order_release);
	return b;
}

int
mpr_bell_open(struct mpr_bell **ret_b)
{
	struct mpr_bell *b;
	int fd;

	/* No child that is forked meanwhile has a copy that is in no table. */
	mpr_fork_lock();
	mpr_watched_lock();
	fd = mpr_waker_open();
	b = fd < 0 ? NULL : new_bell();
	if (b) {
		b->fd = fd;
		/* Also for a child that is forked before anything is watched. */
		atomic_store_explicit(&mpr_queue_fd_used, true,
				      memory_order_relaxed);
	} else if (fd >= 0) {
		mpr_waker_close(fd);
	}
	mpr_watched_unlock();
	mpr_fork_unlock();
	if (fd < 0)
		return mpr_fail(fd, "no eventfd: %s", mproc_strerror(fd));
	if (!b)
		return mpr_fail(-ENOMEM, "no memory to wait with");
	*ret_b = b;
	return 0;
}

int
mpr_bell_fd(const struct mpr_bell *b)
{
	return b->fd;
}

void
mpr_bell_close(struct mpr_bell *b)
{
	mpr_watched_lock();
	if (b->fd >= 0) {
		mpr_waker_close(b->fd);
		b->fd = -1;
		b->next_free = free_ones;
		free_ones = b;
	}
	mpr_watched_unlock();
}

/* Those that have rung. Under the lock. */

static void
append(struct mpr_watched *e)
{
	struct mpr_bell *b = e->bell;

	e->next_rung = NULL;
	e->previous_rung = b->last;
	if (b->last)
		b->last->next_rung = e;
	else
		b->first = e;
	b->last = e;
}

static void
unlink_rung(struct mpr_watched *e)
{
	struct mpr_bell *b = e->bell;

	if (e->previous_rung)
		e->previous_rung->next_rung = e->next_rung;
	else
		b->first = e->next_rung;
	if (e->next_rung)
		e->next_rung->previous_rung = e->previous_rung;
	else
		b->last = e->previous_rung;
}

void
mpr_bell_ring(struct mpr_watched *e)
{
	bool is_first = !e->bell->first;

	e->has_rung = true;
	append(e);
	if (is_first)
		mpr_waker_wake(e->bell->fd);
}

static void
take(struct mpr_watched *e)
{
	if (!e->has_rung)
		return;
	e->has_rung = false;
	unlink_rung(e);
	if (!e->bell->first)
		mpr_waker_reset(e->bell->fd);
}

/* Things. */

/* Watches what @what says. */
static int
watch(struct mpr_bell *b, mproc_arena *a, const struct mpr_watched *what,
      struct mpr_watched **ret_e)
{
	struct mpr_watched *e = NULL;
	int r;

	mpr_watched_lock();
	r = mpr_watched_start(a);
	if (r == 0)
		e = mpr_watched_new(a);
	if (e) {
		e->q = what->q;
		e->open = what->open;
		e->seen = what->seen;
		e->bell = b;
		e->cookie = what->cookie;
		mpr_watched_note(e, MPR_WATCHED_QUIET);
	}
	mpr_watched_unlock();
	if (r < 0)
		return mpr_fail(r, "no thread to watch with: %s",
				mproc_strerror(r));
	if (!e)
		return mpr_fail(-ENOMEM, "no memory to wait with");
	*ret_e = e;
	return 0;
}

int
mpr_bell_watch_queue(struct mpr_bell *b, mproc_queue *q, void *cookie,
		     struct mpr_watched **ret_e)
{
	struct mpr_watched what = { .q = q, .cookie = cookie };
	mproc_arena *a;
	int r;

	r = mpr_queue_check(q, &a);
	if (r < 0)
		return r;
	what.open = atomic_load(&q->state);
	if (mpr_owner_state(what.open) != MPR_QUEUE_OPEN)
		return mpr_queue_stale(q);
	return watch(b, a, &what, ret_e);
}

int
mpr_bell_watch_news(struct mpr_bell *b, const struct mpr_news *seen,
		    void *cookie, struct mpr_watched **ret_e)
{
	struct mpr_watched what = { .seen = *seen, .cookie = cookie };
	mproc_arena *a;
	int r;

	r = mpr_arena_get_of(seen->object, &a);
	return r < 0 ? r : watch(b, a, &what, ret_e);
}

struct mpr_watched *
mpr_bell_next(struct mpr_bell *b, int *ret_error)
{
	struct mpr_watched *e;

	mpr_watched_lock();
	e = b->first;
	if (e) {
		take(e);
		*ret_error = e->error;
	}
	mpr_watched_unlock();
	return e;
}

struct mpr_watched *
mpr_bell_turn(struct mpr_bell *b, int *ret_error)
{
	struct mpr_watched *e;

	mpr_watched_lock();
	e = b->first;
	if (e) {
		/* Nothing is written if it is alone. */
		if (e != b->last) {
			unlink_rung(e);
			append(e);
		}
		*ret_error = e->error;
	}
	mpr_watched_unlock();
	return e;
}

void *
mpr_bell_cookie(const struct mpr_watched *e)
{
	return e->cookie;
}

/* Under the lock. */
static void
arm(struct mpr_watched *e)
{
	if (mpr_watched_state(e) != MPR_WATCHED_READY)
		return;
	take(e);
	/* The last watcher may have ended as it could not take part in the arena:
	 * then nobody would look. */
	e->error = mpr_watched_start(e->arena);
	if (e->error == 0)
		mpr_watched_note(e, MPR_WATCHED_QUIET);
	else
		mpr_bell_ring(e);
}

void
mpr_bell_arm(struct mpr_watched *e)
{
	mpr_watched_lock();
	arm(e);
	mpr_watched_unlock();
}

void
mpr_bell_arm_news(struct mpr_watched *e, const struct mpr_news *seen)
{
	mpr_watched_lock();
	if (mpr_watched_state(e) != MPR_WATCHED_FREE)
		e->seen = *seen;
	arm(e);
	mpr_watched_unlock();
}

void
mpr_bell_unwatch(struct mpr_watched *e)
{
	mpr_watched_lock();
	if (mpr_watched_state(e) != MPR_WATCHED_FREE) {
		take(e);
		mpr_watched_note(e, MPR_WATCHED_CLOSED);
	}
	mpr_watched_unlock();
}
