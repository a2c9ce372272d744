/* SPDX-License-Identifier: MIT */
/*
 * Growth of queues: with the producers of one, and with their own number.
 *
 * Producers are processes, which all have a message in it before the first that
 * is measured; their order is checked. Queues are in the hands of one process,
 * which puts a message into each, then takes them all.
 */
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "bench.h"
#include "growth.h"

#define PRODUCERS 256
#define MESSAGES \
	(1u << 20)    /* of all producers: much more than there is room for */
#define QUEUED 200000 /* into all queues, over and over */
#define NUMBER(producer, count) ((uint64_t)(producer) << 32 | (count))

static mproc_queue *queue;
static int ends[2];
static int gate[2]; /* a pipe that is closed when all are there */

static void
put_to_queue(const struct bench_message *m)
{
	growth_must(mproc_queue_put(queue, m, sizeof(*m), MPROC_FOREVER));
}

static void
get_from_queue(struct bench_message *m)
{
	size_t len;

	growth_must(mproc_queue_get(queue, m, sizeof(*m), &len, MPROC_FOREVER));
	growth_expect(len == sizeof(*m), "a message has another length");
}

static void
put_to_pipe(const struct bench_message *m)
{
	growth_expect(write(ends[1], m, sizeof(*m)) == sizeof(*m), "write");
}

static void
get_from_pipe(struct bench_message *m)
{
	growth_expect(read(ends[0], m, sizeof(*m)) == sizeof(*m), "read");
}

static void
produce(uint64_t producer, uint64_t each,
	void (*put)(const struct bench_message *))
{
	struct bench_message m;

	bench_fill(&m, NUMBER(producer, 0));
	put(&m);
	close(gate[1]);
	growth_expect(read(gate[0], &m, 1) == 0, "the gate");
	for (uint64_t i = 1; i <= each; i++) {
		bench_fill(&m, NUMBER(producer, i));
		put(&m);
	}
}

static void
take(uint64_t *next, uint64_t x, void (*get)(struct bench_message *))
{
	struct bench_message m;
	uint64_t producer;

	get(&m);
	producer = m.number >> 32;
	growth_expect(producer < x && bench_is_good(&m, NUMBER(producer,
							       next[producer])),
		      "a wrong message, or not in its order");
	next[producer]++;
}

static double
consume(uint64_t x, void (*put)(const struct bench_message *),
	void (*get)(struct bench_message *))
{
	uint64_t next[PRODUCERS] = { 0 }, each = MESSAGES / x;
	int64_t began;
	int status;

	growth_expect(pipe(gate) == 0, "pipe");
	for (uint64_t i = 0; i < x; i++) {
		pid_t pid = fork();

		growth_expect(pid >= 0, "fork");
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			produce(i, each, put);
			_exit(0);
		}
	}
	for (uint64_t i = 0; i < x; i++)
		take(next, x, get);
	began = mproc_now();
	close(gate[1]);
	for (uint64_t i = 0; i < each * x; i++)
		take(next, x, get);
	began = mproc_now() - began;
	close(gate[0]);
	for (uint64_t i = 0; i < x; i++) {
		growth_expect(wait(&status) > 0 && !status,
			      "a producer has failed");
		growth_expect(next[i] == each + 1, "a message is missing");
	}
	return (double)began / (double)(each * x);
}

static void
producers(uint64_t x, double *ns)
{
	growth_must(mproc_queue_create(&queue, NULL));
	ns[0] = consume(x, put_to_queue, get_from_queue);
}

static void
writers(uint64_t x, double *ns)
{
	growth_expect(pipe(ends) == 0, "pipe");
	ns[0] = consume(x, put_to_pipe, get_from_pipe);
}

const struct growth growth_of_producers = {
	.figures = { "A message from several producers" },
	.x_name = "producers",
	.x = { 1, 4, 16, 64, 256 },
	.quick = 3,
	.ours = producers,
	.bare = writers,
	.bare_name = "pipe",
};

/* A lane of a queue has as much. */
struct ring {
	alignas(4096) _Atomic uint64_t head;
	alignas(64) _Atomic uint64_t tail;
	alignas(64) struct bench_message messages[32];
};

static void
check(const struct bench_message *m, uint64_t number)
{
	growth_expect(bench_is_good(m, number), "a wrong message");
}

static double
through_queues(mproc_queue **qs, uint64_t x, uint64_t rounds)
{
	int64_t began = mproc_now();
	struct bench_message m;
	size_t len;

	for (uint64_t round = 0; round < rounds; round++) {
		for (uint64_t i = 0; i < x; i++) {
			bench_fill(&m, NUMBER(i, round));
			growth_must(mproc_queue_put(qs[i], &m, sizeof(m),
						    MPROC_NOWAIT));
		}
		for (uint64_t i = 0; i < x; i++) {
			growth_must(mproc_queue_get(qs[i], &m, sizeof(m), &len,
						    MPROC_NOWAIT));
			check(&m, NUMBER(i, round));
		}
	}
	return (double)(mproc_now() - began) / (double)(rounds * x);
}

static void
queues(uint64_t x, double *ns)
{
	mproc_queue **qs = calloc(x, sizeof(*qs));
	uint64_t rounds = QUEUED / x;
	int64_t began;

	growth_expect(qs != NULL, "no memory");
	/* Else the arena is made with the first of them. */
	growth_must(mproc_arena_default() ? 0 : -1);
	began = mproc_now();
	for (uint64_t i = 0; i < x; i++)
		growth_must(mproc_queue_create(
			&qs[i],
			MPROC_OPTS(mproc_queue_opts, .capacity = 4096)));
	through_queues(qs, x, 1);
	ns[0] = (double)(mproc_now() - began) / (double)x;
	ns[1] = through_queues(qs, x, rounds);
	began = mproc_now();
	for (uint64_t i = 0; i < x; i++)
		mproc_queue_destroy(qs[i]);
	ns[2] = (double)(mproc_now() - began) / (double)x;
	free(qs);
}

static double
through_rings(struct ring **rs, uint64_t x, uint64_t rounds)
{
	int64_t began = mproc_now();
	struct bench_message m;

	for (uint64_t round = 0; round < rounds; round++) {
		for (uint64_t i = 0; i < x; i++) {
			uint64_t tail = atomic_load_explicit(
				&rs[i]->tail, memory_order_relaxed);

			bench_fill(&m, NUMBER(i, round));
			rs[i]->messages[tail % 32] = m;
			/* As for another process, as in a queue. */
			atomic_store_explicit(&rs[i]->tail, tail + 1,
					      memory_order_release);
		}
		for (uint64_t i = 0; i < x; i++) {
			uint64_t head = atomic_load_explicit(
				&rs[i]->head, memory_order_relaxed);

			growth_expect(atomic_load_explicit(
					      &rs[i]->tail,
					      memory_order_acquire) != head,
				      "empty");
			m = rs[i]->messages[head % 32];
			atomic_store_explicit(&rs[i]->head, head + 1,
					      memory_order_release);
			check(&m, NUMBER(i, round));
		}
	}
	return (double)(mproc_now() - began) / (double)(rounds * x);
}

static void
rings(uint64_t x, double *ns)
{
	struct ring **rs = calloc(x, sizeof(*rs));
	uint64_t rounds = QUEUED / x;
	int64_t began = mproc_now();

	growth_expect(rs != NULL, "no memory");
	for (uint64_t i = 0; i < x; i++)
		rs[i] = bench_shared(sizeof(**rs));
	through_rings(rs, x, 1);
	ns[0] = (double)(mproc_now() - began) / (double)x;
	ns[1] = through_rings(rs, x, rounds);
	began = mproc_now();
	for (uint64_t i = 0; i < x; i++)
		munmap(rs[i], sizeof(*rs[i]));
	ns[2] = (double)(mproc_now() - began) / (double)x;
	free(rs);
}

const struct growth growth_of_queues = {
	.figures = { "A queue until its first message was taken",
		     "A message, to each of several queues",
		     "The end of a queue" },
	.x_name = "queues",
	.x = { 1, 10, 100, 1000, 10000 },
	.quick = 4,
	.ours = queues,
	.bare = rings,
	.bare_name = "mapped rings",
};
