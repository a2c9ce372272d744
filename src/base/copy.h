/* SPDX-License-Identifier: MIT */
/*
 * Copying long messages.
 */
#ifndef MPR_BASE_COPY_H
#define MPR_BASE_COPY_H

#include <stddef.h>

/* What memcpy() does, without the distances at which that is slow. */
void mpr_copy_long(void *to, const void *from, size_t len);

#endif
