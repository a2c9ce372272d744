/* SPDX-License-Identifier: MIT */
/*
 * Round trips of a 64-byte message between two processes: libmproc's queue
 * against two raw futexes where both sides sleep, and against two words in two
 * cache lines where both sides spin.
 *
 * Both sides sleep where they share a CPU, or where each one takes longer for
 * its answer than the other polls; that pause is subtracted. They spin where
 * each has a CPU and answers at once.
 *
 * Usage: bench_queue_latency [rounds]
 */
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "bench.h"

#define ROUNDS 9
#define TRIPS 20000
#define SLOW_TRIPS 500
#define PAUSE 300000 /* ns, longer than anybody polls */

static int64_t pause_ns;

/* One way there and one back; verified on both sides. */
struct rival {
	const char *name;
	void (*open)(void);
	void (*ask)(uint64_t number);	 /* and waits for the answer */
	void (*answer)(uint64_t number); /* waits for the question first */
	void (*close)(void);
};

static void
take_time(void)
{
	int64_t end;

	/* A look at the clock takes time, too. */
	if (!pause_ns)
		return;
	end = mproc_now() + pause_ns;
	while (mproc_now() < end)
		;
}

static mproc_queue *there, *back;

static void
queue_open(void)
{
	const struct mproc_queue_opts *opts =
		MPROC_OPTS(mproc_queue_opts, .single_consumer = true);

	if (mproc_queue_create(&there, opts) < 0 ||
	    mproc_queue_create(&back, opts) < 0)
		bench_die(mproc_error_detail());
}

static void
send(mproc_queue *q, uint64_t number)
{
	struct bench_message m;

	bench_fill(&m, number);
	if (mproc_queue_put(q, &m, sizeof(m), MPROC_FOREVER) < 0)
		bench_die(mproc_error_detail());
}

static void
receive(mproc_queue *q, uint64_t number)
{
	struct bench_message m;

	if (mproc_queue_get(q, &m, sizeof(m), NULL, MPROC_FOREVER) < 0)
		bench_die(mproc_error_detail());
	if (!bench_is_good(&m, number))
		bench_die("a wrong message");
}

static void
queue_ask(uint64_t number)
{
	take_time();
	send(there, number);
	receive(back, number + 1);
}

static void
queue_answer(uint64_t number)
{
	receive(there, number);
	take_time();
	send(back, number + 1);
}

static void
queue_close(void)
{
	mproc_arena_recover(NULL);
	mproc_queue_destroy(there);
	mproc_queue_destroy(back);
}

/* Two words, each in a line of its own. */
struct words {
	alignas(128) _Atomic uint32_t there;
	alignas(128) _Atomic uint32_t back;
};

static struct words *words;

static void
words_open(void)
{
	words = bench_shared(sizeof(*words));
}

static void
words_close(void)
{
	munmap(words, sizeof(*words));
}

static void
futex_send(_Atomic uint32_t *word, uint32_t value)
{
	atomic_store(word, value);
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void
futex_receive(_Atomic uint32_t *word, uint32_t value)
{
	uint32_t now;

	while ((now = atomic_load(word)) != value)
		if (syscall(SYS_futex, word, FUTEX_WAIT, now, NULL, NULL, 0) <
			    0 &&
		    errno != EAGAIN && errno != EINTR)
			bench_die("futex");
}

static void
futex_ask(uint64_t number)
{
	take_time();
	futex_send(&words->there, (uint32_t)number + 1);
	futex_receive(&words->back, (uint32_t)number + 1);
}

static void
futex_answer(uint64_t number)
{
	futex_receive(&words->there, (uint32_t)number + 1);
	take_time();
	futex_send(&words->back, (uint32_t)number + 1);
}

static void
spin_for(_Atomic uint32_t *word, uint32_t value)
{
	while (atomic_load_explicit(word, memory_order_acquire) != value)
		;
}

static void
line_ask(uint64_t number)
{
	atomic_store_explicit(&words->there, (uint32_t)number + 1,
			      memory_order_release);
	spin_for(&words->back, (uint32_t)number + 1);
}

static void
line_answer(uint64_t number)
{
	spin_for(&words->there, (uint32_t)number + 1);
	atomic_store_explicit(&words->back, (uint32_t)number + 1,
			      memory_order_release);
}

static const struct rival queue = { "queue", queue_open, queue_ask,
				    queue_answer, queue_close };
static const struct rival futex = { "raw futex", words_open, futex_ask,
				    futex_answer, words_close };
static const struct rival lines = { "two cache lines", words_open, line_ask,
				    line_answer, words_close };

/* The nth CPU that this process may use. */
static void
pin(unsigned n)
{
	static cpu_set_t allowed;
	cpu_set_t one;

	if (!CPU_COUNT(&allowed) &&
	    sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		bench_die("sched_getaffinity");
	CPU_ZERO(&one);
	for (size_t i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &allowed) && n-- == 0)
			CPU_SET(i, &one);
	if (sched_setaffinity(0, sizeof(one), &one) < 0)
		bench_die("sched_setaffinity");
}

/* ns of a round trip, without the pauses. */
static double
round_of(const struct rival *r, unsigned other_cpu, uint64_t trips)
{
	int64_t began;
	int status;
	pid_t pid;

	r->open();
	pid = fork();
	if (pid == 0) {
		pin(other_cpu);
		for (uint64_t i = 0; i <= trips; i++)
			r->answer(2 * i);
		_exit(0);
	}
	r->ask(0); /* both are there */
	began = mproc_now();
	for (uint64_t i = 1; i <= trips; i++)
		r->ask(2 * i);
	began = mproc_now() - began;
	if (waitpid(pid, &status, 0) != pid || status)
		bench_die("the peer failed");
	r->close();
	return (double)began / (double)trips - 2 * (double)pause_ns;
}

static void
compare(const char *how, const struct rival *rival, unsigned other_cpu,
	uint64_t trips, int rounds)
{
	const char *names[2] = { queue.name, rival->name };
	double **ns = bench_columns(2, rounds);

	for (int i = 0; i < rounds; i++) {
		ns[0][i] = round_of(&queue, other_cpu, trips);
		ns[1][i] = round_of(rival, other_cpu, trips);
	}
	bench_table("ns", "queue: round trip of 64 bytes, %s", how);
	bench_table_now.placement = other_cpu ? "two CPUs" : "one CPU";
	bench_show(names, ns, 2, rounds, 0);
	bench_free_columns(ns, 2);
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;
	bool two = mproc_cpu_count() > 1;

	printf("round trip of 64 bytes, %d rounds in turn, verified\n", rounds);
	pin(0);
	compare("asleep", &futex, 0, TRIPS, rounds);
	if (!two)
		return 0;
	pause_ns = PAUSE;
	compare("asleep", &futex, 1, SLOW_TRIPS, rounds);
	pause_ns = 0;
	compare("spinning", &lines, 1, 10 * TRIPS, rounds);
	return 0;
}
