/* SPDX-License-Identifier: MIT */
/*
 * Start and join of a process that does nothing, against the bare system
 * calls: fork, _exit, waitpid; and against Python's multiprocessing.Process,
 * which forks too. Python's time is its own, without the interpreter's start. Page
 * faults of parent and child are most of what a start costs besides the fork; they can
 * be counted whatever else the machine does.
 *
 * Usage: bench_process [rounds]
 */
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "python.h"

#define ROUNDS 15
#define TIMES 300

enum { OURS, BARE, PYTHON, KINDS };

static const char *const names[KINDS] = {
	"mproc_process", "fork and waitpid", "Python's Process",
};

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

/* How many. */
static const char script[] = BENCH_PYTHON
	"def start_and_join(n):\n"
	"    for _ in range(n):\n"
	"        p = context.Process(target=sys.exit, args=(7,))\n"
	"        p.start()\n"
	"        p.join()\n"
	"        check(p.exitcode == 7)\n"
	"        p.close()\n"
	"start_and_join(10)\n"
	"began = now()\n"
	"start_and_join(a)\n"
	"print((now() - began) / a)\n";

static double
faults_of(int who)
{
	struct rusage usage;

	getrusage(who, &usage);
	return (double)usage.ru_minflt;
}

static void
count_faults(const char *name, double (*run)(void))
{
	double own = faults_of(RUSAGE_SELF);
	double children = faults_of(RUSAGE_CHILDREN);

	run();
	printf("%s: page faults of the parent %.1f, of the child %.1f\n", name,
	       (faults_of(RUSAGE_SELF) - own) / TIMES,
	       (faults_of(RUSAGE_CHILDREN) - children) / TIMES);
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;
	double **ns = bench_columns(KINDS, rounds);
	mproc_queue *q;

	/* With an arena, as real programs have one. */
	if (mproc_queue_create(&q, NULL) < 0)
		bench_die(mproc_error_detail());
	by_hand();
	/* Each comes first in every other round: what ran before leaves the
	 * kernel's caches of pages full or empty. */
	for (int i = 0; i < rounds; i++) {
		if (i % 2)
			ns[OURS][i] = by_libmproc();
		ns[BARE][i] = by_hand();
		if (i % 2 == 0)
			ns[OURS][i] = by_libmproc();
		ns[PYTHON][i] = bench_python(script, TIMES, 0);
	}
	printf("%d rounds of %d in turn\n", rounds, TIMES);
	bench_table("ns", "process: start and join, fork");
	bench_show(names, ns, KINDS, rounds, 0);
	count_faults("mproc_process", by_libmproc);
	count_faults("fork and waitpid", by_hand);
	bench_free_columns(ns, KINDS);
	mproc_queue_destroy(q);
	return 0;
}
