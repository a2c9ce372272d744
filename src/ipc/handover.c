/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "arena/participant.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/macros.h"
#include "ipc/handover.h"
#include "ipc/pipe_shm.h"
#include "ipc/socket_end.h"
#include "os/generation.h"
#include "os/task.h"

/* Where the process of @word holds @c, or NULL. */
static _Atomic uint64_t *
hold_of(mproc_conn *c, uint64_t word, mproc_arena **ret_a,
	struct mpr_pipe **ret_pipe)
{
	unsigned side;

	if (mpr_pipe_of(c, ret_a, ret_pipe, &side) < 0 ||
	    !mpr_pipe_is_open(*ret_pipe))
		return NULL;
	return mpr_hold_find(*ret_a, &(*ret_pipe)->end[side].holds, word);
}

/* What is held in another PID namespace is not ours, nor can it be given here. */
static bool
is_ours(mproc_conn *c)
{
	struct mpr_pipe *pipe;
	mproc_arena *a;

	return hold_of(c, mpr_hold_mine(), &a, &pipe) &&
	       atomic_load(&pipe->pid_namespace) == mpr_task_namespace();
}

static int
not_ours(const mproc_conn *c)
{
	return mpr_fail(-ESTALE, "this process does not hold the connection %p, "
			"which a child is to have", (const void *)c);
}

/* What has been sent or received in part would be lost, or sent twice. */
static int
check_socket(const mproc_conn *c, const struct mpr_pipe *pipe)
{
	struct mpr_socket_conn *s =
		mpr_socket_end_find(c, atomic_load(&pipe->state));

	return s ? mpr_socket_conn_may_move(s) : not_ours(c);
}

MPR_CHILD_PATH int
mpr_handover_check(mproc_conn *const *conns, int n)
{
	struct mpr_pipe *pipe;
	mproc_arena *a;
	unsigned side;
	int r = 0;

	if (n < -1 || (n > 0 && !conns))
		return mpr_fail(-EINVAL, "%d connections at %p", n,
				(const void *)conns);
	for (int i = 0; i < n && r == 0; i++) {
		r = mpr_pipe_of(conns[i], &a, &pipe, &side);
		if (r == 0 && !is_ours(conns[i]))
			r = not_ours(conns[i]);
		if (r == 0 && mpr_pipe_has_sockets(pipe))
			r = check_socket(conns[i], pipe);
	}
	return r;
}

int
mpr_handover_count(mproc_conn *const *conns, int n)
{
	struct mpr_pipe *pipe;
	mproc_arena *a;
	unsigned side;
	int all = 0;

	for (int i = 0; i < n; i++)
		all += mpr_pipe_of(conns[i], &a, &pipe, &side) == 0 &&
		       mpr_pipe_has_sockets(pipe);
	return all;
}

int
mpr_handover_sockets(mproc_conn *const *conns, int n,
		     struct mpr_handover_socket *ret)
{
	struct mpr_socket_conn *s;
	struct mpr_pipe *pipe;
	mproc_arena *a;
	unsigned side;
	int all = 0;

	for (int i = 0; i < n; i++) {
		if (mpr_pipe_of(conns[i], &a, &pipe, &side) < 0 ||
		    !mpr_pipe_has_sockets(pipe))
			continue;
		s = mpr_socket_end_find(conns[i], atomic_load(&pipe->state));
		if (!s)
			return not_ours(conns[i]);
		ret[all++] = (struct mpr_handover_socket){
			.end = (uintptr_t)conns[i],
			.fd = mpr_socket_conn_fd(s),
		};
	}
	return all;
}

struct named {
	mproc_conn *const *conns;
	int n;
};

static bool
is_named(const mproc_conn *end, void *arg)
{
	const struct named *named = arg;

	for (int i = 0; i < named->n; i++)
		if (named->conns[i] == end)
			return true;
	return false;
}

MPR_CHILD_PATH void
mpr_handover_keep(mproc_conn *const *conns, int n, bool all)
{
	struct named named = { conns, n };

	if (n || !all)
		mpr_socket_end_close_others(is_named, &named);
}

int
mpr_handover_adopt(uint64_t end, int fd)
{
	const mproc_conn *c = (const mproc_conn *)(uintptr_t)end;
	struct mpr_socket_conn *s;
	struct mpr_pipe *pipe;
	mproc_arena *a;
	unsigned side;

	/* Its starter holds it as long as we wait for the order to begin. */
	if (mpr_pipe_of(c, &a, &pipe, &side) < 0)
		return -EBADMSG;
	/* A new image is given the very same descriptor twice, if it was named so. */
	s = mpr_socket_end_find(c, atomic_load(&pipe->state));
	if (s && mpr_socket_conn_fd(s) == fd)
		return 0;
	return mpr_socket_end_add(c, atomic_load(&pipe->state), fd);
}

static int
note(struct mpr_handover *p, mproc_conn *c)
{
	unsigned room = p->room ? 2 * p->room : 8;
	mproc_conn **more;

	if (p->n == p->room) {
		more = mpr_realloc(p->conns, room * sizeof(*more));
		if (!more)
			return mpr_fail(-ENOMEM, "no memory for %u connections",
					room);
		p->conns = more;
		p->room = room;
	}
	p->conns[p->n++] = c;
	return 0;
}

/* A signal handler has forked us in the middle: the child is our parent's, and so are
 * the holds that it is to have. */
static bool
is_copy(const struct mpr_handover *p)
{
	return p->generation != mpr_generation();
}

/* Returns 0; -ESTALE if the caller has closed it meanwhile; -ECHILD. */
static int
give(struct mpr_handover *p, mproc_conn *c)
{
	struct mpr_pipe *pipe;
	struct mpr_self *self;
	_Atomic uint64_t *at;
	mproc_arena *a;
	unsigned side;
	int r;

	/* Not before there is something to give: the kernel has to be asked. */
	if (!p->child)
		p->child = mpr_hold_of(p->pid);
	r = mpr_pipe_of(c, &a, &pipe, &side);
	if (r == 0)
		r = mpr_self(a, &self);
	if (r == 0)
		r = note(p, c);
	if (is_copy(p))
		return -ECHILD;
	if (r == 0 && !mpr_hold_find(a, &pipe->end[side].holds, p->child))
		r = mpr_hold_add(a, self, &pipe->end[side].holds, p->child);
	/* Only who holds an end may give it; asked now, as from here on the pipe
	 * stays. */
	if (r < 0 || is_ours(c))
		return r;
	if (is_copy(p))
		return -ECHILD;
	at = mpr_hold_find(a, &pipe->end[side].holds, p->child);
	if (at)
		mpr_pipe_end_hold(a, pipe, at, p->child);
	p->n--;
	return not_ours(c);
}

static int
give_all(struct mpr_handover *p)
{
	mproc_arena *a = mpr_arena_peek();
	struct mpr_pipe_walk walk = { 0 };
	struct mpr_pipe *pipe;
	int r;

	while (a && (pipe = mpr_pipe_next(a, &walk))) {
		for (unsigned side = 0; side < 2; side++) {
			if (!is_ours(&pipe->end[side]))
				continue;
			r = give(p, &pipe->end[side]);
			if (r < 0 && r != -ESTALE)
				return r;
		}
	}
	return 0;
}

MPR_CHILD_PATH int
mpr_handover_begin(struct mpr_handover *p, mproc_conn *const *conns, int n, bool all,
	       pid_t pid)
{
	int r = 0;

	if (n < 0 || (n == 0 && !all))
		return 0;
	p->pid = pid;
	p->moves = n > 0;
	if (n == 0)
		return give_all(p);
	for (int i = 0; i < n && r == 0; i++)
		r = give(p, conns[i]);
	return r;
}

void
mpr_handover_lend(struct mpr_handover *p)
{
	p->moves = false;
}

void
mpr_handover_claim(mproc_conn *const *conns, int n, uint64_t *ret_words)
{
	struct mpr_pipe *pipe;
	_Atomic uint64_t *at;
	mproc_arena *a;
	uint64_t word;

	for (int i = 0; i < n; i++) {
		ret_words[i] = mpr_pipe_word(conns[i]);
		at = hold_of(conns[i], mpr_hold_mine(), &a, &pipe);
		word = at ? atomic_load(at) : 0;
		/* Another thread may use it for the first time, or close it. */
		while (mpr_hold_is(word, mpr_hold_mine()) &&
		       !atomic_compare_exchange_strong(at, &word,
						       word | MPR_HOLD_USED))
			;
	}
}

static void
forget(struct mpr_handover *p)
{
	free(p->conns);
	*p = (struct mpr_handover){ .generation = p->generation };
}

MPR_CHILD_PATH void
mpr_handover_end(struct mpr_handover *p)
{
	for (unsigned i = 0; i < p->n; i++) {
		if (!is_ours(p->conns[i]))
			continue;
		/* Before the hold of the caller ends; after that of the child
		 * has begun. */
		atomic_store(&p->conns[i]->passed, 1);
		if (p->moves)
			mpr_pipe_leave(p->conns[i], 0);
	}
	forget(p);
}

void
mpr_handover_undo(struct mpr_handover *p)
{
	struct mpr_pipe *pipe;
	_Atomic uint64_t *at;
	mproc_arena *a;

	for (unsigned i = 0; i < p->n && !is_copy(p); i++) {
		at = hold_of(p->conns[i], p->child, &a, &pipe);
		if (at)
			mpr_pipe_end_hold(a, pipe, at, p->child);
	}
	forget(p);
}

void
mpr_handover_receive(void)
{
	mproc_arena *a = mpr_arena_peek();
	struct mpr_pipe_walk walk = { 0 };
	struct mpr_self *self;
	struct mpr_pipe *pipe;

	while (a && (pipe = mpr_pipe_next(a, &walk))) {
		if (!is_ours(&pipe->end[0]) && !is_ours(&pipe->end[1]))
			continue;
		mpr_hold_note();
		/* Where it cannot, the kernel is asked. */
		(void)mpr_self(a, &self);
		return;
	}
}

MPR_CHILD_PATH void
mpr_handover_end_all(void)
{
	struct mpr_pipe_walk walk = { 0 };
	struct mpr_pipe *pipe;
	mproc_arena *a;

	/* The arena's first page costs as much as all the rest of an end. */
	if (!mpr_hold_may_be())
		return;
	a = mpr_arena_peek();
	while (a && (pipe = mpr_pipe_next(a, &walk)))
		for (unsigned side = 0; side < 2; side++)
			if (is_ours(&pipe->end[side]))
				mpr_pipe_leave(&pipe->end[side], 0);
}
