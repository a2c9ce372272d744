/* SPDX-License-Identifier: MIT */
/*
 * A library with an entry that nobody else can name.
 */
#include <mproc/mproc.h>

static int constructed;

__attribute__((constructor)) static void
construct(void)
{
	constructed++;
}

static int
add(void *arg)
{
	mproc_fetch_add((int *)arg, 10 * constructed);
	return 11;
}

mproc_entry *module_entry(void);

mproc_entry *
module_entry(void)
{
	return add;
}
