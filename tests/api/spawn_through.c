/* SPDX-License-Identifier: MIT */
/*
 * A library that uses libmproc, for a program that does not name it: the C library
 * comes before libmproc there, so that the program's start does not go through it.
 */
#include <mproc/mproc.h>

static int
seven(void *arg)
{
	return *(int *)arg + 7;
}

int through_main(void);
int through_start(void);

int
through_main(void)
{
	mproc_process_main();
	return 0;
}

/* Returns the exit code, or a negative error. */
int
through_start(void)
{
	int thirty = 30, code = -1, r;
	mproc_process *p;

	r = mproc_process_start(&p, seven, &thirty,
				MPROC_OPTS(mproc_process_opts,
					   .method = MPROC_SPAWN,
					   .arg_size = sizeof(thirty)));
	if (r < 0)
		return r;
	r = mproc_process_join(p, MPROC_FOREVER);
	if (r == 0)
		r = mproc_process_exitcode(p, &code);
	mproc_process_close(p);
	return r < 0 ? r : code;
}
