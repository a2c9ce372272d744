/* SPDX-License-Identifier: MIT */
/*
 * Connections over a socket, whose other end the test has: messages in all pieces,
 * calls that stop in the middle, threads and forks.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/fault.h"
#include "common.h"
#include "ipc/socket_conn.h"
#include "ipc/wire.h"

#define LONG_LEN 300000

static unsigned char text[LONG_LEN], room[LONG_LEN];

struct pair {
	struct mpr_socket_conn *c;
	int fd; /* the other end */
};

static void
write_text(void)
{
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (unsigned char)(i * 7 + i / 251);
}

static struct pair
make_pair(bool asked)
{
	struct pair p;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				    fds), 0);
	p.fd = fds[0];
	assert_int_equal(mpr_socket_conn_make(&p.c, fds[1], asked, true), 0);
	write_text();
	return p;
}

static void
end_pair(const struct pair *p)
{
	mpr_socket_conn_close(p->c);
	if (p->fd >= 0)
		close(p->fd);
}

static int
send_one(struct mpr_socket_conn *c, const void *buf, size_t len,
	 mproc_timeout timeout)
{
	const struct iovec part = { (void *)(uintptr_t)buf, len };

	return mpr_socket_conn_sendv(c, &part, 1, timeout);
}

/* The bytes of a message of @len, as they are sent. */
static size_t
wire(unsigned char *to, size_t len)
{
	size_t n = mpr_wire_put(to, len);

	memcpy(to + n, text, len);
	return n + len;
}

static void
what_is_sent_is_framed_and_received(void **state)
{
	static const size_t lens[] = { 0, 1, 5, 4096, 4097, 20000 };
	static unsigned char expected[20100], bytes[20100];
	struct pair p = make_pair(false);
	const struct iovec parts[] = { { text, 2 }, { NULL, 0 }, { text + 2, 0 },
				       { text + 2, 3 } };
	size_t len, n;

	(void)state;
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		n = wire(expected, lens[i]);
		assert_int_equal(send_one(p.c, text, lens[i], MPROC_NOWAIT), 0);
		assert_int_equal(recv(p.fd, bytes, sizeof(bytes), 0), n);
		assert_memory_equal(bytes, expected, n);
		/* And back. */
		assert_int_equal(write(p.fd, expected, n), n);
		len = 99;
		assert_int_equal(mpr_socket_conn_recv(p.c, room, lens[i], &len,
						      MPROC_NOWAIT), 0);
		assert_int_equal(len, lens[i]);
		assert_memory_equal(room, text, len);
	}
	n = wire(expected, 5);
	assert_int_equal(mpr_socket_conn_sendv(p.c, parts, 4, MPROC_NOWAIT), 0);
	assert_int_equal(recv(p.fd, bytes, sizeof(bytes), 0), n);
	assert_memory_equal(bytes, expected, n);
	assert_int_equal(mpr_socket_conn_sendv(p.c, NULL, 0, MPROC_NOWAIT), 0);
	assert_int_equal(recv(p.fd, bytes, sizeof(bytes), 0), 4);
	/* The long form, of what is short. */
	memcpy(bytes, "\xff\xff\xff\xff\0\0\0\0\0\0\0\3abc", 15);
	assert_int_equal(write(p.fd, bytes, 15), 15);
	assert_int_equal(mpr_socket_conn_recv(p.c, room, 3, NULL, MPROC_NOWAIT),
			 0);
	assert_memory_equal(room, "abc", 3);
	end_pair(&p);
}

static void
a_message_that_does_not_fit_stays(void **state)
{
	struct pair p = make_pair(false);
	size_t len = 0;

	(void)state;
	assert_int_equal(write(p.fd, "\0\0\0\5hello\0\0\0\1x", 14), 14);
	for (size_t size = 0; size < 5; size++) {
		assert_int_equal(mpr_socket_conn_recv(p.c, room, size, &len,
						      MPROC_NOWAIT), -EMSGSIZE);
		assert_int_equal(len, 5);
		assert_non_null(strstr(mproc_error_detail(), "5 bytes"));
		assert_int_equal(mpr_socket_conn_poll(p.c, MPROC_NOWAIT), 0);
	}
	assert_int_equal(mpr_socket_conn_recv(p.c, room, 5, &len, MPROC_NOWAIT),
			 0);
	assert_memory_equal(room, "hello", 5);
	assert_int_equal(mpr_socket_conn_recv(p.c, room, 5, &len, MPROC_NOWAIT),
			 0);
	assert_int_equal(len, 1);
	/* However much it says: it gets no memory for it. */
	assert_int_equal(write(p.fd, "\xff\xff\xff\xff\x70\0\0\0\0\0\0\0", 12),
			 12);
	assert_int_equal(mpr_socket_conn_recv(p.c, room, 5, &len, MPROC_NOWAIT),
			 -EMSGSIZE);
	assert_true(len == (size_t)7 << 60);
	end_pair(&p);
}

/* Calls look after each byte, with buffers that differ. */
static void
a_message_may_come_in_any_pieces(void **state)
{
	static const size_t lens[] = { 3, 5000 };
	static unsigned char bytes[5100], one[5000], two[5000];
	struct pair p = make_pair(false);
	size_t len;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		size_t n = wire(bytes, lens[i]);
		size_t step = i ? 97 : 1;

		for (size_t at = 0; at < n; at += step) {
			size_t piece = n - at < step ? n - at : step;

			memset(one, 1, sizeof(one));
			memset(two, 2, sizeof(two));
			assert_int_equal(mpr_socket_conn_recv(
				p.c, at & 1 ? one : two, lens[i], &len,
				MPROC_NOWAIT), -EAGAIN);
			assert_int_equal(mpr_socket_conn_recv(
				p.c, one, lens[i], &len, mproc_until(1)),
				-ETIMEDOUT);
			assert_int_equal(write(p.fd, bytes + at, piece), piece);
		}
		assert_int_equal(mpr_socket_conn_recv(p.c, two, lens[i], &len,
						      MPROC_NOWAIT), 0);
		assert_int_equal(len, lens[i]);
		assert_memory_equal(two, text, len);
	}
	end_pair(&p);
}

static void
the_end_comes_between_messages_or_tears_one(void **state)
{
	static const struct {
		size_t n;
		const char *detail;
	} ends[] = {
		{ 0, "has closed" },   { 1, "message's length" },
		{ 3, "message's length" }, { 4, "after 0 of a message's 5" },
		{ 8, "after 4 of a message's 5" }, { 9, "has closed" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct pair p = make_pair(false);

		assert_int_equal(write(p.fd, "\0\0\0\5hello", ends[i].n),
				 ends[i].n);
		close(p.fd);
		p.fd = -1;
		if (ends[i].n == 9)
			assert_int_equal(mpr_socket_conn_recv(
				p.c, room, 5, NULL, MPROC_NOWAIT), 0);
		/* For ever. */
		for (int j = 0; j < 2; j++) {
			assert_int_equal(mpr_socket_conn_recv(
				p.c, room, 5, NULL, MPROC_FOREVER), -EPIPE);
			assert_non_null(strstr(mproc_error_detail(),
					       ends[i].detail));
			assert_int_equal(mpr_socket_conn_poll(p.c,
							      MPROC_NOWAIT), 0);
			assert_int_equal(send_one(p.c, "x", 1, MPROC_FOREVER),
					 -EPIPE);
		}
		end_pair(&p);
	}
}

static void
what_is_no_length_ends_it(void **state)
{
	struct pair p = make_pair(false);

	(void)state;
	assert_int_equal(write(p.fd, "\xff\xff\xff\xf0\0\0\0\1x", 9), 9);
	for (int i = 0; i < 3; i++)
		assert_int_equal(mpr_socket_conn_recv(p.c, room, 5, NULL,
						      MPROC_NOWAIT), -EBADMSG);
	end_pair(&p);
}

/* What is read at the other end, until there is no more. */
static size_t
drain(int fd, unsigned char *to, size_t size)
{
	size_t at = 0;
	ssize_t n;

	while ((n = recv(fd, to + at, size - at, MSG_DONTWAIT)) > 0)
		at += (size_t)n;
	return at;
}

static void
a_message_that_was_sent_in_part_is_sent_on(void **state)
{
	static unsigned char expected[LONG_LEN + 4], bytes[LONG_LEN + 10];
	struct pair p = make_pair(false);
	size_t n = wire(expected, LONG_LEN), got = 0;
	unsigned stops = 0;
	int r;

	(void)state;
	while ((r = send_one(p.c, text, LONG_LEN, MPROC_NOWAIT)) == -EAGAIN) {
		assert_int_equal(send_one(p.c, text, LONG_LEN, mproc_until(1)),
				 -ETIMEDOUT);
		assert_int_equal(send_one(p.c, text, 1, MPROC_FOREVER), -EBUSY);
		text[1]++;
		assert_int_equal(send_one(p.c, text, LONG_LEN, MPROC_FOREVER),
				 -EBUSY);
		assert_non_null(strstr(mproc_error_detail(), "300000 bytes"));
		text[1]--;
		got += drain(p.fd, bytes + got, sizeof(bytes) - got);
		stops++;
	}
	assert_int_equal(r, 0);
	assert_true(stops > 0);
	got += drain(p.fd, bytes + got, sizeof(bytes) - got);
	assert_int_equal(got, n);
	assert_memory_equal(bytes, expected, n);
	assert_int_equal(send_one(p.c, "x", 1, MPROC_NOWAIT), 0);
	end_pair(&p);
}

/* Over TCP, with room for little: that takes any piece of a message. */
static struct pair
make_narrow_pair(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t len = sizeof(at);
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), room_there = 4096;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), room_here = 2048;
	struct pair p;

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	(void)setsockopt(l, SOL_SOCKET, SO_RCVBUF, &room_there, sizeof(int));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room_here, sizeof(int));
	assert_int_equal(bind(l, (struct sockaddr *)&at, len), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(getsockname(l, (struct sockaddr *)&at, &len), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, len), 0);
	p.fd = accept(l, NULL, NULL);
	assert_true(p.fd >= 0);
	close(l);
	assert_int_equal(mpr_socket_conn_make(&p.c, fd, false, false), 0);
	write_text();
	return p;
}

static void
a_short_message_that_was_sent_in_part_is_sent_on(void **state)
{
	static unsigned char expected[1004], bytes[100000];
	struct pair p = make_narrow_pair();
	const struct iovec parts[] = { { text, 300 }, { text + 300, 0 },
				       { text + 300, 700 } };
	size_t n = wire(expected, 1000), sent = 0, got = 0, here;
	unsigned stops = 0;
	int r = 0;

	(void)state;
	/* With the last one whole, and all read. */
	while (stops < 3 || r < 0 || got < sent) {
		if (stops < 3 || r < 0) {
			r = mpr_socket_conn_sendv(p.c, parts, 3, MPROC_NOWAIT);
			if (r == 0) {
				sent += n;
				continue;
			}
			assert_int_equal(r, -EAGAIN);
			if (mpr_socket_conn_may_move(p.c) == -EBUSY) {
				stops++;
				assert_int_equal(send_one(p.c, text, 999,
							  MPROC_NOWAIT), -EBUSY);
			}
		}
		here = drain(p.fd, bytes, sizeof(bytes));
		for (size_t i = 0; i < here; i++)
			assert_int_equal(bytes[i], expected[(got + i) % n]);
		got += here;
	}
	assert_int_equal(got, sent);
	end_pair(&p);
}

#define SENDERS 3
#define EACH 60

struct crowd {
	struct mpr_socket_conn *to, *from;
	_Atomic unsigned received;
	unsigned each;
};

static size_t
length_of(unsigned sender, unsigned i)
{
	return i % 10 == 9 ? 30000 + sender : 2 + sender * 40 + i;
}

static int
send_many(struct mpt *t, void *arg, unsigned char me)
{
	struct crowd *crowd = arg;
	unsigned char buf[30100];

	for (unsigned i = 0; i < crowd->each; i++) {
		size_t len = length_of(me, i);

		memset(buf, me * 16 + (int)(i % 10), len);
		mpt_check_int(t, send_one(crowd->to, buf, len, mproc_sec(20)), 0);
	}
	return 0;
}

static int
send_as_1(struct mpt *t, void *arg)
{
	return send_many(t, arg, 1);
}

static int
send_as_2(struct mpt *t, void *arg)
{
	return send_many(t, arg, 2);
}

static int
send_as_3(struct mpt *t, void *arg)
{
	return send_many(t, arg, 3);
}

static int
receive_some(struct mpt *t, void *arg)
{
	struct crowd *crowd = arg;
	unsigned char buf[30100];
	size_t len;

	while (crowd->received < SENDERS * crowd->each) {
		int r = mpr_socket_conn_recv(crowd->from, buf, sizeof(buf), &len,
					     mproc_ms(5));

		if (r == -ETIMEDOUT)
			continue;
		mpt_check_int(t, r, 0);
		mpt_check(t, len >= 2);
		for (size_t i = 1; i < len; i++)
			mpt_check(t, buf[i] == buf[0]);
		crowd->received++;
	}
	return 0;
}

static void
threads_share_a_connection(void **state)
{
	static struct crowd crowd;
	struct mpt *t = *state;
	int fds[2], little = 1;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				    fds), 0);
	/* Long messages go out in pieces. */
	assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &little,
				    sizeof(little)), 0);
	crowd.each = amount(EACH);
	crowd.received = 0;
	assert_int_equal(mpr_socket_conn_make(&crowd.to, fds[0], false, true),
			 0);
	assert_int_equal(mpr_socket_conn_make(&crowd.from, fds[1], false, true),
			 0);
	mpt_use_threads(t, true);
	mpt_spawn(t, "receiver 1", receive_some, &crowd);
	mpt_spawn(t, "receiver 2", receive_some, &crowd);
	mpt_spawn(t, "sender 1", send_as_1, &crowd);
	mpt_spawn(t, "sender 2", send_as_2, &crowd);
	mpt_spawn(t, "sender 3", send_as_3, &crowd);
	mpt_join_all(t);
	assert_int_equal(crowd.received, SENDERS * crowd.each);
	mpr_socket_conn_close(crowd.to);
	mpr_socket_conn_close(crowd.from);
}

static int
receive_for_long(struct mpt *t, void *arg)
{
	struct mpr_socket_conn *c = arg;
	unsigned char buf[8];

	mpt_step(t, 0);
	mpt_check_int(t, mpr_socket_conn_recv(c, buf, 8, NULL, MPROC_FOREVER),
		      0);
	mpt_check(t, memcmp(buf, "hello", 5) == 0);
	return 0;
}

static bool
has_bytes(const struct mpr_socket_conn *c)
{
	int n = 0;

	ioctl(mpr_socket_conn_fd(c), FIONREAD, &n);
	return n > 0;
}

static void
a_turn_is_waited_for_until_then(void **state)
{
	struct mpt *t = *state;
	struct pair p = make_pair(false);
	int64_t before;

	mpt_use_threads(t, true);
	mpt_spawn(t, "receiver", receive_for_long, p.c);
	mpt_reach(t, 1);
	assert_int_equal(write(p.fd, "\0\0\0\5he", 6), 6);
	mpt_until(t, !has_bytes(p.c));
	/* It is in the middle of the message now. */
	assert_int_equal(mpr_socket_conn_recv(p.c, room, 8, NULL, MPROC_NOWAIT),
			 -EAGAIN);
	before = mproc_now();
	assert_int_equal(mpr_socket_conn_recv(p.c, room, 8, NULL, mproc_ms(5)),
			 -ETIMEDOUT);
	assert_true(mproc_now() - before >= 5000000);
	/* Sending is something else. */
	assert_int_equal(send_one(p.c, "x", 1, MPROC_NOWAIT), 0);
	assert_int_equal(write(p.fd, "llo\0\0\0\1y", 8), 8);
	assert_int_equal(mpr_socket_conn_recv(p.c, room, 8, NULL, mproc_sec(20)),
			 0);
	assert_int_equal(room[0], 'y');
	mpt_join_all(t);
	end_pair(&p);
}

static int
use_in_child(struct mpt *t, void *arg)
{
	struct mpr_socket_conn *c = arg;
	unsigned char buf[8];

	/* A thread of the parent's was in the middle of receiving. */
	mpt_check_int(t, mpr_socket_conn_recv(c, buf, 8, NULL, MPROC_FOREVER),
		      -EBUSY);
	mpt_check_int(t, send_one(c, "child", 5, MPROC_FOREVER), 0);
	mpr_socket_conn_close(c);
	return 0;
}

static void
a_forked_child_has_a_copy(void **state)
{
	static unsigned char bytes[16];
	struct mpt *t = *state;
	struct pair p = make_pair(false);
	int id;

	mpt_use_threads(t, true);
	id = mpt_spawn(t, "receiver", receive_for_long, p.c);
	mpt_reach(t, 1);
	assert_int_equal(write(p.fd, "\0\0\0\5he", 6), 6);
	mpt_until(t, !has_bytes(p.c));
	mpt_use_threads(t, false);
	mpt_expect_exit(t, mpt_fork(t, "child", use_in_child, p.c), 0);
	assert_int_equal(recv(p.fd, bytes, sizeof(bytes), 0), 9);
	assert_memory_equal(bytes, "\0\0\0\5child", 9);
	assert_int_equal(write(p.fd, "llo", 3), 3);
	mpt_expect_exit(t, id, 0);
	end_pair(&p);
}

static int
receive_in_child(struct mpt *t, void *arg)
{
	struct mpr_socket_conn *c = arg;
	unsigned char buf[8];

	mpt_check_int(t, mpr_socket_conn_recv(c, buf, 8, NULL, mproc_sec(20)),
		      0);
	mpt_check(t, memcmp(buf, "hello", 5) == 0);
	return 0;
}

/* Between messages both see the same; what a call has left, too. */
static void
a_child_goes_on_where_its_parent_was(void **state)
{
	struct mpt *t = *state;
	struct pair p = make_pair(false);

	assert_int_equal(write(p.fd, "\0\0\0\5he", 6), 6);
	assert_int_equal(mpr_socket_conn_recv(p.c, room, 8, NULL, MPROC_NOWAIT),
			 -EAGAIN);
	assert_int_equal(write(p.fd, "llo", 3), 3);
	mpt_expect_exit(t, mpt_fork(t, "child", receive_in_child, p.c), 0);
	end_pair(&p);
}

static int
send_for_long(struct mpt *t, void *arg)
{
	struct mpr_socket_conn *c = arg;

	mpt_check_int(t, send_one(c, text, LONG_LEN, MPROC_FOREVER), 0);
	return 0;
}

static int
send_in_child(struct mpt *t, void *arg)
{
	mpt_check_int(t, send_one(arg, "x", 1, MPROC_FOREVER), -EBUSY);
	mpt_check_int(t, send_one(arg, text, LONG_LEN, MPROC_FOREVER), -EBUSY);
	return 0;
}

static void
what_a_parents_thread_sends_is_not_torn(void **state)
{
	static unsigned char expected[LONG_LEN + 4], bytes[LONG_LEN + 4];
	struct mpt *t = *state;
	struct pair p = make_pair(false);
	size_t n = wire(expected, LONG_LEN), got = 0;

	mpt_use_threads(t, true);
	mpt_spawn(t, "sender", send_for_long, p.c);
	/* It has sent what there is room for. */
	assert_int_equal(recv(p.fd, bytes, 4, MSG_WAITALL), 4);
	mpt_use_threads(t, false);
	mpt_expect_exit(t, mpt_fork(t, "child", send_in_child, p.c), 0);
	for (got = 4; got < n;)
		got += (size_t)recv(p.fd, bytes + got, n - got, 0);
	assert_memory_equal(bytes, expected, n);
	mpt_join_all(t);
	assert_int_equal(send_one(p.c, "x", 1, MPROC_NOWAIT), 0);
	end_pair(&p);
}

static void *
interrupt_sleeper(void *arg)
{
	while (mpt_task_state(*(pid_t *)arg) != 'S')
		sched_yield();
	mproc_interrupt();
	return NULL;
}

static void
waiting_ends_with_an_interrupt(void **state)
{
	struct pair p = make_pair(false);
	pid_t me = getpid();
	pthread_t thread;

	(void)state;
	assert_int_equal(write(p.fd, "\0\0\0\5he", 6), 6);
	for (int i = 0; i < 3; i++) {
		pthread_create(&thread, NULL, interrupt_sleeper, &me);
		if (i == 0)
			assert_int_equal(mpr_socket_conn_recv(
				p.c, room, 8, NULL, MPROC_FOREVER), -EINTR);
		else if (i == 1)
			assert_int_equal(mpr_socket_conn_poll(
				p.c, MPROC_FOREVER), -EINTR);
		else
			assert_int_equal(send_one(p.c, text, LONG_LEN,
						  MPROC_FOREVER), -EINTR);
		pthread_join(thread, NULL);
	}
	assert_int_equal(write(p.fd, "llo", 3), 3);
	assert_int_equal(mpr_socket_conn_poll(p.c, MPROC_FOREVER), 0);
	assert_int_equal(mpr_socket_conn_recv(p.c, room, 8, NULL, MPROC_NOWAIT),
			 0);
	assert_memory_equal(room, "hello", 5);
	end_pair(&p);
}

static _Atomic bool enough;

/* A byte now and then, for longer than anybody waits. */
static void *
trickle(void *arg)
{
	int fd = *(int *)arg;

	for (int i = 0; i < 5000 && !enough; i++) {
		if (write(fd, "x", 1) != 1)
			break;
		usleep(1000);
	}
	return NULL;
}

static void
who_sends_little_by_little_is_not_waited_for_longer(void **state)
{
	struct pair p = make_pair(false);
	pthread_t thread;
	int64_t before;

	(void)state;
	enough = false;
	assert_int_equal(write(p.fd, "\0\0\x13\x88", 4), 4);
	pthread_create(&thread, NULL, trickle, &p.fd);
	before = mproc_now();
	assert_int_equal(mpr_socket_conn_recv(p.c, room, 5000, NULL,
					      mproc_ms(25)), -ETIMEDOUT);
	assert_true(mproc_now() - before >= 25000000);
	enough = true;
	pthread_join(thread, NULL);
	end_pair(&p);
}

/* The first wait is in the call on the socket itself, the next ones are not. */
static void
short_waits_and_long_ones_end_in_time(void **state)
{
	static const int64_t ms[] = { 1, 19, 20, 21, 45 };
	struct pair p = make_pair(false);

	(void)state;
	for (size_t i = 0; i < sizeof(ms) / sizeof(ms[0]); i++) {
		int64_t before = mproc_now(), ns;

		assert_int_equal(mpr_socket_conn_recv(p.c, room, 8, NULL,
						      mproc_ms(ms[i])),
				 -ETIMEDOUT);
		ns = mproc_now() - before;
		assert_true(ns >= ms[i] * 1000000);
		assert_true(ns < 10 * INT64_C(1000000000));
	}
	end_pair(&p);
}

static void
polling_takes_nothing(void **state)
{
	struct pair p = make_pair(false);

	(void)state;
	assert_int_equal(mpr_socket_conn_poll(p.c, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(mpr_socket_conn_poll(p.c, mproc_ms(2)), -ETIMEDOUT);
	assert_int_equal(write(p.fd, "\0\0\0\0", 4), 4);
	assert_int_equal(mpr_socket_conn_poll(p.c, MPROC_FOREVER), 0);
	assert_int_equal(mpr_socket_conn_poll(p.c, MPROC_NOWAIT), 0);
	assert_int_equal(mpr_socket_conn_recv(p.c, NULL, 0, NULL, MPROC_NOWAIT),
			 0);
	assert_int_equal(mpr_socket_conn_poll(p.c, MPROC_NOWAIT), -EAGAIN);
	end_pair(&p);
}

static void
who_is_asked_for_a_key_is_told(void **state)
{
	static const char old[] = "\0\0\0\37#CHALLENGE#01234567890123456789";
	static const char new[] = "\0\0\0\73#CHALLENGE#{sha256}"
				  "0123456789012345678901234567890123456789";

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct pair p = make_pair(i < 2);
		const char *bytes = i & 1 ? new : old;
		size_t n = i & 1 ? sizeof(new) - 1 : sizeof(old) - 1;

		assert_int_equal(write(p.fd, bytes, n), n);
		for (int j = 0; j < (i < 2 ? 2 : 1); j++)
			assert_int_equal(mpr_socket_conn_recv(
				p.c, room, 100, NULL, MPROC_NOWAIT),
				i < 2 ? -EACCES : 0);
		end_pair(&p);
	}
	{
		/* Later it is a message as any other. */
		struct pair p = make_pair(true);

		assert_int_equal(write(p.fd, "\0\0\0\1x", 5), 5);
		assert_int_equal(write(p.fd, old, sizeof(old) - 1),
				 sizeof(old) - 1);
		for (int i = 0; i < 2; i++)
			assert_int_equal(mpr_socket_conn_recv(
				p.c, room, 100, NULL, MPROC_NOWAIT), 0);
		end_pair(&p);
	}
}

static void
without_memory_nothing_is_lost(void **state)
{
	static unsigned char bytes[5100];
	struct pair p = make_pair(false);
	struct mpr_socket_conn *c;
	size_t n = wire(bytes, 5000);

	(void)state;
	mpr_fault_set("malloc:1");
	assert_int_equal(mpr_socket_conn_make(&c, 0, false, true), -ENOMEM);
	assert_int_equal(write(p.fd, bytes, n), n);
	mpr_fault_set("malloc:1");
	assert_int_equal(mpr_socket_conn_recv(p.c, room, 5000, NULL,
					      MPROC_NOWAIT), -ENOMEM);
	assert_int_equal(mpr_socket_conn_recv(p.c, room, 5000, NULL,
					      MPROC_NOWAIT), 0);
	mpr_fault_set("send:1=ENOMEM,receive:1=ENOMEM");
	assert_int_equal(send_one(p.c, "x", 1, MPROC_NOWAIT), -ENOMEM);
	assert_non_null(strstr(mproc_error_detail(), "sending a message"));
	assert_int_equal(mpr_socket_conn_recv(p.c, room, 1, NULL, MPROC_NOWAIT),
			 -ENOMEM);
	assert_non_null(strstr(mproc_error_detail(), "receiving a message"));
	mpr_fault_set(NULL);
	assert_memory_equal(room, text, 5000);
	assert_int_equal(send_one(p.c, "x", 1, MPROC_NOWAIT), 0);
	assert_true(mpr_socket_conn_is(p.c));
	assert_false(mpr_socket_conn_is(NULL));
	assert_false(mpr_socket_conn_is(text));
	end_pair(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(what_is_sent_is_framed_and_received),
		mpt_test(a_message_that_does_not_fit_stays),
		mpt_test(a_message_may_come_in_any_pieces),
		mpt_test(the_end_comes_between_messages_or_tears_one),
		mpt_test(what_is_no_length_ends_it),
		mpt_test(a_message_that_was_sent_in_part_is_sent_on),
		mpt_test(a_short_message_that_was_sent_in_part_is_sent_on),
		mpt_test(threads_share_a_connection),
		mpt_test(a_turn_is_waited_for_until_then),
		mpt_test(a_forked_child_has_a_copy),
		mpt_test(a_child_goes_on_where_its_parent_was),
		mpt_test(what_a_parents_thread_sends_is_not_torn),
		mpt_test(waiting_ends_with_an_interrupt),
		mpt_test(who_sends_little_by_little_is_not_waited_for_longer),
		mpt_test(short_waits_and_long_ones_end_in_time),
		mpt_test(polling_takes_nothing),
		mpt_test(who_is_asked_for_a_key_is_told),
		mpt_test(without_memory_nothing_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
