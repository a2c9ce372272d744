/* SPDX-License-Identifier: MIT */
/*
 * Listeners, and connections to them: addresses, options, files, what goes over them,
 * and what ends them.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>

#include <mproc/testing.h>

#include "listener.h"

/* Connects, says hello, hears an answer. Its address lies in the scratch bytes. */
static int
greet(struct mpt *t, bool key)
{
	const char *address = mpt_scratch(t);
	mproc_conn *c;

	mpt_check_int(t, mproc_connect(&c, address, key ?
		MPROC_OPTS(mproc_connect_opts, A_KEY) : NULL, mproc_sec(20)), 0);
	send_text(t, c, "hello");
	expect_message(t, c, "");
	expect_message(t, c, "hello yourself");
	mproc_conn_close(c);
	return 0;
}

static int
greet_without_key(struct mpt *t, void *arg)
{
	(void)arg;
	return greet(t, false);
}

static int
greet_with_key(struct mpt *t, void *arg)
{
	(void)arg;
	return greet(t, true);
}

static void
answer(struct mpt *t, mproc_conn *c)
{
	expect_message(t, c, "hello");
	assert_int_equal(mproc_conn_sendv(c, NULL, 0, MPROC_NOWAIT), 0);
	send_text(t, c, "hello yourself");
	assert_int_equal(mproc_conn_recv(c, NULL, 0, NULL, mproc_sec(20)),
			 -EPIPE);
	mproc_conn_close(c);
}

static void
try_address(struct mpt *t, const char *address, bool key)
{
	mproc_listener *l;
	mproc_conn *c;

	assert_int_equal(mproc_listener_open(&l, address, key ?
		MPROC_OPTS(mproc_listener_opts, A_KEY) : NULL), 0);
	strcpy(mpt_scratch(t), mproc_listener_address(l));
	assert_int_equal(mproc_listener_accept(l, &c, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(mproc_listener_accept(l, &c, mproc_ms(1)), -ETIMEDOUT);
	mpt_spawn(t, "client", key ? greet_with_key : greet_without_key, NULL);
	assert_int_equal(mproc_listener_accept(l, &c, mproc_sec(20)), 0);
	answer(t, c);
	mpt_join_all(t);
	mproc_listener_close(l);
}

static void
messages_go_over_files_names_and_tcp(struct mpt *t)
{
	char path[128], name[80], base[64];

	strcpy(path, unix_address(t, "listener"));
	snprintf(name, sizeof(name), "unix:@%s", mpt_name(t, base, "name") + 1);
	for (int key = 0; key < 2; key++) {
		try_address(t, path, key);
		try_address(t, name, key);
		try_address(t, "tcp:127.0.0.1:0", key);
	}
}

both(messages_go_over_files_names_and_tcp)

static void
a_file_is_private_and_goes_with_its_listener(void **state)
{
	char *address = unix_address(*state, "file");
	mode_t before = umask(0);
	mproc_listener *l, *other;
	struct stat st;

	for (int any = 0; any < 2; any++) {
		assert_int_equal(mproc_listener_open(&l, address, any ?
			MPROC_OPTS(mproc_listener_opts,
				   .peers = MPROC_PEERS_ANY) : NULL), 0);
		assert_string_equal(mproc_listener_address(l), address);
		assert_int_equal(stat(address + PATH_AT, &st), 0);
		assert_int_equal(st.st_mode & 0777, any ? 0666 : 0600);
		assert_int_equal(mproc_listener_open(&other, address, NULL),
				 -EADDRINUSE);
		assert_true(detail_has("somebody listens"));
		mproc_listener_close(l);
		assert_int_equal(access(address + PATH_AT, F_OK), -1);
	}
	umask(before);
	mproc_listener_close(NULL);
}

static int
listen_until_killed(struct mpt *t, void *arg)
{
	mproc_listener *l;

	(void)arg;
	mpt_check_int(t, mproc_listener_open(&l, mpt_scratch(t), NULL), 0);
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

static void
what_a_killed_listener_leaves_is_replaced(void **state)
{
	struct mpt *t = *state;
	char *address = unix_address(t, "killed");
	mproc_listener *l;
	mproc_conn *c;
	int id = mpt_spawn(t, "listener", listen_until_killed, NULL);

	mpt_reach(t, 1);
	assert_int_equal(mproc_connect(&c, address, NULL, mproc_sec(20)), 0);
	mpt_kill(t, id);
	assert_int_equal(mproc_conn_recv(c, NULL, 0, NULL, mproc_sec(20)),
			 -EPIPE);
	mproc_conn_close(c);
	assert_int_equal(mproc_connect(&c, address, NULL, mproc_sec(20)),
			 -ECONNREFUSED);
	assert_int_equal(mproc_listener_open(&l, address, NULL), 0);
	assert_int_equal(mproc_connect(&c, address, NULL, MPROC_NOWAIT), 0);
	mproc_conn_close(c);
	mproc_listener_close(l);
	assert_int_equal(mproc_connect(&c, address, NULL, mproc_sec(20)),
			 -ENOENT);
	assert_true(detail_has(address));
}

static void
bad_options_are_explained(void **state)
{
	static const struct {
		struct mproc_connect_opts o;
		int r;
		const char *detail;
	} wrong[] = {
		{ { .struct_size = 3 }, -EINVAL, "struct_size" },
		{ { .authkey = "x" }, -EINVAL, "0 bytes" },
		{ { .authkey_len = 1 }, -EINVAL, ".authkey NULL" },
		{ { .md5 = -1 }, -EINVAL, ".md5" },
		{ { .md5 = 3 }, -EINVAL, ".md5" },
		{ { .peers = 3 }, -EINVAL, ".peers" },
		{ { .peers = MPROC_PEERS_USER }, -EINVAL, "TCP" },
		{ { .handshake_timeout = { -5 } }, -EINVAL, "handshake" },
	};
	struct {
		struct mproc_connect_opts o;
		int more;
	} large = { .o = { .struct_size = sizeof(large) }, .more = 1 };
	mproc_listener *l;
	mproc_conn *c;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct mproc_connect_opts o = wrong[i].o;
		struct mproc_listener_opts lo = {
			.authkey = o.authkey, .authkey_len = o.authkey_len,
			.md5 = o.md5, .peers = o.peers,
			.handshake_timeout = o.handshake_timeout,
		};

		if (!o.struct_size) {
			o.struct_size = sizeof(o);
			lo.struct_size = sizeof(lo);
		}
		assert_int_equal(mproc_connect(&c, "tcp:127.0.0.1:9", &o,
					       MPROC_NOWAIT), wrong[i].r);
		assert_true(detail_has(wrong[i].detail));
		assert_int_equal(mproc_listener_open(&l, "tcp:127.0.0.1:0", &lo),
				 wrong[i].r);
		if (i > 0)
			assert_true(detail_has(wrong[i].detail));
	}
	assert_int_equal(mproc_connect(&c, "tcp:127.0.0.1:9", &large.o,
				       MPROC_NOWAIT), -E2BIG);
	assert_int_equal(mproc_connect(NULL, "tcp:127.0.0.1:9", NULL,
				       MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_listener_open(NULL, "tcp:127.0.0.1:0", NULL),
			 -EINVAL);
	assert_int_equal(mproc_listener_open(&l, "tcp:127.0.0.1:0",
		MPROC_OPTS(mproc_listener_opts, .backlog = -1)), -EINVAL);
	assert_int_equal(mproc_listener_open(&l, NULL, NULL), -EINVAL);
	assert_int_equal(mproc_listener_open(&l, "http://x", NULL), -EINVAL);
	assert_int_equal(mproc_connect(&c, NULL, NULL, MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_listener_accept(NULL, &c, MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_listener_fd(NULL), -EINVAL);
	assert_int_equal(mproc_listener_open(&l, "tcp:127.0.0.1:0", NULL), 0);
	assert_int_equal(mproc_listener_accept(l, NULL, MPROC_NOWAIT), -EINVAL);
	mproc_listener_close(l);
}

static void
bad_arguments_of_connections_are_explained(void **state)
{
	const struct iovec none = { NULL, 1 };
	const struct iovec endless[2] = { { (void *)state, (size_t)1 << 62 },
					  { (void *)state, (size_t)1 << 62 } };
	char *address = unix_address(*state, "arguments");
	mproc_listener *l;
	uint64_t nothing[2] = { 0, 0 };
	mproc_conn *c, *bad = (mproc_conn *)(void *)nothing;

	assert_int_equal(mproc_listener_open(&l, address, NULL), 0);
	assert_int_equal(mproc_connect(&c, address, NULL, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_conn_send(c, NULL, 1, MPROC_NOWAIT), -EINVAL);
	assert_true(detail_has("NULL"));
	assert_int_equal(mproc_conn_recv(c, NULL, 1, NULL, MPROC_NOWAIT),
			 -EINVAL);
	assert_int_equal(mproc_conn_sendv(c, NULL, 1, MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_conn_sendv(c, &none, -1, MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_conn_sendv(c, &none, 1, MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_conn_sendv(c, endless, 2, MPROC_NOWAIT),
			 -EMSGSIZE);
	/* Nothing has been sent by these. */
	assert_int_equal(mproc_conn_send(c, NULL, 0, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_conn_poll(c, MPROC_NOWAIT), -EAGAIN);
	/* And what is neither kind of connection. */
	assert_int_equal(mproc_conn_send(bad, "x", 1, MPROC_NOWAIT), -EFAULT);
	assert_int_equal(mproc_conn_recv(bad, NULL, 0, NULL, MPROC_NOWAIT),
			 -EFAULT);
	assert_int_equal(mproc_conn_fd(bad), -EFAULT);
	mproc_conn_close(c);
	mproc_listener_close(l);
}

static void
a_backlog_is_as_long_as_it_is_asked_for(void **state)
{
	char *address = unix_address(*state, "backlog");
	mproc_listener *l;
	mproc_conn *c[16];
	int n = 0, r;

	assert_int_equal(mproc_listener_open(&l, address,
		MPROC_OPTS(mproc_listener_opts, .backlog = 3)), 0);
	while ((r = mproc_connect(&c[n], address, NULL, MPROC_NOWAIT)) == 0)
		assert_true(++n < 16);
	assert_int_equal(r, -EAGAIN);
	assert_in_range(n, 3, 4);
	assert_int_equal(mproc_connect(&c[n], address, NULL, mproc_ms(2)),
			 -ETIMEDOUT);
	while (n)
		mproc_conn_close(c[--n]);
	mproc_listener_close(l);
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
	char *address = unix_address(*state, "interrupt");
	mproc_listener *l;
	pid_t me = getpid();
	pthread_t thread;
	mproc_conn *c;

	for (int key = 0; key < 2; key++) {
		assert_int_equal(mproc_listener_open(&l, address, key ?
			MPROC_OPTS(mproc_listener_opts, A_KEY) : NULL), 0);
		pthread_create(&thread, NULL, interrupt_sleeper, &me);
		assert_int_equal(mproc_listener_accept(l, &c, MPROC_FOREVER),
				 -EINTR);
		pthread_join(thread, NULL);
		if (!key) {
			mproc_listener_close(l);
			continue;
		}
		/* And that of one who is not answered. */
		pthread_create(&thread, NULL, interrupt_sleeper, &me);
		assert_int_equal(mproc_connect(&c, address,
			MPROC_OPTS(mproc_connect_opts, A_KEY), MPROC_FOREVER),
			-EINTR);
		pthread_join(thread, NULL);
		assert_int_equal(mproc_connect(&c, address,
			MPROC_OPTS(mproc_connect_opts, A_KEY), mproc_ms(2)),
			-ETIMEDOUT);
		assert_int_equal(mproc_connect(&c, address,
			MPROC_OPTS(mproc_connect_opts, A_KEY), MPROC_NOWAIT),
			-EAGAIN);
		mproc_listener_close(l);
	}
}

/* The other side dies in the middle of a message, or has no interest in one. */
static void
a_torn_message_is_the_end(void **state)
{
	char *address = unix_address(*state, "torn");
	mproc_listener *l;
	mproc_conn *c;
	char buf[16];
	int fd, r;

	assert_int_equal(mproc_listener_open(&l, address, NULL), 0);
	fd = raw_connect(address);
	assert_int_equal(mproc_listener_accept(l, &c, mproc_sec(20)), 0);
	assert_int_equal(write(fd, "\0\0\0\12half", 8), 8);
	assert_int_equal(mproc_conn_recv(c, buf, 16, NULL, mproc_ms(1)),
			 -ETIMEDOUT);
	close(fd);
	assert_int_equal(mproc_conn_recv(c, buf, 16, NULL, mproc_sec(20)),
			 -EPIPE);
	assert_true(detail_has("after 4 of a message's 10 bytes"));
	/* No SIGPIPE: it would end the test. */
	signal(SIGPIPE, SIG_DFL);
	while ((r = mproc_conn_send(c, "x", 1, mproc_sec(20))) == 0)
		;
	assert_int_equal(r, -EPIPE);
	mproc_conn_close(c);
	mproc_listener_close(l);
}

/* What is no message: everybody is told each time, whoever waits first. */
static void
what_is_no_message_stays_the_end(void **state)
{
	char *address = unix_address(*state, "garbage");
	mproc_listener *l;
	mproc_conn *c;
	int fd;

	assert_int_equal(mproc_listener_open(&l, address, NULL), 0);
	fd = raw_connect(address);
	assert_int_equal(mproc_listener_accept(l, &c, mproc_sec(20)), 0);
	assert_int_equal(write(fd, "\377\377\377\376", 4), 4);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(mproc_conn_poll(c, mproc_ms(20)), 0);
		assert_int_equal(mproc_conn_recv(c, NULL, 0, NULL, mproc_ms(20)),
				 -EBADMSG);
	}
	close(fd);
	mproc_conn_close(c);
	mproc_listener_close(l);
}

#define MIB ((size_t)1 << 20)
#define HUGE (6u << 20)

static int
send_back(struct mpt *t, void *arg)
{
	const char *address = mpt_scratch(t);
	unsigned char *p = malloc(HUGE);
	mproc_conn *c;
	size_t len = 0;

	(void)arg;
	mpt_check(t, p != NULL);
	mpt_check_int(t, mproc_connect(&c, address, NULL, mproc_sec(20)), 0);
	mpt_check_int(t, mproc_conn_recv(c, p, 100, &len, mproc_sec(20)),
		      -EMSGSIZE);
	mpt_check_int(t, len, HUGE);
	mpt_check(t, detail_has("6291456 bytes"));
	mpt_check_int(t, mproc_conn_recv(c, p, HUGE, &len, mproc_sec(20)), 0);
	for (size_t i = 0; i < HUGE; i++)
		p[i] ^= 0xff;
	mpt_check_int(t, mproc_conn_send(c, p, HUGE, mproc_sec(20)), 0);
	mproc_conn_close(c);
	free(p);
	return 0;
}

static void
a_huge_message_is_whole(void **state)
{
	struct mpt *t = *state;
	char *address = unix_address(t, "huge");
	unsigned char *p = malloc(HUGE);
	mproc_listener *l;
	mproc_conn *c;
	size_t len = 0;

	for (size_t i = 0; i < HUGE; i++)
		p[i] = (unsigned char)(i ^ i >> 11);
	assert_int_equal(mproc_listener_open(&l, address, NULL), 0);
	mpt_spawn(t, "other side", send_back, NULL);
	assert_int_equal(mproc_listener_accept(l, &c, mproc_sec(20)), 0);
	assert_int_equal(mproc_conn_send(c, p, HUGE, mproc_sec(20)), 0);
	assert_int_equal(mproc_conn_recv(c, p, HUGE, &len, mproc_sec(20)), 0);
	assert_int_equal(len, HUGE);
	for (size_t i = 0; i < HUGE; i++)
		if (p[i] != (unsigned char)~(i ^ i >> 11))
			fail_msg("byte %zu", i);
	mpt_join_all(t);
	mproc_conn_close(c);
	mproc_listener_close(l);
	free(p);
}

/* In full more than one call of the kernel takes, and a length of the long form. */
static size_t
endless(void)
{
	return (amount(1) == 10 ? 2049 : 3) * MIB;
}

/* Address space for such a message, all of which is the same MiB. */
static unsigned char *
map_endless(struct mpt *t)
{
	unsigned char *p = mmap(NULL, endless(), PROT_NONE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char path[80], name[64];
	int fd;

	snprintf(path, sizeof(path), "/dev/shm%s", mpt_name(t, name, "endless"));
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0 && p != MAP_FAILED);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(ftruncate(fd, (off_t)MIB), 0);
	for (size_t at = 0; at < endless(); at += MIB)
		assert_ptr_equal(mmap(p + at, MIB, PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_FIXED, fd, 0), p + at);
	close(fd);
	return p;
}

/* What stands before a message, as Python writes it. Returns its size. */
static size_t
write_length(unsigned char *to, uint64_t len)
{
	size_t n = len > INT32_MAX ? 12 : 4;

	memset(to, 0xff, 4);
	for (size_t i = 0; i < (n == 4 ? 4 : 8); i++)
		to[n - 1 - i] = (unsigned char)(len >> 8 * i);
	return n;
}

/* Says back the same, inverted. It sees the bytes as they are. */
static int
invert_mib(struct mpt *t, void *arg)
{
	unsigned char head[12], good[12], *p = malloc(MIB);
	size_t n = write_length(good, endless());
	int fd = raw_connect(mpt_scratch(t));

	(void)arg;
	mpt_check(t, p && fd >= 0);
	mpt_check_int(t, recv(fd, head, n, MSG_WAITALL), n);
	mpt_check(t, memcmp(head, good, n) == 0);
	for (size_t at = 0; at < endless(); at += MIB) {
		mpt_check_int(t, recv(fd, p, MIB, MSG_WAITALL), MIB);
		mpt_check(t, p[0] == 'a' && p[MIB - 1] == 'z');
	}
	for (size_t i = 0; i < MIB; i++)
		p[i] ^= 0xff;
	mpt_check_int(t, write(fd, good, n), n);
	for (size_t at = 0; at < endless(); at += MIB)
		mpt_check_int(t, send(fd, p, MIB, MSG_NOSIGNAL), MIB);
	close(fd);
	free(p);
	return 0;
}

static void
more_than_one_call_takes_is_whole(void **state)
{
	struct mpt *t = *state;
	char *address = unix_address(t, "endless");
	unsigned char *p = map_endless(t);
	mproc_listener *l;
	mproc_conn *c;
	size_t len = 0;

	mpt_watchdog(t, 60);
	for (size_t i = 0; i < MIB; i++)
		p[i] = (unsigned char)(i ^ i >> 11);
	p[0] = 'a';
	p[MIB - 1] = 'z';
	assert_int_equal(mproc_listener_open(&l, address, NULL), 0);
	mpt_spawn(t, "other side", invert_mib, NULL);
	assert_int_equal(mproc_listener_accept(l, &c, mproc_sec(20)), 0);
	assert_int_equal(mproc_conn_send(c, p, endless(), mproc_sec(60)), 0);
	memset(p, 0, MIB);
	assert_int_equal(mproc_conn_recv(c, p, endless() - 1, &len,
					 mproc_sec(20)), -EMSGSIZE);
	assert_int_equal(len, endless());
	assert_int_equal(mproc_conn_recv(c, p, endless(), &len, mproc_sec(60)),
			 0);
	assert_int_equal(len, endless());
	for (size_t i = 1; i < MIB - 1; i++)
		if (p[i] != (unsigned char)~(i ^ i >> 11))
			fail_msg("byte %zu", i);
	assert_int_equal(mproc_conn_recv(c, p, 1, NULL, mproc_sec(20)), -EPIPE);
	mpt_join_all(t);
	mproc_conn_close(c);
	mproc_listener_close(l);
	munmap(p, endless());
}

static int
accept_one(struct mpt *t, void *arg)
{
	mproc_listener *l = arg;
	mproc_conn *c;

	mpt_check_int(t, mproc_listener_accept(l, &c, mproc_sec(20)), 0);
	send_text(t, c, "served");
	expect_message(t, c, "thanks");
	mproc_conn_close(c);
	mproc_listener_close(l);
	return 0;
}

/* As servers do that fork their workers beforehand. */
static void
forked_children_accept_at_one_listener(void **state)
{
	struct mpt *t = *state;
	char *address = unix_address(t, "prefork");
	mproc_listener *l;
	mproc_conn *c[3];

	for (int key = 0; key < 2; key++) {
		const struct mproc_connect_opts *o = key ?
			MPROC_OPTS(mproc_connect_opts, A_KEY) : NULL;

		assert_int_equal(mproc_listener_open(&l, address, key ?
			MPROC_OPTS(mproc_listener_opts, A_KEY) : NULL), 0);
		for (int i = 0; i < 3; i++)
			mpt_fork(t, "worker", accept_one, l);
		for (int i = 0; i < 3; i++) {
			assert_int_equal(mproc_connect(&c[i], address, o,
						       mproc_sec(20)), 0);
			expect_message(t, c[i], "served");
		}
		for (int i = 0; i < 3; i++) {
			send_text(t, c[i], "thanks");
			mproc_conn_close(c[i]);
		}
		mpt_join_all(t);
		/* They have closed it; the file is not theirs. */
		assert_int_equal(access(address + PATH_AT, F_OK), 0);
		mproc_listener_close(l);
	}
}

static int
hear_one(struct mpt *t, void *arg)
{
	mproc_conn *c;

	mpt_check_int(t, mproc_listener_accept(arg, &c, MPROC_NOWAIT), -EAGAIN);
	mpt_check(t, fcntl(mproc_listener_fd(arg), F_GETFD) & FD_CLOEXEC);
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

static void
whom_a_child_hears_does_not_wake_its_parent(void **state)
{
	struct mpt *t = *state;
	char *address = unix_address(t, "hears");
	mproc_listener *l;
	int fd, id;

	assert_int_equal(mproc_listener_open(&l, address,
		MPROC_OPTS(mproc_listener_opts, A_KEY)), 0);
	fd = raw_connect(address);
	id = mpt_fork(t, "child", hear_one, l);
	mpt_reach(t, 1);
	assert_int_equal(write(fd, "\0\0\0\50{sh", 7), 7);
	assert_false(becomes_readable(mproc_listener_fd(l), 0));
	mpt_kill(t, id);
	close(fd);
	mproc_listener_close(l);
}

static int
use_inherited(struct mpt *t, void *arg)
{
	send_text(t, arg, "from the child");
	expect_message(t, arg, "to the child");
	mproc_conn_close(arg);
	return 0;
}

static void
a_forked_child_uses_its_parents_connection(void **state)
{
	struct mpt *t = *state;
	char *address = unix_address(t, "copy");
	mproc_listener *l;
	mproc_conn *c, *d;

	assert_int_equal(mproc_listener_open(&l, address, NULL), 0);
	assert_int_equal(mproc_connect(&c, address, NULL, mproc_sec(20)), 0);
	assert_int_equal(mproc_listener_accept(l, &d, mproc_sec(20)), 0);
	mpt_fork(t, "child", use_inherited, d);
	mproc_conn_close(d);
	expect_message(t, c, "from the child");
	send_text(t, c, "to the child");
	mpt_join_all(t);
	/* Now nobody has it any more. */
	assert_int_equal(mproc_conn_recv(c, NULL, 0, NULL, mproc_sec(20)),
			 -EPIPE);
	mproc_conn_close(c);
	mproc_listener_close(l);
}

static void
descriptors_tell(void **state)
{
	struct mpt *t = *state;
	mproc_listener *l;
	mproc_conn *c, *d;

	unix_address(t, "fd");
	for (int key = 0; key < 2; key++) {
		int r, fd;

		assert_int_equal(mproc_listener_open(&l, mpt_scratch(t), key ?
			MPROC_OPTS(mproc_listener_opts, A_KEY) : NULL), 0);
		fd = mproc_listener_fd(l);
		assert_true(fd > 2);
		assert_int_equal(mproc_listener_fd(l), fd);
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		assert_false(becomes_readable(fd, 0));
		mpt_spawn(t, "client", key ? greet_with_key : greet_without_key,
			  NULL);
		/* As an event loop does. */
		do {
			assert_true(becomes_readable(fd, 20000));
			r = mproc_listener_accept(l, &c, MPROC_NOWAIT);
		} while (r == -EAGAIN);
		assert_int_equal(r, 0);
		assert_int_equal(mproc_listener_accept(l, &d, MPROC_NOWAIT),
				 -EAGAIN);
		assert_false(becomes_readable(fd, 0));
		fd = mproc_conn_fd(c);
		assert_true(fd > 2 && becomes_readable(fd, 20000));
		assert_int_equal(mproc_conn_poll(c, mproc_sec(20)), 0);
		answer(t, c);
		mpt_join_all(t);
		mproc_listener_close(l);
	}
}

static void
what_the_system_refuses_is_an_error(void **state)
{
	static const struct {
		const char *fault;
		int listen, accept, connect;
	} faults[] = {
		{ "malloc:1", -ENOMEM, -ENOMEM, -ENOMEM },
		{ "malloc:2", -ENOMEM, 0, -ENOMEM },
		{ "socket:1", -EMFILE, 0, -EMFILE },
		{ "dup:1", -EMFILE, 0, 0 },
		{ "bind:1=EACCES", -EACCES, 0, 0 },
		{ "accept:1", 0, -EMFILE, 0 },
		{ "connect:1=EACCES", 0, 0, -EACCES },
	};
	char *address = unix_address(*state, "faults");
	const struct mproc_listener_opts *lo =
		MPROC_OPTS(mproc_listener_opts, A_KEY);
	mproc_listener *l;
	mproc_conn *c;
	int fd, r;

	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		assert_int_equal(mproc_test_fault(faults[i].fault), 0);
		r = mproc_listener_open(&l, address, lo);
		assert_int_equal(r, faults[i].listen);
		assert_int_equal(mproc_test_fault(NULL), 0);
		if (r < 0) {
			assert_int_equal(access(address + PATH_AT, F_OK), -1);
			assert_int_equal(mproc_listener_open(&l, address, lo),
					 0);
		}
		fd = raw_connect(address);
		if (faults[i].accept) {
			assert_int_equal(mproc_test_fault(faults[i].fault), 0);
			assert_int_equal(mproc_listener_accept(l, &c,
							       MPROC_NOWAIT),
					 faults[i].accept);
			assert_int_equal(mproc_test_fault(NULL), 0);
		}
		/* Who has connected is still there, and is asked now. */
		assert_int_equal(mproc_listener_accept(l, &c, MPROC_NOWAIT),
				 -EAGAIN);
		assert_true(becomes_readable(fd, 20000));
		if (faults[i].connect) {
			assert_int_equal(mproc_test_fault(faults[i].fault), 0);
			assert_int_equal(mproc_connect(&c, address,
				MPROC_OPTS(mproc_connect_opts, A_KEY),
				mproc_ms(1)), i == 1 ? -ETIMEDOUT :
						       faults[i].connect);
			assert_int_equal(mproc_test_fault(NULL), 0);
		}
		close(fd);
		mproc_listener_close(l);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		both_tests(messages_go_over_files_names_and_tcp),
		mpt_test(a_file_is_private_and_goes_with_its_listener),
		mpt_test(what_a_killed_listener_leaves_is_replaced),
		mpt_test(bad_options_are_explained),
		mpt_test(bad_arguments_of_connections_are_explained),
		mpt_test(a_backlog_is_as_long_as_it_is_asked_for),
		mpt_test(waiting_ends_with_an_interrupt),
		mpt_test(a_torn_message_is_the_end),
		mpt_test(what_is_no_message_stays_the_end),
		mpt_test(a_huge_message_is_whole),
		mpt_test(more_than_one_call_takes_is_whole),
		mpt_test(forked_children_accept_at_one_listener),
		mpt_test(whom_a_child_hears_does_not_wake_its_parent),
		mpt_test(a_forked_child_uses_its_parents_connection),
		mpt_test(descriptors_tell),
		mpt_test(what_the_system_refuses_is_an_error),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
