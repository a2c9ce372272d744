/* SPDX-License-Identifier: MIT */
/*
 * Pipes: what is sent and received at their ends. What moves the messages is the
 * queue of each direction, or a socket; this file knows who may use it, and what it
 * means that there is nobody on the other side.
 */
#include <errno.h>
#include <stdlib.h>

#include "arena/heap.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/macros.h"
#include "ipc/attachment.h"
#include "ipc/handover.h"
#include "ipc/pipe.h"
#include "ipc/pipe_recover.h"
#include "ipc/pipe_shm.h"
#include "ipc/queue_fd.h"
#include "ipc/queue_get.h"
#include "ipc/queue_put.h"
#include "ipc/queue_shm.h"
#include "ipc/socket_end.h"
#include "os/generation.h"
#include "os/task.h"

/* What a thread knows of an end that its process holds. */
struct use {
	const mproc_conn *c;
	uint64_t generation; /* of the process */
	uint64_t open;	     /* the pipe's state */
	mproc_arena *arena;
	struct mpr_pipe *pipe;
	unsigned side;
	_Atomic uint64_t *hold; /* the process's */
	uint64_t mine;		/* what is there */
	mproc_queue *in, *out;	/* NULL: not this way */
	struct mpr_socket_conn *socket; /* NULL: it goes through the queues */
	bool ways[2];		/* of a socket: whether it comes in, and goes out */
	bool attached[2];	/* to what comes in, and to what goes out */
	/* Another process's hold of the other end, if it is still there. */
	_Atomic uint64_t *peer;
	uint64_t peers;
};

/* Ends lie 128 bytes apart. Their table is no thread-local variable itself: there
 * is little room for those in programs that load this library later. */
#define USES 8
static MPR_THREAD_LOCAL struct use *uses; /* NULL: none yet */

static inline struct use *
use_of(const mproc_conn *c)
{
	return &uses[(uintptr_t)c / sizeof(*c) % USES];
}

void
mpr_pipes_leave(const mproc_arena *a)
{
	/* There are pipes in the default one only. */
	if (a != mpr_arena_peek())
		return;
	free(uses);
	uses = NULL;
}

/* The calling thread takes part in the arena, so that the table is freed as it
 * leaves. */
static MPR_NOINLINE int
add_uses(void)
{
	struct mpr_self *self;
	mproc_arena *a;
	int r = mpr_arena_get(&a);

	if (r == 0)
		r = mpr_self(a, &self);
	if (r < 0)
		return r;
	uses = mpr_zalloc(USES * sizeof(*uses));
	return uses ? 0 : mpr_fail(-ENOMEM, "no memory for connections");
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

static int
fill_use(const mproc_conn *c, struct use *u)
{
	uint64_t mine = mpr_hold_mine();
	int r;

	/* Another thread may have closed what this one has used. */
	mpr_attachments_sweep();
	*u = (struct use){ 0 };
	r = mpr_pipe_of(c, &u->arena, &u->pipe, &u->side);
	if (r < 0)
		return r;
	u->open = atomic_load(&u->pipe->state);
	u->hold = mpr_hold_find(u->arena, &u->pipe->end[u->side].holds, mine);
	if (mpr_owner_state(u->open) != MPR_PIPE_OPEN || !u->hold ||
	    atomic_load(&u->pipe->pid_namespace) != mpr_task_namespace())
		return not_held(c);
	u->mine = atomic_load(u->hold);
	u->out = mpr_pipe_queue(u->arena, u->pipe, u->side);
	u->in = mpr_pipe_queue(u->arena, u->pipe, !u->side);
	if (!mpr_hold_is(u->mine, mine) ||
	    atomic_load(&u->pipe->state) != u->open)
		return not_held(c);
	if (mpr_pipe_has_sockets(u->pipe)) {
		u->socket = mpr_socket_end_find(c, u->open);
		u->ways[false] = mpr_pipe_socket_sends(u->pipe, !u->side);
		u->ways[true] = mpr_pipe_socket_sends(u->pipe, u->side);
	} else if (!u->out && !u->in) {
		return mpr_fail(-EBADMSG, "the pipe of %p is corrupt",
				(const void *)c);
	}
	u->peer = u->hold;
	u->generation = mpr_generation();
	u->c = c;
	return 0;
}

/* Says that the process uses the end itself, once. Returns false if it does not hold
 * that any more. */
static bool
mark_used(struct use *u)
{
	uint64_t word = u->mine;

	u->mine |= MPR_HOLD_USED;
	return atomic_compare_exchange_strong(u->hold, &word, u->mine) ||
	       word == u->mine;
}

/* Looks at what is at hand no more, or not yet. */
static MPR_NOINLINE int
find_use(const mproc_conn *c, struct use **ret_u)
{
	mproc_arena *a;
	struct mpr_pipe *pipe;
	unsigned side;
	int r;

	*ret_u = NULL;
	if (!uses) {
		/* Not for what is no connection. */
		r = mpr_pipe_of(c, &a, &pipe, &side);
		if (r == 0)
			r = add_uses();
		if (r < 0)
			return r;
	}
	*ret_u = use_of(c);
	r = fill_use(c, *ret_u);
	if (r == 0 && !mark_used(*ret_u))
		r = not_held(c);
	/* Held, but its socket was not given to this process. */
	if (r == 0 && mpr_pipe_has_sockets((*ret_u)->pipe) && !(*ret_u)->socket)
		r = not_held(c);
	if (r < 0)
		(*ret_u)->c = NULL;
	return r;
}

/* Whether the process still holds the end as @u has it. */
static inline bool
is_current(const struct use *u)
{
	/* Relaxed, both: old values are as if we had come earlier. */
	return atomic_load_explicit(u->hold, memory_order_relaxed) == u->mine &&
	       atomic_load_explicit(&u->pipe->state, memory_order_relaxed) ==
		       u->open;
}

static inline bool
is_fresh(const struct use *u, const mproc_conn *c)
{
	return mpr_likely(c && u->c == c && mpr_generation_is(u->generation) &&
			  is_current(u));
}

/* The calling thread's view of @c. */
static inline int
get_use(const mproc_conn *c, struct use **ret_u)
{
	if (mpr_likely(uses && is_fresh(use_of(c), c))) {
		*ret_u = use_of(c);
		return 0;
	}
	return find_use(c, ret_u);
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

/* What a call for the queue has said, in words of the connection. */
static MPR_NOINLINE int
judge(const mproc_conn *c, int r)
{
	struct use *u;

	if (r != -ESHUTDOWN && r != -ESTALE)
		return r;
	r = get_use(c, &u);
	return r < 0 ? r : gone(c);
}

static inline int
answer(const mproc_conn *c, int r)
{
	return mpr_likely(r >= 0) ? r : judge(c, r);
}

/* The thread's first call in one direction. From then on it has a seat in the queue,
 * which thus cannot become that of another pipe: if it is this pipe's then, no message
 * of this pipe comes into another one, whatever other threads close meanwhile. */
static MPR_NOINLINE int
attach(const mproc_conn *c, struct use *u, bool out)
{
	struct mpr_attachment *at;
	int r = mpr_attachment_get(out ? u->out : u->in, &at);

	if (r < 0)
		return answer(c, r);
	/* Not older than the seat: that the queue was OPEN then was an acquire
	 * load, which pairs with the store that opened it. */
	if (!is_current(u)) {
		mpr_attachment_drop(at);
		return not_held(c);
	}
	u->attached[out] = true;
	return 0;
}

/* Whether the other end is not gone, when it is not held as it was. */
static MPR_NOINLINE bool
find_peer(struct use *u)
{
	uint64_t other;
	_Atomic uint64_t *at = mpr_hold_other(
		u->arena, &u->pipe->end[!u->side].holds, u->mine, &other);

	/* Our own hold is never nobody's, so that the next one asks again. */
	u->peer = at ? at : u->hold;
	u->peers = at ? other : 0;
	return at || !mpr_pipe_is_gone(u->arena, u->pipe, !u->side, u->mine);
}

static inline bool
has_peer(struct use *u)
{
	/* Relaxed: an old value is as if we had come earlier. */
	return mpr_likely(atomic_load_explicit(u->peer, memory_order_relaxed) ==
			  u->peers) ||
	       find_peer(u);
}

/* There is no queue in this direction. Returns OVER_SOCKET or -EPERM. */
#define OVER_SOCKET 1
static MPR_NOINLINE int
without_queue(const struct use *u, bool out)
{
	return u->socket && u->ways[out] ?
		       OVER_SOCKET : wrong_way(u->c, out ? "send" : "receive");
}

/* The calling thread's view of @c, for who is to send. Returns OVER_SOCKET if not by
 * the queue. */
static inline int
get_sender(const mproc_conn *c, struct use **ret_u)
{
	int r = get_use(c, ret_u);

	if (mpr_unlikely(r < 0))
		return r;
	if (mpr_unlikely(!(*ret_u)->out))
		return without_queue(*ret_u, true);
	if (mpr_unlikely(!has_peer(*ret_u)))
		return gone(c);
	return mpr_likely((*ret_u)->attached[true]) ?
		       0 : attach(c, *ret_u, true);
}

/*
 * The frequent put asks for no pipe, so that is done here: whether the process still
 * holds the end is asked when consumers can see that a message may come. So either
 * they wait for it, or another thread has closed the end, or given it away, and
 * nothing is sent. Other puts ask by themselves (mpr_put_enter()).
 */
static inline bool
enter(const struct use *u)
{
	struct mpr_attachment *at = mpr_attachment_at_hand(u->out);

	if (mpr_unlikely(!at || !at->producer.lane))
		return true;
	if (mpr_likely(mpr_put_begin(at) && is_current(u)))
		return true;
	mpr_put_leave(at, at->producer.tail, 0);
	return false;
}

/* A put that has begun here has failed, with or without an attempt. */
static MPR_NOINLINE int
leave(const struct use *u, mproc_conn *c, int r)
{
	struct mpr_attachment *at = mpr_attachment_at_hand(u->out);

	if (at && at->producer.lane)
		mpr_put_leave(at, at->producer.tail, 0);
	return judge(c, r);
}

int
mpr_pipe_send(mproc_conn *c, const void *buf, size_t len, mproc_timeout timeout)
{
	struct use *u;
	const struct iovec whole = { (void *)(uintptr_t)buf, len };
	int r = get_sender(c, &u);

	if (mpr_unlikely(r < 0))
		return r;
	if (mpr_unlikely(r == OVER_SOCKET))
		return mpr_socket_conn_sendv(u->socket, &whole, 1, timeout);
	if (mpr_unlikely(!enter(u)))
		return judge(c, -ESTALE);
	r = mproc_queue_put(u->out, buf, len, timeout);
	return mpr_likely(r >= 0) ? r : leave(u, c, r);
}

int
mpr_pipe_sendv(mproc_conn *c, const struct iovec *parts, int n,
	       mproc_timeout timeout)
{
	struct use *u;
	int r = get_sender(c, &u);

	if (r < 0)
		return r;
	if (r == OVER_SOCKET)
		return mpr_socket_conn_sendv(u->socket, parts, n, timeout);
	return answer(c, mproc_queue_putv(u->out, parts, n, timeout));
}

static inline int
get_receiver(const mproc_conn *c, struct use **ret_u)
{
	int r = get_use(c, ret_u);

	if (mpr_unlikely(r < 0))
		return r;
	if (mpr_unlikely(!(*ret_u)->in))
		return without_queue(*ret_u, false);
	return mpr_likely((*ret_u)->attached[false]) ?
		       0 : attach(c, *ret_u, false);
}

int
mpr_pipe_recv(mproc_conn *c, void *buf, size_t size, size_t *ret_len,
	      mproc_timeout timeout)
{
	struct use *u;
	int r = get_receiver(c, &u);

	if (mpr_unlikely(r < 0))
		return r;
	if (mpr_unlikely(r == OVER_SOCKET))
		return mpr_socket_conn_recv(u->socket, buf, size, ret_len,
					    timeout);
	return answer(c, mproc_queue_get(u->in, buf, size, ret_len, timeout));
}

int
mpr_pipe_poll(mproc_conn *c, mproc_timeout timeout)
{
	struct mpr_sink to = { .looks = true };
	struct mpr_attachment *at;
	struct use *u;
	size_t len;
	int r = get_receiver(c, &u);

	if (r < 0)
		return r;
	if (r == OVER_SOCKET)
		return mpr_socket_conn_poll(u->socket, timeout);
	r = mpr_attachment_get(u->in, &at);
	if (r == 0)
		r = mpr_get_become_consumer(at);
	if (r == 0)
		r = mpr_get_next(at, &to, &len, timeout);
	r = answer(c, r);
	return r == -EPIPE ? 0 : r;
}

static int
passes_none(void)
{
	return mpr_fail(-ENOTSUP, "no descriptors go through shared memory: make "
			"the pipe with .sockets to pass some");
}

int
mpr_pipe_send_fd(mproc_conn *c, int fd, mproc_timeout timeout)
{
	struct use *u;
	int r = get_sender(c, &u);

	return r == OVER_SOCKET ?
		       mpr_socket_conn_send_fd(u->socket, fd, timeout) :
	       r == 0 ? passes_none() : r;
}

int
mpr_pipe_recv_fd(mproc_conn *c, mproc_timeout timeout)
{
	struct use *u;
	int r = get_receiver(c, &u);

	return r == OVER_SOCKET ? mpr_socket_conn_recv_fd(u->socket, timeout) :
	       r == 0		? passes_none() : r;
}

int
mpr_pipe_fd(mproc_conn *c)
{
	struct use *u;
	int r = get_receiver(c, &u);

	return r == OVER_SOCKET ? mpr_socket_conn_fd(u->socket) :
	       r < 0		? r : answer(c, mproc_queue_fd(u->in));
}

int
mpr_pipe_source(mproc_conn *c, struct mpr_conn_source *ret)
{
	struct use *u;
	int r = get_receiver(c, &u);

	if (r < 0)
		return r;
	*ret = (struct mpr_conn_source){
		.q = r == OVER_SOCKET ? NULL : u->in,
		.socket = r == OVER_SOCKET ? u->socket : NULL,
	};
	return 0;
}

/* What the calling thread has of a direction that its process does not use any
 * more. */
static void
drop(const mproc_queue *q)
{
	struct mpr_attachment *at = q ? mpr_attachment_present(q) : NULL;

	if (at)
		mpr_attachment_drop(at);
}

uint64_t
mpr_pipe_word(const mproc_conn *c)
{
	struct mpr_pipe *pipe;
	mproc_arena *a;
	unsigned side;

	return mpr_pipe_of(c, &a, &pipe, &side) < 0 || !mpr_pipe_is_open(pipe) ?
		       0 : atomic_load(&pipe->state);
}

void
mpr_pipe_leave(mproc_conn *c, uint64_t word)
{
	struct mpr_self *self;
	struct use use, *u = &use;
	uint64_t mine;
	bool other;

	/* Not what the thread remembers: without memory for that it can close. */
	if (fill_use(c, u) < 0 || (word && u->open != word))
		return;
	mine = u->mine;
	/* Only who takes part can free what there is. Where it cannot, that is
	 * done by who makes the next queue. */
	(void)mpr_self(u->arena, &self);
	/* Another thread may be faster; or use it for the first time. */
	while (!atomic_compare_exchange_strong(u->hold, &mine,
					       mine | MPR_HOLD_ENDING))
		if (!mpr_hold_is(mine, u->mine))
			return;
	other = mpr_hold_find(u->arena, &u->pipe->end[!u->side].holds, mine);
	if (u->in)
		mpr_queue_fd_close(u->in);
	if (mpr_pipe_has_sockets(u->pipe))
		mpr_socket_end_close(c, u->open);
	if (!other) {
		drop(u->in);
		drop(u->out);
	}
	mpr_pipe_settle(u->arena, u->pipe, u->hold, mine | MPR_HOLD_ENDING);
}

void
mpr_pipe_close(mproc_conn *c)
{
	mpr_pipe_leave(c, 0);
}
