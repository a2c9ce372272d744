/* SPDX-License-Identifier: MIT */
/*
 * Start and join by each method, in a small process and in one of 2 GiB: spawn
 * against posix_spawn and waitpid of the same program, which returns from main()
 * at once; the fork server against _Fork, _exit and waitpid of the small process, one
 * behind the other and with pauses, in which it can get ready for the next start; and
 * each against Python's. Python's time is its own, without the interpreter's
 * start. (Fork is bench_process.c's.)
 *
 * Usage: bench_start [rounds]
 */
#include <errno.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "python.h"

#define ROUNDS 9
#define TIMES 40
#define PAUSE_US 1000 /* where there is one */
#define CODE 7
#define LARGE ((size_t)2 << 30)

extern char **environ;

static int
nothing(void *arg)
{
	(void)arg;
	return CODE;
}

/* Two rows have pauses; they are not counted. */
static int64_t
begin(bool pauses)
{
	if (pauses)
		usleep(PAUSE_US);
	return mproc_now();
}

static double
by_method(int method, bool pauses)
{
	int64_t ns = 0;

	for (int i = 0; i < TIMES; i++) {
		int64_t start = begin(pauses);
		mproc_process *p;
		int code;

		if (mproc_process_start(&p, nothing, NULL,
					MPROC_OPTS(mproc_process_opts,
						   .method = method)) < 0 ||
		    mproc_process_join(p, MPROC_FOREVER) < 0 ||
		    mproc_process_exitcode(p, &code) < 0 || code != CODE)
			bench_die(mproc_error_detail());
		mproc_process_close(p);
		ns += mproc_now() - start;
	}
	return (double)ns / TIMES;
}

static void
await(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
	    WEXITSTATUS(status) != CODE)
		bench_die("a bare child");
}

static double
by_posix_spawn(char *name)
{
	char *argv[] = { name, (char[]){ "nothing" }, NULL };
	int64_t start = mproc_now();
	pid_t pid;

	for (int i = 0; i < TIMES; i++) {
		if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv,
				environ) != 0)
			bench_die("posix_spawn");
		await(pid);
	}
	return (double)(mproc_now() - start) / TIMES;
}

static double
by_fork(bool pauses)
{
	int64_t ns = 0;
	pid_t pid;

	for (int i = 0; i < TIMES; i++) {
		int64_t start = begin(pauses);

		/* In a child of fork(3) functions of libmproc's run, which close
		 * what it has of the fork server: that is not bare. */
		pid = _Fork();
		if (pid == 0)
			_exit(CODE);
		await(pid);
		ns += mproc_now() - start;
	}
	return (double)ns / TIMES;
}

/* As a file, as Python's children import it. */
static const char script[] =
	"import multiprocessing, sys, time\n"
	"def end():\n"
	"    sys.exit(7)\n"
	"def start_and_join(context, n):\n"
	"    for _ in range(n):\n"
	"        p = context.Process(target=end)\n"
	"        p.start()\n"
	"        p.join()\n"
	"        if p.exitcode != 7:\n"
	"            sys.exit('another exit code')\n"
	"        p.close()\n"
	"if __name__ == '__main__':\n"
	"    context = multiprocessing.get_context(sys.argv[1])\n"
	"    start_and_join(context, 1)\n"
	"    start = time.monotonic_ns()\n"
	"    start_and_join(context, int(sys.argv[2]))\n"
	"    print((time.monotonic_ns() - start) / int(sys.argv[2]))\n";

#define PYTHON_TIMES "10"

/* ns, or a negative number where there is no python3. */
static double
by_python(const char *method)
{
	char path[] = "/tmp/bench-start-XXXXXX.py", command[256];
	int fd = mkstemps(path, 3);
	double ns = -1;
	FILE *out;

	if (fd < 0 || write(fd, script, sizeof(script) - 1) !=
			      (ssize_t)sizeof(script) - 1)
		bench_die("a temporary file");
	close(fd);
	snprintf(command, sizeof(command), "python3 %s %s " PYTHON_TIMES, path,
		 method);
	out = popen(command, "r");
	if (!out)
		bench_die("popen");
	if (fscanf(out, "%lf", &ns) != 1)
		ns = -1;
	if (pclose(out) != 0 && ns >= 0)
		bench_die("python3 failed");
	unlink(path);
	return ns;
}

struct columns {
	double *spawn, *raw_spawn, *server, *raw_fork, *paused, *raw_paused;
	double *spawn_ratio, *server_ratio, *paused_ratio;
};

static void
make_columns(struct columns *c, int rounds)
{
	c->spawn = bench_column(rounds);
	c->raw_spawn = bench_column(rounds);
	c->server = bench_column(rounds);
	c->raw_fork = bench_column(rounds);
	c->paused = bench_column(rounds);
	c->raw_paused = bench_column(rounds);
	c->paused_ratio = bench_column(rounds);
	c->spawn_ratio = bench_column(rounds);
	c->server_ratio = bench_column(rounds);
}

static void
free_columns(struct columns *c)
{
	free(c->spawn);
	free(c->raw_spawn);
	free(c->server);
	free(c->raw_fork);
	free(c->paused);
	free(c->raw_paused);
	free(c->paused_ratio);
	free(c->spawn_ratio);
	free(c->server_ratio);
}

/* One round; bare forks only while the process is small. */
static void
measure(struct columns *c, int i, char *name, bool small)
{
	if (i % 2)
		c->spawn[i] = by_method(MPROC_SPAWN, false);
	c->raw_spawn[i] = by_posix_spawn(name);
	if (i % 2 == 0)
		c->spawn[i] = by_method(MPROC_SPAWN, false);
	c->spawn_ratio[i] = c->spawn[i] / c->raw_spawn[i];
	if (i % 2)
		c->server[i] = by_method(MPROC_FORKSERVER, false);
	c->raw_fork[i] = small ? by_fork(false) : 0;
	if (i % 2 == 0)
		c->server[i] = by_method(MPROC_FORKSERVER, false);
	c->server_ratio[i] = small ? c->server[i] / c->raw_fork[i] : 0;
}

static void
measure_with_pauses(struct columns *c, int i)
{
	if (i % 2)
		c->paused[i] = by_method(MPROC_FORKSERVER, true);
	c->raw_paused[i] = by_fork(true);
	if (i % 2 == 0)
		c->paused[i] = by_method(MPROC_FORKSERVER, true);
	c->paused_ratio[i] = c->paused[i] / c->raw_paused[i];
}

static double
print_row(const char *what, double *ours, double *raw, double *ratio,
	  int rounds)
{
	double ns = bench_median(ours, rounds);

	printf("%-40s %8.1f us", what, ns / 1000);
	if (raw)
		printf(", bare %8.1f us, ratio %.3f",
		       bench_median(raw, rounds) / 1000,
		       bench_median(ratio, rounds));
	printf("\n");
	return ns;
}

static void
print_python(const char *method, double ours)
{
	double ns = by_python(method);

	if (ns < 0)
		printf("multiprocessing, %s: there is no python3\n", method);
	else
		printf("multiprocessing, %s: %.1f us, %.1f times as long\n",
		       method, ns / 1000, ns / ours);
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;
	struct columns small, large;
	double spawn, server;
	char *memory;

	if (argc > 1 && strcmp(argv[1], "nothing") == 0)
		return CODE;
	make_columns(&small, rounds);
	make_columns(&large, rounds);
	/* With an arena, as real programs have one. */
	if (!mproc_arena_default() || mproc_forkserver_start(NULL) < 0)
		bench_die(mproc_error_detail());
	for (int i = 0; i < rounds; i++)
		measure(&small, i, argv[0], true);
	for (int i = 0; i < rounds; i++)
		measure_with_pauses(&small, i);
	memory = malloc(LARGE);
	if (!memory)
		bench_die("no memory");
	memset(memory, 1, LARGE);
	for (int i = 0; i < rounds; i++)
		measure(&large, i, argv[0], false);
	printf("start and join, %d rounds of %d in turn\n", rounds, TIMES);
	spawn = print_row("spawn, posix_spawn and waitpid", small.spawn,
			  small.raw_spawn, small.spawn_ratio, rounds);
	server = print_row("fork server, _Fork and waitpid", small.server,
			   small.raw_fork, small.server_ratio, rounds);
	print_row("the same with pauses", small.paused, small.raw_paused,
		  small.paused_ratio, rounds);
	printf("with 2 GiB: %.3f times the small one's\n",
	       print_row("spawn, posix_spawn and waitpid", large.spawn,
			 large.raw_spawn, large.spawn_ratio, rounds) / spawn);
	printf("with 2 GiB: %.3f times the small one's\n",
	       print_row("fork server", large.server, NULL, NULL, rounds) /
		       server);
	print_python("spawn", spawn);
	print_python("forkserver", server);
	free(memory);
	free_columns(&small);
	free_columns(&large);
	return 0;
}
