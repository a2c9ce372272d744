/* SPDX-License-Identifier: MIT */
/*
 * Waiting for one of many: what each of those costs that have nothing. Libmproc's
 * mproc_wait() for queues, poll(2) for as many pipes, and Python's
 * multiprocessing.connection.wait() for as many of its pipes, if there is a python3.
 *
 * Once the last one is ready when the call comes; and once another process makes it
 * ready when it is told that the last message has arrived, so that the call mostly
 * sleeps. Each message is taken and checked.
 *
 * Usage: bench_wait [rounds]
 */
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "python.h"

#define ROUNDS 9
#define CALLS 2000
#define PYTHON_CALLS 200
#define MOST 1000

enum { OURS, POLL, PYTHON, KINDS };

static const char *const names[KINDS] = {
	"mproc_wait", "poll(2)", "Python's wait",
};

static struct mproc_waitable items[MOST + 1];
static struct pollfd fds[MOST + 1];
static int ends[MOST + 1]; /* to write to */
static mproc_queue *go;
static int go_pipe[2];

static void
make_all(void)
{
	struct rlimit limit;

	/* Of descriptors there may be too few for the most. */
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	for (int i = 0; i <= MOST; i++) {
		mproc_queue *q;
		int pair[2];

		if (mproc_queue_create(&q, NULL) < 0)
			bench_die("no queue");
		items[i] = (struct mproc_waitable){
			.kind = MPROC_WAIT_QUEUE, .object = q,
		};
		if (pipe(pair) < 0)
			bench_die("no pipe: too few descriptors");
		fds[i] = (struct pollfd){ .fd = pair[0], .events = POLLIN };
		ends[i] = pair[1];
	}
	if (mproc_queue_create(&go, NULL) < 0 || pipe(go_pipe) < 0)
		bench_die("no queue or pipe");
}

static void
send(int kind, int n, uint64_t number)
{
	if (kind == OURS ? mproc_queue_put(items[n].object, &number,
					   sizeof(number), MPROC_FOREVER) < 0 :
			   write(ends[n], &number, sizeof(number)) !=
				   sizeof(number))
		bench_die("a message was not sent");
}

static void
receive(int kind, int n, uint64_t number)
{
	uint64_t got = ~number;

	if (kind == OURS ? mproc_queue_get(items[n].object, &got, sizeof(got),
					   NULL, MPROC_NOWAIT) < 0 :
			   read(fds[n].fd, &got, sizeof(got)) != sizeof(got))
		bench_die("no message was there");
	if (got != number)
		bench_die("a wrong message");
}

static void
wait_for(int kind, int n)
{
	int r = kind == OURS ? mproc_wait(items, n + 1, MPROC_FOREVER) :
			       poll(fds, (nfds_t)n + 1, -1);

	if (r != 1 || (kind == OURS ? !items[n].ret_events :
				      !(fds[n].revents & POLLIN)))
		bench_die("something else was ready");
}

/* With @n idle ones before the one that is ready. */
static double
measure_ready(int kind, int n)
{
	int64_t began = mproc_now();

	for (uint64_t i = 0; i < CALLS; i++) {
		send(kind, n, i);
		wait_for(kind, n);
		receive(kind, n, i);
	}
	return (double)(mproc_now() - began) / CALLS;
}

static void
tell(int kind)
{
	if (kind == OURS ? mproc_queue_put(go, "x", 1, MPROC_FOREVER) < 0 :
			   write(go_pipe[1], "x", 1) != 1)
		bench_die("the other one was not told");
}

static void
be_told(int kind)
{
	char byte;

	if (kind == OURS ? mproc_queue_get(go, &byte, 1, NULL,
					   MPROC_FOREVER) < 0 :
			   read(go_pipe[0], &byte, 1) != 1)
		bench_die("nothing was told");
}

static double
measure_sleep(int kind, int n)
{
	int64_t began;
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		bench_die("fork");
	if (pid == 0) {
		for (uint64_t i = 0; i < CALLS; i++) {
			be_told(kind);
			send(kind, n, i);
		}
		_exit(0);
	}
	began = mproc_now();
	for (uint64_t i = 0; i < CALLS; i++) {
		tell(kind);
		wait_for(kind, n);
		receive(kind, n, i);
	}
	began = mproc_now() - began;
	if (waitpid(pid, &status, 0) != pid || status)
		bench_die("the other one has failed");
	return (double)began / CALLS;
}

/* a idle ones, b calls. */
static const char python_ready[] = BENCH_PYTHON
	"from multiprocessing.connection import wait\n"
	"import resource\n"
	"most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
	"resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))\n"
	"pipes = [context.Pipe(False) for i in range(a + 1)]\n"
	"readers = [r for r, w in pipes]\n"
	"began = now()\n"
	"for i in range(b):\n"
	"    pipes[a][1].send_bytes(b'%8d' % i)\n"
	"    ready = wait(readers)\n"
	"    check(ready == [readers[a]])\n"
	"    check(int(ready[0].recv_bytes()) == i)\n"
	"print((now() - began) / b)\n";

static const char python_sleep[] = BENCH_PYTHON
	"from multiprocessing.connection import wait\n"
	"import resource\n"
	"most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
	"resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))\n"
	"pipes = [context.Pipe(False) for i in range(a + 1)]\n"
	"readers = [r for r, w in pipes]\n"
	"told, tell = context.Pipe(False)\n"
	"def answer(me):\n"
	"    for i in range(b):\n"
	"        told.recv_bytes()\n"
	"        pipes[a][1].send_bytes(b'%8d' % i)\n"
	"start(1, answer)\n"
	"began = now()\n"
	"for i in range(b):\n"
	"    tell.send_bytes(b'x')\n"
	"    ready = wait(readers)\n"
	"    check(ready == [readers[a]])\n"
	"    check(int(ready[0].recv_bytes()) == i)\n"
	"spent = now() - began\n"
	"join()\n"
	"print(spent / b)\n";

static double
measure(int kind, int n, bool sleeps)
{
	if (kind == PYTHON)
		return bench_python(sleeps ? python_sleep : python_ready,
				    (unsigned)n, PYTHON_CALLS);
	return sleeps ? measure_sleep(kind, n) : measure_ready(kind, n);
}

/* What @n idle ones add, per one, to what it costs without any. */
static void
compare(bool sleeps, int rounds)
{
	static const int many[] = { 0, 10, 100, 1000 };
	double **ns[4];

	for (int m = 0; m < 4; m++)
		ns[m] = bench_columns(KINDS, rounds);
	for (int i = 0; i < rounds; i++)
		for (int m = 0; m < 4; m++)
			for (int k = 0; k < KINDS; k++)
				ns[m][k][i] = measure(k, many[m], sleeps);
	for (int m = 0; m < 4; m++) {
		bench_table("ns for a call", "wait: %s",
			    sleeps ? "asleep" : "ready at once");
		bench_table_at(many[m], "idle ones besides");
		printf("%s, %d idle ones besides, ns for each call\n"
		       "%-20s %10s %10s %10s %14s\n",
		       sleeps ? "Asleep" : "Ready at once", many[m], "",
		       "median", "least", "most", "per idle one");
		for (int k = 0; k < KINDS; k++) {
			double *added;

			if (k == PYTHON && bench_is_missing(names[k],
							    ns[m][k]))
				continue;
			bench_row(names[k], ns[m][k], rounds, 0);
			added = bench_column(rounds);
			for (int i = 0; i < rounds && many[m]; i++)
				added[i] = (ns[m][k][i] - ns[0][k][i]) /
					   many[m];
			printf(" %14.1f\n", bench_median(added, rounds));
			free(added);
		}
	}
	for (int m = 0; m < 4; m++)
		bench_free_columns(ns[m], KINDS);
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;

	if (rounds < 1)
		bench_die("rounds are a positive number");
	make_all();
	compare(false, rounds);
	compare(true, rounds);
	return 0;
}
