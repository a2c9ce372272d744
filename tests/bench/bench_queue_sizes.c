/* SPDX-License-Identifier: MIT */
/*
 * Messages of 8 bytes to 8 MiB from one process to another: libmproc's queue
 * with a single consumer and with several allowed, copied and in place, against
 * the kernel's transports, and against hand-written slots in shared memory with
 * two memcpy (the yardstick of what memory allows; up to 64 bytes these are the
 * slots of bench_queue's ring).
 *
 * Each receiver checks the length, and a word at the beginning of each 4 KiB
 * page, which tells the message's number and the page's; in the first messages
 * of each round it checks every byte.
 *
 * Usage: bench_queue_sizes [rounds]
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
#include "pages.h"

#define ROUNDS 7
#define MOST ((size_t)8 << 20)
#define WHOLE 3 /* so many messages are checked byte by byte */
#define WARM 32 /* so many are not measured: all memory is touched then */
#define VOLUME ((size_t)128 << 20) /* bytes in a round, about */

static const size_t sizes[] = {
	8, 64, 1024, 4096, 16384, 65536, 262144, 1 << 20, MOST,
};

#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

/* Of the present round. */
static size_t size;
static uint64_t messages;
static unsigned char *buffer; /* what is sent, or where it is received */

static void
check(const unsigned char *p, size_t len, uint64_t number)
{
	if (len != size)
		bench_die("a wrong length");
	if (!bench_pages_are(p, size, number))
		bench_die("a wrong message");
	if (number < WHOLE && !bench_pages_are_whole(p, size))
		bench_die("a wrong byte");
}

struct rival {
	const char *name;
	size_t most; /* bytes that it can do */
	void (*open)(void);
	void (*put)(uint64_t number);
	void (*get)(uint64_t number);
	void (*close)(void);
};

static mproc_queue *queue;

static void
queue_open_as(bool single)
{
	/* Four of the longest messages that are copied fit the lane. */
	if (mproc_queue_create(&queue, MPROC_OPTS(mproc_queue_opts,
						  .single_consumer = single)) <
	    0)
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
queue_put(uint64_t number)
{
	bench_pages_stamp(buffer, size, number);
	if (mproc_queue_put(queue, buffer, size, MPROC_FOREVER) < 0)
		bench_die(mproc_error_detail());
}

static void
queue_get(uint64_t number)
{
	size_t len;

	if (mproc_queue_get(queue, buffer, MOST, &len, MPROC_FOREVER) < 0)
		bench_die(mproc_error_detail());
	check(buffer, len, number);
}

/* In place nothing is copied: only what is stamped is written. The bytes between
 * are those of an earlier message, or of the first ones. */
static void
place_put(uint64_t number)
{
	void *p;

	if (mproc_queue_reserve(queue, size, &p, MPROC_FOREVER) < 0)
		bench_die(mproc_error_detail());
	if (number < WHOLE)
		memcpy(p, buffer, size);
	bench_pages_stamp(p, size, number);
	if (mproc_queue_commit(queue, p, size) < 0)
		bench_die(mproc_error_detail());
}

static void
place_get(uint64_t number)
{
	const void *p;
	size_t len;

	if (mproc_queue_peek(queue, &p, &len, MPROC_FOREVER) < 0)
		bench_die(mproc_error_detail());
	check(p, len, number);
	if (mproc_queue_release(queue, p) < 0)
		bench_die(mproc_error_detail());
}

static void
queue_close(void)
{
	mproc_queue_destroy(queue);
}

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
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
		bench_die("socketpair");
}

static void
ends_put(uint64_t number)
{
	size_t done = 0;
	ssize_t r;

	bench_pages_stamp(buffer, size, number);
	while (done < size) {
		r = write(ends[1], buffer + done, size - done);
		if (r <= 0)
			bench_die("write");
		done += (size_t)r;
	}
}

static void
ends_get(uint64_t number)
{
	size_t done = 0;
	ssize_t r;

	while (done < size) {
		r = read(ends[0], buffer + done, size - done);
		if (r <= 0)
			bench_die("read");
		done += (size_t)r;
	}
	check(buffer, done, number);
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
	struct mq_attr attr = { .mq_maxmsg = 10, .mq_msgsize = (long)size };
	char name[64];

	snprintf(name, sizeof(name), "/mproc-bench-%d", (int)getpid());
	mq = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	if (mq == (mqd_t)-1)
		bench_die("mq_open");
	mq_unlink(name);
}

static void
mq_put(uint64_t number)
{
	bench_pages_stamp(buffer, size, number);
	if (mq_send(mq, (const char *)buffer, size, 0) < 0)
		bench_die("mq_send");
}

static void
mq_get(uint64_t number)
{
	ssize_t len = mq_receive(mq, (char *)buffer, size, NULL);

	check(buffer, (size_t)len, number);
}

static void
mq_close_it(void)
{
	mq_close(mq);
}

/* The yardstick: slots of 64 bytes or of one message, 64 KiB of them but four at
 * least, with cached indices. */
struct slots {
	alignas(128) _Atomic uint64_t tail;
	alignas(128) _Atomic uint64_t head;
	alignas(128) unsigned char bytes[];
};

static struct slots *slots;
static size_t slot_size, slots_size;
static uint64_t n_slots, slots_tail, slots_head, head_seen, tail_seen;

static void
slots_open(void)
{
	slot_size = (size + 63) / 64 * 64;
	n_slots = 65536 / slot_size < 4 ? 4 : 65536 / slot_size;
	slots_size = sizeof(*slots) + n_slots * slot_size;
	slots = mmap(NULL, slots_size, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (slots == MAP_FAILED)
		bench_die("mmap");
	slots_tail = slots_head = head_seen = tail_seen = 0;
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
slots_put(uint64_t number)
{
	bench_pages_stamp(buffer, size, number);
	if (slots_tail - head_seen == n_slots)
		while (slots_tail - (head_seen = atomic_load_explicit(
					     &slots->head,
					     memory_order_acquire)) >
		       n_slots - (n_slots + 7) / 8)
			back_off();
	memcpy(slots->bytes + slots_tail % n_slots * slot_size, buffer, size);
	atomic_store_explicit(&slots->tail, ++slots_tail,
			      memory_order_release);
}

static void
slots_get(uint64_t number)
{
	while (slots_head == tail_seen) {
		tail_seen = atomic_load_explicit(&slots->tail,
						 memory_order_acquire);
		if (slots_head == tail_seen)
			back_off();
	}
	memcpy(buffer, slots->bytes + slots_head % n_slots * slot_size, size);
	atomic_store_explicit(&slots->head, ++slots_head,
			      memory_order_release);
	check(buffer, size, number);
}

static void
slots_close(void)
{
	munmap(slots, slots_size);
}

enum {
	SINGLE,
	SHARED,
	SINGLE_IN_PLACE,
	SHARED_IN_PLACE,
	QUEUES,
	SLOTS = QUEUES,
	KERNEL, /* from here on */
	PIPE = KERNEL,
	SOCKET,
	MQ,
	RIVALS,
};

static const struct rival rivals[RIVALS] = {
	[SINGLE] = { "single", MOST, single_open, queue_put, queue_get,
		     queue_close },
	[SHARED] = { "several", MOST, shared_open, queue_put, queue_get,
		     queue_close },
	[SINGLE_IN_PLACE] = { "single, place", MOST, single_open,
			      place_put, place_get, queue_close },
	[SHARED_IN_PLACE] = { "several, place", MOST, shared_open,
			      place_put, place_get, queue_close },
	[SLOTS] = { "slots", MOST, slots_open, slots_put, slots_get,
		    slots_close },
	[PIPE] = { "pipe", MOST, pipe_open, ends_put, ends_get,
		   ends_close },
	[SOCKET] = { "socket", MOST, socket_open, ends_put, ends_get,
		     ends_close },
	[MQ] = { "mq", 8192, mq_open_it, mq_put, mq_get, mq_close_it },
};

/* ns per message, from the last of the first WARM to the last. */
static double
round_of(const struct rival *r)
{
	int64_t start = 0;
	int status;
	pid_t pid;

	bench_pages_fill(buffer, size);
	r->open();
	pid = fork();
	if (pid == 0) {
		for (uint64_t i = 0; i < messages; i++)
			r->put(i);
		_exit(0);
	}
	for (uint64_t i = 0; i < messages; i++) {
		r->get(i);
		if (i + 1 == WARM)
			start = mproc_now();
	}
	start = mproc_now() - start;
	if (waitpid(pid, &status, 0) != pid || status)
		bench_die("the producer failed");
	mproc_arena_recover(NULL);
	r->close();
	return (double)start / (double)(messages - WARM);
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
		double best = 0;

		for (int j = KERNEL; j < RIVALS; j++)
			if (ns[i][j] > 0 && (best <= 0 || ns[i][j] < best))
				best = ns[i][j];
		column[i] = best / ns[i][k];
	}
	return bench_median(column, rounds);
}

static void
compare(size_t bytes, int rounds, double (*ns)[RIVALS], double *column)
{
	size = bytes;
	messages = VOLUME / size;
	if (messages > 300000)
		messages = 300000;
	if (messages < 4 * WARM)
		messages = 4 * WARM;
	for (int i = 0; i < rounds; i++)
		for (int k = 0; k < RIVALS; k++)
			ns[i][k] = size <= rivals[k].most ?
					   round_of(&rivals[k]) : 0;
	bench_table("ns for a message", "queue: 1 to 1, copied and in place");
	bench_table_at((double)size, "bytes");
	printf("%8zu", size);
	for (int k = 0; k < RIVALS; k++) {
		char name[32];

		snprintf(name, sizeof(name), "%s%s", k < QUEUES ? "queue, " : "",
			 rivals[k].name);
		for (int i = 0; i < rounds; i++)
			column[i] = ns[i][k];
		if (size <= rivals[k].most)
			bench_report(name, column, rounds);
		else
			bench_report_left_out(name, "too long");
		printf(" %14.0f", bench_median(column, rounds));
	}
	printf("\n%8s", "");
	for (int k = 0; k < QUEUES; k++)
		printf("  %5.1f k %5.2f s", ratio_to_kernel(ns, column, rounds, k),
		       ratio(ns, column, rounds, k, SLOTS));
	printf("  %5.1f sockets\n", ratio(ns, column, rounds, SINGLE, SOCKET));
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;
	double (*ns)[RIVALS] = calloc((size_t)rounds, sizeof(*ns));
	double *column = bench_column(rounds);

	buffer = malloc(MOST);
	if (!buffer || !ns)
		bench_die("no memory");
	printf("one process to another, %d rounds in turn, verified; medians in "
	       "ns per message,\nbelow them times the best of the kernel's (k) "
	       "and times the slots (s)\n%8s", rounds, "bytes");
	for (int k = 0; k < RIVALS; k++)
		printf(" %14s", rivals[k].name);
	printf("\n");
	for (size_t i = 0; i < SIZES; i++)
		compare(sizes[i], rounds, ns, column);
	free(buffer);
	free(ns);
	free(column);
	return 0;
}
