/* SPDX-License-Identifier: MIT */
/*
 * Error texts: what mproc_error_detail() shows.
 */
#ifndef MPR_BASE_ERROR_H
#define MPR_BASE_ERROR_H

#include "base/macros.h"

/*
 * Notes the detail text of a failure for this thread and returns @r, so that a
 * failing function can end with `return mpr_fail(-EMSGSIZE, "...", ...)`.
 * Leaves errno alone.
 */
int mpr_fail(int r, const char *format, ...) MPR_PRINTF(2, 3);

#endif
