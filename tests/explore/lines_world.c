/* SPDX-License-Identifier: MIT */
/*
 * The lane's scenarios with lines of one word, so that a lane as short as theirs has
 * groups of lines, and messages of which all lines are taken.
 */
#include "base/macros.h"

#undef MPR_LINE
#define MPR_LINE 8

#include "lane_world.c"
