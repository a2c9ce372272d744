/* SPDX-License-Identifier: MIT */
/*
 * Pools: libmproc's, of processes and of threads, Python's, Pool and ThreadPool, and
 * GLib's of threads, whose results come by a GAsyncQueue. Many trivial tasks that are
 * submitted, then waited for; and one after the other, from its submission to its
 * result, beside two processes that wake each other by bare futexes.
 * More tasks than that at once, before the first of which is begun. And a pool from its
 * creation until all workers run, beside as many bare forks, with one for the keeper.
 *
 * A task is given a number and gives its square back, which is verified.
 *
 * Usage: bench_pool [rounds]
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <mproc/mproc.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "pool_glib.h"
#include "python.h"

#define ROUNDS 5
#define TASKS 20000
#define TRIPS 5000
#define WORKERS 2
#define IN_FLIGHT 100000
#define CREATED 20

enum {
	MANY, MANY_PYTHON, MANY_THREADS, MANY_THREADPOOL, MANY_GLIB,
	TRIP, TRIP_FUTEX, TRIP_PYTHON, TRIP_THREADS, TRIP_THREADPOOL, TRIP_GLIB,
	FLIGHT, CREATE, CREATE_FORKS, KINDS,
};

static const struct {
	const char *name;
	int base; /* what it is compared to */
} kinds[KINDS] = {
	[MANY] = { "libmproc", MANY },
	[MANY_PYTHON] = { "Python's Pool", MANY },
	[MANY_THREADS] = { "libmproc, threads", MANY_THREADS },
	[MANY_THREADPOOL] = { "Python's ThreadPool", MANY_THREADS },
	[MANY_GLIB] = { "GThreadPool", MANY_THREADS },
	[TRIP] = { "libmproc", TRIP },
	[TRIP_FUTEX] = { "raw futexes", TRIP },
	[TRIP_PYTHON] = { "Python's Pool", TRIP },
	[TRIP_THREADS] = { "libmproc, threads", TRIP_THREADS },
	[TRIP_THREADPOOL] = { "Python's ThreadPool", TRIP_THREADS },
	[TRIP_GLIB] = { "GThreadPool", TRIP_THREADS },
	[FLIGHT] = { "libmproc", FLIGHT },
	[CREATE] = { "libmproc", CREATE },
	[CREATE_FORKS] = { "3 bare forks", CREATE },
};

/* Of the tables that begin with it. */
static const char *const tables[KINDS] = {
	[MANY] = "many tasks",
	[MANY_THREADS] = "many tasks of threads",
	[TRIP] = "one task at a time",
	[TRIP_THREADS] = "one task of a thread at a time",
	[FLIGHT] = "100,000 tasks in flight",
	[CREATE] = "a pool until all workers run",
};

static struct shared {
	alignas(128) _Atomic uint32_t there;
	alignas(128) _Atomic uint32_t back;
	alignas(128) _Atomic uint32_t running; /* how many say so */
	alignas(128) _Atomic uint32_t go; /* not 0: those may end */
} *shared;

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

static void
wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void
await(_Atomic uint32_t *word, uint32_t value)
{
	uint32_t now;

	while ((now = atomic_load(word)) != value)
		if (syscall(SYS_futex, word, FUTEX_WAIT, now, NULL, NULL, 0) <
			    0 &&
		    errno != EAGAIN && errno != EINTR)
			bench_die("futex");
}

static void
put(_Atomic uint32_t *word, uint32_t value)
{
	atomic_store(word, value);
	wake(word);
}

static void
await_child(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || status)
		bench_die("a child failed");
}

/* Both sides sleep. */
static double
futex_trips(void)
{
	int64_t began;
	pid_t pid;

	atomic_store(&shared->there, 0);
	atomic_store(&shared->back, 0);
	pid = fork();
	if (pid < 0)
		bench_die("fork");
	if (pid == 0) {
		for (uint32_t i = 1; i <= TRIPS + 1; i++) {
			await(&shared->there, i);
			put(&shared->back, i);
		}
		_exit(0);
	}
	/* The child is there. */
	put(&shared->there, 1);
	await(&shared->back, 1);
	began = mproc_now();
	for (uint32_t i = 2; i <= TRIPS + 1; i++) {
		put(&shared->there, i);
		await(&shared->back, i);
	}
	began = mproc_now() - began;
	await_child(pid);
	return (double)began / TRIPS / 1000;
}

static int
hold(const void *in, size_t len, struct mproc_result *out)
{
	(void)in;
	(void)len;
	(void)out;
	atomic_fetch_add(&shared->running, 1);
	wake(&shared->running);
	await(&shared->go, 1);
	return 0;
}

static void
hold_workers(mproc_pool *pool, mproc_future **held)
{
	atomic_store(&shared->running, 0);
	atomic_store(&shared->go, 0);
	for (int i = 0; i < WORKERS; i++)
		must(mproc_pool_submit(pool, hold, NULL, 0, &held[i]));
	await(&shared->running, WORKERS);
}

static void
release_workers(mproc_future **held)
{
	put(&shared->go, 1);
	for (int i = 0; i < WORKERS; i++) {
		must(mproc_future_get(held[i], NULL, 0, NULL, MPROC_FOREVER));
		mproc_future_close(held[i]);
	}
}

/* None is begun before all were submitted. */
static double
in_flight(mproc_pool *pool)
{
	static mproc_future *fs[IN_FLIGHT];
	mproc_future *held[WORKERS];
	int64_t began;
	uint64_t n;

	hold_workers(pool, held);
	began = mproc_now();
	for (uint64_t i = 0; i < IN_FLIGHT; i++)
		must(mproc_pool_submit(pool, square, &i, sizeof(i), &fs[i]));
	release_workers(held);
	for (uint64_t i = 0; i < IN_FLIGHT; i++) {
		must(mproc_future_get(fs[i], &n, sizeof(n), NULL,
				      MPROC_FOREVER));
		if (n != i * i)
			bench_die("a wrong square");
		mproc_future_close(fs[i]);
	}
	return (double)(mproc_now() - began) / IN_FLIGHT / 1000;
}

/* us until all workers run. */
static double
create(void)
{
	mproc_future *held[WORKERS];
	int64_t began, took = 0;
	mproc_pool *pool;

	for (int i = 0; i < CREATED; i++) {
		began = mproc_now();
		must(mproc_pool_create(&pool, MPROC_OPTS(mproc_pool_opts,
							 .workers = WORKERS)));
		hold_workers(pool, held);
		took += mproc_now() - began;
		release_workers(held);
		mproc_pool_free(pool);
	}
	return (double)took / CREATED / 1000;
}

/* us until all of them have said that they run. */
static double
create_forks(void)
{
	pid_t pids[WORKERS + 1];
	int64_t began, took = 0;

	for (int i = 0; i < CREATED; i++) {
		atomic_store(&shared->running, 0);
		atomic_store(&shared->go, 0);
		began = mproc_now();
		for (int k = 0; k <= WORKERS; k++) {
			pids[k] = fork();
			if (pids[k] < 0)
				bench_die("fork");
			if (pids[k] == 0)
				_exit(hold(NULL, 0, NULL));
		}
		await(&shared->running, WORKERS + 1);
		took += mproc_now() - began;
		put(&shared->go, 1);
		for (int k = 0; k <= WORKERS; k++)
			await_child(pids[k]);
	}
	return (double)took / CREATED / 1000;
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

/* us for a task, one at a time or not; 0 without GLib. */
static double
glib_tasks(bool one_by_one, unsigned n)
{
	int64_t began = mproc_now();
	int r = bench_glib_squares(WORKERS, n, one_by_one);

	if (r < 0)
		bench_die("GThreadPool: a wrong square");
	return r ? (double)(mproc_now() - began) / n / 1000 : 0;
}

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
	case TRIP_FUTEX:
		return futex_trips();
	case FLIGHT:
		return in_flight(processes);
	case CREATE:
		return create();
	case CREATE_FORKS:
		return create_forks();
	case MANY_GLIB:
	case TRIP_GLIB:
		return glib_tasks(kind == TRIP_GLIB, kind == TRIP_GLIB ? TRIPS :
									 TASKS);
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
	shared = bench_shared(sizeof(*shared));
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

	printf("%d workers, %d rounds in turn, verified\n", WORKERS, rounds);
	for (int k = 0, n; k < KINDS; k += n) {
		const char *names[KINDS];

		for (n = 0; k + n < KINDS && kinds[k + n].base == k; n++)
			names[n] = kinds[k + n].name;
		bench_table(k == CREATE ? "us" : "us for a task", "pool: %s",
			    tables[k]);
		bench_show(names, us + k, n, rounds, 2);
	}
	bench_free_columns(us, KINDS);
	munmap(shared, sizeof(*shared));
	return 0;
}
