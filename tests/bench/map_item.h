/* SPDX-License-Identifier: MIT */
/* What the contenders of bench_map.c have in common. */
#ifndef BENCH_MAP_ITEM_H
#define BENCH_MAP_ITEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In another file than OpenMP's loop, so that it is called there as well. */
int map_item(const void *from, void *to, void *ctx);

/* Returns false if there is no OpenMP. */
bool map_by_openmp(const uint64_t *in, uint64_t *out, size_t n, int chunk,
		   int threads);

#endif
