/* SPDX-License-Identifier: MIT */
/*
 * Semaphores: libmproc's, the same with owners of permits (.undo), and sem_t
 * for several processes.
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
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "bench.h"

#define ROUNDS 7
#define ALONE 5000000
#define TOGETHER 200000 /* all peers */
#define PEERS_MAX 8

enum { OURS, UNDO, POSIX, KINDS };

static const char *const names[KINDS] = {
	"libmproc", "libmproc, .undo", "sem_t",
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

static void
compare(unsigned peers, int rounds)
{
	double **ns = bench_columns(KINDS, rounds);
	double *column = bench_column(rounds);

	open_all(peers == 1 ? 4 : 1);
	for (int i = 0; i < rounds; i++)
		for (int k = 0; k < KINDS; k++)
			ns[k][i] = peers == 1 ? round_alone(k) :
						round_together(k, peers);
	close_all();
	printf("acquire and release, %u process%s, %d rounds in turn, counted\n",
	       peers, peers == 1 ? "" : "es", rounds);
	printf("%-20s %10s %10s %10s %9s\n", "", "median ns", "least", "most",
	       "x sem_t");
	for (int k = 0; k < KINDS; k++) {
		struct bench_figure f;

		memcpy(column, ns[k], (size_t)rounds * sizeof(*column));
		f = bench_figure(column, rounds);
		printf("%-20s %10.1f %10.1f %10.1f %9.2f\n", names[k], f.median,
		       f.least, f.most,
		       bench_median_ratio(ns[k], ns[POSIX], rounds));
	}
	bench_free_columns(ns, KINDS);
	free(column);
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		bench_die("mmap");
	compare(1, rounds);
	compare(2, rounds);
	compare(8, rounds);
	return 0;
}
