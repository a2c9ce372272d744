/* SPDX-License-Identifier: MIT */
/*
 * The log hook. Silent unless the user or the environment asks.
 */
#ifndef MPR_BASE_LOG_H
#define MPR_BASE_LOG_H

#include "base/macros.h"

/* @level is an enum mproc_log_level; leaves errno alone. */
void mpr_log(int level, const char *format, ...) MPR_PRINTF(2, 3);

#endif
