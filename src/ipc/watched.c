/* SPDX-License-Identifier: MIT */
#include <mproc/core.h>

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

/* ns. How long the watcher stays after the last bell was closed: who opens one
 * for each wait does not start a thread for each, which costs some 50 us. */
#define LINGER INT64_C(20000000)

MPR_CHILD_DATA _Atomic bool mpr_queue_fd_used;

/* Of which descriptors there are entries, by their queue. */
_Atomic(struct mpr_watched *) mpr_queue_fds[MPR_QUEUE_FD_BUCKETS];

/* Published with a release, as a forked child walks over them. */
static _Atomic(struct mpr_watched *) all;

/* Under the process lock. */
static uint64_t generation; /* of the process that all this belongs to */
static struct mpr_watched *free_ones;
static struct mpr_watched *noted, **noted_end = &noted;
static unsigned n_live; /* neither FREE nor FAILED */
static unsigned n_bells;
static int64_t closed_at; /* the last bell */
static bool tell; /* something was noted since the watcher was woken */
static struct watcher {
	bool runs;
	bool has_slot; /* where it is woken */
	unsigned slot;
	mproc_arena *arena;
} watcher;

static _Atomic(struct mpr_watched *) *
bucket_of(const mproc_queue *q)
{
	return &mpr_queue_fds[mpr_queue_fd_bucket(q)];
}

static bool
is_live(unsigned state)
{
	return state != MPR_WATCHED_FREE && state != MPR_WATCHED_FAILED;
}

static void
set(struct mpr_watched *e, unsigned state)
{
	n_live += is_live(state);
	n_live -= is_live(mpr_watched_state(e));
	atomic_store_explicit(&e->state, state, memory_order_release);
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
	noted = NULL;
	noted_end = &noted;
	n_live = 0;
	n_bells = 0;
	tell = false;
	watcher = (struct watcher){ 0 };
	generation = mpr_generation();
}

void
mpr_watched_lock(void)
{
	mpr_process_lock();
	forget_parents();
}

void
mpr_watched_unlock(void)
{
	struct watcher w = watcher;
	bool is_to_tell = tell;

	/* One that has no slot yet comes by itself. */
	tell = false;
	mpr_process_unlock();
	if (is_to_tell && w.has_slot)
		mpr_unpark(w.arena, w.slot);
}

/* For the watcher. Whoever finds others noted need not wake it: who noted the
 * first of them does. */
static void
note(struct mpr_watched *e)
{
	if (e->is_noted)
		return;
	tell |= !noted;
	e->is_noted = true;
	e->next_noted = NULL;
	*noted_end = e;
	noted_end = &e->next_noted;
}

/* An earlier watcher may have left entries behind. */
static void
note_all(void)
{
	for (struct mpr_watched *e = atomic_load_explicit(
		     &all, memory_order_relaxed); e; e = e->next)
		if (is_live(mpr_watched_state(e)))
			note(e);
}

int
mpr_watched_start(mproc_arena *a)
{
	int r;

	if (watcher.runs)
		return 0;
	r = mpr_thread_start(mpr_watcher, a);
	if (r < 0)
		return r;
	watcher.runs = true;
	watcher.arena = a;
	note_all();
	return 0;
}

bool
mpr_watched_runs(void)
{
	return watcher.runs;
}

struct mpr_watched *
mpr_watched_new(void)
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
	e->q = NULL;
	e->open = 0;
	e->seen = (struct mpr_event_seen){ 0 };
	e->error = 0;
	e->bell = NULL;
	e->cookie = NULL;
	return e;
}

struct mpr_watched *
mpr_watched_new_fd(mproc_queue *q)
{
	struct mpr_watched *e = mpr_watched_new();
	_Atomic(struct mpr_watched *) *bucket = bucket_of(q);

	if (!e)
		return NULL;
	e->q = q;
	e->next_in_bucket = atomic_load_explicit(bucket, memory_order_relaxed);
	atomic_store_explicit(bucket, e, memory_order_relaxed);
	return e;
}

void
mpr_watched_note(struct mpr_watched *e, unsigned state)
{
	set(e, state);
	note(e);
}

static void
release(struct mpr_watched *e)
{
	struct mpr_watched *f;

	set(e, MPR_WATCHED_FREE);
	if (!e->bell) {
		f = atomic_load_explicit(bucket_of(e->q), memory_order_relaxed);
		if (f == e) {
			atomic_store_explicit(bucket_of(e->q),
					      e->next_in_bucket,
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
mpr_watched_give_up(struct mpr_watched *e)
{
	release(e);
}

struct mpr_watched *
mpr_watched_find_fd(const mproc_queue *q)
{
	struct mpr_watched *e = atomic_load_explicit(bucket_of(q),
						     memory_order_relaxed);

	while (e && e->q != q)
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

void
mpr_watched_count_bell(int change)
{
	n_bells += (unsigned)change;
	atomic_store_explicit(&mpr_queue_fd_used, true, memory_order_relaxed);
	if (n_bells)
		return;
	closed_at = mproc_now();
	/* It has nothing else to come for. */
	tell |= !n_live;
}

/* What the watcher does. */

struct mpr_watched *
mpr_watched_take(struct mpr_watched_now *ret_now)
{
	struct mpr_watched *e;

	mpr_watched_lock();
	e = noted;
	if (e) {
		noted = e->next_noted;
		if (!noted)
			noted_end = &noted;
		e->is_noted = false;
		*ret_now = (struct mpr_watched_now){
			.state = mpr_watched_state(e),
			.q = e->q,
			.open = e->open,
			.event = e->seen.event,
		};
	}
	mpr_watched_unlock();
	return e;
}

bool
mpr_watched_event_is_ready(const struct mpr_watched *e, bool waits)
{
	bool is_ready;

	mpr_watched_lock();
	is_ready = mpr_watched_state(e) != MPR_WATCHED_CLOSED &&
		   mpr_event_is_ready(&e->seen, waits);
	mpr_watched_unlock();
	return is_ready;
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

bool
mpr_watched_is_over(int64_t now, int64_t *ret_until)
{
	bool over;

	*ret_until = MPR_NEVER;
	mpr_watched_lock();
	if (!n_live && !n_bells && closed_at)
		*ret_until = closed_at + LINGER;
	over = !n_live && !n_bells &&
	       (!closed_at || now >= closed_at + LINGER);
	if (over) {
		watcher = (struct watcher){ 0 };
		closed_at = 0;
	}
	mpr_watched_unlock();
	return over;
}

void
mpr_watched_began(unsigned slot)
{
	mpr_watched_lock();
	watcher.has_slot = true;
	watcher.slot = slot;
	mpr_watched_unlock();
}

void
mpr_watched_ended(int error)
{
	struct mpr_watched *e;

	mpr_watched_lock();
	while ((e = noted)) {
		noted = e->next_noted;
		e->is_noted = false;
	}
	noted_end = &noted;
	for (e = atomic_load_explicit(&all, memory_order_relaxed); e;
	     e = e->next) {
		if (mpr_watched_state(e) == MPR_WATCHED_CLOSED)
			release(e);
		else if (error)
			fail(e, error);
	}
	watcher = (struct watcher){ 0 };
	mpr_watched_unlock();
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
