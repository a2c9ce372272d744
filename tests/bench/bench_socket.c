/* SPDX-License-Identifier: MIT */
/*
 * Connections over a socket file against plain calls on the same kind of socket, with
 * the same 4 bytes before each message: one way, and there and back.
 *
 * Connections with .pass_fds ask for an open file that may come in the place of a
 * message, and so do plain calls with room.
 *
 * The last columns are how often a message takes place in the time that it takes the
 * plain calls of either kind. Python's connections have the same bytes in the stream.
 *
 * Usage: bench_socket [rounds]
 */
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "bench.h"
#include "pages.h"
#include "python.h"

#define ROUNDS 9
#define LONG ((size_t)1 << 20)

/* One of the two sides. */
struct side {
	mproc_conn *conn;
	int fd; /* without one */
	bool asks; /* for an open file */
};

enum rival {
	OURS, PLAIN, OURS_WITH_ROOM, PLAIN_WITH_ROOM, PYTHONS, RIVALS
};

static const char *const rivals[RIVALS] = {
	[OURS] = "mproc_connect",
	[PLAIN] = "plain calls",
	[OURS_WITH_ROOM] = "mproc_connect, fds",
	[PLAIN_WITH_ROOM] = "plain, with room",
	[PYTHONS] = "Python's",
};

static void
open_rival(int rival, struct side sides[2])
{
	bool room = rival == OURS_WITH_ROOM || rival == PLAIN_WITH_ROOM;
	mproc_listener *l;
	char address[64];
	int fds[2];

	if (rival == PLAIN || rival == PLAIN_WITH_ROOM) {
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
			bench_die("socketpair");
		for (int i = 0; i < 2; i++)
			sides[i] = (struct side){ NULL, fds[i], room };
		return;
	}
	snprintf(address, sizeof(address), "unix:@mproc-bench-%ld",
		 (long)getpid());
	if (mproc_listener_open(&l, address,
				MPROC_OPTS(mproc_listener_opts,
					   .pass_fds = room)) < 0 ||
	    mproc_connect(&sides[0].conn, address,
			  MPROC_OPTS(mproc_connect_opts, .pass_fds = room),
			  MPROC_FOREVER) < 0 ||
	    mproc_listener_accept(l, &sides[1].conn, MPROC_FOREVER) < 0)
		bench_die(mproc_error_detail());
	mproc_listener_close(l);
}

static void
close_side(const struct side *s)
{
	if (s->conn)
		mproc_conn_close(s->conn);
	else
		close(s->fd);
}

static void
send_bytes(const struct side *s, const void *bytes, size_t len)
{
	uint32_t head = htonl((uint32_t)len);
	struct iovec parts[2] = { { &head, 4 }, { (void *)(uintptr_t)bytes, len } };
	struct msghdr m = { .msg_iov = parts, .msg_iovlen = 2 };

	if (s->conn) {
		if (mproc_conn_send(s->conn, bytes, len, MPROC_FOREVER) < 0)
			bench_die(mproc_error_detail());
	} else if (sendmsg(s->fd, &m, MSG_NOSIGNAL) != (ssize_t)len + 4) {
		bench_die("sendmsg");
	}
}

static ssize_t
recv_head(const struct side *s, uint32_t *ret_head)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} room;
	struct iovec part = { ret_head, 4 };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1,
			    .msg_control = &room,
			    .msg_controllen = CMSG_LEN(sizeof(int)) };

	return s->asks ? recvmsg(s->fd, &m, MSG_WAITALL | MSG_CMSG_CLOEXEC) :
			 recv(s->fd, ret_head, 4, MSG_WAITALL);
}

static void
recv_bytes(const struct side *s, void *bytes, size_t len)
{
	uint32_t head;
	size_t got;

	if (s->conn) {
		if (mproc_conn_recv(s->conn, bytes, len, &got,
				    MPROC_FOREVER) < 0 || got != len)
			bench_die(mproc_error_detail());
	} else if (recv_head(s, &head) != 4 || ntohl(head) != len ||
		   recv(s->fd, bytes, len, MSG_WAITALL) != (ssize_t)len) {
		bench_die("recv");
	}
}

struct work {
	const char *name;
	size_t len;
	uint64_t n;
	bool answered;
};

static const struct work works[] = {
	{ "64 bytes, one way", 64, 100000, false },
	{ "1 MiB, one way", LONG, 300, false },
	{ "64 bytes, there and back", 64, 20000, true },
};

#define WORKS ((int)(sizeof(works) / sizeof(works[0])))

static unsigned char *buffer;

static void
send_one(const struct side *s, const struct work *w, uint64_t number)
{
	if (w->len == LONG)
		bench_pages_stamp(buffer, LONG, number);
	else
		bench_fill((struct bench_message *)(void *)buffer, number);
	send_bytes(s, buffer, w->len);
}

static bool
is_good(const struct work *w, uint64_t number)
{
	if (w->len == LONG)
		return bench_pages_are(buffer, LONG, number);
	return bench_is_good((const struct bench_message *)(void *)buffer,
			     number);
}

static void
recv_one(const struct side *s, const struct work *w, uint64_t number)
{
	recv_bytes(s, buffer, w->len);
	if (!is_good(w, number))
		bench_die("a wrong message");
}

/* Both are there. Of that message each byte is looked at. */
static void
greet(const struct side *s, const struct work *w, bool first)
{
	if (first)
		send_one(s, w, w->n);
	recv_one(s, w, w->n);
	if (w->len == LONG && !bench_pages_are_whole(buffer, LONG))
		bench_die("a wrong byte");
	if (!first)
		send_one(s, w, w->n);
}

/* One side of the work. A last answer says that all has come. */
static void
do_side(const struct side *s, const struct work *w, bool first)
{
	for (uint64_t i = 0; i < w->n; i++) {
		if (first)
			send_one(s, w, i);
		else
			recv_one(s, w, i);
		if (!w->answered)
			continue;
		if (first)
			recv_one(s, w, i);
		else
			send_one(s, w, i);
	}
	if (first)
		recv_one(s, w, w->n);
	else
		send_one(s, w, w->n);
}

static double
run(int rival, const struct work *w)
{
	struct side sides[2] = { { NULL, -1, false }, { NULL, -1, false } };
	int64_t start;
	pid_t child;
	int status;

	open_rival(rival, sides);
	bench_pages_fill(buffer, LONG);
	child = fork();
	if (child == 0) {
		greet(&sides[1], w, false);
		do_side(&sides[1], w, false);
		_exit(0);
	}
	greet(&sides[0], w, true);
	start = mproc_now();
	do_side(&sides[0], w, true);
	start = mproc_now() - start;
	if (waitpid(child, &status, 0) != child || status)
		bench_die("the other side");
	close_side(&sides[0]);
	close_side(&sides[1]);
	return (double)start / (double)w->n;
}

/* a is the length, b the number of messages. Its Pipe is a pair of such sockets. */
static const char python_form[] = BENCH_PYTHON BENCH_PYTHON_MESSAGES
	"answered = %d\n"
	"ends = context.Pipe()\n"
	"def first(end):\n"
	"    for i in range(b):\n"
	"        message = fill(i)\n"
	"        end.send_bytes(message)\n"
	"        if answered:\n"
	"            check(end.recv_bytes() == message)\n"
	"    check(end.recv_bytes() == message)\n"
	"def second(end):\n"
	"    for i in range(b):\n"
	"        message = end.recv_bytes()\n"
	"        check(is_good(message, i))\n"
	"        if answered:\n"
	"            end.send_bytes(message)\n"
	"    end.send_bytes(message)\n"
	"print(measure(2, lambda i: (first, second)[i](ends[i])) / b)\n";

static double
run_python(const struct work *w)
{
	char program[sizeof(python_form) + 16];

	snprintf(program, sizeof(program), python_form, w->answered);
	return bench_python(program, (unsigned)w->len, (unsigned)w->n);
}

static void
compare(const struct work *w, int rounds)
{
	double **ns = bench_columns(RIVALS, rounds);

	for (int i = 0; i < rounds; i++)
		for (int k = 0; k < RIVALS; k++) {
			int rival = (i + k) % RIVALS;

			ns[rival][i] = rival == PYTHONS ? run_python(w) :
							  run(rival, w);
		}
	bench_table("ns", "socket: %s", w->name);
	printf("%s, ns each\n%-20s %10s %10s %10s %10s %10s\n", w->name, "",
	       "median", "least", "most", "of plain", "with room");
	for (int k = 0; k < RIVALS; k++) {
		if (bench_is_missing(rivals[k], ns[k]))
			continue;
		bench_row(rivals[k], ns[k], rounds, 0);
		printf(" %10.2f %10.2f\n",
		       bench_median_ratio(ns[PLAIN], ns[k], rounds),
		       bench_median_ratio(ns[PLAIN_WITH_ROOM], ns[k], rounds));
	}
	printf("\n");
	bench_free_columns(ns, RIVALS);
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;

	buffer = malloc(LONG);
	if (!buffer || rounds < 1)
		bench_die("no memory, or no rounds");
	for (int i = 0; i < WORKS; i++)
		compare(&works[i], rounds);
	free(buffer);
	return 0;
}
