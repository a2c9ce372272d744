/* SPDX-License-Identifier: MIT */
#ifndef MPR_OS_RANDOM_H
#define MPR_OS_RANDOM_H

#include <stdint.h>

/* A number that nobody can guess, if the kernel has one to give already. */
uint64_t mpr_random(void);

#endif
