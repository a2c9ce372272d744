/* SPDX-License-Identifier: MIT */
/*
 * What many processes cost that all sleep in mproc_queue_get(): each of them
 * looks for the dead now and then. Their CPU time, as the kernel counts it, in
 * percent of one CPU.
 *
 * Each gets a message in the end, and gives it back. With a third argument they wait
 * for a lock before that: who waits for an owner glances more often.
 *
 * Usage: bench_idle [processes [seconds [lock]]]
 */
#include <stdio.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "bench.h"

#define PROCESSES 1000
#define SECONDS 20
#define WARM_UP 5 /* seconds */
#define ROUNDS 5 /* parts of the time */

static mproc_queue *requests, *answers;
static mproc_lock *lock; /* or NULL */

static int
answer_one(void *arg)
{
	int number;

	(void)arg;
	if (lock && (mproc_lock_acquire(lock, MPROC_FOREVER) != 0 ||
		     mproc_lock_release(lock) < 0))
		return 1;
	return mproc_queue_get(requests, &number, sizeof(number), NULL,
			       MPROC_FOREVER) < 0 ||
	       mproc_queue_put(answers, &number, sizeof(number),
			       MPROC_FOREVER) < 0;
}

/* CPU time of a process, in nanoseconds. */
static double
cpu_time(mproc_process *p)
{
	unsigned long long ns = 0;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/schedstat",
		 (int)mproc_process_pid(p));
	file = fopen(path, "re");
	if (!file || fscanf(file, "%llu", &ns) != 1)
		bench_die(path);
	fclose(file);
	return (double)ns;
}

static double
cpu_time_of_all(mproc_process **ps, int n)
{
	double sum = 0;

	for (int i = 0; i < n; i++)
		sum += cpu_time(ps[i]);
	return sum;
}

static void
get_all_answers(int n)
{
	long long sum = 0;
	int number, r = 0;

	for (int i = 0; i < n && r == 0; i++)
		r = mproc_queue_put(requests, &i, sizeof(i), mproc_sec(60));
	for (int i = 0; i < n && r == 0; i++) {
		r = mproc_queue_get(answers, &number, sizeof(number), NULL,
				    mproc_sec(60));
		sum += number;
	}
	if (r < 0 || sum != (long long)n * (n - 1) / 2)
		bench_die("an answer is missing");
}

int
main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : PROCESSES;
	int seconds = argc > 2 ? atoi(argv[2]) : SECONDS;
	mproc_process **ps = calloc((size_t)n, sizeof(mproc_process *));
	double before, after, percent[ROUNDS];

	if (!ps || mproc_queue_create(&requests, NULL) < 0 ||
	    mproc_queue_create(&answers, NULL) < 0)
		bench_die("no memory");
	if (argc > 3 && (mproc_lock_create(&lock) < 0 ||
			 mproc_lock_acquire(lock, MPROC_NOWAIT) != 0))
		bench_die("no lock");
	for (int i = 0; i < n; i++)
		if (mproc_process_start(&ps[i], answer_one, NULL,
					MPROC_OPTS(mproc_process_opts,
						   .daemon = true)) < 0)
			bench_die(mproc_error_detail());
	sleep(WARM_UP);
	before = cpu_time_of_all(ps, n);
	for (int i = 0; i < ROUNDS; i++, before = after) {
		usleep((useconds_t)(seconds * 1e6 / ROUNDS));
		after = cpu_time_of_all(ps, n);
		percent[i] = (after - before) / 1e9 / seconds * ROUNDS * 100;
	}
	printf("%d idle processes for %d s, %% of one CPU\n", n, seconds);
	bench_table("% of one CPU", "%d processes wait for %s", n,
		    lock ? "a lock" : "messages");
	bench_row("libmproc", percent, ROUNDS, 2);
	printf("\n");

	if (lock && mproc_lock_release(lock) < 0)
		bench_die(mproc_error_detail());
	get_all_answers(n);
	for (int i = 0; i < n; i++) {
		mproc_process_join(ps[i], MPROC_FOREVER);
		mproc_process_close(ps[i]);
	}
	free(ps);
	return 0;
}
