/* SPDX-License-Identifier: MIT */
#include <string.h>

#include <mproc/core.h>

#include "arena/table.h"
#include "base/alloc.h"
#include "base/macros.h"
#include "ipc/bell_priv.h"
#include "ipc/queue_fd.h"
#include "ipc/watched.h"
#include "ipc/watcher.h"
#include "os/clock.h"
#include "os/generation.h"
#include "os/thread.h"
#include "os/waker.h"
#include "sync/park.h"

/* ns. How long the default arena's watcher stays after the last thing with a bell, or
 * with a descriptor if it is no queue: who waits again and again does not start a
 * thread each time, which costs some 50 us.
 * Another one would keep its arena mapped. */
#define LINGER INT64_C(20000000)

MPR_CHILD_DATA _Atomic bool mpr_queue_fd_used;

/* Of which descriptors there are entries, by what they are for. */
_Atomic(struct mpr_watched *) mpr_queue_fds[MPR_QUEUE_FD_BUCKETS];

/* Published with a release, as a forked child walks over them. */
static _Atomic(struct mpr_watched *) all;

/* Under the process lock. */
static uint64_t generation; /* of the process that all this belongs to */
static struct mpr_watched *free_ones;

/* One for each arena, by its index. */
static struct watcher {
	bool runs;
	bool has_slot; /* where it is woken */
	unsigned slot;
	mproc_arena *arena;
	struct mpr_watched *noted, *last_noted;
	unsigned n_live; /* neither FREE nor FAILED */
	int64_t idle_since; /* n_live is 0; 0: there is nothing to stay for */
} watchers[1 + MPR_ARENAS_NAMED_MAX];

/* Their bits, if something was noted since they were woken. */
static uint64_t tell;

static_assert(sizeof(watchers) / sizeof(watchers[0]) <= 64, "bits of tell");

static struct watcher *
watcher_of(const mproc_arena *a)
{
	return &watchers[a->index];
}

static _Atomic(struct mpr_watched *) *
bucket_of(const void *object)
{
	return &mpr_queue_fds[mpr_queue_fd_bucket(object)];
}

static const void *
object_of(const struct mpr_watched *e)
{
	return e->q ? (const void *)e->q : e->seen.object;
}

static bool
is_live(unsigned state)
{
	return state != MPR_WATCHED_FREE && state != MPR_WATCHED_FAILED;
}

/* What is watched keeps its arena mapped. */
static void
set(struct mpr_watched *e, unsigned state)
{
	bool was_live = is_live(mpr_watched_state(e));
	struct watcher *w = watcher_of(e->arena);

	atomic_store_explicit(&e->state, state, memory_order_release);
	if (is_live(state) && !was_live && w->n_live++ == 0)
		mpr_arenas_entered(e->arena);
	if (was_live && !is_live(state) && --w->n_live == 0) {
		w->idle_since = (e->bell || !e->q) && !e->arena->index ?
					mproc_now() : 0;
		mpr_arenas_left(e->arena);
	}
}

/* A fork may have come at any point of what its parent's other threads did here:
 * nothing is followed but what is constant. */
static void
forget_parents(void)
{
	if (generation == mpr_generation())
		return;
	free_ones = NULL;
	for (struct mpr_watched *e = atomic_load_explicit(
		     &all, memory_order_acquire); e; e = e->next) {
		mpr_waker_close(e->fd);
		*e = (struct mpr_watched){
			.next = e->next,
			.fd = -1,
			.next_free = free_ones,
		};
		free_ones = e;
	}
	for (unsigned i = 0; i < MPR_QUEUE_FD_BUCKETS; i++)
		atomic_store_explicit(&mpr_queue_fds[i], NULL,
				      memory_order_relaxed);
	mpr_bells_forget();
	tell = 0;
	memset(watchers, 0, sizeof(watchers));
	generation = mpr_generation();
}

void
mpr_watched_lock(void)
{
	mpr_process_lock();
	forget_parents();
}

/* One that has no slot yet comes by itself. */
static void
wake(const struct watcher *w)
{
	if (w->has_slot)
		mpr_unpark(w->arena, w->slot);
}

void
mpr_watched_unlock(void)
{
	struct watcher usual = watchers[0];
	uint64_t bits = tell;

	tell = 0;
	/* Before the lock is given back, after which a named arena may be unmapped
	 * as soon as its watcher has ended. */
	for (uint64_t named = bits & ~UINT64_C(1); named; named &= named - 1)
		wake(&watchers[__builtin_ctzll(named)]);
	mpr_process_unlock();
	if (bits & 1)
		wake(&usual);
}

/* For the watcher. Whoever finds others noted need not wake it: who noted the
 * first of them does. */
static void
note(struct mpr_watched *e)
{
	struct watcher *w = watcher_of(e->arena);

	if (e->is_noted)
		return;
	e->is_noted = true;
	e->next_noted = NULL;
	if (w->noted) {
		w->last_noted->next_noted = e;
	} else {
		w->noted = e;
		tell |= UINT64_C(1) << e->arena->index;
	}
	w->last_noted = e;
}

static struct mpr_watched *
first_noted(struct watcher *w)
{
	struct mpr_watched *e = w->noted;

	if (e) {
		w->noted = e->next_noted;
		e->is_noted = false;
	}
	return e;
}

/* An earlier watcher may have left entries behind. */
static void
note_all(const mproc_arena *a)
{
	for (struct mpr_watched *e = atomic_load_explicit(
		     &all, memory_order_relaxed); e; e = e->next)
		if (e->arena == a && is_live(mpr_watched_state(e)))
			note(e);
}

int
mpr_watched_start(mproc_arena *a)
{
	struct watcher *w = watcher_of(a);
	int r;

	if (w->runs)
		return 0;
	mpr_arenas_entered(a); /* for the thread: mpr_watched_left() */
	r = mpr_thread_start(mpr_watcher, a);
	if (r < 0) {
		mpr_arenas_left(a);
		return r;
	}
	w->runs = true;
	w->arena = a;
	note_all(a);
	return 0;
}

bool
mpr_watched_runs(const mproc_arena *a)
{
	return watcher_of(a)->runs;
}

struct mpr_watched *
mpr_watched_new(mproc_arena *a)
{
	struct mpr_watched *e = free_ones;

	if (e) {
		free_ones = e->next_free;
	} else {
		e = mpr_zalloc(sizeof(*e));
		if (!e)
			return NULL;
		e->fd = -1;
		e->next = atomic_load_explicit(&all, memory_order_relaxed);
		/* Release pairs with the acquire in forget_parents(), and is for
		 * a fork that comes right after it. */
		atomic_store_explicit(&all, e, memory_order_release);
		atomic_store_explicit(&mpr_queue_fd_used, true,
				      memory_order_relaxed);
	}
	e->arena = a;
	e->q = NULL;
	e->open = 0;
	e->seen = (struct mpr_news){ 0 };
	e->error = 0;
	e->bell = NULL;
	e->cookie = NULL;
	return e;
}

struct mpr_watched *
mpr_watched_new_fd(mproc_arena *a, mproc_queue *q, const struct mpr_news *seen)
{
	struct mpr_watched *e = mpr_watched_new(a);
	_Atomic(struct mpr_watched *) *bucket;

	if (!e)
		return NULL;
	e->q = q;
	e->seen = *seen;
	bucket = bucket_of(object_of(e));
	e->next_in_bucket = atomic_load_explicit(bucket, memory_order_relaxed);
	atomic_store_explicit(bucket, e, memory_order_relaxed);
	return e;
}

static void
release(struct mpr_watched *e)
{
	_Atomic(struct mpr_watched *) *bucket = bucket_of(object_of(e));
	struct mpr_watched *f;

	set(e, MPR_WATCHED_FREE);
	if (!e->bell) {
		f = atomic_load_explicit(bucket, memory_order_relaxed);
		if (f == e) {
			atomic_store_explicit(bucket, e->next_in_bucket,
					      memory_order_relaxed);
		} else {
			while (f && f->next_in_bucket != e)
				f = f->next_in_bucket;
			if (f)
				f->next_in_bucket = e->next_in_bucket;
		}
	}
	e->next_free = free_ones;
	free_ones = e;
}

void
mpr_watched_note(struct mpr_watched *e, unsigned state)
{
	/* The watcher may be about to make it free. One that was noted once more
	 * would be used again while it is in the list. */
	if (state == MPR_WATCHED_CLOSED &&
	    mpr_watched_state(e) == MPR_WATCHED_CLOSED)
		return;
	set(e, state);
	/* A watcher that could not take part in the arena has none of it, and
	 * there need not be another one. */
	if (state == MPR_WATCHED_CLOSED && !watcher_of(e->arena)->runs)
		release(e);
	else
		note(e);
}

void
mpr_watched_give_up(struct mpr_watched *e)
{
	release(e);
}

struct mpr_watched *
mpr_watched_find_fd(const void *object)
{
	struct mpr_watched *e = atomic_load_explicit(bucket_of(object),
						     memory_order_relaxed);

	while (e && object_of(e) != object)
		e = e->next_in_bucket;
	return e;
}

bool
mpr_watched_has_fd(int fd)
{
	struct mpr_watched *e = atomic_load_explicit(&all,
						     memory_order_relaxed);

	while (e && e->fd != fd)
		e = e->next;
	return e != NULL;
}

/* What the watcher does. */

struct mpr_watched *
mpr_watched_take(const mproc_arena *a, struct mpr_watched_now *ret_now)
{
	struct mpr_watched *e;

	mpr_watched_lock();
	e = first_noted(watcher_of(a));
	if (e)
		*ret_now = (struct mpr_watched_now){
			.state = mpr_watched_state(e),
			.q = e->q,
			.open = e->open,
			.object = e->seen.object,
		};
	mpr_watched_unlock();
	return e;
}

bool
mpr_watched_has_news(const struct mpr_watched *e, bool waits)
{
	bool has;

	mpr_watched_lock();
	has = mpr_watched_state(e) != MPR_WATCHED_CLOSED &&
	      mpr_news_look(&e->seen, waits) != MPR_NEWS_NONE;
	mpr_watched_unlock();
	return has;
}

static void
become_ready(struct mpr_watched *e)
{
	set(e, MPR_WATCHED_READY);
	if (e->bell)
		mpr_bell_ring(e);
	else
		mpr_waker_wake(e->fd);
}

void
mpr_watched_make_ready(struct mpr_watched *e)
{
	unsigned state;

	mpr_watched_lock();
	state = mpr_watched_state(e);
	if (state == MPR_WATCHED_ASKED || state == MPR_WATCHED_QUIET)
		become_ready(e);
	mpr_watched_unlock();
}

/* Under the lock. */
static void
fail(struct mpr_watched *e, int error)
{
	unsigned state = mpr_watched_state(e);

	if (state == MPR_WATCHED_ASKED) {
		mpr_waker_close(e->fd);
		e->fd = -1;
		e->error = error;
		set(e, MPR_WATCHED_FAILED);
	} else if (state == MPR_WATCHED_QUIET) {
		e->error = error;
		become_ready(e);
	}
}

void
mpr_watched_fail(struct mpr_watched *e, int error)
{
	mpr_watched_lock();
	fail(e, error);
	mpr_watched_unlock();
}

void
mpr_watched_settle(struct mpr_watched *e)
{
	mpr_watched_lock();
	if (mpr_watched_state(e) == MPR_WATCHED_ASKED)
		set(e, MPR_WATCHED_QUIET);
	mpr_watched_unlock();
}

void
mpr_watched_make_free(struct mpr_watched *e)
{
	mpr_watched_lock();
	if (mpr_watched_state(e) == MPR_WATCHED_CLOSED)
		release(e);
	mpr_watched_unlock();
}

/* It has ended, and another one is started for whoever asks. */
static void
forget(struct watcher *w)
{
	w->runs = false;
	w->has_slot = false;
	mpr_thread_is_over();
}

bool
mpr_watched_is_over(const mproc_arena *a, int64_t now, int64_t *ret_until)
{
	struct watcher *w = watcher_of(a);
	bool over;

	*ret_until = MPR_NEVER;
	mpr_watched_lock();
	if (!w->n_live && w->idle_since)
		*ret_until = w->idle_since + LINGER;
	over = !w->n_live && (!w->idle_since || now >= *ret_until);
	if (over)
		forget(w);
	mpr_watched_unlock();
	return over;
}

/* Whether the one that was started for it has not begun yet. */
static bool
is_missing(const struct watcher *w)
{
	return w->runs && !w->has_slot;
}

bool
mpr_watched_began(const mproc_arena *a, unsigned slot)
{
	struct watcher *w = watcher_of(a);
	bool begins;

	mpr_watched_lock();
	begins = is_missing(w);
	if (begins) {
		w->has_slot = true;
		w->slot = slot;
	} else {
		mpr_thread_is_over();
	}
	mpr_watched_unlock();
	return begins;
}

/* Under the lock. */
static void
end_all(struct watcher *w, const mproc_arena *a, int error)
{
	while (first_noted(w))
		;
	for (struct mpr_watched *e = atomic_load_explicit(
		     &all, memory_order_relaxed); e; e = e->next) {
		if (e->arena != a)
			continue;
		if (mpr_watched_state(e) == MPR_WATCHED_CLOSED)
			release(e);
		else if (error)
			fail(e, error);
	}
	forget(w);
}

void
mpr_watched_ended(const mproc_arena *a, int error)
{
	struct watcher *w = watcher_of(a);

	mpr_watched_lock();
	if (!error || is_missing(w))
		end_all(w, a, error);
	else
		mpr_thread_is_over();
	mpr_watched_unlock();
}

void
mpr_watched_left(mproc_arena *a)
{
	mpr_watched_lock();
	mpr_arenas_left(a);
	mpr_watched_unlock();
}

static unsigned
count(void)
{
	unsigned n = 0;

	for (size_t i = 0; i < sizeof(watchers) / sizeof(watchers[0]); i++)
		n += watchers[i].runs;
	return n;
}

bool
mpr_watched_are_last(void)
{
	bool are_last;

	mpr_watched_lock();
	are_last = mpr_thread_are_last();
	mpr_watched_unlock();
	return are_last;
}

unsigned
mpr_queue_fd_threads(void)
{
	unsigned n;

	mpr_process_lock();
	n = generation == mpr_generation() ? count() : 0;
	mpr_process_unlock();
	return n;
}
