/* SPDX-License-Identifier: MIT */
#ifndef MPR_OS_RANDOM_H
#define MPR_OS_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A number that nobody can guess, if the kernel has one to give already. */
uint64_t mpr_random(void);

/* Bytes that nobody can guess; waits where the kernel has none yet. Returns whether
 * it has any. */
bool mpr_random_bytes(void *ret, size_t n);

#endif
