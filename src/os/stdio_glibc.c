/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdio_ext.h>

#include "os/stdio.h"

void
mpr_stdio_flush(void)
{
	if (__fpending(stdout))
		fflush(stdout);
	if (__fpending(stderr))
		fflush(stderr);
}

void
mpr_stdio_forget(void)
{
	if (__fpending(stdout))
		__fpurge(stdout);
	if (__fpending(stderr))
		__fpurge(stderr);
}
