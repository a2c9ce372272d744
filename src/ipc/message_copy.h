/* SPDX-License-Identifier: MIT */
/*
 * How a producer copies long messages to their blocks: through the caches, or past
 * them.
 *
 * What another CPU has just read lies in its caches. If it was read in place, each line
 * is fetched first, one after the other, to write there: where CPUs are far apart that
 * takes 15 times as long as to write past the caches, where they share one it may be as
 * quick as any copy, and where both ends are on the same CPU nothing is quicker. Nor is
 * anything if the reader has copied, and had the lines to itself. And it changes, as
 * threads move. So what counts is how long copies have taken; the other way is tried
 * now and then.
 */
#ifndef MPR_IPC_MESSAGE_COPY_H
#define MPR_IPC_MESSAGE_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Shorter ones always go through the caches. */
#define MPR_COPY_PAST_MIN 4096

/* Of one producer; all zero to begin with. */
struct mpr_copy_way {
	uint64_t through; /* what 64 KiB have cost lately, in ns; 0: unknown */
	uint64_t past;
	bool goes_past;
	bool tries;    /* the other way, for some copies */
	unsigned left; /* copies until that begins, or ends */
	unsigned rest; /* between the last such trial and the next one */
};

/* Whether the next copy is to go past the caches. */
bool mpr_copy_way_next(const struct mpr_copy_way *w);

/* That copy, of @len bytes, has taken @ns. */
void mpr_copy_way_learn(struct mpr_copy_way *w, size_t len, int64_t ns);

/* Copies @len bytes of a message to its block, and learns from it. */
void mpr_message_copy(struct mpr_copy_way *w, void *to, const void *from,
		      size_t len);

#endif
