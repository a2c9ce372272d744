/* SPDX-License-Identifier: MIT */
/*
 * 64-byte messages from one process to another: libmproc's queue, singly and in
 * batches, against what the kernel offers, and against a hand-written ring of
 * 64-byte slots with cached indices and the same way of polling (the yardstick
 * of what memory allows).
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

#define BATCH 16

/*
 * How the two ends of a rival are used. put puts the messages from number
 * @first on, as many as it does with one call; get takes some, of which the
 * first must be @first, and returns how many.
 */
struct rival {
	const char *name;
	uint64_t n; /* messages in a round, a multiple of BATCH */
	void (*open)(void);
	unsigned (*put)(uint64_t first);
	unsigned (*get)(uint64_t first);
	void (*close)(void);
};

static void
check(const struct bench_message *m, uint64_t number)
{
	if (!bench_is_good(m, number))
		bench_die("a wrong message");
}

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

static unsigned
queue_put(uint64_t first)
{
	struct bench_message m;

	bench_fill(&m, first);
	if (mproc_queue_put(queue, &m, sizeof(m), MPROC_FOREVER) < 0)
		bench_die(mproc_error_detail());
	return 1;
}

static unsigned
queue_get(uint64_t first)
{
	struct bench_message m;
	size_t len;

	if (mproc_queue_get(queue, &m, sizeof(m), &len, MPROC_FOREVER) < 0 ||
	    len != sizeof(m))
		bench_die(mproc_error_detail());
	check(&m, first);
	return 1;
}

static unsigned
queue_put_batch(uint64_t first)
{
	struct bench_message m[BATCH];
	struct iovec msgs[BATCH];
	int r;

	for (int i = 0; i < BATCH; i++) {
		bench_fill(&m[i], first + (uint64_t)i);
		msgs[i] = (struct iovec){ &m[i], sizeof(m[i]) };
	}
	for (int done = 0; done < BATCH; done += r) {
		r = mproc_queue_put_many(queue, msgs + done, BATCH - done,
					 MPROC_FOREVER);
		if (r < 0)
			bench_die(mproc_error_detail());
	}
	return BATCH;
}

static unsigned
queue_get_batch(uint64_t first)
{
	struct bench_message m[BATCH];
	struct iovec msgs[BATCH];
	int r = mproc_queue_get_many(queue, m, sizeof(m), msgs, BATCH,
				     MPROC_FOREVER);

	if (r < 0)
		bench_die(mproc_error_detail());
	for (int i = 0; i < r; i++) {
		if (msgs[i].iov_len != sizeof(m[i]))
			bench_die("a wrong length");
		check(&m[i], first + (uint64_t)i);
	}
	return (unsigned)r;
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

static unsigned
ends_put(uint64_t first)
{
	struct bench_message m;

	bench_fill(&m, first);
	if (write(ends[1], &m, sizeof(m)) != sizeof(m))
		bench_die("write");
	return 1;
}

static unsigned
ends_get(uint64_t first)
{
	struct bench_message m;

	if (read(ends[0], &m, sizeof(m)) != sizeof(m))
		bench_die("read");
	check(&m, first);
	return 1;
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

static unsigned
mq_put(uint64_t first)
{
	struct bench_message m;

	bench_fill(&m, first);
	if (mq_send(mq, (const char *)&m, sizeof(m), 0) < 0)
		bench_die("mq_send");
	return 1;
}

static unsigned
mq_get(uint64_t first)
{
	struct bench_message m;

	if (mq_receive(mq, (char *)&m, sizeof(m), NULL) != sizeof(m))
		bench_die("mq_receive");
	check(&m, first);
	return 1;
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
	ring = bench_shared(sizeof(*ring));
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

static unsigned
ring_put(uint64_t first)
{
	struct bench_message m;

	bench_fill(&m, first);
	if (ring_tail - head_seen == SLOTS) {
		while (ring_tail - (head_seen = atomic_load_explicit(
					    &ring->head,
					    memory_order_acquire)) >
		       SLOTS - SLOTS / 8)
			back_off();
	}
	ring->slot[ring_tail % SLOTS] = m;
	atomic_store_explicit(&ring->tail, ++ring_tail, memory_order_release);
	return 1;
}

static unsigned
ring_get(uint64_t first)
{
	struct bench_message m;

	while (ring_head == tail_seen) {
		tail_seen = atomic_load_explicit(&ring->tail,
						 memory_order_acquire);
		if (ring_head == tail_seen)
			back_off();
	}
	m = ring->slot[ring_head % SLOTS];
	atomic_store_explicit(&ring->head, ++ring_head, memory_order_release);
	check(&m, first);
	return 1;
}

static void
ring_close(void)
{
	munmap(ring, sizeof(*ring));
}

enum {
	SINGLE,
	SHARED,
	SINGLE_BATCH,
	SHARED_BATCH,
	QUEUES,
	RING = QUEUES,
	KERNEL, /* from here on */
	RIVALS = KERNEL + 3,
};

static const struct rival rivals[RIVALS] = {
	[SINGLE] = { "queue, one consumer", 4000000, single_open, queue_put,
		     queue_get, queue_close },
	[SHARED] = { "queue", 4000000, shared_open, queue_put, queue_get,
		     queue_close },
	[SINGLE_BATCH] = { "queue, one, by 16", 4000000, single_open,
			   queue_put_batch, queue_get_batch, queue_close },
	[SHARED_BATCH] = { "queue, by 16", 4000000, shared_open,
			   queue_put_batch, queue_get_batch, queue_close },
	[RING] = { "hand-written ring", 4000000, ring_open, ring_put, ring_get,
		   ring_close },
	[KERNEL] = { "pipe", 400000, pipe_open, ends_put, ends_get,
		     ends_close },
	{ "Unix socket pair", 200000, socket_open, ends_put, ends_get,
	  ends_close },
	{ "POSIX message queue", 200000, mq_open_it, mq_put, mq_get,
	  mq_close_it },
};

/* ns per message, from the first message taken to the last. */
static double
round_of(const struct rival *r)
{
	int64_t start = 0;
	uint64_t early = 0;
	int status;
	pid_t pid;

	r->open();
	pid = fork();
	if (pid == 0) {
		for (uint64_t i = 0; i < r->n;)
			i += r->put(i);
		_exit(0);
	}
	for (uint64_t i = 0; i < r->n;) {
		i += r->get(i);
		if (!start) {
			start = mproc_now();
			early = i;
		}
	}
	start = mproc_now() - start;
	if (waitpid(pid, &status, 0) != pid || status)
		bench_die("the producer failed");
	mproc_arena_recover(NULL);
	r->close();
	return (double)start / (double)(r->n - early);
}

/* Median over the rounds of how much faster @k was than @than. */
static double
ratio(double (*ns)[RIVALS], double *column, int rounds, int k, int than)
{
	for (int i = 0; i < rounds; i++)
		column[i] = ns[i][than] / ns[i][k];
	return bench_median(column, rounds);
}

/* The same, for the best of the kernel's in each round. */
static double
ratio_to_kernel(double (*ns)[RIVALS], double *column, int rounds, int k)
{
	for (int i = 0; i < rounds; i++) {
		double best = ns[i][KERNEL];

		for (int j = KERNEL + 1; j < RIVALS; j++)
			if (ns[i][j] < best)
				best = ns[i][j];
		column[i] = best / ns[i][k];
	}
	return bench_median(column, rounds);
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;
	double (*ns)[RIVALS], *column = bench_column(rounds);

	ns = calloc((size_t)rounds, sizeof(*ns));
	if (!ns)
		bench_die("no memory");
	for (int i = 0; i < rounds; i++)
		for (int k = 0; k < RIVALS; k++)
			ns[i][k] = round_of(&rivals[k]);
	printf("64 bytes, one process to another, %d rounds in turn, verified\n",
	       rounds);
	printf("%-20s %10s %10s %10s\n", "", "median ns", "least", "most");
	bench_table("ns for a message", "queue: 64 bytes, 1 to 1");
	for (int k = 0; k < RIVALS; k++) {
		for (int i = 0; i < rounds; i++)
			column[i] = ns[i][k];
		bench_row(rivals[k].name, column, rounds, 1);
		printf("\n");
	}
	/* Ratios within a round, then their median. */
	for (int k = 0; k < QUEUES; k++)
		printf("%s: %.1f times the best of the kernel's, %.2f times "
		       "the ring\n", rivals[k].name,
		       ratio_to_kernel(ns, column, rounds, k),
		       ratio(ns, column, rounds, k, RING));
	printf("batches of %d: %.2f times single messages with a single "
	       "consumer, %.2f times without\n", BATCH,
	       ratio(ns, column, rounds, SINGLE_BATCH, SINGLE),
	       ratio(ns, column, rounds, SHARED_BATCH, SHARED));
	free(ns);
	free(column);
	return 0;
}
