/* SPDX-License-Identifier: MIT */
/*
 * Whether a process was killed for want of memory. The kernel does not say it of one:
 * it counts those whom it kills so (os/memory.h), before they notice. Who is told of a
 * death by SIGKILL looks whether that count has grown in the last seconds, and takes one
 * off for each. So who is killed otherwise while the kernel kills somebody else of the
 * same group may be taken for that one.
 */
#ifndef MPR_POOL_SHORTAGE_H
#define MPR_POOL_SHORTAGE_H

#include <stdbool.h>
#include <stdint.h>

struct mpr_shortage {
	/* Of those that were counted: it is too long ago, or known whose they are. */
	uint64_t explained;
	uint64_t counted; /* at the last mpr_shortage_look() */
	int who; /* has counted then; 0: nobody */
};

/* Now and then: what was counted when this was called last is too long ago. What is
 * counted when it is called first, or was by somebody else, is none of ours. */
void mpr_shortage_look(struct mpr_shortage *s);

/* The same by what somebody else has counted: @counted, of @who. */
void mpr_shortage_begin(struct mpr_shortage *s, uint64_t counted, int who);

/* One was killed by SIGKILL, and not by us: whether that explains it. */
bool mpr_shortage_explains(struct mpr_shortage *s);

#endif
