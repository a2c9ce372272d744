/* SPDX-License-Identifier: MIT */
/*
 * A program for .exe: linked with libmproc by itself. Its main() is not to run.
 */
#include <mproc/mproc.h>

int
main(void)
{
	return mproc_cpu_count() ? 99 : 98;
}
