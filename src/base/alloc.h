/* SPDX-License-Identifier: MIT */
/*
 * Private memory, from malloc(3), which fault injection can make fail.
 */
#ifndef MPR_BASE_ALLOC_H
#define MPR_BASE_ALLOC_H

#include <stdlib.h>

#include "base/fault.h"

static inline void *
mpr_malloc(size_t size)
{
	return mpr_fault(MPR_FAULT_MALLOC) ? NULL : malloc(size);
}

/* Zeroed. */
static inline void *
mpr_zalloc(size_t size)
{
	return mpr_fault(MPR_FAULT_MALLOC) ? NULL : calloc(1, size);
}

static inline void *
mpr_realloc(void *p, size_t size)
{
	return mpr_fault(MPR_FAULT_MALLOC) ? NULL : realloc(p, size);
}

#endif
