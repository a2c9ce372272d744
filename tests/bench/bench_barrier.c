/* SPDX-License-Identifier: MIT */
/*
 * Barriers: libmproc's, the C library's for several processes, and Python's
 * Barrier. So many parties come to it phase after phase, without anything to do
 * in between.
 *
 * Each party adds one to a counter before it waits. When it goes on, all others
 * have done so in this phase and none has done so twice in the next one; in the
 * end the counter must be what all of them did together.
 *
 * Usage: bench_barrier [rounds]
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "python.h"

#define ROUNDS 7
#define PHASES 5000
#define PYTHON_PHASES 500
#define PARTIES_MAX 8

enum { OURS, THEIRS, PYTHON, KINDS };

static const char *const names[KINDS] = {
	"libmproc", "pthread", "Python's Barrier",
};

static struct shared {
	pthread_barrier_t theirs;
	_Atomic unsigned ready;
	_Atomic unsigned go;
	_Atomic int64_t end;
	_Atomic uint64_t count;
} *shared;

static mproc_barrier *ours;

static void
init(unsigned parties)
{
	pthread_barrierattr_t attr;

	pthread_barrierattr_init(&attr);
	pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	if (pthread_barrier_init(&shared->theirs, &attr, parties))
		bench_die("pthread_barrier_init");
	if (mproc_barrier_create(&ours, parties) < 0)
		bench_die(mproc_error_detail());
}

static void
end(void)
{
	pthread_barrier_destroy(&shared->theirs);
	mproc_barrier_destroy(ours);
}

static void
meet(int kind)
{
	int r;

	if (kind == OURS) {
		if (mproc_barrier_wait(ours, MPROC_FOREVER) < 0)
			bench_die(mproc_error_detail());
		return;
	}
	r = pthread_barrier_wait(&shared->theirs);
	if (r && r != PTHREAD_BARRIER_SERIAL_THREAD)
		bench_die("pthread_barrier_wait");
}

static void
take_part(int kind, unsigned parties)
{
	shared->ready++;
	while (!shared->go)
		sched_yield();
	for (uint64_t i = 1; i <= PHASES; i++) {
		uint64_t count;

		shared->count++;
		meet(kind);
		count = shared->count;
		if (count < i * parties || count >= (i + 1) * parties)
			bench_die("not all have come");
	}
	shared->end = mproc_now();
}

/* us for a phase. */
static double
round_of(int kind, unsigned parties)
{
	pid_t pids[PARTIES_MAX];
	int64_t began;
	int status;

	shared->ready = shared->go = 0;
	shared->count = 0;
	for (unsigned i = 0; i < parties; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			bench_die("fork");
		if (pids[i])
			continue;
		take_part(kind, parties);
		_exit(0);
	}
	while (shared->ready < parties)
		sched_yield();
	began = mproc_now();
	shared->go = 1;
	for (unsigned i = 0; i < parties; i++)
		if (waitpid(pids[i], &status, 0) < 0 || status)
			bench_die("a party failed");
	if (shared->count != (uint64_t)PHASES * parties)
		bench_die("a wrong count");
	return (double)(shared->end - began) / PHASES / 1000;
}

/* How many phases, and parties; each counts for itself. */
static const char python[] = BENCH_PYTHON
	"barrier = context.Barrier(b)\n"
	"count = array(b)\n"
	"def take_part(me):\n"
	"    for i in range(1, a + 1):\n"
	"        count[me] = i\n"
	"        barrier.wait()\n"
	"        check(all(i <= n <= i + 1 for n in count))\n"
	"took = measure(b, take_part)\n"
	"check(sum(count) == a * b)\n"
	"print(took / a / 1000)\n";

static void
compare(unsigned parties, int rounds)
{
	double **us = bench_columns(KINDS, rounds);

	init(parties);
	for (int i = 0; i < rounds; i++)
		for (int k = 0; k < KINDS; k++)
			us[k][i] = k == PYTHON ?
					   bench_python(python, PYTHON_PHASES,
							parties) :
					   round_of(k, parties);
	end();
	bench_table("us for a phase", "barrier");
	bench_table_at(parties, "parties");
	printf("a phase of %u parties, %d rounds in turn, counted\n"
	       "%-20s %10s %10s %10s %9s\n", parties, rounds, "", "median us",
	       "least", "most", "x ours");
	for (int k = 0; k < KINDS; k++) {
		if (bench_is_missing(names[k], us[k]))
			continue;
		bench_row(names[k], us[k], rounds, 2);
		printf(" %9.2f\n",
		       bench_median_ratio(us[k], us[OURS], rounds));
	}
	bench_free_columns(us, KINDS);
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;

	shared = bench_shared(sizeof(*shared));
	compare(2, rounds);
	compare(4, rounds);
	compare(8, rounds);
	return 0;
}
