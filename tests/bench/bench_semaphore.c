/* SPDX-License-Identifier: MIT */
/*
 * Semaphores: libmproc's, the same with owners of permits (.undo), sem_t for
 * several processes, and Python's Semaphore.
 *
 * Uncontended: one process takes and gives back one of four permits. Contended:
 * several processes share one permit, each adding to a counter that only who
 * has it may touch; in the end it must be what all of them did together.
 *
 * Usage: bench_semaphore [rounds]
 */
#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "python.h"

#define ROUNDS 7
#define ALONE 5000000
#define TOGETHER 200000 /* all peers */
#define PEERS_MAX 8

#define PYTHON_ALONE 200000
#define PYTHON_TOGETHER 20000

enum { OURS, UNDO, POSIX, PYTHON, KINDS };

static const char *const names[KINDS] = {
	"libmproc", "libmproc, .undo", "sem_t", "Python's Semaphore",
};

static struct shared {
	sem_t posix;
	_Atomic unsigned ready;
	_Atomic unsigned go;
	_Atomic int64_t end;
	/* Of who has the only permit. */
	uint64_t counter;
} *shared;

static mproc_semaphore *semaphores[POSIX];

static void
take(int kind)
{
	int r;

	if (kind == POSIX)
		while ((r = sem_wait(&shared->posix)) && errno == EINTR)
			;
	else
		r = mproc_semaphore_acquire(semaphores[kind], MPROC_FOREVER);
	if (r)
		bench_die("a permit was not to be had");
}

static void
give(int kind)
{
	if (kind == POSIX ? sem_post(&shared->posix) :
			    mproc_semaphore_release(semaphores[kind]))
		bench_die("a permit was not given back");
}

static void
open_all(unsigned value)
{
	for (int k = 0; k < POSIX; k++)
		if (mproc_semaphore_create(
			    &semaphores[k],
			    MPROC_OPTS(mproc_semaphore_opts, .value = value,
				       .undo = k == UNDO)) < 0)
			bench_die(mproc_error_detail());
	if (sem_init(&shared->posix, 1, value))
		bench_die("sem_init");
}

static void
close_all(void)
{
	for (int k = 0; k < POSIX; k++)
		mproc_semaphore_destroy(semaphores[k]);
	sem_destroy(&shared->posix);
}

/* ns for a pair, without anybody else. */
static double
round_alone(int kind)
{
	int64_t began = mproc_now();

	for (unsigned i = 0; i < ALONE; i++) {
		take(kind);
		give(kind);
	}
	return (double)(mproc_now() - began) / ALONE;
}

static void
contend(int kind, unsigned n)
{
	shared->ready++;
	while (!shared->go)
		sched_yield();
	for (unsigned i = 0; i < n; i++) {
		take(kind);
		shared->counter++;
		give(kind);
	}
	shared->end = mproc_now();
}

/* ns for a pair, by @peers processes together. */
static double
round_together(int kind, unsigned peers)
{
	unsigned n = TOGETHER / peers;
	pid_t pids[PEERS_MAX];
	int64_t began;
	int status;

	shared->ready = shared->go = 0;
	shared->counter = 0;
	for (unsigned i = 0; i < peers; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			bench_die("fork");
		if (pids[i])
			continue;
		contend(kind, n);
		_exit(0);
	}
	while (shared->ready < peers)
		sched_yield();
	began = mproc_now();
	shared->go = 1;
	for (unsigned i = 0; i < peers; i++)
		if (waitpid(pids[i], &status, 0) < 0 || status)
			bench_die("a peer failed");
	if (shared->counter != (uint64_t)n * peers)
		bench_die("a wrong count");
	return (double)(shared->end - began) / (double)(n * peers);
}

/* How often, and by how many processes. */
static const char python[] = BENCH_PYTHON
	"semaphore = context.Semaphore(4 if b == 1 else 1)\n"
	"count = array(1)\n"
	"def pairs(i):\n"
	"    for i in range(a // b):\n"
	"        semaphore.acquire()\n"
	"        count[0] += 1\n"
	"        semaphore.release()\n"
	"if b == 1:\n"
	"    began = now()\n"
	"    pairs(0)\n"
	"    took = now() - began\n"
	"else:\n"
	"    took = measure(b, pairs)\n"
	"check(count[0] == a // b * b)\n"
	"print(took / count[0])\n";

static double
round_of(int kind, unsigned peers)
{
	if (kind == PYTHON)
		return bench_python(python, peers == 1 ? PYTHON_ALONE :
							 PYTHON_TOGETHER,
				    peers);
	return peers == 1 ? round_alone(kind) : round_together(kind, peers);
}

static void
compare(unsigned peers, int rounds)
{
	double **ns = bench_columns(KINDS, rounds);

	open_all(peers == 1 ? 4 : 1);
	for (int i = 0; i < rounds; i++)
		for (int k = 0; k < KINDS; k++)
			ns[k][i] = round_of(k, peers);
	close_all();
	bench_table("ns for a pair", "semaphore: acquire and release");
	bench_table_at(peers, "processes");
	printf("acquire and release, %u process%s, %d rounds in turn, counted\n",
	       peers, peers == 1 ? "" : "es", rounds);
	printf("%-20s %10s %10s %10s %9s\n", "", "median ns", "least", "most",
	       "x sem_t");
	for (int k = 0; k < KINDS; k++) {
		if (bench_is_missing(names[k], ns[k]))
			continue;
		bench_row(names[k], ns[k], rounds, 1);
		printf(" %9.2f\n",
		       bench_median_ratio(ns[k], ns[POSIX], rounds));
	}
	bench_free_columns(ns, KINDS);
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;

	shared = bench_shared(sizeof(*shared));
	compare(1, rounds);
	compare(2, rounds);
	compare(8, rounds);
	return 0;
}
