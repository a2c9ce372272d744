/* SPDX-License-Identifier: MIT */
/*
 * 64-byte messages from one process to another through lanes of all sizes, with
 * the two processes on CPUs of their own and where the system puts them. One
 * and the same ring can be fast or ten times slower, by whether its two sides
 * fall into lock step; a queue has to keep out of that by itself, so the bars
 * should be about equally long.
 *
 * Usage: bench_queue_capacity [rounds]
 */
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "bench.h"

#define ROUNDS 7
#define MESSAGES 2000000

static const size_t capacities[] = { 16 << 10, 32 << 10,  64 << 10,
				     128 << 10, 256 << 10, 512 << 10,
				     1 << 20,	2 << 20,   4 << 20 };

#define N (sizeof(capacities) / sizeof(*capacities))

/* Kinds of queue, and of placing. */
static const struct variant {
	const char *name;
	bool single_consumer;
	bool pinned;
} variants[] = {
	{ "queue, one consumer", true, false },
	{ "queue, one, pinned", true, true },
	{ "queue", false, false },
	{ "queue, pinned", false, true },
};

#define VARIANTS (sizeof(variants) / sizeof(*variants))

/* The first and the last of the CPUs that we may use. */
static int ends[2];

static void
find_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		bench_die("sched_getaffinity");
	ends[0] = -1;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &set))
			continue;
		if (ends[0] < 0)
			ends[0] = cpu;
		ends[1] = cpu;
	}
}

static int
produce(void *q)
{
	struct bench_message m;

	for (uint64_t i = 0; i < MESSAGES; i++) {
		bench_fill(&m, i);
		if (mproc_queue_put(q, &m, sizeof(m), MPROC_FOREVER) < 0)
			return 1;
	}
	return 0;
}

static int64_t
consume(mproc_queue *q)
{
	struct bench_message m;
	int64_t began = 0;
	size_t len;

	for (uint64_t i = 0; i < MESSAGES; i++) {
		if (mproc_queue_get(q, &m, sizeof(m), &len, MPROC_FOREVER) < 0)
			bench_die(mproc_error_detail());
		if (len != sizeof(m) || !bench_is_good(&m, i))
			bench_die("a wrong message");
		if (i == 0)
			began = mproc_now();
	}
	return mproc_now() - began;
}

/* What the consumer's process is told. */
struct consumer {
	mproc_queue *q;
	int64_t *ret_ns; /* shared */
};

static int
consumer_process(void *arg)
{
	const struct consumer *c = arg;

	*c->ret_ns = consume(c->q);
	return 0;
}

static mproc_process *
start(mproc_entry *fn, void *arg, bool pinned, int cpu)
{
	mproc_process *p;

	if (mproc_process_start(&p, fn, arg,
				MPROC_OPTS(mproc_process_opts,
					   .cpus = pinned ? &cpu : NULL,
					   .n_cpus = pinned)) < 0)
		bench_die(mproc_error_detail());
	return p;
}

static void
finish(mproc_process *p)
{
	int code;

	if (mproc_process_join(p, MPROC_FOREVER) < 0 ||
	    mproc_process_exitcode(p, &code) < 0 || code != 0)
		bench_die("a process failed");
	mproc_process_close(p);
}

/* ns per message. */
static double
round_of(const struct variant *v, size_t capacity)
{
	int64_t *ns = mproc_alloc(sizeof(*ns));
	mproc_process *producer, *consumer;
	mproc_queue *q = NULL;
	double result;

	if (!ns || mproc_queue_create(&q, MPROC_OPTS(mproc_queue_opts,
			.capacity = capacity,
			.single_consumer = v->single_consumer)) < 0)
		bench_die(mproc_error_detail());
	consumer = start(consumer_process, &(struct consumer){ q, ns },
			 v->pinned, ends[0]);
	producer = start(produce, q, v->pinned, ends[1]);
	finish(producer);
	finish(consumer);
	result = (double)*ns / (MESSAGES - 1);
	mproc_queue_destroy(q);
	mproc_free(ns);
	return result;
}

static void
bar(double value, double most)
{
	for (int i = 0; i < (int)(40 * value / most + 0.5); i++)
		putchar('#');
	putchar('\n');
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;
	double *ns[VARIANTS][N], median[VARIANTS][N], least = 1e9, most = 0;

	find_cpus();
	for (size_t v = 0; v < VARIANTS; v++)
		for (size_t c = 0; c < N; c++)
			ns[v][c] = bench_column(rounds);
	for (int i = 0; i < rounds; i++)
		for (size_t v = 0; v < VARIANTS; v++)
			for (size_t c = 0; c < N; c++)
				ns[v][c][i] = round_of(&variants[v],
						       capacities[c]);
	for (size_t c = 0; c < N; c++) {
		bench_table("ns for a message", "queue: lanes of all sizes");
		bench_table_at((double)(capacities[c] >> 10), "KiB of a lane");
		for (size_t v = 0; v < VARIANTS; v++)
			bench_report(variants[v].name, ns[v][c], rounds);
	}
	for (size_t v = 0; v < VARIANTS; v++) {
		for (size_t c = 0; c < N; c++) {
			median[v][c] = bench_median(ns[v][c], rounds);
			least = median[v][c] < least ? median[v][c] : least;
			most = median[v][c] > most ? median[v][c] : most;
		}
	}
	printf("64 bytes, one process to another, lanes of all sizes, ns: "
	       "medians of %d rounds in turn, verified\n", rounds);
	for (size_t v = 0; v < VARIANTS; v++) {
		printf("%s\n", variants[v].name);
		for (size_t c = 0; c < N; c++) {
			printf("%6zu KiB %8.1f ", capacities[c] >> 10,
			       median[v][c]);
			bar(median[v][c], most);
			free(ns[v][c]);
		}
	}
	printf("the slowest takes %.2f times as long as the fastest\n",
	       most / least);
	return 0;
}
