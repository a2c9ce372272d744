/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "arena/remote.h"
#include "arena/table.h"
#include "base/error.h"
#include "ipc/conn.h"
#include "ipc/queue_remote.h"
#include "ipc/queue_watch.h"
#include "os/interrupt.h"
#include "pool/future.h"
#include "process/handle.h"
#include "sync/event.h"
#include "wait/thing.h"

bool
mpr_thing_queue_is_ready(struct mpr_attachment *at)
{
	const struct mpr_watch watch = { .at = at };

	/* Who holds messages of a queue that is closing does not get to wait. */
	return mpr_watch_is_ready(&watch) ||
	       (at->held.n && atomic_load(&at->q->closing));
}

/* What is destroyed gives an error at once. */
static int
gone(int r)
{
	return r == -ESTALE ? 1 : r;
}

static int
see_queue(mproc_queue *q, struct mpr_thing *t)
{
	struct mpr_attachment *at;
	int r = mpr_attachment_get(q, &at);

	if (mpr_queue_is_remote(q, r))
		return mpr_fail(-ENOTSUP, "%p is a manager's queue: one waits for it "
				"alone", (void *)q);
	if (mpr_unlikely(r < 0))
		return gone(r);
	t->q = q;
	t->arena = at->arena;
	return mpr_thing_queue_is_ready(at);
}

static int
see_conn(mproc_conn *c, struct mpr_thing *t)
{
	struct mpr_conn_source from;
	int r = mpr_conn_source(c, &from);

	if (r < 0)
		return gone(r);
	if (from.q)
		return see_queue(from.q, t);
	t->fd = mpr_socket_conn_fd(from.socket);
	t->events = POLLIN;
	return mpr_socket_conn_is_over(from.socket);
}

static int
see_listener(mproc_listener *l, struct mpr_thing *t)
{
	t->fd = mproc_listener_fd(l);
	t->events = POLLIN;
	return t->fd < 0 ? t->fd : 0;
}

static int
see_process(mproc_process *p, struct mpr_thing *t)
{
	int r = mpr_process_check(p);

	if (r < 0)
		return r;
	t->process = p;
	t->fd = p->child.fd;
	t->events = POLLIN;
	return mpr_process_is_done(p) ||
	       (t->fd < 0 && mpr_process_has_ended(p));
}

static int
see_event(mproc_event *event, struct mpr_thing *t)
{
	int r;

	if (mpr_remote_has(event))
		return mpr_fail(-ENOTSUP, "%p is a manager's event: one waits for "
				"it alone", (void *)event);
	r = mproc_event_is_set(event);
	if (r == -EINVAL)
		return mpr_fail(r, "the event is NULL");
	if (r)
		return gone(r);
	t->seen = mpr_event_see(event);
	return mpr_arena_get_of(event, &t->arena);
}

static int
see_future(mproc_future *f, bool is_enough, struct mpr_thing *t)
{
	int r = mpr_future_see(f, is_enough, &t->seen);

	if (r)
		return gone(r);
	t->arena = mpr_arena_of(f);
	return 0;
}

static int
see_fd(const struct mproc_waitable *item, struct mpr_thing *t)
{
	if (item->fd < 0)
		return mpr_fail(-EINVAL, "descriptor %d", item->fd);
	t->fd = item->fd;
	t->events = item->events;
	t->plain = true;
	return 0;
}

int
mpr_thing_look_at(const struct mproc_waitable *item, bool is_enough,
		  struct mpr_thing *ret_t)
{
	*ret_t = (struct mpr_thing){ .fd = -1 };
	if (item->kind != MPROC_WAIT_FD && (item->events & ~POLLIN))
		return mpr_fail(-EINVAL, "events of an object are POLLIN, not "
				"0x%x", (unsigned)(unsigned short)item->events);
	switch (item->kind) {
	case MPROC_WAIT_QUEUE:
		return see_queue(item->object, ret_t);
	case MPROC_WAIT_CONN:
		return see_conn(item->object, ret_t);
	case MPROC_WAIT_LISTENER:
		return see_listener(item->object, ret_t);
	case MPROC_WAIT_PROCESS:
		return see_process(item->object, ret_t);
	case MPROC_WAIT_EVENT:
		return see_event(item->object, ret_t);
	case MPROC_WAIT_FUTURE:
		return see_future(item->object, is_enough, ret_t);
	case MPROC_WAIT_FD:
		return see_fd(item, ret_t);
	}
	return mpr_fail(-EINVAL, "kind %d", item->kind);
}

int
mpr_thing_see(const struct mproc_waitable *item, struct mpr_thing *ret_t)
{
	return mpr_thing_look_at(item, false, ret_t);
}

short
mpr_thing_answer(const struct mpr_thing *t, short revents)
{
	if (t->plain)
		return revents;
	/* A pidfd may say so a little early, or be somebody else's number. */
	if (t->process)
		return revents && mpr_process_has_ended(t->process) ? POLLIN : 0;
	return revents ? POLLIN : 0;
}
