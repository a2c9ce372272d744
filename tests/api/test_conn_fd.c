/* SPDX-License-Identifier: MIT */
/*
 * Open files that go over connections: in order with messages, to who has no room for
 * them, with Python at the other side, and from those who send what they like.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include "listener.h"
#include "mpt_refuse.h"
#include "python.h"

/* Both ends of a connection in this process: of who connects, and who accepts. */
struct two {
	mproc_conn *a, *b;
};

static const struct mproc_listener_opts *
passing(bool pass_fds)
{
	static struct mproc_listener_opts o = { .struct_size = sizeof(o) };

	o.pass_fds = pass_fds;
	return &o;
}

static struct two
connect_with(struct mpt *t, bool a_passes, bool b_passes)
{
	char *address = unix_address(t, "fd");
	mproc_listener *l;
	struct two two = { NULL, NULL };

	assert_int_equal(mproc_listener_open(&l, address, passing(b_passes)), 0);
	assert_int_equal(mproc_connect(&two.a, address,
				       MPROC_OPTS(mproc_connect_opts,
						  .pass_fds = a_passes),
				       mproc_sec(20)), 0);
	assert_int_equal(mproc_listener_accept(l, &two.b, mproc_sec(20)), 0);
	mproc_listener_close(l);
	return two;
}

static struct two
connect_two(struct mpt *t)
{
	return connect_with(t, true, true);
}

static void
end_two(const struct two *two)
{
	mproc_conn_close(two->a);
	mproc_conn_close(two->b);
}

/* A pipe of the system's, whose other end tells what the one that is sent leads to. */
static void
open_pipe(int ret[2])
{
	assert_int_equal(pipe2(ret, O_CLOEXEC), 0);
}

static bool
has_detail(const char *text)
{
	return strstr(mproc_error_detail(), text) != NULL;
}

/* What is written into @fd comes out at @out. */
static void
expect_leads_to(int fd, int out)
{
	char c = 0;

	assert_true(fd > 2);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(read(out, &c, 1), 1);
	assert_int_equal(c, 'x');
	close(fd);
}

static void
an_open_file_is_sent_and_received(void **state)
{
	struct two two = connect_two(*state);
	int fds[2], fd;
	char c;

	open_pipe(fds);
	assert_int_equal(mproc_conn_recv_fd(two.b, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(mproc_conn_recv_fd(two.b, mproc_until(1)), -ETIMEDOUT);
	assert_int_equal(mproc_conn_send_fd(two.a, fds[1], MPROC_NOWAIT), 0);
	close(fds[1]);
	assert_int_equal(mproc_conn_poll(two.b, MPROC_NOWAIT), 0);
	fd = mproc_conn_recv_fd(two.b, MPROC_NOWAIT);
	expect_leads_to(fd, fds[0]);
	/* That was the last one. */
	assert_int_equal(read(fds[0], &c, 1), 0);
	close(fds[0]);
	assert_int_equal(mproc_conn_recv_fd(two.b, MPROC_NOWAIT), -EAGAIN);
	end_two(&two);
}

/* Neither is lost by a call for the other. */
static void
messages_and_files_keep_their_order(void **state)
{
	struct two two = connect_two(*state);
	struct mpt *t = *state;
	int fds[2], fd;
	char buf[8];
	size_t len = 0;

	open_pipe(fds);
	send_text(t, two.a, "one");
	send_text(t, two.a, "");
	assert_int_equal(mproc_conn_send_fd(two.a, fds[1], MPROC_NOWAIT), 0);
	assert_int_equal(mproc_conn_send_fd(two.a, fds[1], MPROC_NOWAIT), 0);
	send_text(t, two.a, "two");
	for (int i = 0; i < 2; i++)
		assert_int_equal(mproc_conn_recv_fd(two.b, mproc_sec(20)),
				 -ENOMSG);
	assert_true(has_detail("a message comes next"));
	expect_message(t, two.b, "one");
	assert_int_equal(mproc_conn_recv_fd(two.b, mproc_sec(20)), -ENOMSG);
	/* The socket still says so, although the message has no bytes. */
	assert_true(becomes_readable(mproc_conn_fd(two.b), 0));
	expect_message(t, two.b, "");
	/* The first one is asked for at once, the second one after a message was. */
	fd = mproc_conn_recv_fd(two.b, mproc_sec(20));
	expect_leads_to(fd, fds[0]);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(mproc_conn_recv(two.b, buf, sizeof(buf), &len,
						 mproc_sec(20)), -ENOMSG);
		assert_true(has_detail("mproc_conn_recv_fd()"));
		assert_int_equal(mproc_conn_poll(two.b, MPROC_NOWAIT), 0);
	}
	fd = mproc_conn_recv_fd(two.b, MPROC_NOWAIT);
	expect_leads_to(fd, fds[0]);
	expect_message(t, two.b, "two");
	close(fds[0]);
	close(fds[1]);
	end_two(&two);
}

/* One that was met, and one that is on its way. */
static void
what_nobody_takes_is_closed(void **state)
{
	struct two two = connect_two(*state);
	int fds[2];
	char buf[8];

	open_pipe(fds);
	for (int i = 0; i < 2; i++)
		assert_int_equal(mproc_conn_send_fd(two.a, fds[1], MPROC_NOWAIT),
				 0);
	close(fds[1]);
	assert_int_equal(mproc_conn_recv(two.b, buf, 8, NULL, mproc_sec(20)),
			 -ENOMSG);
	assert_int_equal(mproc_conn_poll(two.b, MPROC_NOWAIT), 0);
	end_two(&two);
	assert_int_equal(read(fds[0], buf, 1), 0);
	close(fds[0]);
}

static void
what_cannot_be_sent(void **state)
{
	struct two two = connect_two(*state);
	mproc_listener *l;
	mproc_conn *c, *d;

	assert_int_equal(mproc_conn_send_fd(two.a, -1, MPROC_NOWAIT), -EBADF);
	assert_int_equal(mproc_conn_send_fd(two.a, 1 << 20, MPROC_NOWAIT),
			 -EBADF);
	assert_int_equal(mproc_conn_recv_fd(two.b, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(mproc_conn_send_fd(NULL, 0, MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_conn_recv_fd(NULL, MPROC_NOWAIT), -EINVAL);
	mproc_conn_close(two.b);
	assert_int_equal(mproc_conn_send_fd(two.a, 0, MPROC_FOREVER), -EPIPE);
	assert_int_equal(mproc_conn_recv_fd(two.a, MPROC_FOREVER), -EPIPE);
	mproc_conn_close(two.a);
	/* Over what passes none. */
	assert_int_equal(mproc_pipe(&c, &d, NULL), 0);
	assert_int_equal(mproc_conn_send_fd(c, 0, MPROC_NOWAIT), -ENOTSUP);
	assert_true(has_detail(".sockets"));
	assert_int_equal(mproc_conn_recv_fd(d, MPROC_NOWAIT), -ENOTSUP);
	mproc_conn_close(c);
	assert_int_equal(mproc_conn_send_fd(c, 0, MPROC_NOWAIT), -ESTALE);
	mproc_conn_close(d);
	assert_int_equal(mproc_listener_open(&l, "tcp:127.0.0.1:0", NULL), 0);
	assert_int_equal(mproc_connect(&c, mproc_listener_address(l), NULL,
				       mproc_sec(20)), 0);
	assert_int_equal(mproc_listener_accept(l, &d, mproc_sec(20)), 0);
	assert_int_equal(mproc_conn_send_fd(c, 0, MPROC_NOWAIT), -ENOTSUP);
	assert_true(has_detail(".pass_fds"));
	assert_int_equal(mproc_conn_recv_fd(d, MPROC_NOWAIT), -ENOTSUP);
	mproc_conn_close(c);
	mproc_conn_close(d);
	assert_int_equal(mproc_connect(&c, mproc_listener_address(l),
				       MPROC_OPTS(mproc_connect_opts,
						  .pass_fds = true),
				       mproc_sec(20)), -EINVAL);
	assert_true(has_detail("TCP"));
	mproc_listener_close(l);
	assert_int_equal(mproc_listener_open(&l, "tcp:127.0.0.1:0", passing(true)),
			 -EINVAL);
	assert_true(has_detail("TCP"));
}

/* Before Linux 6.16 the file is closed on the way, and the stream is spoilt. */
static void
who_does_not_say_so_gets_none(void **state)
{
	struct two two;
	mproc_conn *from, *to;
	int fds[2], r;
	size_t len;
	char byte;

	for (int i = 0; i < 2; i++) {
		two = connect_with(*state, i == 0, i == 1);
		from = i ? two.b : two.a;
		to = i ? two.a : two.b;
		assert_int_equal(mproc_conn_send_fd(to, 0, MPROC_NOWAIT), -ENOTSUP);
		assert_int_equal(mproc_conn_recv_fd(to, MPROC_NOWAIT), -ENOTSUP);
		open_pipe(fds);
		r = mproc_conn_send_fd(from, fds[1], MPROC_NOWAIT);
		close(fds[1]);
		if (r == 0) {
			/* The byte beside it begins a length. */
			assert_int_equal(mproc_conn_recv(to, &byte, 1, NULL,
							 MPROC_NOWAIT), -EAGAIN);
			send_text(*state, from, "next");
			assert_int_equal(mproc_conn_recv(to, &byte, 1, &len,
							 MPROC_NOWAIT),
					 -EMSGSIZE);
			assert_int_equal(len, 1 << 24);
		} else {
			assert_false(mpt_without("passrights"));
			assert_int_equal(r, -ENOTSUP);
			assert_true(has_detail("the other side"));
			send_text(*state, from, "next");
			expect_message(*state, to, "next");
		}
		/* It is open nowhere. */
		assert_int_equal(read(fds[0], &byte, 1), 0);
		close(fds[0]);
		end_two(&two);
	}
}

/* Not even one is left. Returns what there was. */
static struct rlimit
leave_no_room(void)
{
	struct rlimit before, none;
	int next = dup(0);

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = (rlim_t)next;
	close(next);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	return before;
}

static void
who_has_no_room_is_told(void **state)
{
	struct two two = connect_two(*state);
	struct mpt *t = *state;
	struct rlimit before;
	int fds[2], fd;
	char buf[8];

	open_pipe(fds);
	for (int i = 0; i < 2; i++)
		assert_int_equal(mproc_conn_send_fd(two.a, fds[1], MPROC_NOWAIT),
				 0);
	send_text(t, two.a, "behind");
	before = leave_no_room();
	/* It waits for room. */
	for (int i = 0; i < 3; i++) {
		assert_int_equal(mproc_conn_recv_fd(two.b, MPROC_NOWAIT),
				 -EMFILE);
		assert_true(has_detail("the next one waits"));
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	fd = mproc_conn_recv_fd(two.b, MPROC_NOWAIT);
	expect_leads_to(fd, fds[0]);
	/* Who asks for a message cannot know. */
	before = leave_no_room();
	assert_int_equal(mproc_conn_recv(two.b, buf, 8, NULL, MPROC_NOWAIT),
			 -ENOMSG);
	assert_int_equal(mproc_conn_recv_fd(two.b, MPROC_NOWAIT), -EMFILE);
	assert_true(has_detail("is lost"));
	expect_message(t, two.b, "behind");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	close(fds[0]);
	close(fds[1]);
	end_two(&two);
}

/* @n descriptors beside @len bytes. */
static void
send_raw(int fd, const char *bytes, size_t len, int sent, unsigned n)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(250 * sizeof(int))];
	} control = { .bytes = "" };
	struct iovec part = { (void *)(uintptr_t)bytes, len };
	struct msghdr header = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_SPACE(n * sizeof(int)),
	};
	int fds[250];

	for (unsigned i = 0; i < n; i++)
		fds[i] = sent;
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(&control.head), fds, n * sizeof(int));
	assert_int_equal(sendmsg(fd, &header, 0), len);
}

/* What is sent along where nothing is expected: none of it stays open here. */
static void
no_other_descriptors_come_in(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		unsigned n;
		int recv, recv_fd;
	} tries[] = {
		/* More than one, and what says so, or lies. */
		{ "\1", 1, 2, -EBADMSG, -EBADMSG },
		{ "\2", 1, 2, -EBADMSG, -EBADMSG },
		{ "\2", 1, 1, -EBADMSG, -EBADMSG },
		{ "\1", 1, 250, -EBADMSG, -EBADMSG },
		/* Beside a message, or where one begins. */
		{ "\0\0\0\1x", 5, 1, -EBADMSG, -ENOMSG },
		{ "\0\0\0\1", 4, 3, -EBADMSG, -ENOMSG },
		{ "\1\1", 2, 1, -EBADMSG, -ENOMSG },
	};
	struct mpt *t = *state;
	char *address = unix_address(t, "hostile"), buf[8];
	mproc_listener *l;
	mproc_conn *c;
	int fds[2], fd;

	assert_int_equal(mproc_listener_open(&l, address, passing(true)), 0);
	for (size_t i = 0; i < 2 * sizeof(tries) / sizeof(tries[0]); i++) {
		bool first_fd = i & 1;
		size_t k = i / 2;

		open_pipe(fds);
		fd = raw_connect(address);
		assert_int_equal(mproc_listener_accept(l, &c, mproc_sec(20)), 0);
		send_raw(fd, tries[k].bytes, tries[k].len, fds[1], tries[k].n);
		close(fds[1]);
		for (int j = 0; j < 2; j++)
			assert_int_equal(first_fd ?
				mproc_conn_recv_fd(c, MPROC_NOWAIT) :
				mproc_conn_recv(c, buf, 8, NULL, MPROC_NOWAIT),
				first_fd ? tries[k].recv_fd : tries[k].recv);
		/* It is open nowhere; or with the connection, in the kernel. */
		if (first_fd && tries[k].recv_fd == -ENOMSG)
			mproc_conn_close(c);
		assert_int_equal(read(fds[0], buf, 1), 0);
		close(fds[0]);
		close(fd);
		if (!first_fd || tries[k].recv_fd != -ENOMSG)
			mproc_conn_close(c);
	}
	mproc_listener_close(l);
}

/* In the middle of a message, and while keys are compared. */
static void
none_comes_in_by_the_way(void **state)
{
	struct mpt *t = *state;
	char *address = unix_address(t, "hostile"), buf[8];
	mproc_listener *l;
	mproc_conn *c;
	int fds[2], fd;

	open_pipe(fds);
	assert_int_equal(mproc_listener_open(&l, address, passing(true)), 0);
	fd = raw_connect(address);
	assert_int_equal(mproc_listener_accept(l, &c, mproc_sec(20)), 0);
	assert_int_equal(write(fd, "\0\0", 2), 2);
	assert_int_equal(mproc_conn_recv(c, buf, 8, NULL, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(mproc_conn_recv_fd(c, MPROC_NOWAIT), -ENOMSG);
	send_raw(fd, "\0\3", 2, fds[1], 3);
	assert_int_equal(mproc_conn_recv(c, buf, 8, NULL, MPROC_NOWAIT), -EAGAIN);
	send_raw(fd, "abc", 3, fds[1], 1);
	close(fds[1]);
	expect_message(t, c, "abc");
	assert_int_equal(read(fds[0], buf, 1), 0);
	close(fds[0]);
	close(fd);
	mproc_conn_close(c);
	mproc_listener_close(l);

	open_pipe(fds);
	assert_int_equal(mproc_listener_open(&l, address,
		MPROC_OPTS(mproc_listener_opts, A_KEY, .pass_fds = true)), 0);
	fd = raw_connect(address);
	assert_int_equal(mproc_listener_accept(l, &c, MPROC_NOWAIT), -EAGAIN);
	send_raw(fd, "\0\0\0\4abcd", 8, fds[1], 5);
	close(fds[1]);
	assert_int_equal(mproc_listener_accept(l, &c, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(read(fds[0], buf, 1), 0);
	close(fds[0]);
	close(fd);
	mproc_listener_close(l);
}

static void
nothing_comes_between_the_parts_of_a_message(void **state)
{
	static char big[4 << 20];
	struct two two = connect_two(*state);
	struct mpt *t = *state;
	int r;

	assert_int_equal(mproc_conn_send(two.a, big, sizeof(big), MPROC_NOWAIT),
			 -EAGAIN);
	assert_int_equal(mproc_conn_send_fd(two.a, 0, MPROC_FOREVER), -EBUSY);
	while ((r = mproc_conn_send(two.a, big, sizeof(big), MPROC_NOWAIT)) ==
	       -EAGAIN)
		assert_int_equal(mproc_conn_recv(two.b, big, sizeof(big), NULL,
						 MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(r, 0);
	assert_int_equal(mproc_conn_recv(two.b, big, sizeof(big), NULL,
					 mproc_sec(20)), 0);
	send_text(t, two.a, "next");
	expect_message(t, two.b, "next");
	end_two(&two);
}

struct waiting {
	mproc_conn *c;
	int fd;
	_Atomic int r;
};

static int
wait_for_a_file(struct mpt *t, void *arg)
{
	struct waiting *w = arg;
	int fd = mproc_conn_recv_fd(w->c, mproc_sec(20));

	mpt_check(t, fd > 2);
	mpt_check_int(t, write(fd, "y", 1), 1);
	close(fd);
	return 0;
}

static void
waiting_for_a_file_ends_with_it(void **state)
{
	struct two two = connect_two(*state);
	struct waiting w = { .c = two.b };
	struct mpt *t = *state;
	int fds[2];
	char c = 0;

	open_pipe(fds);
	mpt_use_threads(t, true);
	mpt_spawn(t, "receiver", wait_for_a_file, &w);
	assert_int_equal(mproc_conn_send_fd(two.a, fds[1], mproc_sec(20)), 0);
	assert_int_equal(read(fds[0], &c, 1), 1);
	assert_int_equal(c, 'y');
	mpt_join_all(t);
	close(fds[0]);
	close(fds[1]);
	end_two(&two);
}

/* As long as somebody receives, it is sent. */
static void
waiting_for_room_ends_with_it(void **state)
{
	struct two two = connect_two(*state);
	unsigned sent = 0, got = 0;
	int fds[2], r;

	open_pipe(fds);
	while ((r = mproc_conn_send_fd(two.a, fds[1], MPROC_NOWAIT)) == 0)
		sent++;
	assert_true(r == -EAGAIN || r == -ETOOMANYREFS);
	assert_true(sent > 0);
	if (r == -EAGAIN)
		assert_int_equal(mproc_conn_send_fd(two.a, fds[1],
						    mproc_until(1)), -ETIMEDOUT);
	while ((r = mproc_conn_recv_fd(two.b, MPROC_NOWAIT)) >= 0) {
		close(r);
		got++;
	}
	assert_int_equal(r, -EAGAIN);
	assert_int_equal(got, sent);
	assert_int_equal(mproc_conn_send_fd(two.a, fds[1], MPROC_NOWAIT), 0);
	close(fds[0]);
	close(fds[1]);
	end_two(&two);
}

struct killed {
	mproc_conn *c;
	int fd;
	bool receives;
};

/* Until somebody kills it. */
static int
go_on_for_ever(struct mpt *t, void *arg)
{
	const struct killed *k = arg;

	mpt_step(t, k->receives);
	for (;;)
		if (k->receives)
			close(mproc_conn_recv_fd(k->c, mproc_sec(20)));
		else if (mproc_conn_send_fd(k->c, k->fd, mproc_sec(20)) < 0)
			return 1;
}

/* With files on their way: they go with the connection. */
static void
killed_with_files_in_flight(void **state)
{
	struct mpt *t = *state;

	for (int i = 0; i < 2; i++) {
		struct two two = connect_two(t);
		struct killed k = { .c = i ? two.b : two.a, .receives = i };
		int fds[2], id, r;
		char c;

		open_pipe(fds);
		k.fd = fds[1];
		id = mpt_fork(t, i ? "receiver" : "sender", go_on_for_ever, &k);
		mpt_reach(t, i + 1);
		mproc_conn_close(k.c);
		for (int j = 0; j < 50; j++) {
			if (i) {
				assert_int_equal(mproc_conn_send_fd(
					two.a, fds[1], mproc_sec(20)), 0);
				continue;
			}
			r = mproc_conn_recv_fd(two.b, mproc_sec(20));
			assert_true(r > 2);
			close(r);
		}
		mpt_kill(t, id);
		if (i) {
			while (mproc_conn_send_fd(two.a, fds[1], MPROC_NOWAIT) ==
			       0)
				;
			mproc_conn_close(two.a);
		} else {
			while ((r = mproc_conn_recv_fd(two.b, mproc_sec(20))) > 2)
				close(r);
			assert_int_equal(r, -EPIPE);
			mproc_conn_close(two.b);
		}
		close(fds[1]);
		assert_int_equal(read(fds[0], &c, 1), 0);
		close(fds[0]);
	}
}

/* send_handle() and recv_handle(), in both roles. */
static void
python_sends_and_receives_files(void **state)
{
	static const char script[] =
		"import os, sys\n"
		"from multiprocessing.connection import Client\n"
		"from multiprocessing.reduction import recv_handle, send_handle\n"
		"c = Client(sys.argv[1])\n"
		"c.send_bytes(b'before')\n"
		"r, w = os.pipe()\n"
		"send_handle(c, w, None)\n"
		"os.close(w)\n"
		"c.send_bytes(b'after')\n"
		"assert c.recv_bytes() == b'one'\n"
		"fd = recv_handle(c)\n"
		"assert c.recv_bytes() == b'two'\n"
		"os.write(fd, os.read(r, 10))\n"
		"assert os.read(r, 1) == b''\n";
	struct mpt *t = *state;
	char *address = unix_address(t, "python"), buf[10];
	mproc_listener *l;
	struct python py;
	mproc_conn *c;
	int fds[2], fd;

	mpt_watchdog(t, 60);
	assert_int_equal(mproc_listener_open(&l, address, passing(true)), 0);
	snprintf(py.name, sizeof(py.name), "%s", address + PATH_AT);
	python_start(&py, t, script);
	assert_int_equal(mproc_listener_accept(l, &c, mproc_sec(30)), 0);
	expect_message(t, c, "before");
	fd = mproc_conn_recv_fd(c, mproc_sec(20));
	assert_true(fd > 2);
	expect_message(t, c, "after");
	open_pipe(fds);
	send_text(t, c, "one");
	assert_int_equal(mproc_conn_send_fd(c, fds[1], mproc_sec(20)), 0);
	close(fds[1]);
	send_text(t, c, "two");
	assert_int_equal(write(fd, "hello", 5), 5);
	close(fd);
	assert_int_equal(read(fds[0], buf, sizeof(buf)), 5);
	assert_memory_equal(buf, "hello", 5);
	python_end(&py, 0);
	assert_int_equal(read(fds[0], buf, sizeof(buf)), 0);
	close(fds[0]);
	mproc_conn_close(c);
	mproc_listener_close(l);
}

struct calls {
	struct two two;
	int file;
	int got;
	int n; /* of them have returned */
};

static bool
send_and_receive(struct calls *calls)
{
	static char text[70000], room[sizeof(text)];
	char buf[8];
	size_t len;

	if (mproc_conn_send(calls->two.a, "short", 5, MPROC_FOREVER) < 0 ||
	    mproc_conn_recv(calls->two.b, buf, sizeof(buf), &len,
			    MPROC_FOREVER) < 0 || len != 5)
		return false;
	calls->n++;
	if (mproc_conn_recv(calls->two.b, buf, sizeof(buf), NULL,
			    MPROC_NOWAIT) != -EAGAIN ||
	    mproc_conn_recv(calls->two.b, buf, sizeof(buf), NULL,
			    mproc_ms(30)) != -ETIMEDOUT)
		return false;
	calls->n++;
	if (mproc_conn_send(calls->two.b, text, sizeof(text), MPROC_FOREVER) < 0 ||
	    mproc_conn_recv(calls->two.a, room, sizeof(room), &len,
			    MPROC_FOREVER) < 0 || len != sizeof(text))
		return false;
	calls->n++;
	return true;
}

static void *
call_and_be_cancelled(void *arg)
{
	struct calls *calls = arg;

	pthread_cancel(pthread_self());
	if (!send_and_receive(calls))
		return NULL;
	if (calls->file >= 0) {
		if (mproc_conn_send_fd(calls->two.a, calls->file,
				       MPROC_FOREVER) < 0)
			return NULL;
		calls->n++;
		calls->got = mproc_conn_recv_fd(calls->two.b, MPROC_FOREVER);
		calls->n++;
	}
	pthread_testcancel();
	return NULL;
}

/* Or a turn would be taken for ever, and half a message sent. */
static void
no_call_is_cancelled_half_way(void **state)
{
	struct calls calls;
	pthread_t thread;
	void *result;
	int fds[2];

	for (int passes = 0; passes < 2; passes++) {
		open_pipe(fds);
		calls = (struct calls){
			.two = connect_with(*state, passes, passes),
			.file = passes ? fds[1] : -1,
			.got = -1,
		};
		assert_int_equal(pthread_create(&thread, NULL,
						call_and_be_cancelled, &calls),
				 0);
		assert_int_equal(pthread_join(thread, &result), 0);
		assert_true(result == PTHREAD_CANCELED);
		assert_int_equal(calls.n, passes ? 5 : 3);
		if (passes)
			expect_leads_to(calls.got, fds[0]);
		close(fds[0]);
		close(fds[1]);
		end_two(&calls.two);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(an_open_file_is_sent_and_received),
		mpt_test(messages_and_files_keep_their_order),
		mpt_test(what_nobody_takes_is_closed),
		mpt_test(what_cannot_be_sent),
		mpt_test(who_does_not_say_so_gets_none),
		mpt_test(who_has_no_room_is_told),
		mpt_test(no_other_descriptors_come_in),
		mpt_test(none_comes_in_by_the_way),
		mpt_test(nothing_comes_between_the_parts_of_a_message),
		mpt_test(waiting_for_a_file_ends_with_it),
		mpt_test(waiting_for_room_ends_with_it),
		mpt_test(killed_with_files_in_flight),
		mpt_test(python_sends_and_receives_files),
		mpt_test(no_call_is_cancelled_half_way),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
