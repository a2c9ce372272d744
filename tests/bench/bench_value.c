/* SPDX-License-Identifier: MIT */
/*
 * Shared values: adding 1 under the value's lock, which is asked for each time or
 * kept, and atomically; and to Python's Value('i') with its get_lock(). By one
 * process, then by several, each of which adds the same number of times: the value
 * must be what all did.
 *
 * Usage: bench_value [rounds]
 */
#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "python.h"

#define ROUNDS 7
#define ALONE 5000000
#define TOGETHER 300000 /* all peers */
#define PEERS_MAX 8
#define PYTHON_ALONE 100000
#define PYTHON_TOGETHER 20000

enum { KEPT, ASKED, ATOMIC, PYTHON, KINDS };

static const char *const names[KINDS] = {
	"libmproc, lock kept", "libmproc, lock asked", "mproc_fetch_add",
	"Python's Value",
};

static struct shared {
	_Atomic unsigned ready;
	_Atomic unsigned go;
	_Atomic int64_t end;
} *shared;

static int *value;

static void
add_with(mproc_lock *lock)
{
	if (mproc_lock_acquire(lock, MPROC_FOREVER))
		bench_die("a lock was not to be had");
	++*value;
	mproc_lock_release(lock);
}

static void
add(int kind, unsigned n)
{
	mproc_lock *lock = mproc_lock_of(value);

	if (kind == ATOMIC)
		for (unsigned i = 0; i < n; i++)
			mproc_fetch_add(value, 1);
	else if (kind == ASKED)
		for (unsigned i = 0; i < n; i++)
			add_with(mproc_lock_of(value));
	else
		for (unsigned i = 0; i < n; i++)
			add_with(lock);
}

static void
check(unsigned n)
{
	if (*value != (int)n)
		bench_die("a wrong count");
	*value = 0;
}

static double
round_alone(int kind)
{
	int64_t began = mproc_now(), took;

	add(kind, ALONE);
	took = mproc_now() - began;
	check(ALONE);
	return (double)took / ALONE;
}

static void
be_a_peer(int kind, unsigned n)
{
	shared->ready++;
	while (!shared->go)
		sched_yield();
	add(kind, n);
	shared->end = mproc_now();
	_exit(0);
}

static double
round_together(int kind, unsigned peers)
{
	unsigned n = TOGETHER / peers;
	pid_t pids[PEERS_MAX];
	int64_t began;
	int status;

	shared->ready = shared->go = 0;
	for (unsigned i = 0; i < peers; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			bench_die("fork");
		if (pids[i] == 0)
			be_a_peer(kind, n);
	}
	while (shared->ready < peers)
		sched_yield();
	began = mproc_now();
	shared->go = 1;
	for (unsigned i = 0; i < peers; i++)
		if (waitpid(pids[i], &status, 0) < 0 || status)
			bench_die("a peer failed");
	check(n * peers);
	return (double)(shared->end - began) / (double)(n * peers);
}

/* How often, and by how many processes. */
static const char python[] = BENCH_PYTHON
	"v = context.Value('i', 0)\n"
	"def add(i):\n"
	"    for i in range(a // b):\n"
	"        with v.get_lock():\n"
	"            v.value += 1\n"
	"if b == 1:\n"
	"    began = now()\n"
	"    add(0)\n"
	"    took = now() - began\n"
	"else:\n"
	"    took = measure(b, add)\n"
	"check(v.value == a // b * b)\n"
	"print(took / v.value)\n";

static double
round_of(int kind, unsigned peers)
{
	if (kind == PYTHON)
		return bench_python(python,
				    peers == 1 ? PYTHON_ALONE : PYTHON_TOGETHER,
				    peers);
	return peers == 1 ? round_alone(kind) : round_together(kind, peers);
}

static void
compare(unsigned peers, int rounds)
{
	double **ns = bench_columns(KINDS, rounds);

	for (int i = 0; i < rounds; i++)
		for (int k = 0; k < KINDS; k++)
			ns[k][i] = round_of(k, peers);
	bench_table("ns", "value: add 1");
	bench_table_at(peers, "processes");
	printf("add 1 to a value, %u process%s, %d rounds in turn, counted\n",
	       peers, peers == 1 ? "" : "es", rounds);
	printf("%-20s %10s %10s %10s %9s\n", "", "median ns", "least", "most",
	       "x Python");
	for (int k = 0; k < KINDS; k++) {
		if (bench_is_missing(names[k], ns[k]))
			continue;
		bench_row(names[k], ns[k], rounds, 1);
		printf(" %9.2f\n",
		       bench_median_ratio(ns[PYTHON], ns[k], rounds));
	}
	bench_free_columns(ns, KINDS);
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;

	shared = bench_shared(sizeof(*shared));
	value = mproc_value(int, 0);
	if (!value)
		bench_die(mproc_error_detail());
	compare(1, rounds);
	compare(2, rounds);
	compare(8, rounds);
	return 0;
}
