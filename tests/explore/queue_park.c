/* SPDX-License-Identifier: MIT */
/*
 * Parking as it is. What a thread remembers of its slices is forgotten before
 * each schedule.
 */
#include "queue_world.h"

#include "sync/park.c"

void
queue_park_begin(void)
{
	slice_end = 0;
	look_at = 0;
	noise = 0;
}
