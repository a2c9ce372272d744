/* SPDX-License-Identifier: MIT */
/*
 * Parking as it is. What a thread remembers is forgotten before each schedule; of its
 * slices, with its participant.
 */
#include "explore_fakes.h"

#include "sync/park.c"

void
explore_park_begin(void)
{
	noise = 0;
}
