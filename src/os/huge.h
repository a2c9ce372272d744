/* SPDX-License-Identifier: MIT */
/*
 * Huge pages for shared memory without a name, as far as the system has any.
 */
#ifndef MPR_OS_HUGE_H
#define MPR_OS_HUGE_H

#include "os/shmem.h"

/* Whether there can be any. Returns 0, or -ENOTSUP with what is missing in the error
 * detail. */
int mpr_huge_ask(void);

/* Asks for them in all of @s, before it is touched. Returns 0; -ENOTSUP as above. */
int mpr_huge_use(const struct mpr_shmem *s);

#endif
