/* SPDX-License-Identifier: MIT */
/*
 * mproc_interrupt(): the count first, then a wake-up for each thread of this
 * process that may sleep. Who is about to sleep has read its ticket before it
 * looks at the count (sync/park.c), so it either sees the count or is woken.
 */
#include "arena/table.h"
#include "os/interrupt.h"
#include "sync/park.h"

static void
unpark(mproc_arena *a, void *unused)
{
	(void)unused;
	mpr_unpark_process(a);
}

void
mproc_interrupt(void)
{
	mpr_interrupt_raise();
	mpr_arenas_each(unpark, NULL);
}
