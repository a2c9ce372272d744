/* SPDX-License-Identifier: MIT */
/*
 * Pipes against what the kernel offers, and against Python's Pipe: messages one way,
 * of 64 bytes and of 1 MiB, and round trips of 64 bytes, with a CPU for each side and
 * with one for both.
 *
 * The last two columns are how often each takes place in the time of the kernel's
 * pipe and of its socket pair.
 *
 * Usage: bench_pipe [rounds]
 */
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "pages.h"
#include "python.h"

#define ROUNDS 9
#define LONG ((size_t)1 << 20)

/* One of the two sides of a rival. */
struct side {
	mproc_conn *conn;
	int in, out;
};

struct rival {
	const char *name;
	int kind; /* of socket, or one of these */
};

enum {
	PIPES = 0, /* a pair of the kernel's */
	OURS = -1,
	PYTHONS = -2,
};

static const struct rival rivals[] = {
	{ "mproc_pipe", OURS },
	{ "pipe", PIPES },
	{ "socket pair", SOCK_SEQPACKET },
	{ "Python's Pipe", PYTHONS },
};

#define RIVALS ((int)(sizeof(rivals) / sizeof(rivals[0])))

static void
open_rival(const struct rival *r, struct side sides[2])
{
	int there[2], back[2];

	if (r->kind == OURS) {
		if (mproc_pipe(&sides[0].conn, &sides[1].conn, NULL) < 0)
			bench_die(mproc_error_detail());
	} else if (r->kind == PIPES) {
		if (pipe(there) < 0 || pipe(back) < 0)
			bench_die("pipe");
		sides[0] = (struct side){ NULL, back[0], there[1] };
		sides[1] = (struct side){ NULL, there[0], back[1] };
	} else {
		int room = 4 * (int)LONG;

		if (socketpair(AF_UNIX, r->kind, 0, there) < 0)
			bench_die("socketpair");
		/* One message has to fit. */
		for (int i = 0; i < 2; i++)
			(void)setsockopt(there[i], SOL_SOCKET, SO_SNDBUF, &room,
					 sizeof(room));
		sides[0] = (struct side){ NULL, there[0], there[0] };
		sides[1] = (struct side){ NULL, there[1], there[1] };
	}
}

static void
close_side(const struct side *s)
{
	if (s->conn) {
		mproc_conn_close(s->conn);
		return;
	}
	close(s->in);
	if (s->out != s->in)
		close(s->out);
}

static void
send_bytes(const struct side *s, const void *bytes, size_t len)
{
	size_t done = 0;
	ssize_t n;

	if (s->conn) {
		if (mproc_conn_send(s->conn, bytes, len, MPROC_FOREVER) < 0)
			bench_die(mproc_error_detail());
		return;
	}
	while (done < len) {
		n = write(s->out, (const char *)bytes + done, len - done);
		if (n <= 0)
			bench_die("write");
		done += (size_t)n;
	}
}

static void
recv_bytes(const struct side *s, void *bytes, size_t len)
{
	size_t done = 0;
	ssize_t n;

	if (s->conn) {
		if (mproc_conn_recv(s->conn, bytes, len, &done,
				    MPROC_FOREVER) < 0 || done != len)
			bench_die(mproc_error_detail());
		return;
	}
	while (done < len) {
		n = read(s->in, (char *)bytes + done, len - done);
		if (n <= 0)
			bench_die("read");
		done += (size_t)n;
	}
}

/* Messages of @len bytes; answered or not. */
struct work {
	const char *name;
	size_t len;
	uint64_t n, n_kernel;
	bool answered;
	bool one_cpu;
};

static const struct work works[] = {
	{ "64 bytes, one way", 64, 4000000, 300000, false, false },
	{ "1 MiB, one way", LONG, 1000, 300, false, false },
	{ "64 bytes, there and back", 64, 300000, 50000, true, false },
	{ "64 bytes, there and back", 64, 50000, 50000, true, true },
};

#define WORKS ((int)(sizeof(works) / sizeof(works[0])))

static unsigned char *buffer;

static void
send_one(const struct side *s, const struct work *w, uint64_t number)
{
	struct bench_message m;

	if (w->len == sizeof(m)) {
		bench_fill(&m, number);
		send_bytes(s, &m, sizeof(m));
	} else {
		bench_pages_stamp(buffer, w->len, number);
		send_bytes(s, buffer, w->len);
	}
}

/* Of the first one, which is not measured, each byte is looked at. */
static bool
is_good(const struct work *w, uint64_t number)
{
	return bench_pages_are(buffer, w->len, number) &&
	       (number || bench_pages_are_whole(buffer, w->len));
}

static void
recv_one(const struct side *s, const struct work *w, uint64_t number)
{
	struct bench_message m;
	bool good;

	if (w->len == sizeof(m)) {
		recv_bytes(s, &m, sizeof(m));
		good = bench_is_good(&m, number);
	} else {
		recv_bytes(s, buffer, w->len);
		good = is_good(w, number);
	}
	if (!good)
		bench_die("a wrong message");
}

static struct job {
	const struct work *work;
	struct side side;
	uint64_t n;
} job;

/* The first of the CPUs that there are. */
static int cpu[2], cpus;

static void
find_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		bench_die("sched_getaffinity");
	for (int i = 0; i < CPU_SETSIZE && cpus < 2; i++)
		if (CPU_ISSET((size_t)i, &set))
			cpu[cpus++] = i;
}

static void
pin(int n)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu[n], &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		bench_die("sched_setaffinity");
}

static int
other_side(void *arg)
{
	(void)arg;
	pin(job.work->one_cpu ? 0 : 1);
	recv_one(&job.side, job.work, 0);
	send_one(&job.side, job.work, 0);
	for (uint64_t i = 1; i <= job.n; i++) {
		recv_one(&job.side, job.work, i);
		if (job.work->answered)
			send_one(&job.side, job.work, i);
	}
	if (!job.work->answered)
		send_one(&job.side, job.work, job.n);
	return 0;
}

/* Nanoseconds for each. */
static double
run(const struct rival *r, const struct work *w)
{
	struct side sides[2] = { { 0 } };
	mproc_process *p;
	int64_t began;

	open_rival(r, sides);
	job = (struct job){ w, sides[1],
			    r->kind == OURS ? w->n : w->n_kernel };
	if (mproc_process_start(&p, other_side, NULL,
				MPROC_OPTS(mproc_process_opts,
					   .conns = &sides[1].conn,
					   .n_conns = r->kind == OURS ? 1 : -1)) < 0)
		bench_die(mproc_error_detail());
	/* Both are there. */
	send_one(&sides[0], w, 0);
	recv_one(&sides[0], w, 0);
	began = mproc_now();
	for (uint64_t i = 1; i <= job.n; i++) {
		send_one(&sides[0], w, i);
		if (w->answered)
			recv_one(&sides[0], w, i);
	}
	if (!w->answered)
		recv_one(&sides[0], w, job.n);
	began = mproc_now() - began;
	if (mproc_process_join(p, MPROC_FOREVER) < 0)
		bench_die(mproc_error_detail());
	mproc_process_close(p);
	close_side(&sides[0]);
	if (!sides[0].conn)
		close_side(&sides[1]);
	return (double)began / (double)job.n;
}

/* a is the length, b the number of messages; with a CPU for each side, or one. */
static const char python_form[] = BENCH_PYTHON BENCH_PYTHON_MESSAGES
	"answered, cpus = %d, (%d, %d)\n"
	"ends = context.Pipe()\n"
	"def send_all(end):\n"
	"    for i in range(b):\n"
	"        message = fill(i)\n"
	"        end.send_bytes(message)\n"
	"        if answered:\n"
	"            check(end.recv_bytes() == message)\n"
	"def recv_all(end):\n"
	"    for i in range(b):\n"
	"        message = end.recv_bytes()\n"
	"        check(is_good(message, i))\n"
	"        if answered:\n"
	"            end.send_bytes(message)\n"
	"def side(i):\n"
	"    os.sched_setaffinity(0, {cpus[i]})\n"
	"    (send_all, recv_all)[i](ends[i])\n"
	"print(measure(2, side) / b)\n";

static double
run_python(const struct work *w)
{
	char program[sizeof(python_form) + 64];

	snprintf(program, sizeof(program), python_form, w->answered, cpu[0],
		 cpu[!w->one_cpu]);
	return bench_python(program, (unsigned)w->len, (unsigned)w->n_kernel);
}

static void
compare(const struct work *w, int rounds)
{
	double **ns = bench_columns(RIVALS, rounds);

	bool left_out = cpus < 2 && !w->one_cpu;

	for (int i = 0; i < rounds && !left_out; i++)
		for (int k = 0; k < RIVALS; k++)
			ns[k][i] = rivals[k].kind == PYTHONS ?
					   run_python(w) : run(&rivals[k], w);
	bench_table("ns", "pipe: %s", w->name);
	bench_table_now.placement = w->one_cpu ? "one CPU" : "two CPUs";
	printf("\n%s\n", bench_table_now.placement);
	printf("%-20s %10s %10s %10s %10s %10s\n", w->name, "ns", "least",
	       "most", "of pipe", "of socket");
	for (int k = 0; k < RIVALS; k++) {
		if (left_out) {
			bench_left_out(rivals[k].name, BENCH_ONE_CPU);
			continue;
		}
		if (bench_is_missing(rivals[k].name, ns[k]))
			continue;
		bench_row(rivals[k].name, ns[k], rounds, 1);
		printf(" %10.2f %10.2f\n",
		       bench_median_ratio(ns[1], ns[k], rounds),
		       bench_median_ratio(ns[2], ns[k], rounds));
	}
	bench_free_columns(ns, RIVALS);
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;

	if (rounds < 1)
		bench_die("how many rounds?");
	buffer = malloc(LONG);
	if (!buffer)
		bench_die("no memory");
	bench_pages_fill(buffer, LONG);
	find_cpus();
	pin(0);
	for (int i = 0; i < WORKS; i++)
		compare(&works[i], rounds);
	free(buffer);
	return 0;
}
