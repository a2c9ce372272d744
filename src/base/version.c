/* SPDX-License-Identifier: MIT */
/*
 * The version of the library that is linked.
 */
#include <mproc/core.h>
#include <mproc/version.h>

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

const char *
mproc_version(void)
{
	return TEXT(MPROC_VERSION_MAJOR) "." TEXT(MPROC_VERSION_MINOR) "." TEXT(
		MPROC_VERSION_PATCH);
}
