/* SPDX-License-Identifier: MIT */
/*
 * Parking as it is. What a thread remembers of its slices is forgotten before
 * each schedule.
 */
#include "explore_fakes.h"

#include "sync/park.c"

void
explore_park_begin(void)
{
	slice_end = 0;
	look_at = 0;
	noise = 0;
}
