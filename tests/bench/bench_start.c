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

/* ns, or 0 where there is no python3. */
static double
by_python(const char *method)
{
	char path[] = "/tmp/bench-start-XXXXXX.py", command[256];
	int fd = mkstemps(path, 3);
	double ns = 0;
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
		ns = 0;
	if (pclose(out) != 0 && ns > 0)
		bench_die("python3 failed");
	unlink(path);
	return ns;
}

enum { SPAWN, BARE_SPAWN, PYTHON_SPAWN, SPAWNS };
enum { SERVER, BARE_FORK, PYTHON_SERVER, SERVERS };

static const char *const spawns[SPAWNS] = {
	"libmproc", "posix_spawn", "Python's Process",
};
static const char *const servers[SERVERS] = {
	"libmproc", "_Fork", "Python's Process",
};

struct columns {
	double **spawn, **server, **paused;
};

/* One round; bare forks, and Python's, only while the process is small. */
static void
measure(struct columns *c, int i, char *name, bool small)
{
	if (i % 2)
		c->spawn[SPAWN][i] = by_method(MPROC_SPAWN, false);
	c->spawn[BARE_SPAWN][i] = by_posix_spawn(name);
	if (i % 2 == 0)
		c->spawn[SPAWN][i] = by_method(MPROC_SPAWN, false);
	if (i % 2)
		c->server[SERVER][i] = by_method(MPROC_FORKSERVER, false);
	c->server[BARE_FORK][i] = small ? by_fork(false) : 0;
	if (i % 2 == 0)
		c->server[SERVER][i] = by_method(MPROC_FORKSERVER, false);
	if (!small)
		return;
	c->spawn[PYTHON_SPAWN][i] = by_python("spawn");
	c->server[PYTHON_SERVER][i] = by_python("forkserver");
}

static void
measure_with_pauses(struct columns *c, int i)
{
	if (i % 2)
		c->paused[SERVER][i] = by_method(MPROC_FORKSERVER, true);
	c->paused[BARE_FORK][i] = by_fork(true);
	if (i % 2 == 0)
		c->paused[SERVER][i] = by_method(MPROC_FORKSERVER, true);
}

static void
show(const char *what, const char *const *names, double *const *ns, int n,
     int rounds)
{
	bench_table("ns", "start and join: %s", what);
	bench_show(names, ns, n, rounds, 0);
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;
	struct columns c, large;
	char *memory;

	if (argc > 1 && strcmp(argv[1], "nothing") == 0)
		return CODE;
	c = (struct columns){ bench_columns(SPAWNS, rounds),
			      bench_columns(SERVERS, rounds),
			      bench_columns(SERVERS, rounds) };
	large = (struct columns){ bench_columns(SPAWNS, rounds),
				  bench_columns(SERVERS, rounds), NULL };
	/* With an arena, as real programs have one. */
	if (!mproc_arena_default() || mproc_forkserver_start(NULL) < 0)
		bench_die(mproc_error_detail());
	for (int i = 0; i < rounds; i++)
		measure(&c, i, argv[0], true);
	for (int i = 0; i < rounds; i++)
		measure_with_pauses(&c, i);
	memory = malloc(LARGE);
	if (!memory)
		bench_die("no memory");
	memset(memory, 1, LARGE);
	for (int i = 0; i < rounds; i++)
		measure(&large, i, argv[0], false);
	printf("%d rounds of %d in turn\n", rounds, TIMES);
	show("spawn", spawns, c.spawn, SPAWNS, rounds);
	show("fork server", servers, c.server, SERVERS, rounds);
	/* Without Python's. */
	show("fork server, with pauses", servers, c.paused, 2, rounds);
	show("spawn, by one of 2 GiB", spawns, large.spawn, 2, rounds);
	show("fork server, by one of 2 GiB", servers, large.server, 1, rounds);
	printf("with 2 GiB: spawn takes %.3f times as long, the fork server %.3f\n",
	       bench_median_ratio(large.spawn[SPAWN], c.spawn[SPAWN], rounds),
	       bench_median_ratio(large.server[SERVER], c.server[SERVER],
				  rounds));
	free(memory);
	bench_free_columns(c.spawn, SPAWNS);
	bench_free_columns(c.server, SERVERS);
	bench_free_columns(c.paused, SERVERS);
	bench_free_columns(large.spawn, SPAWNS);
	bench_free_columns(large.server, SERVERS);
	return 0;
}
