/* SPDX-License-Identifier: MIT */
/*
 * memory.h - private memory, or the end of the process.
 *
 * A worker without memory ends; the parent sees that as any other death. A
 * parent without memory ends too, and its workers with it.
 */
#ifndef WORDCOUNT_MEMORY_H
#define WORDCOUNT_MEMORY_H

#include <stddef.h>

/* realloc() for n times size bytes that does not return NULL. */
void *memory_resize(void *p, size_t n, size_t size);

#endif
