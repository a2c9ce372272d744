/* SPDX-License-Identifier: MIT */
/*
 * The consumers' part of a lane for the queue's scenarios: who loses this many
 * races in a row gives up, so that what follows is in reach. One more than what
 * padding takes.
 */
#include "ring/lane_priv.h"

#undef MPR_LANE_ATTEMPTS
#define MPR_LANE_ATTEMPTS 2

#include "ring/lane_get.c"
