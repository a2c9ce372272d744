/* SPDX-License-Identifier: MIT */
/*
 * A program that nothing tells from others: linked without a build-id. Prints why its
 * entry cannot be run in a new image, and exits with how many methods that is true
 * of; or with 100 if something was started.
 */
#include <errno.h>
#include <stdio.h>

#include <mproc/mproc.h>

static int
seven(void *arg)
{
	(void)arg;
	return 7;
}

int
main(void)
{
	mproc_process *p;
	int refused = 0;

	for (int method = MPROC_SPAWN; method <= MPROC_FORKSERVER; method++) {
		if (mproc_process_start(&p, seven, NULL,
					MPROC_OPTS(mproc_process_opts,
						   .method = method)) !=
		    -ENOEXEC)
			return 100;
		puts(mproc_error_detail());
		refused++;
	}
	return refused;
}
