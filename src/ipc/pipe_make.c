/* SPDX-License-Identifier: MIT */
/*
 * How pipes begin: a header that is free, or a new one, and what moves the messages.
 */
#include <errno.h>

#include "arena/heap.h"
#include "base/error.h"
#include "base/opts.h"
#include "ipc/pipe_shm.h"
#include "ipc/queue_shm.h"
#include "ipc/socket_end.h"
#include "os/fds.h"
#include "os/generation.h"
#include "os/socket.h"
#include "os/task.h"
#include "os/thread.h"

/* Links a fresh header at the end of the arena's list, for ever. */
static int
add_header(mproc_arena *a, struct mpr_self *self,
	   const struct mpr_pipe_walk *walk)
{
	_Atomic uint64_t *link = walk->last ? &walk->last->next :
				 &a->shm->objects[MPR_KIND_PIPE];
	struct mpr_block_ref ref;
	struct mpr_pipe *pipe;
	int r;

	if (walk->n >= MPR_PIPES_MAX)
		return mpr_fail(-EBADMSG, "the list of pipes is corrupt: it has "
				"more than %d", MPR_PIPES_MAX);
	r = mpr_heap_reserve(a, self, sizeof(*pipe), &ref);
	if (r < 0)
		return r;
	pipe = mpr_arena_at(a, ref.offset);
	pipe->magic = MPR_PIPE_MAGIC;
	return mpr_block_append(a, self, &ref, link,
				offsetof(struct mpr_pipe, next),
				MPR_PIPES_MAX - walk->n);
}

static struct mpr_pipe *
claim_header(mproc_arena *a, struct mpr_self *self, struct mpr_pipe_walk *walk)
{
	struct mpr_pipe_walk before = *walk;
	struct mpr_pipe *pipe;

	for (; (pipe = mpr_pipe_next(a, walk)); before = *walk) {
		uint64_t word = atomic_load(&pipe->state);

		if (mpr_owner_state(word) != MPR_PIPE_FREE ||
		    !mpr_hold_is_clean(a, &pipe->end[0].holds) ||
		    !mpr_hold_is_clean(a, &pipe->end[1].holds) ||
		    !atomic_compare_exchange_strong(
			    &pipe->state, &word,
			    mpr_owner(mpr_arena_epoch(a), self->slot,
				      MPR_PIPE_BUSY)))
			continue;
		mpr_rover_found(&a->rovers[MPR_KIND_PIPE],
				before.last ? mpr_arena_offset(a, before.last) :
					      0, before.n);
		return pipe;
	}
	return NULL;
}

/* Claims a FREE header, or makes one. */
static int
find_header(mproc_arena *a, struct mpr_self *self, struct mpr_pipe **ret_pipe)
{
	struct mpr_rover *rover = &a->rovers[MPR_KIND_PIPE];
	uint64_t place = mpr_rover_begin(rover);
	struct mpr_pipe_walk walk = { 0 };
	bool whole = !place;
	int r;

	if (place)
		walk = (struct mpr_pipe_walk){
			mpr_arena_at(a, mpr_rover_offset(place)),
			mpr_rover_number(place),
		};
	while (!(*ret_pipe = claim_header(a, self, &walk))) {
		if (whole || !mpr_rover_turns(rover, walk.n)) {
			r = add_header(a, self, &walk);
			if (r == 0)
				continue;
			if (whole)
				return r;
		}
		walk = (struct mpr_pipe_walk){ 0 };
		whole = true;
	}
	return 0;
}

/* A header that is BUSY and ours. */
static int
make_header(mproc_arena *a, struct mpr_self *self, struct mpr_pipe **ret_pipe)
{
	struct mpr_pipe *pipe;
	int r = find_header(a, self, &pipe);

	if (r < 0)
		return r;
	/* Someone may have scribbled. Else it is not written: others read it, who walk
	 * over all headers. */
	if (pipe->magic != MPR_PIPE_MAGIC)
		pipe->magic = MPR_PIPE_MAGIC;
	atomic_store(&pipe->creator, mpr_hold_mine());
	atomic_store(&pipe->pid_namespace, mpr_task_namespace());
	atomic_store(&pipe->sockets, 0);
	for (unsigned side = 0; side < 2; side++) {
		atomic_store(&pipe->queue[side], 0);
		atomic_store(&pipe->end[side].passed, 0);
	}
	*ret_pipe = pipe;
	return 0;
}

/* The word that the state is to have: what the process has of its ends is known by
 * that. */
static uint64_t
open_word(const struct mpr_pipe *pipe)
{
	return mpr_owner_with_state(atomic_load(&pipe->state), MPR_PIPE_OPEN);
}

static int
add_sockets(struct mpr_pipe *pipe, bool one_way)
{
	int fds[2], r;

	mpr_fork_lock();
	r = mpr_socket_pair(fds);
	if (r < 0) {
		mpr_fork_unlock();
		return mpr_fail(r, "making a pair of sockets: %s",
				mproc_strerror(r));
	}
	atomic_store(&pipe->sockets, one_way ? MPR_PIPE_SOCKETS_ONE_WAY :
					       MPR_PIPE_SOCKETS);
	r = mpr_socket_end_add(&pipe->end[0], open_word(pipe), fds[0]);
	if (r < 0)
		mpr_fds_close(fds[0]);
	else
		r = mpr_socket_end_add(&pipe->end[1], open_word(pipe), fds[1]);
	if (r < 0)
		mpr_fds_close(fds[1]);
	mpr_fork_unlock();
	return r;
}

static int
add_queues(mproc_arena *a, struct mpr_self *self, struct mpr_pipe *pipe,
	   bool one_way)
{
	uint64_t offset = mpr_arena_offset(a, pipe);
	int r = 0;

	for (unsigned side = one_way ? 1 : 0; side < 2 && r == 0; side++)
		r = mpr_queue_create_for(a, self, offset, &pipe->queue[side]);
	return r;
}

/* The rest of what a pipe has. */
static int
fill(mproc_arena *a, struct mpr_self *self, struct mpr_pipe *pipe,
     const struct mproc_pipe_opts *o)
{
	int r = o->sockets ? add_sockets(pipe, o->one_way) :
			     add_queues(a, self, pipe, o->one_way);

	mpr_hold_note();
	for (unsigned side = 0; side < 2 && r == 0; side++)
		r = mpr_hold_add(a, self, &pipe->end[side].holds,
				 mpr_hold_mine());
	return r;
}

/* It has failed. */
static void
undo(mproc_arena *a, struct mpr_pipe *pipe)
{
	_Atomic uint64_t *at;

	for (unsigned side = 0; side < 2; side++)
		mpr_socket_end_close(&pipe->end[side], open_word(pipe));
	atomic_store(&pipe->state, mpr_owner_with_state(
		atomic_load(&pipe->state), MPR_PIPE_GONE));
	mpr_pipe_clear(a, pipe);
	for (unsigned side = 0; side < 2; side++) {
		at = mpr_hold_find(a, &pipe->end[side].holds, mpr_hold_mine());
		if (at)
			atomic_store(at, 0);
	}
}

int
mproc_pipe(mproc_conn **ret_a, mproc_conn **ret_b,
	   const struct mproc_pipe_opts *opts)
{
	struct mproc_pipe_opts o;
	struct mpr_pipe *pipe = NULL;
	struct mpr_self *self;
	mproc_arena *a;
	int r, before;

	if (!ret_a || !ret_b)
		return mpr_fail(-EINVAL, "ret_a is %p, ret_b is %p",
				(void *)ret_a, (void *)ret_b);
	r = mpr_opts_read(&o, sizeof(o), opts);
	if (r == 0)
		r = mpr_arena_resolve(NULL, &a);
	if (r == 0)
		r = mpr_self(a, &self);
	if (r == 0)
		r = make_header(a, self, &pipe);
	if (r < 0)
		return r;
	/* Closing sockets is a cancellation point. */
	before = mpr_thread_forbid_cancel();
	r = fill(a, self, pipe, &o);
	if (r < 0)
		undo(a, pipe);
	mpr_thread_allow_cancel(before);
	if (r < 0)
		return r;
	/* From here on it exists; before, it goes with us. */
	atomic_store(&pipe->state, open_word(pipe));
	*ret_a = &pipe->end[0];
	*ret_b = &pipe->end[1];
	return 0;
}
