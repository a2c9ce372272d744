/* SPDX-License-Identifier: MIT */
/*
 * What the machine itself can do, to divide by: a cache line that goes to and
 * fro between two CPUs, lines that stream from one to another through a ring,
 * whose index is published once for 16 of them; a sleep and a wake-up by bare
 * futexes; a bare fork with its wait; memcpy. Each but the last beside the
 * least that libmproc does for the same end.
 *
 * Two processes; numbers and lines are checked where they arrive.
 *
 * Usage: bench_hardware [rounds]
 */
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "bench.h"

#define ROUNDS 9
#define TRIPS 200000
#define SLEEPS 20000
#define LINES 4000000 /* a multiple of BATCH */
#define BATCH 16
#define RING 1024 /* lines, as many bytes as in a lane of a queue */
#define FORKS 200
#define COPIED ((size_t)256 << 20) /* by each size together */

struct line {
	alignas(64) uint64_t words[8];
};

static struct shared {
	alignas(128) _Atomic uint32_t there;
	alignas(128) _Atomic uint32_t back;
	alignas(128) _Atomic uint64_t head; /* lines that were taken */
	alignas(128) _Atomic uint64_t tail; /* lines that are there */
	alignas(128) _Atomic int64_t began;
	struct line ring[RING];
} * shared;

static mproc_queue *queues[2];
static cpu_set_t allowed;

static void
must(int r)
{
	if (r < 0)
		bench_die(mproc_error_detail());
}

/* On the nth of the CPUs that there are. */
static void
pin(int n)
{
	cpu_set_t one;
	int cpu = -1;

	while (n >= 0)
		n -= CPU_ISSET(++cpu, &allowed) != 0;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one) < 0)
		bench_die("sched_setaffinity");
}

static void
put(int which, const void *p, size_t len, mproc_timeout timeout)
{
	int r;

	while ((r = mproc_queue_put(queues[which], p, len, timeout)) == -EAGAIN)
		;
	must(r);
}

static void
get(int which, void *p, size_t size, mproc_timeout timeout)
{
	size_t len;
	int r;

	while ((r = mproc_queue_get(queues[which], p, size, &len, timeout)) ==
	       -EAGAIN)
		;
	must(r);
	if (len != size)
		bench_die("a message has another length");
}

/* Two ways to and fro: a word, and a queue for each direction. */
static void
line_send(_Atomic uint32_t *word, uint32_t n)
{
	/* With line_take(). */
	atomic_store_explicit(word, n, memory_order_release);
}

static void
line_take(_Atomic uint32_t *word, uint32_t n)
{
	while (atomic_load_explicit(word, memory_order_acquire) != n)
		;
}

static void
futex_send(_Atomic uint32_t *word, uint32_t n)
{
	atomic_store(word, n);
	if (syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0) < 0)
		bench_die("futex");
}

static void
futex_take(_Atomic uint32_t *word, uint32_t n)
{
	while (atomic_load(word) != n)
		syscall(SYS_futex, word, FUTEX_WAIT, n - 1, NULL, NULL, 0);
}

static void
raw_trips(uint32_t trips, bool first,
	  void (*send)(_Atomic uint32_t *, uint32_t),
	  void (*take)(_Atomic uint32_t *, uint32_t))
{
	for (uint32_t i = 1; i <= trips; i++) {
		if (first)
			send(&shared->there, i);
		else
			take(&shared->there, i);
		if (first)
			take(&shared->back, i);
		else
			send(&shared->back, i);
	}
}

static void
queue_trips(uint32_t trips, bool first, mproc_timeout timeout)
{
	for (uint32_t i = 1, n = 0; i <= trips; i++) {
		if (first) {
			put(0, &i, sizeof(i), timeout);
			get(1, &n, sizeof(n), timeout);
		} else {
			get(0, &n, sizeof(n), timeout);
			put(1, &n, sizeof(n), timeout);
		}
		if (n != i)
			bench_die("a wrong number came");
	}
}

static void
line_trips(bool first)
{
	raw_trips(TRIPS, first, line_send, line_take);
}

static void
futex_trips(bool first)
{
	raw_trips(SLEEPS, first, futex_send, futex_take);
}

static void
asked_trips(bool first)
{
	queue_trips(TRIPS, first, MPROC_NOWAIT);
}

static void
slept_trips(bool first)
{
	queue_trips(SLEEPS, first, MPROC_FOREVER);
}

static void
fill(struct line *line, uint64_t n)
{
	for (int i = 0; i < 8; i++)
		line->words[i] = n;
}

static void
check(const struct line *line, uint64_t n)
{
	uint64_t bad = 0;

	for (int i = 0; i < 8; i++)
		bad |= line->words[i] ^ n;
	if (bad)
		bench_die("a wrong line came");
}

static void
ring_lines(bool first)
{
	uint64_t other = 0;

	for (uint64_t at = 0; at < LINES; at += BATCH) {
		/* Each pairs with the other's release: a line that is taken is
		 * complete, and one that is written over was read. */
		if (first) {
			while (at + BATCH - other > RING)
				other = atomic_load_explicit(
					&shared->head, memory_order_acquire);
			for (uint64_t i = at; i < at + BATCH; i++)
				fill(&shared->ring[i % RING], i);
			atomic_store_explicit(&shared->tail, at + BATCH,
					      memory_order_release);
		} else {
			while (other < at + BATCH)
				other = atomic_load_explicit(
					&shared->tail, memory_order_acquire);
			for (uint64_t i = at; i < at + BATCH; i++)
				check(&shared->ring[i % RING], i);
			atomic_store_explicit(&shared->head, at + BATCH,
					      memory_order_release);
		}
	}
	/* Who is measured waits for the last one. */
	if (first)
		line_take(&shared->back, 1);
	else
		line_send(&shared->back, 1);
}

static void
queue_lines(bool first)
{
	struct line lines[BATCH];
	struct iovec msgs[BATCH];
	int r;

	for (uint64_t at = 0; at < LINES; at += (uint64_t)r) {
		if (first) {
			for (unsigned i = 0; i < BATCH; i++) {
				fill(&lines[i], at + i);
				msgs[i] = (struct iovec){ &lines[i],
							  sizeof(lines[i]) };
			}
			r = mproc_queue_put_many(queues[0], msgs, BATCH,
						 MPROC_FOREVER);
			must(r);
			continue;
		}
		r = mproc_queue_get_many(queues[0], lines, sizeof(lines), msgs,
					 BATCH, MPROC_FOREVER);
		must(r);
		for (int i = 0; i < r; i++)
			check(&lines[i], at + (uint64_t)i);
	}
	if (first)
		line_take(&shared->back, 1);
	else
		line_send(&shared->back, 1);
}

/* ns of each of @n things that @work does between two processes. */
static double
between(void (*work)(bool first), unsigned n, int cpu)
{
	int64_t began;
	int status;
	pid_t pid;

	memset(shared, 0, sizeof(*shared));
	for (int i = 0; i < 2; i++)
		must(mproc_queue_create(
			&queues[i],
			MPROC_OPTS(mproc_queue_opts, .single_consumer = true)));
	pid = fork();
	if (pid < 0)
		bench_die("fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pin(cpu);
		atomic_store(&shared->began, 1);
		work(false);
		_exit(0);
	}
	pin(0);
	while (!atomic_load(&shared->began))
		sched_yield();
	began = mproc_now();
	work(true);
	began = mproc_now() - began;
	if (waitpid(pid, &status, 0) != pid || status)
		bench_die("the other process failed");
	for (int i = 0; i < 2; i++)
		mproc_queue_destroy(queues[i]);
	return (double)began / n;
}

static double
bare_forks(void)
{
	int64_t began = mproc_now();
	int status;

	for (int i = 0; i < FORKS; i++) {
		pid_t pid = _Fork();

		if (pid == 0)
			_exit(i % 100);
		if (pid < 0 || waitpid(pid, &status, 0) != pid ||
		    WEXITSTATUS(status) != i % 100)
			bench_die("a child has ended otherwise");
	}
	return (double)(mproc_now() - began) / FORKS;
}

static int
number(void *arg)
{
	return (int)(intptr_t)arg;
}

static double
processes(void)
{
	int64_t began = mproc_now();

	for (int i = 0; i < FORKS; i++) {
		mproc_process *p;
		int code;

		must(mproc_process_start(
			&p, number, (void *)(intptr_t)(i % 100),
			MPROC_OPTS(mproc_process_opts, .method = MPROC_FORK)));
		must(mproc_process_join(p, MPROC_FOREVER));
		must(mproc_process_exitcode(p, &code));
		if (code != i % 100)
			bench_die("a process has ended otherwise");
		mproc_process_close(p);
	}
	return (double)(mproc_now() - began) / FORKS;
}

struct pair {
	const char *what;
	void (*ours)(bool first);
	void (*bare)(bool first);
	const char *bare_name;
	unsigned n;
	bool one_cpu;
};

static void
head(const char *placement)
{
	bench_table_now.placement = placement;
	printf("%s, %s\n%-20s %10s %10s %10s  ns\n", bench_table_now.what,
	       placement, "", "median", "min", "max");
}

static void
row(const char *name, const double *ns, int rounds)
{
	bench_row(name, ns, rounds, 1);
	printf("\n");
}

static void
compare(const struct pair *p, int rounds)
{
	double **ns = bench_columns(2, rounds);

	bench_table("ns", "%s", p->what);
	head(p->one_cpu ? "one CPU" : "two CPUs");
	if (!p->one_cpu && CPU_COUNT(&allowed) < 2) {
		bench_left_out("libmproc queue", BENCH_ONE_CPU);
		bench_left_out(p->bare_name, BENCH_ONE_CPU);
		bench_free_columns(ns, 2);
		return;
	}
	for (int i = 0; i < rounds; i++) {
		ns[0][i] = between(p->ours, p->n, !p->one_cpu);
		ns[1][i] = between(p->bare, p->n, !p->one_cpu);
	}
	row("libmproc queue", ns[0], rounds);
	row(p->bare_name, ns[1], rounds);
	bench_free_columns(ns, 2);
}

static void
compare_forks(int rounds)
{
	double **ns = bench_columns(2, rounds);

	bench_table("ns", "Start of a process until it has ended");
	head("unpinned");
	if (sched_setaffinity(0, sizeof(allowed), &allowed) < 0)
		bench_die("sched_setaffinity");
	for (int i = 0; i < rounds; i++) {
		ns[0][i] = processes();
		ns[1][i] = bare_forks();
	}
	row("mproc_process, fork", ns[0], rounds);
	row("fork and wait", ns[1], rounds);
	bench_free_columns(ns, 2);
}

/* From one buffer to another and back, so that nothing can be left out. */
static double
copy(unsigned char *a, unsigned char *b, size_t size)
{
	size_t times = COPIED / size / 2;
	int64_t began;

	for (size_t i = 0; i < size; i++)
		a[i] = (unsigned char)(i * 31 >> 4);
	memset(b, 0, size);
	began = mproc_now();
	for (size_t i = 0; i < times; i++) {
		memcpy(b, a, size);
		__asm__ volatile("" : : "r"(b) : "memory");
		memcpy(a, b, size);
		__asm__ volatile("" : : "r"(a) : "memory");
	}
	began = mproc_now() - began;
	for (size_t i = 0; i < size; i++)
		if (b[i] != (unsigned char)(i * 31 >> 4))
			bench_die("memcpy has lost something");
	return (double)began / (double)(2 * times * size) * 1024;
}

static void
measure_memcpy(int rounds)
{
	static const size_t sizes[] = { 4 << 10, 64 << 10, 1 << 20, 16 << 20,
					64 << 20 };
	size_t most = sizes[sizeof(sizes) / sizeof(*sizes) - 1];
	unsigned char *a = malloc(most), *b = malloc(most);
	double *ns = bench_column(rounds);

	if (!a || !b)
		bench_die("no memory");
	pin(0);
	for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
		bench_table("ns for 1 KiB", "memcpy, %zu KiB at once",
			    sizes[s] >> 10);
		head("one CPU");
		/* One plot: its tables differ in the size only. */
		snprintf(bench_table_now.what, sizeof(bench_table_now.what),
			 "memcpy");
		bench_table_now.x_name = "bytes at once";
		bench_table_now.x = (double)sizes[s];
		for (int i = 0; i < rounds; i++)
			ns[i] = copy(a, b, sizes[s]);
		row("memcpy", ns, rounds);
	}
	free(ns);
	free(a);
	free(b);
}

int
main(int argc, char **argv)
{
	static const struct pair pairs[] = {
		{ "To and fro, asking again and again", asked_trips, line_trips,
		  "bare cache line", TRIPS, false },
		{ "To and fro, waiting", slept_trips, futex_trips, "bare futex",
		  SLEEPS, false },
		{ "To and fro, waiting", slept_trips, futex_trips, "bare futex",
		  SLEEPS, true },
		{ "A line of 64 bytes, 16 at once", queue_lines, ring_lines,
		  "bare ring", LINES, false },
	};
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;

	if (rounds <= 0)
		bench_die("rounds: a number above 0");
	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		bench_die("sched_getaffinity");
	shared = bench_shared(sizeof(*shared));
	must(mproc_arena_default() ? 0 : -1);
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++)
		compare(&pairs[i], rounds);
	compare_forks(rounds);
	measure_memcpy(rounds);
	return 0;
}
