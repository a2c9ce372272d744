/* SPDX-License-Identifier: MIT */
/*
 * 100 processes add to two counters. Adding is reading, adding and writing; who
 * comes in between loses what others have added. With a lock nothing is lost.
 */
#include <mproc/mproc.h>
#include <stdio.h>

#define PROCESSES 100
#define TIMES 50000

static struct counters {
	mproc_lock lock;
	long with_lock;
	volatile long without; /* so that each addition is really done */
} *c;

static int
add(void *arg)
{
	(void)arg;
	for (int i = 0; i < TIMES; i++) {
		c->without = c->without + 1;
		mproc_with_lock(&c->lock)
			c->with_lock++;
	}
	return 0;
}

int
main(void)
{
	mproc_process *all[PROCESSES];
	int n, r = 0;

	c = mproc_alloc(sizeof(*c));
	if (!c)
		return 1;
	for (n = 0; n < PROCESSES && r == 0; n++)
		r = mproc_process_start(&all[n], add, NULL,
					MPROC_OPTS(mproc_process_opts,
						   .daemon = true));
	if (r < 0) {
		fprintf(stderr, "%s\n", mproc_strerror(r));
		return 1;
	}
	for (n = 0; n < PROCESSES; n++) {
		mproc_process_join(all[n], MPROC_FOREVER);
		mproc_process_close(all[n]);
	}
	/* Another number each time. */
	fprintf(stderr, "without a lock: %ld were lost\n",
		(long)PROCESSES * TIMES - c->without);
	printf("with a lock: %ld\n", c->with_lock);
	mproc_free(c);
	return 0;
}
