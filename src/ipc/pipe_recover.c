/* SPDX-License-Identifier: MIT */
/*
 * The end of holds and of pipes, and what the dead leave of them.
 */
#include "arena/heap.h"
#include "ipc/pipe_recover.h"
#include "ipc/pipe_shm.h"
#include "ipc/queue_shm.h"
#include "os/task.h"
#include "sync/asymmetric.h"

struct mpr_pipe *
mpr_pipe_next(const mproc_arena *a, struct mpr_pipe_walk *walk)
{
	const _Atomic uint64_t *link = walk->last ?
		&walk->last->next : &a->shm->objects[MPR_KIND_PIPE];
	/* Acquire pairs with the CAS that links a header. */
	uint64_t offset = atomic_load_explicit(link, memory_order_acquire);

	if (!offset || offset % sizeof(uint64_t) ||
	    !mpr_arena_has(a, offset, sizeof(struct mpr_pipe)) ||
	    walk->n >= MPR_PIPES_MAX)
		return NULL;
	walk->n++;
	walk->last = mpr_arena_at(a, offset);
	return walk->last;
}

mproc_queue *
mpr_pipe_queue(const mproc_arena *a, const struct mpr_pipe *pipe, unsigned side)
{
	uint64_t offset = atomic_load(&pipe->queue[side]);

	return offset && mpr_heap_is_linked(a, offset, sizeof(mproc_queue)) ?
		       mpr_arena_at(a, offset) : NULL;
}

void
mpr_pipe_clear(mproc_arena *a, struct mpr_pipe *pipe)
{
	uint64_t word = atomic_load(&pipe->state);
	mproc_queue *q;

	if (mpr_owner_state(word) != MPR_PIPE_GONE)
		return;
	for (unsigned side = 0; side < 2; side++) {
		q = mpr_pipe_queue(a, pipe, side);
		if (q)
			mpr_queue_end_for(a, q, mpr_arena_offset(a, pipe),
					  &pipe->state, word);
	}
	if (atomic_compare_exchange_strong(
		    &pipe->state, &word,
		    mpr_owner_with_state(word, MPR_PIPE_FREE)))
		mpr_rover_freed(&a->rovers[MPR_KIND_PIPE]);
}

/* Whoever uses the pipe looks again at who holds it. */
static void
wake_users(mproc_arena *a, const struct mpr_pipe *pipe)
{
	mproc_queue *q;

	mpr_fence_rare(a); /* frequent side: who is about to sleep */
	for (unsigned side = 0; side < 2; side++) {
		q = mpr_pipe_queue(a, pipe, side);
		if (q && atomic_load(&q->pipe) == mpr_arena_offset(a, pipe))
			mpr_seats_wake_all(a, &q->seats);
	}
}

/* Ends the pipe if nobody holds it. */
static void
end_if_left(mproc_arena *a, struct mpr_pipe *pipe)
{
	uint64_t state = atomic_load(&pipe->state);

	/* That is final, and if it was so after the state was loaded, it was so
	 * of this pipe and not of a later one. */
	if (mpr_owner_state(state) == MPR_PIPE_OPEN &&
	    !mpr_hold_others(a, &pipe->end[0].holds, 0) &&
	    !mpr_hold_others(a, &pipe->end[1].holds, 0))
		atomic_compare_exchange_strong(
			&pipe->state, &state,
			mpr_owner_with_state(state, MPR_PIPE_GONE));
	mpr_pipe_clear(a, pipe);
}

void
mpr_pipe_settle(mproc_arena *a, struct mpr_pipe *pipe, _Atomic uint64_t *at,
		uint64_t word)
{
	wake_users(a, pipe);
	end_if_left(a, pipe);
	atomic_compare_exchange_strong(at, &word, 0);
}

void
mpr_pipe_end_hold(mproc_arena *a, struct mpr_pipe *pipe, _Atomic uint64_t *at,
		  uint64_t word)
{
	if (atomic_compare_exchange_strong(at, &word, word | MPR_HOLD_ENDING))
		mpr_pipe_settle(a, pipe, at, word | MPR_HOLD_ENDING);
}

/* Ends all holds of those who are dead: of all, or of @pid if that is not 0. */
static void
end_holds(mproc_arena *a, struct mpr_pipe *pipe, struct mpr_hold_census *census,
	  pid_t pid)
{
	/* Ids of another one would be those of nobody here, or of others. */
	bool known = atomic_load(&pipe->pid_namespace) == mpr_task_namespace();

	for (unsigned side = 0; side < 2; side++) {
		struct mpr_hold_walk walk = { 0 };
		_Atomic uint64_t *at;

		while ((at = mpr_hold_next(a, &pipe->end[side].holds, &walk))) {
			uint64_t word = atomic_load(at);

			if (!word)
				continue;
			if (word & MPR_HOLD_ENDING)
				mpr_pipe_settle(a, pipe, at, word);
			else if (known && (!pid || mpr_hold_pid(word) == pid) &&
				 mpr_hold_is_dead(census, word))
				mpr_pipe_end_hold(a, pipe, at, word);
		}
	}
	/* Also where no hold ends: who was stopped in mpr_pipe_settle() may have
	 * freed a later word that is the same. */
	end_if_left(a, pipe);
}

/* The census is 9 KiB to clear: nothing for a look where there are no pipes. */
static void
end_all_holds(mproc_arena *a, bool thorough, pid_t pid)
{
	struct mpr_hold_census census = { .arena = a, .thorough = thorough };
	struct mpr_pipe_walk walk = { 0 };
	struct mpr_pipe *pipe;

	while ((pipe = mpr_pipe_next(a, &walk)))
		end_holds(a, pipe, &census, pid);
}

/* Whether there are any, or ever were. */
static bool
has_pipes(const mproc_arena *a)
{
	return atomic_load_explicit(&a->shm->objects[MPR_KIND_PIPE],
				    memory_order_relaxed) != 0;
}

void
mpr_pipes_recover(mproc_arena *a, unsigned slot, uint64_t ident)
{
	struct mpr_pipe_walk walk = { 0 };
	struct mpr_pipe *pipe;

	while ((pipe = mpr_pipe_next(a, &walk))) {
		uint64_t word = atomic_load(&pipe->state);

		if (mpr_owner_state(word) == MPR_PIPE_BUSY &&
		    mpr_owner_slot(word) == slot &&
		    mpr_participant_still_dead(a, slot, ident))
			atomic_compare_exchange_strong(
				&pipe->state, &word,
				mpr_owner_with_state(word, MPR_PIPE_GONE));
	}
}

void
mpr_pipes_ended(mproc_arena *a, pid_t pid)
{
	if (has_pipes(a))
		end_all_holds(a, true, pid);
}

void
mpr_pipes_look(mproc_arena *a, bool thorough)
{
	if (has_pipes(a))
		end_all_holds(a, thorough, 0);
}
