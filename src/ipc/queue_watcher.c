/* SPDX-License-Identifier: MIT */
/*
 * The watcher: the one thread of a process that waits in all queues of which
 * the process has a descriptor, and writes to those of queues that have
 * something. It runs from the first mproc_queue_fd() on, and ends with the last
 * descriptor. It looks at queues without a lock.
 */
#include <errno.h>

#include "ipc/pipe_use.h"
#include "ipc/queue_fd_priv.h"
#include "os/clock.h"
#include "os/interrupt.h"
#include "os/task.h"
#include "os/thread.h"
#include "sync/asymmetric.h"
#include "sync/park.h"

/* ns. How often it looks at all queues, as a waker may have died; and whether
 * it is the only thread left. */
#define THOROUGH_EVERY 50000000
#define LAST_EVERY 1000000000

static bool
is_gone(const struct mpr_attachment *at)
{
	return atomic_load(&at->q->state) != at->open;
}

/* The seat in the queue that dead letters come from, unless that is watched,
 * too: it keeps that queue's memory. */
static void
leave_origin(const struct mpr_attachment *at)
{
	struct mpr_attachment *from = NULL;
	mproc_queue *origin = NULL;

	if (at->dead_letters)
		origin = mpr_queue_partner(at->arena, at->q);
	if (origin)
		from = mpr_attachment_present(origin);
	for (struct mpr_queue_fd *e = mpr_queue_fd_first(); e && from;
	     e = e->next)
		if (e->watch.at == from)
			from = NULL;
	if (from)
		mpr_attachment_drop(from);
}

static void
leave(struct mpr_queue_fd *e)
{
	if (!e->watch.at)
		return;
	mpr_watch_end(&e->watch);
	leave_origin(e->watch.at);
	mpr_attachment_drop(e->watch.at);
	e->watch.at = NULL;
}

/* Attaches the watcher to the queue, unless it is. */
static int
enter(struct mpr_queue_fd *e)
{
	uint64_t open = atomic_load(&e->open);
	struct mpr_attachment *at;
	int r;

	if (e->watch.at && e->watch.at->open == open)
		return 0;
	leave(e);
	r = mpr_attachment_get(atomic_load(&e->q), &at);
	if (r < 0)
		return r;
	e->watch.at = at;
	if (at->open == open)
		return 0;
	/* Another queue is there by now. */
	leave(e);
	return -ESTALE;
}

/* Whether there is no reason to look: nobody has woken us for it. */
static bool
is_asleep(const struct mpr_queue_fd *e)
{
	return e->watch.waits && !mpr_watch_is_told(&e->watch) &&
	       !is_gone(e->watch.at) && !mpr_pipe_is_over(e->watch.at, false);
}

/* The look before the watcher announces that it is about to sleep. */
static void
look_first(struct mpr_queue_fd *e, bool thorough)
{
	unsigned state = mpr_queue_fd_state(e);
	int r;

	e->has_begun = false;
	if (state == MPR_QUEUE_FD_CLOSED) {
		leave(e);
		mpr_queue_fd_make_free(e);
	}
	/* Our seat keeps the memory of a queue. */
	if (state == MPR_QUEUE_FD_READY && e->watch.at && is_gone(e->watch.at))
		leave(e);
	if (state != MPR_QUEUE_FD_ASKED && state != MPR_QUEUE_FD_QUIET)
		return;
	r = enter(e);
	if (r < 0) {
		/* Who has a descriptor gets the error from a get. */
		if (state == MPR_QUEUE_FD_ASKED)
			mpr_queue_fd_make_failed(e, r);
		else
			mpr_queue_fd_make_ready(e);
		return;
	}
	if (state == MPR_QUEUE_FD_QUIET && !thorough && is_asleep(e))
		return;
	if (mpr_watch_is_ready(&e->watch)) {
		mpr_queue_fd_make_ready(e);
		mpr_watch_end(&e->watch);
		return;
	}
	mpr_watch_begin(&e->watch);
	e->has_begun = true;
}

/* The look after it, and after the fence. */
static void
look_again(struct mpr_queue_fd *e)
{
	if (!e->has_begun)
		return;
	if (mpr_watch_is_ready(&e->watch)) {
		mpr_queue_fd_make_ready(e);
		mpr_watch_end(&e->watch);
	} else {
		mpr_watch_go_on(&e->watch);
		mpr_queue_fd_settle(e);
	}
}

static void
look_at_all(const mproc_arena *a, bool thorough)
{
	bool asked = false, begun = false;
	struct mpr_queue_fd *e;

	for (e = mpr_queue_fd_first(); e; e = e->next) {
		asked |= mpr_queue_fd_state(e) == MPR_QUEUE_FD_ASKED;
		look_first(e, thorough);
		begun |= e->has_begun;
	}
	if (begun)
		mpr_fence_rare(a); /* frequent side: mpr_put_leave() */
	for (e = mpr_queue_fd_first(); e; e = e->next)
		look_again(e);
	/* Those who asked look for themselves. */
	if (asked)
		mpr_unpark_process(a);
}

/* What is asked for at the end of the process, another watcher does. */
static void
give_up(void)
{
	for (struct mpr_queue_fd *e = mpr_queue_fd_first(); e; e = e->next)
		leave(e);
	mpr_queue_fd_watcher_ended(0);
}

static void
watch(mproc_arena *a, struct mpr_self *self)
{
	int64_t looked = 0, asked = mproc_now(), now;
	const mproc_queue *q;
	uint32_t ticket;
	bool thorough;

	for (;;) {
		ticket = mpr_park_ticket(self);
		now = mproc_now();
		thorough = now - looked >= THOROUGH_EVERY;
		if (thorough)
			looked = now;
		look_at_all(a, thorough);
		q = mpr_queue_fd_any_queue();
		if (!q)
			return;
		if (now - asked >= LAST_EVERY) {
			asked = now;
			if (mpr_task_is_last()) {
				give_up();
				return;
			}
		}
		/* An interrupt is not meant for us. */
		if (mpr_park(self, q, ticket, MPR_NEVER) == -EINTR)
			mpr_interrupt_answer();
	}
}

void *
mpr_queue_watcher(void *arena)
{
	struct mpr_self *self;
	int r;

	mpr_thread_show_name("mproc-watcher");
	r = mpr_self(arena, &self);
	if (r < 0) {
		mpr_queue_fd_watcher_ended(r);
		mpr_unpark_process(arena);
		return NULL;
	}
	mpr_queue_fd_watcher_began(self->slot);
	watch(arena, self);
	return NULL;
}
