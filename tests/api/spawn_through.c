/* SPDX-License-Identifier: MIT */
/*
 * A library that uses libmproc: also for a program that does not name that. There the
 * C library comes before libmproc, so that the program's start does not go through
 * it. And it does something before main(), as soon as libmproc is ready.
 */
#include <stdlib.h>

#include <mproc/mproc.h>

static void *block;

/* Only where somebody asks, as it would be a leak for most. */
__attribute__((constructor)) static void
construct(void)
{
	if (getenv("SPAWN_BLOCK"))
		block = mproc_alloc(100);
}

void *through_block(void);

void *
through_block(void)
{
	return block;
}

static int
seven(void *arg)
{
	return *(int *)arg + 7;
}

int through_main(void);
int through_start(void);
const char *through_reason(void);

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

/* Why it has failed. */
const char *
through_reason(void)
{
	return mproc_error_detail();
}
