/* SPDX-License-Identifier: MIT */
/*
 * Start and join of a process that does nothing, against the bare system
 * calls: fork, _exit, waitpid.
 *
 * Usage: bench_process [rounds]
 */
#include <sys/wait.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "bench.h"

#define ROUNDS 15
#define TIMES 300

static int
nothing(void *arg)
{
	(void)arg;
	return 7;
}

static double
by_libmproc(void)
{
	int64_t start = mproc_now();

	for (int i = 0; i < TIMES; i++) {
		mproc_process *p;
		int code;

		if (mproc_process_start(&p, nothing, NULL, NULL) < 0 ||
		    mproc_process_join(p, MPROC_FOREVER) < 0 ||
		    mproc_process_exitcode(p, &code) < 0 || code != 7)
			bench_die(mproc_error_detail());
		mproc_process_close(p);
	}
	return (double)(mproc_now() - start) / TIMES;
}

static double
by_hand(void)
{
	int64_t start = mproc_now();

	for (int i = 0; i < TIMES; i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0)
			_exit(nothing(NULL));
		if (pid < 0 || waitpid(pid, &status, 0) != pid ||
		    !WIFEXITED(status) || WEXITSTATUS(status) != 7)
			bench_die("fork and waitpid");
	}
	return (double)(mproc_now() - start) / TIMES;
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;
	double *ours, *raw, *ratio;
	mproc_queue *q;

	/* With an arena, as real programs have one. */
	if (mproc_queue_create(&q, NULL) < 0)
		bench_die(mproc_error_detail());
	ours = calloc((size_t)rounds, sizeof(*ours));
	raw = calloc((size_t)rounds, sizeof(*raw));
	ratio = calloc((size_t)rounds, sizeof(*ratio));
	if (!ours || !raw || !ratio)
		bench_die("no memory");
	by_hand();
	for (int i = 0; i < rounds; i++) {
		raw[i] = by_hand();
		ours[i] = by_libmproc();
		ratio[i] = ours[i] / raw[i];
	}
	printf("start and join, %d rounds of %d in turn\n", rounds, TIMES);
	printf("mproc_process: %.1f us, fork and waitpid: %.1f us, "
	       "ratio %.3f\n",
	       bench_median(ours, rounds) / 1000,
	       bench_median(raw, rounds) / 1000, bench_median(ratio, rounds));
	free(ours);
	free(raw);
	free(ratio);
	mproc_queue_destroy(q);
	return 0;
}
