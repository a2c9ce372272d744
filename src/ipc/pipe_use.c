/* SPDX-License-Identifier: MIT */
#include "arena/heap.h"
#include "ipc/pipe_shm.h"
#include "ipc/pipe_use.h"

void
mpr_pipe_attach(struct mpr_attachment *at)
{
	uint64_t offset = atomic_load(&at->q->pipe);
	struct mpr_pipe *pipe;

	if (mpr_likely(!offset) ||
	    !mpr_heap_is_linked(at->arena, offset, sizeof(*pipe)))
		return;
	pipe = mpr_arena_at(at->arena, offset);
	if (pipe->magic != MPR_PIPE_MAGIC)
		return;
	for (unsigned side = 0; side < 2; side++) {
		if (atomic_load(&pipe->queue[side]) !=
		    mpr_arena_offset(at->arena, at->q))
			continue;
		at->pipe = pipe;
		at->sender = side;
	}
}

bool
mpr_pipe_is_gone(const mproc_arena *a, struct mpr_pipe *pipe, unsigned side,
		 uint64_t mine)
{
	struct mproc_conn *end = &pipe->end[side];
	bool passed = atomic_load(&end->passed);
	_Atomic uint64_t *own;

	/* Who holds it is looked at last: who gives it away adds a hold before
	 * it says so, and before it ends its own. */
	own = mpr_hold_find(a, &end->holds, mine);
	if (own && (atomic_load(own) & MPR_HOLD_USED ||
		    (!passed && mpr_hold_is(atomic_load(&pipe->creator), mine))))
		return false;
	return !mpr_hold_others(a, &end->holds, mine);
}

bool
mpr_pipe_is_used(const struct mpr_attachment *at)
{
	uint64_t mine = mpr_hold_mine();

	return mpr_hold_find(at->arena, &at->pipe->end[0].holds, mine) ||
	       mpr_hold_find(at->arena, &at->pipe->end[1].holds, mine);
}

uint32_t
mpr_pipe_end_of(const struct mpr_attachment *at, bool sends)
{
	unsigned side = sends ? at->sender : !at->sender;
	uint64_t mine = mpr_hold_mine();

	if (!mpr_hold_find(at->arena, &at->pipe->end[side].holds, mine))
		return MPROC_IMMEDIATE;
	return mpr_pipe_is_gone(at->arena, at->pipe, !side, mine) ?
		       MPROC_DRAIN : 0;
}
