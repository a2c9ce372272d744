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
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "python.h"

#define ROUNDS 9
#define TRIPS 20000
#define PYTHON_TRIPS 2000

enum { THERE, BACK, WORDS };

enum { OURS, FUTEX, PYTHON, KINDS };

static const char *const names[KINDS] = {
	"libmproc", "raw futex", "Python's Event",
};

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

static const char python[] = BENCH_PYTHON
	"cpus = sorted(os.sched_getaffinity(0))\n"
	"there, back = context.Event(), context.Event()\n"
	"turns = array(1)\n"
	"def answer(i):\n"
	"    os.sched_setaffinity(0, {cpus[b]})\n"
	"    for i in range(a + 1):\n"
	"        there.wait(); there.clear()\n"
	"        check(turns[0] == 2 * i)\n"
	"        turns[0] += 1\n"
	"        back.set()\n"
	"def ask(i):\n"
	"    there.set(); back.wait(); back.clear()\n"
	"    check(turns[0] == 2 * i + 1)\n"
	"    turns[0] += 1\n"
	"start(1, answer)\n"
	"os.sched_setaffinity(0, {cpus[0]})\n"
	"ask(0)\n"
	"began = now()\n"
	"for i in range(a):\n"
	"    ask(i + 1)\n"
	"print((now() - began) / a)\n"
	"join()\n";

static void
compare(const char *how, unsigned other_cpu, int rounds)
{
	double **ns = bench_columns(KINDS, rounds);
	bool left_out = other_cpu && mproc_cpu_count() < 2;

	for (int i = 0; i < rounds && !left_out; i++)
		for (int k = 0; k < KINDS; k++)
			ns[k][i] = k == PYTHON ?
					   bench_python(python, PYTHON_TRIPS,
							other_cpu) :
					   round_of(k, other_cpu);
	bench_table("ns", "event: round trip of two");
	bench_table_now.placement = other_cpu ? "two CPUs" : "one CPU";
	printf("round trip of two events, %s, %d rounds in turn, verified\n",
	       how, rounds);
	printf("%-20s %10s %10s %10s %9s\n", "", "median ns", "least", "most",
	       "x futex");
	for (int k = 0; k < KINDS; k++) {
		if (left_out) {
			bench_left_out(names[k], BENCH_ONE_CPU);
			continue;
		}
		if (bench_is_missing(names[k], ns[k]))
			continue;
		bench_row(names[k], ns[k], rounds, 0);
		printf(" %9.2f\n",
		       bench_median_ratio(ns[k], ns[FUTEX], rounds));
	}
	bench_free_columns(ns, KINDS);
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;

	shared = bench_shared(sizeof(*shared));
	for (int i = 0; i < WORDS; i++)
		if (mproc_event_create(&events[i]) < 0)
			bench_die(mproc_error_detail());
	compare("on two CPUs", 1, rounds);
	pin(0);
	compare("on one CPU", 0, rounds);
	return 0;
}
