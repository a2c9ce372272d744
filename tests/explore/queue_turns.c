/* SPDX-License-Identifier: MIT */
/*
 * The turns of lanes for the queue's scenarios, which have two or three: a few
 * looks are one, so that there are lanes that are not looked at.
 */
#include "ipc/turns.h"

#undef MPR_LOOKS
#define MPR_LOOKS 1

#include "ipc/turns.c"
