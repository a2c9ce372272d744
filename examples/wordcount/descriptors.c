/* SPDX-License-Identifier: MIT */
/*
 * descriptors.c - how many files may be open.
 */
#include "descriptors.h"

#include <sys/resource.h>

void
descriptors_allow_all_but(unsigned n)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max > n ? limit.rlim_max - n : 0;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}
