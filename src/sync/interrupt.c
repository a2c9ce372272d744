/* SPDX-License-Identifier: MIT */
/*
 * mproc_interrupt(): the count first, then a wake-up for each thread of this
 * process that may sleep. Who is about to sleep has read its ticket before it
 * looks at the count (sync/park.c), so it either sees the count or is woken.
 */
#include "arena/arena.h"
#include "os/interrupt.h"
#include "sync/park.h"

void
mproc_interrupt(void)
{
	mproc_arena *a;

	mpr_interrupt_raise();
	a = mpr_arena_peek();
	if (a)
		mpr_unpark_process(a);
}
