/* SPDX-License-Identifier: MIT */
/*
 * Threads of a pool work on the program's own memory. One of them waits for an answer that
 * does not come in time: who has asked is told, and the thread works on once it has come.
 */
#include <mproc/mproc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define N 200000
#define PARTS 20

/* Nothing of it is in shared memory. */
static unsigned char composite[N];
static _Atomic unsigned primes;
static int line[2];

/* Of some numbers; the item is the first one. */
static int
count_primes(const void *in, void *out, void *ctx)
{
	const int *from = in;

	(void)out;
	(void)ctx;
	for (int i = *from; i < *from + N / PARTS; i++)
		if (!composite[i])
			atomic_fetch_add(&primes, 1);
	return 0;
}

static int
ask(const void *in, size_t len, struct mproc_result *out)
{
	char answer;

	(void)in;
	(void)len;
	if (read(line[0], &answer, 1) != 1)
		return -1;
	return mproc_result_set(out, &answer, 1);
}

static int
work(mproc_pool *pool)
{
	int from[PARTS], r;
	char answer;

	for (int i = 0; i < PARTS; i++)
		from[i] = N / PARTS * i;
	r = mproc_pool_map(pool, count_primes, NULL, from, sizeof(from[0]), NULL, 0,
			   PARTS, NULL);
	if (r < 0)
		return r;
	printf("%u primes below %d\n", atomic_load(&primes), N);

	/* There is no answer. */
	r = mproc_pool_apply(pool, ask, NULL, 0, &answer, 1, NULL, MPROC_FOREVER);
	if (r < 0)
		return r;
	printf("%s\n", r == MPROC_TASK_FAILED ? mproc_error_detail() : "?");

	/* This ends the first one, whose result nobody wants; and the second one. */
	if (write(line[1], "yn", 2) != 2)
		return -1;
	r = mproc_pool_apply(pool, ask, NULL, 0, &answer, 1, NULL, MPROC_FOREVER);
	if (r == 0)
		printf("the next answer is %c\n", answer);
	return r;
}

int
main(void)
{
	mproc_pool *pool = NULL;
	int r;

	if (pipe(line) < 0)
		return 1;
	composite[0] = composite[1] = 1;
	for (size_t i = 2; i * i < N; i++)
		for (size_t k = i * i; k < N; k += i)
			composite[k] = 1;
	r = mproc_pool_create(&pool, MPROC_OPTS(mproc_pool_opts, .workers = 1,
						.backend = MPROC_POOL_THREADS,
						.task_timeout = mproc_ms(200)));
	if (r == 0)
		r = work(pool);
	if (r < 0)
		fprintf(stderr, "%s: %s\n", mproc_strerror(r),
			mproc_error_detail());
	mproc_pool_free(pool);
	return r < 0;
}
