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

static const char script[] =
	"import multiprocessing, sys, time\n"
	"fork = multiprocessing.get_context('fork')\n"
	"def start_and_join(n):\n"
	"    for _ in range(n):\n"
	"        p = fork.Process(target=sys.exit, args=(7,))\n"
	"        p.start()\n"
	"        p.join()\n"
	"        if p.exitcode != 7:\n"
	"            sys.exit('another exit code')\n"
	"        p.close()\n"
	"start_and_join(10)\n"
	"start = time.monotonic_ns()\n"
	"start_and_join(int(sys.argv[1]))\n"
	"print((time.monotonic_ns() - start) / int(sys.argv[1]))\n";

#define NO_PROGRAM 127

/* Returns a negative number if there is no python3. */
static double
by_python(void)
{
	char times[16];
	int fds[2], status, n;
	double ns = -1;
	FILE *out;
	pid_t pid;

	snprintf(times, sizeof(times), "%d", TIMES);
	if (pipe(fds) < 0)
		bench_die("pipe");
	pid = fork();
	if (pid < 0)
		bench_die("fork");
	if (pid == 0) {
		dup2(fds[1], STDOUT_FILENO);
		close(fds[0]);
		close(fds[1]);
		execlp("python3", "python3", "-c", script, times, (char *)NULL);
		_exit(NO_PROGRAM);
	}
	close(fds[1]);
	out = fdopen(fds[0], "r");
	if (!out)
		bench_die("fdopen");
	n = fscanf(out, "%lf", &ns);
	fclose(out);
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		bench_die("python3 was killed");
	if (WEXITSTATUS(status) == NO_PROGRAM)
		return -1;
	if (status || n != 1 || ns <= 0)
		bench_die("python3 failed");
	return ns;
}

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
	double *ours = bench_column(rounds), *raw = bench_column(rounds);
	double *python = bench_column(rounds), *ratio = bench_column(rounds);
	double *times = bench_column(rounds);
	mproc_queue *q;

	/* With an arena, as real programs have one. */
	if (mproc_queue_create(&q, NULL) < 0)
		bench_die(mproc_error_detail());
	by_hand();
	/* Each comes first in every other round: what ran before leaves the
	 * kernel's caches of pages full or empty. */
	for (int i = 0; i < rounds; i++) {
		if (i % 2)
			ours[i] = by_libmproc();
		raw[i] = by_hand();
		if (i % 2 == 0)
			ours[i] = by_libmproc();
		ratio[i] = ours[i] / raw[i];
	}
	for (int i = 0; i < rounds; i++) {
		python[i] = i && python[0] < 0 ? -1 : by_python();
		times[i] = python[i] / by_libmproc();
	}
	printf("start and join, %d rounds of %d in turn\n", rounds, TIMES);
	printf("mproc_process: %.1f us, fork and waitpid: %.1f us, "
	       "ratio %.3f\n",
	       bench_median(ours, rounds) / 1000,
	       bench_median(raw, rounds) / 1000, bench_median(ratio, rounds));
	count_faults("mproc_process", by_libmproc);
	count_faults("fork and waitpid", by_hand);
	if (python[0] < 0)
		printf("multiprocessing.Process: there is no python3\n");
	else
		printf("multiprocessing.Process: %.1f us, %.1f times as long\n",
		       bench_median(python, rounds) / 1000,
		       bench_median(times, rounds));
	free(ours);
	free(raw);
	free(python);
	free(ratio);
	free(times);
	mproc_queue_destroy(q);
	return 0;
}
