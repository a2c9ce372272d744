/* SPDX-License-Identifier: MIT */
/*
 * For tests whose entries have the scenario, or a place in its scratch bytes, as their
 * argument, whatever the start method is.
 */
#ifndef API_STARTED_H
#define API_STARTED_H

#include "mpt.h"

__attribute__((constructor)) static inline void
pass_the_scenario(void)
{
	mpt_use_arena();
}

#endif
