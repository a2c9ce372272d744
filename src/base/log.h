/* SPDX-License-Identifier: MIT */
/*
 * The log hook. Silent unless the user or the environment asks; but the last
 * few lines are kept in any case, for the report of a crash.
 */
#ifndef MPR_BASE_LOG_H
#define MPR_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

#define MPR_LOG_KEPT 8	 /* lines, but for debugging ones */
#define MPR_LOG_LINE 120 /* bytes of each, a zero at the end included */

/* Who sets this to 1 wants to see errors, unless MPROC_LOG says something else:
 * arena/check.h. */
#define MPR_LOG_CHECK "MPROC_HEAP_CHECK"

/* @level is an enum mproc_log_level; leaves errno alone. */
void mpr_log(int level, const char *format, ...) MPR_PRINTF(2, 3);

/* If set, lines go there that the user has no function for, each with a newline; else to
 * standard error, however long that takes. For who has threads that may be stuck in a
 * write to it. */
extern _Atomic(void (*)(const char *line)) mpr_log_print;

/* How many lines there were to keep so far, in this process and before it was
 * forked. They are counted from 0. */
uint64_t mpr_log_count(void);

/* Line number @n. Returns false if it is not kept any more, or is just being
 * written. Async-signal-safe, as the function above. */
bool mpr_log_line(uint64_t n, int *ret_level, char ret_text[MPR_LOG_LINE]);

/* "error", "warning" and so on. */
const char *mpr_log_level_name(int level);

#endif
