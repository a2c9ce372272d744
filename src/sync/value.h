/* SPDX-License-Identifier: MIT */
/*
 * What a value or an array is in shared memory: a block of the user's, at whose
 * start the user's bytes lie, and at whose end this does. The end is that of the
 * block, which the heap knows, and not that of the user's bytes.
 *
 *   BUSY,me: bytes and end are written --> LIVE --free--> BUSY,me: the lock is
 *   GONE, who waits for it is told --> FREE
 */
#ifndef MPR_SYNC_VALUE_H
#define MPR_SYNC_VALUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arena/block.h"
#include "sync/lock.h"

#define MPR_VALUE_MAGIC UINT64_C(0x65756c61766d0000)

struct mpr_value_end {
	struct mpr_lock lock; /* its generation is another one each time */
	_Atomic uint64_t n; /* of elements; 1 for a value */
	/* MPR_VALUE_MAGIC and the block's offset: copied elsewhere with the rest
	 * it makes no value. */
	_Atomic uint64_t mark;
};

static_assert(sizeof(struct mpr_value_end) == MPR_VALUE_END, "shared layout");

/* What an array at hand is: bytes of an element, and how many there are. Returns 0;
 * -EINVAL, -EFAULT, -ESTALE as mproc_array_len(). */
int mpr_value_shape(const void *array, size_t *ret_elem, size_t *ret_n);

/* Whether @l, which a dead one holds, was the lock of a value that is no more: who
 * has it when it frees the value may be killed before the lock is GONE. */
bool mpr_value_has_ended(const mproc_arena *a, const struct mpr_lock *l);

#endif
