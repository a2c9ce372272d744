/* SPDX-License-Identifier: MIT */
/* GLib's pool of threads as a rival of ours. */
#ifndef BENCH_POOL_GLIB_H
#define BENCH_POOL_GLIB_H

#include <stdbool.h>

/* Squares of @n numbers by @workers threads, one by one or all submitted first.
 * Returns 1 if all are right, 0 if there is no GLib, or -1. */
int bench_glib_squares(unsigned workers, unsigned n, bool one_by_one);

#endif
