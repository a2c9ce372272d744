/* SPDX-License-Identifier: MIT */
/*
 * Round trips between two processes by two events: one waits for its event,
 * clears it and sets the other's. Libmproc's events, two raw futex words that
 * do the same, and Python's multiprocessing.Event if there is a python3.
 *
 * On one CPU both sides sleep for each other; on two each finds out how long it
 * polls. Each side checks that its event came when it was due.
 *
 * Usage: bench_event [rounds]
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
#define PYTHON_TRIPS "2000"

enum { THERE, BACK, WORDS };

enum { OURS, FUTEX, KINDS };

static const char *const names[KINDS] = { "libmproc", "raw futex" };

static struct shared {
	struct {
		alignas(128) _Atomic uint32_t word;
	} futex[WORDS];
	uint64_t turns; /* of who has had its event */
} *shared;

static mproc_event *events[WORDS];

static void
futex_set(_Atomic uint32_t *word)
{
	atomic_store(word, 1);
	syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

static void
futex_wait(_Atomic uint32_t *word)
{
	while (!atomic_load(word))
		if (syscall(SYS_futex, word, FUTEX_WAIT, 0, NULL, NULL, 0) <
			    0 &&
		    errno != EAGAIN && errno != EINTR)
			bench_die("futex");
}

static void
set(int kind, int which)
{
	if (kind == FUTEX)
		futex_set(&shared->futex[which].word);
	else if (mproc_event_set(events[which]) < 0)
		bench_die("an event was not set");
}

static void
await(int kind, int which)
{
	if (kind == FUTEX) {
		futex_wait(&shared->futex[which].word);
		atomic_store(&shared->futex[which].word, 0);
	} else if (mproc_event_wait(events[which], MPROC_FOREVER) < 0 ||
		   mproc_event_clear(events[which]) < 0) {
		bench_die("an event was not waited for");
	}
}

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

static void
answer(int kind, unsigned cpu)
{
	pin(cpu);
	for (uint64_t i = 0; i <= TRIPS; i++) {
		await(kind, THERE);
		if (shared->turns++ != 2 * i)
			bench_die("an event came too early");
		set(kind, BACK);
	}
}

static void
ask(int kind, uint64_t i)
{
	set(kind, THERE);
	await(kind, BACK);
	if (shared->turns++ != 2 * i + 1)
		bench_die("an event came too early");
}

/* ns of a round trip. */
static double
round_of(int kind, unsigned other_cpu)
{
	int64_t began;
	int status;
	pid_t pid;

	shared->turns = 0;
	pid = fork();
	if (pid < 0)
		bench_die("fork");
	if (pid == 0) {
		answer(kind, other_cpu);
		_exit(0);
	}
	ask(kind, 0); /* both are there */
	began = mproc_now();
	for (uint64_t i = 1; i <= TRIPS; i++)
		ask(kind, i);
	began = mproc_now() - began;
	if (waitpid(pid, &status, 0) != pid || status)
		bench_die("the peer failed");
	return (double)began / TRIPS;
}

static const char python[] =
	"import multiprocessing, os, sys, time\n"
	"trips, other = int(sys.argv[1]), int(sys.argv[2])\n"
	"cpus = sorted(os.sched_getaffinity(0))\n"
	"context = multiprocessing.get_context('fork')\n"
	"there, back = context.Event(), context.Event()\n"
	"def answer():\n"
	"    os.sched_setaffinity(0, {cpus[other]})\n"
	"    for i in range(trips + 1):\n"
	"        there.wait(); there.clear(); back.set()\n"
	"def ask():\n"
	"    there.set(); back.wait(); back.clear()\n"
	"child = context.Process(target=answer)\n"
	"child.start()\n"
	"os.sched_setaffinity(0, {cpus[0]})\n"
	"ask()\n"
	"began = time.monotonic_ns()\n"
	"for i in range(trips):\n"
	"    ask()\n"
	"print((time.monotonic_ns() - began) / trips)\n"
	"child.join()\n"
	"sys.exit(child.exitcode)\n";

/* ns of a round trip, or 0 if there is no python3. */
static double
python_round(unsigned other_cpu)
{
	char other[2] = { (char)('0' + other_cpu), 0 };
	int out[2], status;
	char text[64];
	ssize_t n;
	pid_t pid;

	if (pipe(out) < 0)
		bench_die("pipe");
	pid = fork();
	if (pid < 0)
		bench_die("fork");
	if (pid == 0) {
		dup2(out[1], STDOUT_FILENO);
		execlp("python3", "python3", "-c", python, PYTHON_TRIPS, other,
		       (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	n = read(out[0], text, sizeof(text) - 1);
	close(out[0]);
	if (waitpid(pid, &status, 0) != pid || status || n <= 0)
		return 0;
	text[n] = 0;
	return strtod(text, NULL);
}

static void
compare_python(unsigned other_cpu, int rounds, double ours)
{
	double *ns = bench_column(rounds);
	struct bench_figure f;

	for (int i = 0; i < rounds; i++) {
		ns[i] = python_round(other_cpu);
		if (!ns[i]) {
			printf("Python's Event: left out, as there is no "
			       "python3 with multiprocessing\n");
			free(ns);
			return;
		}
	}
	f = bench_figure(ns, rounds);
	printf("%-20s %10.0f %10.0f %10.0f %9s  %.1f times ours\n",
	       "Python's Event", f.median, f.least, f.most, "",
	       f.median / ours);
	free(ns);
}

static void
compare(const char *how, unsigned other_cpu, int rounds)
{
	double **ns = bench_columns(KINDS, rounds);
	double *column = bench_column(rounds), ours = 0;

	for (int i = 0; i < rounds; i++)
		for (int k = 0; k < KINDS; k++)
			ns[k][i] = round_of(k, other_cpu);
	printf("round trip of two events, %s, %d rounds in turn, verified\n",
	       how, rounds);
	printf("%-20s %10s %10s %10s %9s\n", "", "median ns", "least", "most",
	       "x futex");
	for (int k = 0; k < KINDS; k++) {
		struct bench_figure f;

		memcpy(column, ns[k], (size_t)rounds * sizeof(*column));
		f = bench_figure(column, rounds);
		if (k == OURS)
			ours = f.median;
		printf("%-20s %10.0f %10.0f %10.0f %9.2f\n", names[k], f.median,
		       f.least, f.most,
		       bench_median_ratio(ns[k], ns[FUTEX], rounds));
	}
	bench_free_columns(ns, KINDS);
	free(column);
	compare_python(other_cpu, rounds < 3 ? rounds : 3, ours);
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		bench_die("mmap");
	for (int i = 0; i < WORDS; i++)
		if (mproc_event_create(&events[i]) < 0)
			bench_die(mproc_error_detail());
	if (mproc_cpu_count() > 1)
		compare("on two CPUs", 1, rounds);
	pin(0);
	compare("on one CPU", 0, rounds);
	return 0;
}
