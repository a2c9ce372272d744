/* SPDX-License-Identifier: MIT */
/*
 * Reading a caller's options, whatever version of the header it was built
 * with. Every options structure starts with `size_t struct_size`.
 */
#ifndef MPR_BASE_OPTS_H
#define MPR_BASE_OPTS_H

#include <stddef.h>

/*
 * Copies the caller's options @src into @dst, a structure of this library's
 * @size bytes: fields that the caller does not know become zero, which is
 * their default. @src may be NULL.
 * Returns 0; -EINVAL if struct_size makes no sense; -E2BIG if the caller uses
 * fields that this library does not know.
 */
int mpr_opts_read(void *dst, size_t size, const void *src);

#endif
