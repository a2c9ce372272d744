/* SPDX-License-Identifier: MIT */
/*
 * A map that shows how far it is. On a terminal the line moves; in a file there is its
 * end alone.
 */
#include <mproc/mproc.h>
#include <stdio.h>
#include <unistd.h>

#define N 2000

/* How often 3n + 1 has to be followed until there is 1. */
static int
count_steps(const void *in, void *out, void *ctx)
{
	uint64_t n = *(const uint64_t *)in;
	unsigned *steps = out;

	(void)ctx;
	for (*steps = 0; n != 1; ++*steps)
		n = n % 2 ? 3 * n + 1 : n / 2;
	return 0;
}

int
main(void)
{
	struct mproc_progress line = { .label = "numbers", .fd = STDOUT_FILENO };
	static uint64_t numbers[N];
	static unsigned steps[N];
	mproc_pool *pool = NULL;
	size_t most = 0;
	int r;

	for (size_t i = 0; i < N; i++)
		numbers[i] = i + 1;
	r = mproc_pool_create(&pool, MPROC_OPTS(mproc_pool_opts, .workers = 2));
	if (r == 0)
		r = mproc_pool_map(pool, count_steps, NULL, numbers,
				   sizeof(numbers[0]), steps, sizeof(steps[0]), N,
				   MPROC_OPTS(mproc_map_opts, .guided = true,
					      .progress = mproc_progress_bar,
					      .progress_ctx = &line));
	if (r)
		fprintf(stderr, "%s\n", mproc_error_detail());
	for (size_t i = 0; i < N && r == 0; i++)
		if (steps[i] > steps[most])
			most = i;
	if (r == 0)
		printf("%zu takes most steps, %u\n", most + 1, steps[most]);
	mproc_pool_free(pool);
	return r != 0;
}
