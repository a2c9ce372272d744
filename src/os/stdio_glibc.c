/* SPDX-License-Identifier: MIT */
/*
 * glibc shows how much a stream holds in its structure, which costs a forked
 * child no page of code.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdio_ext.h>

#include "os/stdio.h"

static bool
holds_output(const FILE *stream)
{
	return stream->_IO_write_ptr > stream->_IO_write_base;
}

void
mpr_stdio_flush(void)
{
	if (holds_output(stdout))
		fflush(stdout);
	if (holds_output(stderr))
		fflush(stderr);
}

void
mpr_stdio_forget(void)
{
	if (holds_output(stdout))
		__fpurge(stdout);
	if (holds_output(stderr))
		__fpurge(stderr);
}
