/* SPDX-License-Identifier: MIT */
/*
 * For tests whose entries have the scenario, or a place in its scratch bytes, as their
 * argument, whatever the start method is.
 */
#ifndef API_STARTED_H
#define API_STARTED_H

#include <stdlib.h>
#include <string.h>

#include <mproc/process.h>

#include "mpt.h"

__attribute__((constructor)) static inline void
pass_the_scenario(void)
{
	mpt_use_arena();
}

/* What is usual in this run. */
static inline int
usual_method(void)
{
	const char *s = getenv("MPT_METHOD");

	return !s		       ? MPROC_FORK :
	       strcmp(s, "spawn") == 0 ? MPROC_SPAWN :
					 MPROC_FORKSERVER;
}

#endif
