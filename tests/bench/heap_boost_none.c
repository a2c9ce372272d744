/* SPDX-License-Identifier: MIT */
#include "heap_boost.h"

bool
bench_boost_begin(size_t size)
{
	(void)size;
	return false;
}

void
bench_boost_end(void)
{
}

void *
bench_boost_alloc(size_t size)
{
	(void)size;
	return NULL;
}

void
bench_boost_free(void *p)
{
	(void)p;
}
