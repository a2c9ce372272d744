/* SPDX-License-Identifier: MIT */
/*
 * The same as spawn_host.c for a program that loads spawn_through, and libmproc with
 * it, when it runs, as an interpreter does.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int
main(int argc, char **argv)
{
	void *through = dlopen(getenv("MPT_SPAWN_THROUGH"), RTLD_NOW);
	const char *(*reason)(void);
	int (*ask)(void), (*start)(void);
	int r;

	if (!through)
		return 101;
	*(void **)&ask = dlsym(through, "through_main");
	*(void **)&start = dlsym(through, "through_start");
	*(void **)&reason = dlsym(through, "through_reason");
	if (!ask || !start || !reason)
		return 102;
	if (argc > 1 && (strcmp(argv[1], "asks") == 0 ||
			 (strcmp(argv[1], "asks once") == 0 &&
			  !getenv("SPAWN_ASKED"))))
		ask();
	setenv("SPAWN_ASKED", "1", 1);
	r = start();
	if (r != -ENOEXEC)
		return r;
	puts(reason());
	return 100;
}
