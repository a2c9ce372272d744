/* SPDX-License-Identifier: MIT */
/*
 * Boost.Interprocess as a rival of the heap, where it is installed.
 */
#ifndef BENCH_HEAP_BOOST_H
#define BENCH_HEAP_BOOST_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Makes a segment that children inherit. Returns false if there is no Boost. */
bool bench_boost_begin(size_t size);
void bench_boost_end(void);

void *bench_boost_alloc(size_t size);
void bench_boost_free(void *p);

#ifdef __cplusplus
}
#endif

#endif
