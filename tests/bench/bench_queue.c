/* SPDX-License-Identifier: MIT */
/*
 * 64-byte messages from one process to another: libmproc's queue against what
 * the kernel offers, and against a hand-written ring of 64-byte slots with
 * cached indices and the same way of polling (the yardstick of what memory
 * allows).
 *
 * Usage: bench_queue [rounds]
 */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "bench.h"

#define ROUNDS 9

/* How the two ends of a rival are used. */
struct rival {
	const char *name;
	uint64_t n; /* messages in a round */
	void (*open)(void);
	void (*put)(const struct bench_message *m);
	void (*get)(struct bench_message *m);
	void (*close)(void);
};

static mproc_queue *queue;

static void
queue_open_as(bool single_consumer)
{
	if (mproc_queue_create(&queue,
			       MPROC_OPTS(mproc_queue_opts,
					  .single_consumer =
						  single_consumer)) < 0)
		bench_die(mproc_error_detail());
}

static void
single_open(void)
{
	queue_open_as(true);
}

static void
shared_open(void)
{
	queue_open_as(false);
}

static void
queue_put(const struct bench_message *m)
{
	if (mproc_queue_put(queue, m, sizeof(*m), MPROC_FOREVER) < 0)
		bench_die(mproc_error_detail());
}

static void
queue_get(struct bench_message *m)
{
	size_t len;

	if (mproc_queue_get(queue, m, sizeof(*m), &len, MPROC_FOREVER) < 0 ||
	    len != sizeof(*m))
		bench_die(mproc_error_detail());
}

static void
queue_close(void)
{
	mproc_queue_destroy(queue);
}

/* Descriptors: write to [1], read from [0]. */
static int ends[2];

static void
pipe_open(void)
{
	if (pipe(ends) < 0)
		bench_die("pipe");
}

static void
socket_open(void)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) < 0)
		bench_die("socketpair");
}

static void
ends_put(const struct bench_message *m)
{
	if (write(ends[1], m, sizeof(*m)) != sizeof(*m))
		bench_die("write");
}

static void
ends_get(struct bench_message *m)
{
	if (read(ends[0], m, sizeof(*m)) != sizeof(*m))
		bench_die("read");
}

static void
ends_close(void)
{
	close(ends[0]);
	close(ends[1]);
}

static mqd_t mq;

static void
mq_open_it(void)
{
	struct mq_attr attr = { .mq_maxmsg = 10,
				.mq_msgsize = sizeof(struct bench_message) };
	char name[64];

	snprintf(name, sizeof(name), "/mproc-bench-%d", (int)getpid());
	mq = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	if (mq == (mqd_t)-1)
		bench_die("mq_open");
	mq_unlink(name);
}

static void
mq_put(const struct bench_message *m)
{
	if (mq_send(mq, (const char *)m, sizeof(*m), 0) < 0)
		bench_die("mq_send");
}

static void
mq_get(struct bench_message *m)
{
	if (mq_receive(mq, (char *)m, sizeof(*m), NULL) != sizeof(*m))
		bench_die("mq_receive");
}

static void
mq_close_it(void)
{
	mq_close(mq);
}

/* The yardstick. Same memory as the queue's default lane. */
#define SLOTS 1024

struct ring {
	alignas(128) _Atomic uint64_t tail;
	alignas(128) _Atomic uint64_t head;
	alignas(128) struct bench_message slot[SLOTS];
};

static struct ring *ring;
static uint64_t ring_tail, ring_head, head_seen, tail_seen;

static void
ring_open(void)
{
	ring = mmap(NULL, sizeof(*ring), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (ring == MAP_FAILED)
		bench_die("mmap");
	ring_tail = ring_head = head_seen = tail_seen = 0;
}

/* About a microsecond, as the queue waits between two looks. */
static void
back_off(void)
{
	int64_t end = mproc_now() + 1000;

	while (mproc_now() < end)
		;
}

static void
ring_put(const struct bench_message *m)
{
	if (ring_tail - head_seen == SLOTS) {
		while (ring_tail - (head_seen = atomic_load_explicit(
					    &ring->head,
					    memory_order_acquire)) >
		       SLOTS - SLOTS / 8)
			back_off();
	}
	ring->slot[ring_tail % SLOTS] = *m;
	atomic_store_explicit(&ring->tail, ++ring_tail, memory_order_release);
}

static void
ring_get(struct bench_message *m)
{
	while (ring_head == tail_seen) {
		tail_seen = atomic_load_explicit(&ring->tail,
						 memory_order_acquire);
		if (ring_head == tail_seen)
			back_off();
	}
	*m = ring->slot[ring_head % SLOTS];
	atomic_store_explicit(&ring->head, ++ring_head, memory_order_release);
}

static void
ring_close(void)
{
	munmap(ring, sizeof(*ring));
}

static const struct rival rivals[] = {
	{ "queue, single consumer", 4000000, single_open, queue_put, queue_get,
	  queue_close },
	{ "queue", 4000000, shared_open, queue_put, queue_get, queue_close },
	{ "hand-written ring", 4000000, ring_open, ring_put, ring_get,
	  ring_close },
	{ "pipe", 400000, pipe_open, ends_put, ends_get, ends_close },
	{ "Unix socket pair", 200000, socket_open, ends_put, ends_get,
	  ends_close },
	{ "POSIX message queue", 200000, mq_open_it, mq_put, mq_get,
	  mq_close_it },
};

#define N_RIVALS (sizeof(rivals) / sizeof(*rivals))

/* ns per message, from the first message taken to the last. */
static double
round_of(const struct rival *r)
{
	struct bench_message m;
	int64_t start = 0;
	int status;
	pid_t pid;

	r->open();
	pid = fork();
	if (pid == 0) {
		for (uint64_t i = 0; i < r->n; i++) {
			bench_fill(&m, i);
			r->put(&m);
		}
		_exit(0);
	}
	for (uint64_t i = 0; i < r->n; i++) {
		r->get(&m);
		if (!bench_is_good(&m, i))
			bench_die("a wrong message");
		if (i == 0)
			start = mproc_now();
	}
	start = mproc_now() - start;
	if (waitpid(pid, &status, 0) != pid || status)
		bench_die("the producer failed");
	mproc_arena_recover(NULL);
	r->close();
	return (double)start / (double)(r->n - 1);
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;
	double (*ns)[N_RIVALS];
	double medians[N_RIVALS], *column, best = 0;

	ns = calloc((size_t)rounds, sizeof(*ns));
	column = calloc((size_t)rounds, sizeof(*column));
	if (!ns || !column)
		bench_die("no memory");
	for (int i = 0; i < rounds; i++)
		for (size_t k = 0; k < N_RIVALS; k++)
			ns[i][k] = round_of(&rivals[k]);
	printf("64 bytes, one process to another, %d rounds in turn, verified\n",
	       rounds);
	printf("%-24s %10s %10s %10s\n", "", "median ns", "least", "most");
	for (size_t k = 0; k < N_RIVALS; k++) {
		for (int i = 0; i < rounds; i++)
			column[i] = ns[i][k];
		medians[k] = bench_median(column, rounds);
		printf("%-24s %10.1f %10.1f %10.1f\n", rivals[k].name,
		       medians[k], column[0], column[rounds - 1]);
		if (k >= 3 && (best == 0 || medians[k] < best))
			best = medians[k];
	}
	/* Ratios within a round, then their median. */
	for (size_t k = 0; k < 2; k++) {
		for (int i = 0; i < rounds; i++) {
			double kernel = ns[i][3];

			for (size_t j = 4; j < N_RIVALS; j++)
				if (ns[i][j] < kernel)
					kernel = ns[i][j];
			column[i] = kernel / ns[i][k];
		}
		printf("%s: %.1f times the best of the kernel's",
		       rivals[k].name, bench_median(column, rounds));
		for (int i = 0; i < rounds; i++)
			column[i] = ns[i][2] / ns[i][k];
		printf(", %.2f times the ring\n",
		       bench_median(column, rounds));
	}
	free(ns);
	free(column);
	return 0;
}
