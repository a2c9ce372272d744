/* SPDX-License-Identifier: MIT */
/*
 * Options structures that can grow: the caller says how large its structure
 * is, and what it does not know is zero.
 */
#include <errno.h>
#include <string.h>

#include <mproc/core.h>

#include "base/error.h"
#include "base/opts.h"

/* No options structure comes near this; a larger size is garbage. */
#define STRUCT_SIZE_MAX 4096

int
mpr_opts_read(void *dst, size_t size, const void *src)
{
	const unsigned char *bytes = src;
	size_t given;

	memset(dst, 0, size);
	if (!src)
		return 0;
	memcpy(&given, src, sizeof(given));
	if (given < sizeof(given) || given > STRUCT_SIZE_MAX)
		return mpr_fail(-EINVAL, "struct_size is %zu: fill the options "
				"with MPROC_OPTS or mproc_opts_init()", given);
	for (size_t i = size; i < given; i++)
		if (bytes[i])
			return mpr_fail(-E2BIG, "an option at byte %zu is set, "
					"but this version knows %zu bytes",
					i, size);
	memcpy(dst, src, given < size ? given : size);
	return 0;
}

void
mproc_opts_init(void *opts, size_t struct_size)
{
	memset(opts, 0, struct_size);
	memcpy(opts, &struct_size, sizeof(struct_size));
}
