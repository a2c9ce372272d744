/* SPDX-License-Identifier: MIT */
/*
 * Maps over trivial items: libmproc's pool, OpenMP's "parallel for schedule(dynamic)"
 * with chunks of the same size, and Python's Pool.map. Arrays lie in the arena and in
 * private memory of our process, for both of ours. And iterators over as trivial tasks,
 * one by one and several at a time, beside Python's Pool.imap.
 *
 * An item is a number, and its result is what one noinline function makes of it, which
 * is the same for OpenMP and for us. All results are verified.
 *
 * Page faults of a worker that has not seen the arrays yet, which are the same on a busy
 * machine.
 *
 * And a map over few items that compute for long, beside two bare forks that do half of
 * them each.
 *
 * Usage: bench_map [rounds]
 */
#include <errno.h>
#include <mproc/mproc.h>
#include <sys/resource.h>

#include "map_item.h"
#include "python.h"

#define ROUNDS 5
#define ITEMS 1000000
#define WORKERS 2
#define CHUNK ((ITEMS + 4 * WORKERS - 1) / (4 * WORKERS)) /* the default */

#define ITERATED (ITEMS / 20)
#define ITERATED_CHUNK 100

#define LONG_ITEMS 400
#define LONG_STEPS 200000 /* of an item */

enum { LARGE, LARGE_COPIED, LARGE_OPENMP, LARGE_PYTHON, GUIDED, ONE, ONE_OPENMP,
       ONE_PYTHON, ITER, ITER_PYTHON, ITER_CHUNKS, ITER_CHUNKS_PYTHON,
       LONG, LONG_FORKS, KINDS };

static const char *const names[KINDS] = {
	"libmproc", "libmproc, copied", "OpenMP", "Python's Pool",
	"libmproc, guided", "libmproc", "OpenMP", "Python's Pool",
	"libmproc", "Python's Pool", "libmproc", "Python's Pool",
	"libmproc", "two bare forks",
};

/* Of the tables that begin with it. */
static const char *const tables[KINDS] = {
	[LARGE] = "default chunks",
	[ONE] = "chunks of 1",
	[ITER] = "iterator",
	[ITER_CHUNKS] = "iterator, chunks of 100",
	[LONG] = "long items",
};

/* What each kind is compared to. */
static const int bases[KINDS] = {
	LARGE, LARGE, LARGE, LARGE, LARGE, ONE, ONE, ONE,
	ITER, ITER, ITER_CHUNKS, ITER_CHUNKS, LONG, LONG,
};

static mproc_pool *pool;
static uint64_t *in, *out, *in_copied, *out_copied;

int
map_item(const void *from, void *to, void *ctx)
{
	uint64_t n;

	(void)ctx;
	memcpy(&n, from, sizeof(n));
	n = n * n + 1;
	memcpy(to, &n, sizeof(n));
	return 0;
}

static void
verify(uint64_t *results)
{
	for (uint64_t i = 0; i < ITEMS; i++)
		if (results[i] != i * i + 1)
			bench_die("a wrong result");
	memset(results, 0, ITEMS * sizeof(*results));
}

/* ns for an item. */
static double
ours(const uint64_t *from, uint64_t *to, size_t chunk, bool guided)
{
	int64_t began = mproc_now(), ended;

	if (mproc_pool_map(pool, map_item, NULL, from, sizeof(*from), to,
			   sizeof(*to), ITEMS,
			   MPROC_OPTS(mproc_map_opts, .chunk = chunk,
				      .guided = guided)))
		bench_die(mproc_error_detail());
	ended = mproc_now();
	verify(to);
	return (double)(ended - began) / ITEMS;
}

static double
openmp(int chunk)
{
	int64_t began = mproc_now(), ended;

	if (!map_by_openmp(in, out, ITEMS, chunk, WORKERS))
		return 0;
	ended = mproc_now();
	verify(out);
	return (double)(ended - began) / ITEMS;
}

static int
task(const void *from, size_t len, struct mproc_result *result)
{
	uint64_t n;

	(void)len;
	(void)map_item(from, &n, NULL);
	return mproc_result_set(result, &n, sizeof(n));
}

static int
next_number(void *src, const void **ret_in, size_t *ret_len)
{
	uint64_t *n = src;

	*ret_in = &in[*n];
	*ret_len = sizeof(in[0]);
	return ++*n > ITERATED ? -ENODATA : 0;
}

/* Their results in order. */
static double
iterate(unsigned chunk)
{
	int64_t began = mproc_now();
	uint64_t next = 0, result;
	mproc_iter *it;

	if (mproc_pool_imap(pool, task, next_number, &next,
			    MPROC_OPTS(mproc_imap_opts, .chunk = chunk), &it))
		bench_die(mproc_error_detail());
	for (uint64_t i = 0; i < ITERATED; i++)
		if (mproc_iter_next(it, &result, sizeof(result), NULL,
				    MPROC_FOREVER) || result != i * i + 1)
			bench_die("a wrong result");
	mproc_iter_close(it);
	return (double)(mproc_now() - began) / ITERATED;
}

/* A number that takes LONG_STEPS dependent steps. */
static int
long_item(const void *from, void *to, void *ctx)
{
	uint64_t n;

	(void)ctx;
	memcpy(&n, from, sizeof(n));
	for (int i = 0; i < LONG_STEPS; i++)
		n = n * UINT64_C(6364136223846793005) + 1;
	memcpy(to, &n, sizeof(n));
	return 0;
}

static void
half_by_fork(uint64_t *results, size_t begin, size_t end)
{
	pid_t pid = fork();

	if (pid < 0)
		bench_die("fork");
	if (pid > 0)
		return;
	for (size_t i = begin; i < end; i++)
		(void)long_item(&in[i], &results[i], NULL);
	_exit(0);
}

static void
by_forks(uint64_t *results)
{
	int status;

	half_by_fork(results, 0, LONG_ITEMS / 2);
	half_by_fork(results, LONG_ITEMS / 2, LONG_ITEMS);
	for (int i = 0; i < 2; i++)
		if (wait(&status) < 0 || status)
			bench_die("a child failed");
}

/* ns for an item; those of the two are compared with what we compute, once. */
static double
by_long_items(int kind)
{
	static uint64_t expected[LONG_ITEMS];
	int64_t began, ended;

	if (!expected[0])
		for (int i = 0; i < LONG_ITEMS; i++)
			(void)long_item(&in[i], &expected[i], NULL);
	began = mproc_now();
	if (kind == LONG_FORKS)
		by_forks(out);
	else if (mproc_pool_map(pool, long_item, NULL, in, sizeof(*in), out,
				sizeof(*out), LONG_ITEMS, NULL))
		bench_die(mproc_error_detail());
	ended = mproc_now();
	if (memcmp(out, expected, sizeof(expected)) != 0)
		bench_die("a wrong result");
	memset(out, 0, sizeof(expected));
	return (double)(ended - began) / LONG_ITEMS;
}

static int
faults_task(const void *from, size_t len, struct mproc_result *result)
{
	struct rusage used;

	(void)from;
	(void)len;
	if (getrusage(RUSAGE_SELF, &used) < 0)
		return -errno;
	return mproc_result_set(result, &used.ru_minflt, sizeof(used.ru_minflt));
}

static long
faults_of(mproc_pool *one)
{
	long faults;

	if (mproc_pool_apply(one, faults_task, NULL, 0, &faults, sizeof(faults),
			     NULL, MPROC_FOREVER))
		bench_die(mproc_error_detail());
	return faults;
}

/* In a map whose arrays are new to the one who does all of it, but not to us. */
static long
first_faults(void)
{
	mproc_pool *one;
	long faults;

	if (mproc_pool_create(&one, MPROC_OPTS(mproc_pool_opts, .workers = 1)))
		bench_die(mproc_error_detail());
	(void)faults_of(one);
	faults = faults_of(one);
	if (mproc_pool_map(one, map_item, NULL, in, sizeof(*in), out, sizeof(*out),
			   ITEMS, NULL))
		bench_die(mproc_error_detail());
	faults = faults_of(one) - faults;
	verify(out);
	mproc_pool_free(one);
	return faults;
}

/* How many items, and how large chunks are, of which 0 is the default; or, with ITERATOR
 * added, of imap. */
#define ITERATOR 1000000
static const char python[] = BENCH_PYTHON
	"def item(n):\n"
	"    return n * n + 1\n"
	"pool = context.Pool(2)\n"
	"check(pool.apply(item, (3,)) == 10)\n"
	"items = list(range(a))\n"
	"began = now()\n"
	"if b >= 1000000:\n"
	"    results = list(pool.imap(item, items, b - 1000000))\n"
	"else:\n"
	"    results = pool.map(item, items, b or None)\n"
	"print((now() - began) / a)\n"
	"check(all(r == i * i + 1 for i, r in enumerate(results)))\n"
	"pool.terminate()\n";

static double
round_of(int kind)
{
	switch (kind) {
	case LARGE:
		return ours(in, out, 0, false);
	case LARGE_COPIED:
		return ours(in_copied, out_copied, 0, false);
	case GUIDED:
		return ours(in, out, 0, true);
	case LARGE_OPENMP:
		return openmp(CHUNK);
	case LARGE_PYTHON:
		return bench_python(python, ITEMS, 0);
	case ONE:
		return ours(in, out, 1, false);
	case ONE_OPENMP:
		return openmp(1);
	case ITER:
		return iterate(0);
	case ITER_PYTHON:
		return bench_python(python, ITERATED, ITERATOR + 1);
	case ITER_CHUNKS:
		return iterate(ITERATED_CHUNK);
	case ITER_CHUNKS_PYTHON:
		return bench_python(python, ITERATED, ITERATOR + ITERATED_CHUNK);
	case LONG:
	case LONG_FORKS:
		return by_long_items(kind);
	default:
		return bench_python(python, ITEMS / 20, 1);
	}
}

static void
prepare(void)
{
	in = mproc_array(uint64_t, ITEMS);
	out = mproc_array(uint64_t, ITEMS);
	in_copied = malloc(ITEMS * sizeof(*in_copied));
	out_copied = malloc(ITEMS * sizeof(*out_copied));
	if (!in || !out || !in_copied || !out_copied)
		bench_die("no memory");
	for (uint64_t i = 0; i < ITEMS; i++)
		in[i] = in_copied[i] = i;
	memset(out_copied, 0, ITEMS * sizeof(*out_copied));
	if (mproc_pool_create(&pool, MPROC_OPTS(mproc_pool_opts,
						.workers = WORKERS)))
		bench_die(mproc_error_detail());
	/* The workers are there, and know the pages. */
	(void)ours(in, out, 0, false);
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;
	double **ns;

	if (rounds < 1)
		bench_die("usage: bench_map [rounds]");
	ns = bench_columns(KINDS, rounds);
	prepare();
	for (int i = 0; i < rounds; i++)
		for (int k = 0; k < KINDS; k++)
			ns[k][i] = round_of(k);
	mproc_pool_free(pool);

	printf("%d items, %d workers, %d rounds in turn, verified\n", ITEMS,
	       WORKERS, rounds);
	for (int k = 0, n; k < KINDS; k += n) {
		for (n = 0; k + n < KINDS && bases[k + n] == k; n++)
			;
		bench_table("ns for an item", "map: %s", tables[k]);
		bench_show(names + k, ns + k, n, rounds, 2);
	}
	printf("page faults of a worker with default chunks, first map over %zu pages: "
	       "%ld\n", 2 * ITEMS * sizeof(*in) / (size_t)sysconf(_SC_PAGESIZE),
	       first_faults());
	bench_free_columns(ns, KINDS);
	mproc_free(in);
	mproc_free(out);
	free(in_copied);
	free(out_copied);
	return 0;
}
