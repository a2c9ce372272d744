/* SPDX-License-Identifier: MIT */
/*
 * Pools: libmproc's, of processes and of threads, and Python's, Pool and ThreadPool. Many
 * trivial tasks that are submitted, then waited for; and one after the other, from its
 * submission to its result.
 *
 * A task is given a number and gives its square back, which is verified.
 *
 * Usage: bench_pool [rounds]
 */
#include <mproc/mproc.h>

#include "python.h"

#define ROUNDS 5
#define TASKS 20000
#define TRIPS 5000
#define WORKERS 2

enum {
	MANY, MANY_PYTHON, MANY_THREADS, MANY_THREADPOOL,
	TRIP, TRIP_PYTHON, TRIP_THREADS, TRIP_THREADPOOL, KINDS,
};

static const char *const names[KINDS] = {
	"many", "many, Python", "many, threads", "many, ThreadPool",
	"round trip", "round trip, Python",
	"round trip, threads", "trip, ThreadPool",
};

static mproc_pool *processes, *threads;

static int
square(const void *in, size_t len, struct mproc_result *out)
{
	uint64_t n;

	if (len != sizeof(n))
		return -1;
	memcpy(&n, in, sizeof(n));
	n *= n;
	return mproc_result_set(out, &n, sizeof(n));
}

static void
must(int r)
{
	if (r)
		bench_die(mproc_error_detail());
}

/* us for a task. */
static double
many(mproc_pool *pool)
{
	static mproc_future *fs[TASKS];
	int64_t began = mproc_now();
	uint64_t n;

	for (uint64_t i = 0; i < TASKS; i++)
		must(mproc_pool_submit(pool, square, &i, sizeof(i), &fs[i]));
	for (uint64_t i = 0; i < TASKS; i++) {
		must(mproc_future_get(fs[i], &n, sizeof(n), NULL,
				      MPROC_FOREVER));
		if (n != i * i)
			bench_die("a wrong square");
		mproc_future_close(fs[i]);
	}
	return (double)(mproc_now() - began) / TASKS / 1000;
}

static double
trips(mproc_pool *pool)
{
	int64_t began = mproc_now();
	uint64_t n;

	for (uint64_t i = 0; i < TRIPS; i++) {
		must(mproc_pool_apply(pool, square, &i, sizeof(i), &n, sizeof(n),
				      NULL, MPROC_FOREVER));
		if (n != i * i)
			bench_die("a wrong square");
	}
	return (double)(mproc_now() - began) / TRIPS / 1000;
}

/* How many tasks, and workers. */
#define PYTHON_POOL(make)                                                     \
	"def square(n):\n"                                                    \
	"    return n * n\n"                                                  \
	"from multiprocessing.pool import ThreadPool\n"                       \
	"pool = " make "(b)\n"                                                \
	"check(pool.apply(square, (3,)) == 9)\n"

#define PYTHON_MANY(make) BENCH_PYTHON PYTHON_POOL(make)                      \
	"began = now()\n"                                                     \
	"results = [pool.apply_async(square, (i,)) for i in range(a)]\n"      \
	"check(all(r.get() == i * i for i, r in enumerate(results)))\n"       \
	"print((now() - began) / a / 1000)\n"                                 \
	"pool.terminate()\n"

#define PYTHON_TRIPS(make) BENCH_PYTHON PYTHON_POOL(make)                     \
	"began = now()\n"                                                     \
	"check(all(pool.apply(square, (i,)) == i * i for i in range(a)))\n"   \
	"print((now() - began) / a / 1000)\n"                                 \
	"pool.terminate()\n"

static double
round_of(int kind)
{
	switch (kind) {
	case MANY:
	case MANY_THREADS:
		return many(kind == MANY ? processes : threads);
	case MANY_PYTHON:
		return bench_python(PYTHON_MANY("context.Pool"), TASKS / 4,
				    WORKERS);
	case MANY_THREADPOOL:
		return bench_python(PYTHON_MANY("ThreadPool"), TASKS / 4,
				    WORKERS);
	case TRIP:
	case TRIP_THREADS:
		return trips(kind == TRIP ? processes : threads);
	case TRIP_PYTHON:
		return bench_python(PYTHON_TRIPS("context.Pool"), TRIPS / 5,
				    WORKERS);
	default:
		return bench_python(PYTHON_TRIPS("ThreadPool"), TRIPS / 5,
				    WORKERS);
	}
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;
	double **us;

	if (rounds < 1)
		bench_die("usage: bench_pool [rounds]");
	us = bench_columns(KINDS, rounds);
	must(mproc_pool_create(&processes, MPROC_OPTS(mproc_pool_opts,
						      .workers = WORKERS)));
	must(mproc_pool_create(&threads, MPROC_OPTS(mproc_pool_opts,
						    .workers = WORKERS,
						    .backend = MPROC_POOL_THREADS)));
	for (int i = 0; i < rounds; i++)
		for (int k = 0; k < KINDS; k++)
			us[k][i] = round_of(k);
	mproc_pool_free(threads);
	mproc_pool_free(processes);

	printf("us for a task; %d workers, %d rounds\n", WORKERS, rounds);
	printf("%-20s %10s %10s %10s\n", "", "median", "least", "most");
	for (int k = 0; k < KINDS; k++) {
		if (bench_is_missing(names[k], us[k]))
			continue;
		bench_row(names[k], us[k], rounds, 2);
		if (k % 2)
			printf(", %.1f of ours",
			       bench_median_ratio(us[k], us[k - 1], rounds));
		printf("\n");
	}
	bench_free_columns(us, KINDS);
	return 0;
}
