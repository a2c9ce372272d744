/* SPDX-License-Identifier: MIT */
/*
 * A child's record: a cache line that it shares with the process that started
 * it, from before the fork until the handle is closed.
 *
 * Through it the parent holds the child back until all that can fail has
 * succeeded, and the child notes its exit status, in case someone else reaps
 * it. Records need no arena: they lie in anonymous shared pages, which go with
 * the last process that has them.
 */
#ifndef MPR_PROCESS_RECORD_H
#define MPR_PROCESS_RECORD_H

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#include "os/parker.h"

enum mpr_record_order {
	MPR_RECORD_WAIT = 0,
	MPR_RECORD_ASLEEP = 1, /* set by the child */
	MPR_RECORD_GO = 2,
	MPR_RECORD_ABORT = 3,
};

struct mpr_record {
	alignas(64) _Atomic uint32_t order; /* parent to child */
	_Atomic uint32_t ended; /* child to parent: exit status + 1 */
	struct mpr_parker parker; /* the child's, until it has its order */
};

static_assert(sizeof(struct mpr_record) == 64, "one cache line");

/* A zeroed record of this process, or NULL without memory. */
struct mpr_record *mpr_record_new(void);

void mpr_record_free(struct mpr_record *record);

#endif
