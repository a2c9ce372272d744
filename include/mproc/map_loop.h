/* SPDX-License-Identifier: MIT */
/*
 * map_loop.h - what is done to the items of a map, and how a worker goes from one to the
 * next.
 *
 * The loop is compiled into the program that makes a pool, and workers have it as they
 * have the functions that it calls. It knows nothing of maps but what it is given.
 */
#ifndef MPROC_MAP_LOOP_H
#define MPROC_MAP_LOOP_H

#include <stddef.h>
#include <stdint.h>

#include <mproc/export.h>

MPROC_BEGIN_DECLS

/**
 * mproc_map_fn - what is done to each item of a map
 * @in:  the item, or NULL if items have no bytes
 * @out: where its result goes, or NULL if results have none
 * @ctx: what all have in common
 *
 * Returns 0 or more if it has done what it is for; or a negative number, the item's
 * error. For what it may do, mproc_task counts.
 */
typedef int mproc_map_fn(const void *in, void *out, void *ctx);

/**
 * struct mproc_map_run - items of a map that follow each other, as a loop gets them
 * @fn:       the map's function
 * @ctx:      its context
 * @in:       address of the next item
 * @in_size:  from one to the next; 0: they have no bytes
 * @out:      address of the next item's result
 * @out_size: from one to the next; 0: there are none
 * @next:     what @begun becomes for the next item
 * @step:     how much that grows from one to the next
 * @end:      what it would become behind the last one
 * @begun:    shared: which item was begun last
 * @place:    where the mark of the process stands
 * @mark:     the worker's; in a child that an item has forked another one stands there
 *
 * It is filled in by the library, which may know more members than the program does. No
 * two that change lie side by side: some compilers make a vector of those, and the loop
 * slower.
 */
struct mproc_map_run {
	mproc_map_fn *fn;
	void *ctx;
	uintptr_t in;
	size_t in_size;
	uintptr_t out;
	size_t out_size;
	uint64_t next;
	uint64_t step;
	uint64_t end;
	uint64_t *begun;
	const uint64_t *place;
	uint64_t mark;
};

/**
 * mproc_map_loop - does the items of a run
 * @run: items; it moves @run->in, @run->out and @run->next on
 *
 * Returns an item's error if that has failed, and has moved behind it; or 0, at the end,
 * or before an item that is not its own to begin. An error without a move counts as 0.
 * What it leaves is done without it.
 */
typedef int mproc_map_loop(struct mproc_map_run *run);

#if defined(__GNUC__)
/* The one that there is. Some processors take longer for a call, and for its return, if
 * one lies as far away as a program does from a shared library. So each program has its
 * own, near its functions; at the begin of a line of code, as it is slower where it lies
 * across one more. */
__attribute__((__aligned__(64))) static inline int
mproc_map_loop_near_(struct mproc_map_run *run)
{
	const uint64_t *place = run->place;
	uint64_t *begun = run->begun, next = run->next;
	uintptr_t in = run->in, out = run->out;
	int r = 0;

	/* Relaxed: it is this process's. */
	while (r >= 0 && next < run->end &&
	       __atomic_load_n(place, __ATOMIC_RELAXED) == run->mark) {
		/* Release: what was done for the item before is there, for who finds
		 * this worker dead, or counts. */
		__atomic_store_n(begun, next, __ATOMIC_RELEASE);
		r = run->fn((const void *)in, (void *)out, run->ctx);
		in += run->in_size;
		out += run->out_size;
		next += run->step;
	}
	run->in = in;
	run->out = out;
	run->next = next;
	return r < 0 ? r : 0;
}
#endif

MPROC_END_DECLS

#endif
