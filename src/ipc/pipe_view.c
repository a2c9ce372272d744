/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "arena/heap.h"
#include "base/alloc.h"
#include "base/error.h"
#include "ipc/pipe_recover.h"
#include "ipc/pipe_view.h"
#include "ipc/queue_shm.h"
#include "ipc/socket_end.h"
#include "os/task.h"

/* Of a thread that has used no pipe yet: so the frequent send and receive need not ask
 * whether there are any. Nobody writes to it. */
static struct mpr_pipe_view none[MPR_PIPE_VIEWS];

MPR_THREAD_LOCAL struct mpr_pipe_view *mpr_pipe_views = none;

/* It is another end's, or none any more. */
static void
forget(struct mpr_pipe_view *v)
{
	for (int i = 0; i < 2; i++)
		if (v->at[i])
			v->at[i]->viewed[i] = NULL;
	*v = (struct mpr_pipe_view){ 0 };
}

void
mpr_pipes_leave(const mproc_arena *a)
{
	/* There are pipes in the default one only. */
	if (a != mpr_arena_peek() || mpr_pipe_views == none)
		return;
	for (int i = 0; i < MPR_PIPE_VIEWS; i++)
		forget(&mpr_pipe_views[i]);
	free(mpr_pipe_views);
	mpr_pipe_views = none;
}

/* The calling thread takes part in the arena, so that the table is freed as it
 * leaves. */
static MPR_NOINLINE int
add_views(void)
{
	struct mpr_pipe_view *views;
	struct mpr_self *self;
	mproc_arena *a;
	int r = mpr_arena_get(&a);

	if (r == 0)
		r = mpr_self(a, &self);
	if (r < 0)
		return r;
	views = mpr_zalloc(MPR_PIPE_VIEWS * sizeof(*views));
	if (!views)
		return mpr_fail(-ENOMEM, "no memory for connections");
	mpr_pipe_views = views;
	return 0;
}

int
mpr_pipe_of(const mproc_conn *c, mproc_arena **ret_a,
	    struct mpr_pipe **ret_pipe, unsigned *ret_side)
{
	mproc_arena *a = mpr_arena_of(c);
	uint64_t offset;
	uint32_t side;

	if (!c)
		return mpr_fail(-EINVAL, "the connection is NULL");
	if (!mproc_is_shared(c))
		return mpr_fail(-EFAULT, "%p is not shared memory",
				(const void *)c);
	offset = mpr_arena_offset(a, c);
	/* Before it is looked at: what lies there may have no memory. */
	for (side = 0; side < 2; side++) {
		uint64_t at = offset - offsetof(struct mpr_pipe, end[side]);
		struct mpr_pipe *pipe = mpr_arena_at(a, at);

		if (at >= offset ||
		    !mpr_heap_is_linked(a, at, sizeof(*pipe)) ||
		    pipe->magic != MPR_PIPE_MAGIC)
			continue;
		*ret_a = a;
		*ret_pipe = pipe;
		*ret_side = side;
		return 0;
	}
	return mpr_fail(-EINVAL, "%p is no connection", (const void *)c);
}

static int
not_held(const mproc_conn *c)
{
	return mpr_fail(-ESTALE, "process %d does not hold the connection %p",
			(int)(mpr_hold_mine() >> 1 & 0x3fffff),
			(const void *)c);
}

int
mpr_pipe_view_fill(const mproc_conn *c, struct mpr_pipe_view *v)
{
	uint64_t mine = mpr_hold_mine();
	int r;

	*v = (struct mpr_pipe_view){ 0 };
	/* Another thread may have closed what this one has used. */
	mpr_attachments_sweep();
	r = mpr_pipe_of(c, &v->arena, &v->pipe, &v->side);
	if (r < 0)
		return r;
	v->open = atomic_load(&v->pipe->state);
	v->hold = mpr_hold_find(v->arena, &v->pipe->end[v->side].holds, mine);
	if (mpr_owner_state(v->open) != MPR_PIPE_OPEN || !v->hold ||
	    atomic_load(&v->pipe->pid_namespace) != mpr_task_namespace())
		return not_held(c);
	v->mine = atomic_load(v->hold);
	v->queue[MPR_PIPE_OUT] = mpr_pipe_queue(v->arena, v->pipe, v->side);
	v->queue[MPR_PIPE_IN] = mpr_pipe_queue(v->arena, v->pipe, !v->side);
	if (!mpr_hold_is(v->mine, mine) ||
	    atomic_load(&v->pipe->state) != v->open)
		return not_held(c);
	if (mpr_pipe_has_sockets(v->pipe)) {
		v->socket = mpr_socket_end_find(c, v->open);
		v->ways[MPR_PIPE_IN] = mpr_pipe_socket_sends(v->pipe, !v->side);
		v->ways[MPR_PIPE_OUT] = mpr_pipe_socket_sends(v->pipe, v->side);
	} else if (!v->queue[MPR_PIPE_OUT] && !v->queue[MPR_PIPE_IN]) {
		return mpr_fail(-EBADMSG, "the pipe of %p is corrupt",
				(const void *)c);
	}
	v->peer = v->hold;
	v->generation = mpr_generation();
	v->c = c;
	return 0;
}

/* Says that the process uses the end itself, once. Returns false if it does not hold
 * that any more. */
static bool
mark_used(struct mpr_pipe_view *v)
{
	uint64_t word = v->mine;

	v->mine |= MPR_HOLD_USED;
	return atomic_compare_exchange_strong(v->hold, &word, v->mine) ||
	       word == v->mine;
}

/* Looks at what is at hand no more, or not yet. */
static MPR_NOINLINE int
find(const mproc_conn *c, struct mpr_pipe_view **ret_v)
{
	struct mpr_pipe_view *v;
	mproc_arena *a;
	struct mpr_pipe *pipe;
	unsigned side;
	int r;

	*ret_v = NULL;
	if (mpr_pipe_views == none) {
		/* Not for what is no connection. */
		r = mpr_pipe_of(c, &a, &pipe, &side);
		if (r == 0)
			r = add_views();
		if (r < 0)
			return r;
	}
	v = mpr_pipe_view_place(c);
	forget(v);
	r = mpr_pipe_view_fill(c, v);
	if (r == 0 && !mark_used(v))
		r = not_held(c);
	/* Held, but its socket was not given to this process. */
	if (r == 0 && mpr_pipe_has_sockets(v->pipe) && !v->socket)
		r = not_held(c);
	if (r < 0)
		v->c = NULL;
	else
		*ret_v = v;
	return r;
}

/* Whether the process still holds the end as @v has it, of the same pipe. */
static bool
is_current(const struct mpr_pipe_view *v)
{
	/* Relaxed: an old value is as if we had come earlier. */
	return mpr_pipe_view_holds(v) &&
	       atomic_load_explicit(&v->pipe->state, memory_order_relaxed) ==
		       v->open;
}

int
mpr_pipe_view_get(const mproc_conn *c, struct mpr_pipe_view **ret_v)
{
	struct mpr_pipe_view *v;

	if (mpr_likely(c != NULL)) {
		v = mpr_pipe_view_place(c);
		if (mpr_likely(v->c == c && mpr_generation_is(v->generation) &&
			       is_current(v))) {
			*ret_v = v;
			return 0;
		}
	}
	return find(c, ret_v);
}

static MPR_NOINLINE int
wrong_way(const mproc_conn *c, const char *what)
{
	return mpr_fail(-EPERM, "%p is an end of a one-way pipe and does not %s",
			(const void *)c, what);
}

static MPR_NOINLINE int
gone(const mproc_conn *c)
{
	return mpr_fail(-EPIPE, "no other process holds the other end of the "
			"connection %p", (const void *)c);
}

MPR_NOINLINE int
mpr_pipe_judge(const mproc_conn *c, int r)
{
	struct mpr_pipe_view *v;

	if (r != -ESHUTDOWN && r != -ESTALE)
		return r;
	r = mpr_pipe_view_get(c, &v);
	return r < 0 ? r : gone(c);
}

/* The thread's first call in one direction. From then on it has a seat in the queue,
 * which thus cannot become that of another pipe: if it is this pipe's then, no message
 * of this pipe comes into another one, whatever other threads close meanwhile. */
static MPR_NOINLINE int
attach(const mproc_conn *c, struct mpr_pipe_view *v, int direction)
{
	struct mpr_attachment *at;
	int r = mpr_attachment_get(v->queue[direction], &at);

	if (r < 0)
		return mpr_pipe_judge(c, r);
	/* Not older than the seat: that the queue was OPEN then was an acquire
	 * load, which pairs with the store that opened it. */
	if (!is_current(v)) {
		mpr_attachment_drop(at);
		return not_held(c);
	}
	/* Where somebody has scribbled, two ends can have one queue. */
	if (at->viewed[direction])
		*at->viewed[direction] = NULL;
	at->viewed[direction] = &v->at[direction];
	v->at[direction] = at;
	return 0;
}

/* There is no queue in this direction. */
static MPR_NOINLINE int
without_queue(const struct mpr_pipe_view *v, int direction)
{
	return v->socket && v->ways[direction] ?
		       MPR_PIPE_OVER_SOCKET :
		       wrong_way(v->c, direction == MPR_PIPE_OUT ? "send" :
								   "receive");
}

/* Whether the other end is not gone, when it is not held as it was. */
static MPR_NOINLINE bool
find_peer(struct mpr_pipe_view *v)
{
	uint64_t other;
	_Atomic uint64_t *at = mpr_hold_other(
		v->arena, &v->pipe->end[!v->side].holds, v->mine, &other);

	/* Our own hold is never nobody's, so that the next one asks again. */
	v->peer = at ? at : v->hold;
	v->peers = at ? other : 0;
	return at || !mpr_pipe_is_gone(v->arena, v->pipe, !v->side, v->mine);
}

int
mpr_pipe_view_sender(const mproc_conn *c, struct mpr_pipe_view **ret_v)
{
	struct mpr_pipe_view *v;
	int r = mpr_pipe_view_get(c, &v);

	if (mpr_unlikely(r < 0))
		return r;
	*ret_v = v;
	if (mpr_unlikely(!v->queue[MPR_PIPE_OUT]))
		return without_queue(v, MPR_PIPE_OUT);
	if (mpr_unlikely(!mpr_pipe_view_has_peer(v) && !find_peer(v)))
		return gone(c);
	return mpr_likely(v->at[MPR_PIPE_OUT] != NULL) ?
		       0 : attach(c, v, MPR_PIPE_OUT);
}

int
mpr_pipe_view_receiver(const mproc_conn *c, struct mpr_pipe_view **ret_v)
{
	struct mpr_pipe_view *v;
	int r = mpr_pipe_view_get(c, &v);

	if (mpr_unlikely(r < 0))
		return r;
	*ret_v = v;
	if (mpr_unlikely(!v->queue[MPR_PIPE_IN]))
		return without_queue(v, MPR_PIPE_IN);
	return mpr_likely(v->at[MPR_PIPE_IN] != NULL) ?
		       0 : attach(c, v, MPR_PIPE_IN);
}
