/* SPDX-License-Identifier: MIT */
/*
 * Growth of tasks, all of which are submitted before the first result is taken,
 * and of the items of a map. Each result is checked.
 *
 * Of tasks that wait to be begun a thread may have some 100,000: with more than
 * that, the next is submitted when one of them is done. All futures stay open.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "bench.h"
#include "growth.h"

#define WORKERS 2
#define WAITING 50000 /* tasks that are waited for when there are too many */

static mproc_pool *
start(void)
{
	mproc_pool *pool;

	growth_must(mproc_pool_create(
		&pool, MPROC_OPTS(mproc_pool_opts, .workers = WORKERS)));
	return pool;
}

static void
end(mproc_pool *pool)
{
	growth_must(mproc_pool_close(pool));
	growth_must(mproc_pool_join(pool, MPROC_FOREVER));
	mproc_pool_free(pool);
}

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
tasks(uint64_t x, double *ns)
{
	mproc_future **fs = calloc(x, sizeof(*fs));
	mproc_pool *pool = start();
	uint64_t n, waited = 0;
	int64_t began;
	int r;

	growth_expect(fs != NULL, "no memory");
	began = mproc_now();
	for (uint64_t i = 0; i < x; i++) {
		while ((r = mproc_pool_submit(pool, square, &i, sizeof(i),
					      &fs[i])) == -EAGAIN) {
			/* Else it waits for one that is done. */
			waited =
				i - waited > WAITING ? i - WAITING : waited + 1;
			growth_must(
				mproc_future_wait(fs[waited], MPROC_FOREVER));
		}
		growth_must(r);
	}
	ns[0] = (double)(mproc_now() - began);
	began = mproc_now();
	for (uint64_t i = 0; i < x; i++) {
		growth_expect(mproc_future_get(fs[i], &n, sizeof(n), NULL,
					       MPROC_FOREVER) == 0 &&
				      n == i * i,
			      "a wrong result");
		mproc_future_close(fs[i]);
	}
	ns[1] = (double)(mproc_now() - began) / (double)x;
	ns[0] = ns[0] / (double)x + ns[1];
	end(pool);
	free(fs);
}

/* Of a task there is as much as a line, which is there for its result, too. */
struct entry {
	alignas(64) uint64_t number;
	uint64_t result;
	_Atomic uint64_t is_done;
};

struct entries_shared {
	alignas(64) _Atomic uint64_t tail; /* so many were submitted */
	alignas(64) _Atomic int ready;	   /* so many workers are there */
};

static _Noreturn void
do_entries(struct entry *es, struct entries_shared *s, uint64_t first, uint64_t x)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	s->ready++;
	for (uint64_t i = first; i < x; i += WORKERS) {
		/* Pairs with the release of who submits: the entry is there. */
		while (atomic_load_explicit(&s->tail, memory_order_acquire) <= i)
			sched_yield();
		es[i].result = es[i].number * es[i].number;
		/* With the acquire of who takes the result. */
		atomic_store_explicit(&es[i].is_done, 1, memory_order_release);
	}
	_exit(0);
}

/* Two processes that do every other one, as they are submitted. */
static void
entries(uint64_t x, double *ns)
{
	struct entry *es = bench_shared(x * sizeof(*es));
	struct entries_shared *s = bench_shared(sizeof(*s));
	int64_t began;
	int status;

	for (uint64_t w = 0; w < WORKERS; w++) {
		pid_t pid = fork();

		growth_expect(pid >= 0, "fork");
		if (pid == 0)
			do_entries(es, s, w, x);
	}
	while (s->ready < WORKERS)
		sched_yield();
	began = mproc_now();
	for (uint64_t i = 0; i < x; i++) {
		es[i].number = i;
		atomic_store_explicit(&s->tail, i + 1, memory_order_release);
	}
	ns[0] = (double)(mproc_now() - began);
	began = mproc_now();
	for (uint64_t i = 0; i < x; i++) {
		while (!atomic_load_explicit(&es[i].is_done,
					     memory_order_acquire))
			sched_yield();
		growth_expect(es[i].result == i * i, "a wrong result");
	}
	ns[1] = (double)(mproc_now() - began) / (double)x;
	ns[0] = ns[0] / (double)x + ns[1];
	for (int w = 0; w < WORKERS; w++)
		growth_expect(wait(&status) > 0 && !status,
			      "a worker has failed");
}

const struct growth growth_of_tasks = {
	.figures = { "A task, from its submission to its result",
		     "A result, taken after all were submitted" },
	.x_name = "tasks",
	.x = { 1000, 10000, 100000, 1000000, 10000000 },
	.quick = 3,
	.bytes = 512,
	.ours = tasks,
	.bare = entries,
	.bare_name = "entries, two forks",
};

static int
square_item(const void *in, void *out, void *ctx)
{
	uint64_t n;

	(void)ctx;
	memcpy(&n, in, sizeof(n));
	n *= n;
	memcpy(out, &n, sizeof(n));
	return 0;
}

static void
check(const uint64_t *in, const uint64_t *out, uint64_t x)
{
	for (uint64_t i = 0; i < x; i++)
		growth_expect(in[i] == i && out[i] == i * i, "a wrong item");
}

static void
items(uint64_t x, double *ns)
{
	uint64_t *in = mproc_array(uint64_t, x),
		 *out = mproc_array(uint64_t, x);
	mproc_pool *pool = start();
	int64_t began;

	growth_expect(in && out, "no memory");
	for (uint64_t i = 0; i < x; i++)
		in[i] = i;
	began = mproc_now();
	growth_expect(mproc_pool_map(pool, square_item, NULL, in, sizeof(*in),
				     out, sizeof(*out), x, NULL) == 0,
		      "the map has failed");
	ns[0] = (double)(mproc_now() - began) / (double)x;
	check(in, out, x);
	end(pool);
}

/* Two processes that do half of it each. */
static void
halves(uint64_t x, double *ns)
{
	uint64_t *in = bench_shared(x * sizeof(*in));
	uint64_t *out = bench_shared(x * sizeof(*out));
	int64_t began;
	int status;

	for (uint64_t i = 0; i < x; i++)
		in[i] = i;
	began = mproc_now();
	for (uint64_t w = 0; w < WORKERS; w++) {
		pid_t pid = fork();

		growth_expect(pid >= 0, "fork");
		if (pid > 0)
			continue;
		for (uint64_t i = x * w / WORKERS; i < x * (w + 1) / WORKERS;
		     i++)
			square_item(&in[i], &out[i], NULL);
		_exit(0);
	}
	for (int w = 0; w < WORKERS; w++)
		growth_expect(wait(&status) > 0 && !status,
			      "a half has failed");
	ns[0] = (double)(mproc_now() - began) / (double)x;
	check(in, out, x);
}

const struct growth growth_of_maps = {
	.figures = { "An item of a map" },
	.x_name = "items",
	.x = { 1000, 10000, 100000, 1000000, 10000000 },
	.quick = 4,
	.bytes = 16,
	.ours = items,
	.bare = halves,
	.bare_name = "two forks",
};
