/* SPDX-License-Identifier: MIT */
#include "map_item.h"

bool
map_by_openmp(const uint64_t *in, uint64_t *out, size_t n, int chunk, int threads)
{
#pragma omp parallel for schedule(dynamic, chunk) num_threads(threads)
	for (size_t i = 0; i < n; i++)
		map_item(&in[i], &out[i], NULL);
	return true;
}
