/* SPDX-License-Identifier: MIT */
/*
 * How much memory this process may still get, and who was killed for want of it. The
 * kernel does not refuse memory that is beyond the limit of a control group, or beyond
 * the machine: it gives it and kills somebody. So we ask before we take much at once.
 *
 * The answer is a guess in favour of the asker: the kernel's caches count as
 * free, and others may take what is left before we do. It spares no process
 * that takes memory in small pieces.
 */
#ifndef MPR_OS_MEMORY_H
#define MPR_OS_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

struct mpr_memory {
	uint64_t left;	   /* bytes; UINT64_MAX if nobody limits them */
	uint64_t limit;	   /* of so many in all */
	const char *whose; /* limit that is; for messages */
};

/*
 * Asks the control groups that this process is in, of version 1 or 2, up to the
 * highest one that it can see, and the machine; the one with least left counts.
 * What cannot be read is no limit. Groups are taken to have no swap.
 *
 * What the kernel could free of a group's caches is only added up if there is
 * less than @wanted without it.
 */
void mpr_memory_probe(uint64_t wanted, struct mpr_memory *ret_memory);

/*
 * Whether there are @wanted bytes; if not, @ret_memory tells what there is.
 * Asks about once for each sixteenth of what is left, or in 10 ms, whichever
 * comes first.
 */
bool mpr_memory_allows(uint64_t wanted, struct mpr_memory *ret_memory);

/*
 * How many processes the kernel has killed for want of memory: in the control group that
 * this process is in, or on the machine if the group does not count them. It counts one
 * before that is killed. Returns who has counted, which is never 0; or 0, and *@ret_n is
 * 0, if nobody does, or it cannot be read.
 */
int mpr_memory_kills(uint64_t *ret_n);

#endif
