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

/*
 * The same out of memory that other CPUs write again later, and nobody writes now:
 * each of its lines is this CPU's alone afterwards, by a write of what is there
 * already. A line that was only read is in both CPUs' caches, from where some take it
 * back 20 times as slowly as from one. @from is a multiple of 8.
 */
void mpr_copy_taking(void *to, void *from, size_t len);

#endif
