/* SPDX-License-Identifier: MIT */
/*
 * memory.c - private memory, or the end of the process.
 */
#include "memory.h"

#include <stdio.h>
#include <stdlib.h>

void *
memory_resize(void *p, size_t n, size_t size)
{
	p = reallocarray(p, n ? n : 1, size);
	if (!p) {
		fprintf(stderr, "wordcount: out of memory\n");
		exit(1);
	}
	return p;
}
