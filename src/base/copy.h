/* SPDX-License-Identifier: MIT */
/*
 * Copying long messages.
 */
#ifndef MPR_BASE_COPY_H
#define MPR_BASE_COPY_H

#include <stddef.h>

/* What memcpy() does, without the distances at which that is slow. */
void mpr_copy_long(void *to, const void *from, size_t len);

/* The same past the caches, for memory that another CPU has read and is going to
 * read: none of its lines is fetched first, or taken from there. Ordered before
 * whatever is stored next, as all copies. */
void mpr_copy_past(void *to, const void *from, size_t len);

#endif
