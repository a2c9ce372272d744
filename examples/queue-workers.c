/* SPDX-License-Identifier: MIT */
/*
 * Several workers share a queue: whichever is free squares the next number.
 * After the last one the queue is shut down: workers end when it is empty.
 */
#include <mproc/mproc.h>
#include <stdio.h>

#define WORKERS 4
#define NUMBERS 1000

static mproc_queue *numbers, *squares;

static int
square(void *arg)
{
	int64_t n;

	(void)arg;
	while (!mproc_queue_get(numbers, &n, sizeof(n), NULL, MPROC_FOREVER)) {
		n *= n;
		if (mproc_queue_put(squares, &n, sizeof(n), MPROC_FOREVER) < 0)
			return 1;
	}
	return 0;
}

int
main(void)
{
	mproc_process *workers[WORKERS];
	long long sum = 0;
	int64_t n;
	int i, r;

	r = mproc_queue_create(&numbers, NULL);
	if (r == 0)
		r = mproc_queue_create(&squares, NULL);
	for (i = 0; i < WORKERS && r == 0; i++)
		/* Daemons: should this program give up, nobody waits for
		 * them. */
		r = mproc_process_start(&workers[i], square, NULL,
					MPROC_OPTS(mproc_process_opts,
						   .daemon = true));
	for (n = 1; n <= NUMBERS && r == 0; n++)
		r = mproc_queue_put(numbers, &n, sizeof(n), MPROC_FOREVER);
	if (r == 0)
		r = mproc_queue_shutdown(numbers, MPROC_DRAIN);
	for (i = 0; i < NUMBERS && r == 0; i++) {
		r = mproc_queue_get(squares, &n, sizeof(n), NULL, mproc_sec(9));
		sum += n;
	}
	if (r < 0) {
		fprintf(stderr, "%s\n", mproc_strerror(r));
		return 1;
	}
	for (i = 0; i < WORKERS; i++) {
		mproc_process_join(workers[i], MPROC_FOREVER);
		mproc_process_close(workers[i]);
	}
	printf("the squares of 1 to %d add up to %lld\n", NUMBERS, sum);
	return 0;
}
