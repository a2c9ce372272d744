/* SPDX-License-Identifier: MIT */
/*
 * Time: CLOCK_MONOTONIC in nanoseconds, and deadlines.
 */
#ifndef MPR_OS_CLOCK_H
#define MPR_OS_CLOCK_H

#include <mproc/core.h>

/* A deadline that never comes. */
#define MPR_NEVER INT64_MAX

/*
 * The absolute time at which @timeout ends; MPR_NEVER for MPROC_FOREVER. Reads
 * the clock for relative timeouts only.
 */
int64_t mpr_deadline(mproc_timeout timeout);

/* As mproc_now(), but in milliseconds, cheaper, and up to ten of them late. */
int64_t mpr_now_roughly(void);

#endif
