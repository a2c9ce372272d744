/* SPDX-License-Identifier: MIT */
/*
 * glibc shows how much a stream holds in its structure, which costs a forked
 * child no page of code.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdio_ext.h>

#include "base/macros.h"
#include "os/stdio.h"

MPR_CHILD_PATH static bool
holds_output(const FILE *stream)
{
	return stream->_IO_write_ptr > stream->_IO_write_base;
}

MPR_CHILD_PATH static void
flush_unlocked(FILE *stream)
{
	if (!holds_output(stream) || ftrylockfile(stream) != 0)
		return;
	fflush_unlocked(stream);
	funlockfile(stream);
}

MPR_CHILD_PATH void
mpr_stdio_flush(void)
{
	flush_unlocked(stdout);
	flush_unlocked(stderr);
}

MPR_CHILD_PATH void
mpr_stdio_finish(void)
{
	if (holds_output(stdout))
		fflush(stdout);
	if (holds_output(stderr))
		fflush(stderr);
}

MPR_CHILD_PATH void
mpr_stdio_forget(void)
{
	if (holds_output(stdout))
		__fpurge(stdout);
	if (holds_output(stderr))
		__fpurge(stderr);
}

MPR_CHILD_PATH void
mpr_stdio_renew_input(void)
{
	if (stdin->_IO_read_base == stdin->_IO_read_end &&
	    !(stdin->_flags & (_IO_EOF_SEEN | _IO_ERR_SEEN)))
		return;
	__fpurge(stdin);
	clearerr_unlocked(stdin);
}
