/* SPDX-License-Identifier: MIT */
/*
 * Listeners with a key, and who else comes: with another key or none, silent,
 * talkative, of another user, and very many.
 */
#include <pthread.h>
#include <sys/resource.h>

#include <mproc/testing.h>

#include "listener.h"
#include "mpt_rand.h"

static mproc_listener *
listen_with_key(const char *address)
{
	mproc_listener *l;

	assert_int_equal(mproc_listener_open(&l, address,
		MPROC_OPTS(mproc_listener_opts, A_KEY)), 0);
	return l;
}

static int
come_with_key(struct mpt *t, void *arg)
{
	mproc_conn *c;

	(void)arg;
	mpt_check_int(t, mproc_connect(&c, mpt_scratch(t),
		MPROC_OPTS(mproc_connect_opts, A_KEY), mproc_sec(20)), 0);
	send_text(t, c, "good");
	expect_message(t, c, "welcome");
	mproc_conn_close(c);
	return 0;
}

static int
come_with_another_key(struct mpt *t, void *arg)
{
	mproc_conn *c;

	(void)arg;
	mpt_check_int(t, mproc_connect(&c, mpt_scratch(t),
		MPROC_OPTS(mproc_connect_opts, .authkey = "wrong",
			   .authkey_len = 5), mproc_sec(20)), -EACCES);
	mpt_check(t, detail_has("our key is wrong"));
	return 0;
}

/* It hears the question, and says something that is no answer. */
static int
come_without_key(struct mpt *t, void *arg)
{
	char buf[100];
	mproc_conn *c;

	(void)arg;
	mpt_check_int(t, mproc_connect(&c, mpt_scratch(t), NULL, mproc_sec(20)),
		      0);
	send_text(t, c, "hello");
	mpt_check_int(t, mproc_conn_recv(c, buf, 100, NULL, mproc_sec(20)),
		      -EACCES);
	mpt_check(t, detail_has("asks for a key"));
	mpt_check_int(t, mproc_conn_recv(c, buf, 100, NULL, mproc_sec(20)),
		      -EACCES);
	mproc_conn_close(c);
	return 0;
}

static int
come_and_go(struct mpt *t, void *arg)
{
	int fd = raw_connect(mpt_scratch(t));

	(void)arg;
	mpt_check(t, fd >= 0);
	close(fd);
	return 0;
}

static void
welcome(struct mpt *t, mproc_listener *l)
{
	mproc_conn *c;

	mpt_check_int(t, mproc_listener_accept(l, &c, mproc_sec(20)), 0);
	expect_message(t, c, "good");
	send_text(t, c, "welcome");
	mproc_conn_close(c);
}

struct lines {
	unsigned n, another, left, other;
};

static void
count_line(void *ctx, int level, const char *text)
{
	struct lines *lines = ctx;

	if (level != MPROC_LOG_WARNING || !strstr(text, "not let in"))
		return;
	lines->n++;
	lines->another += strstr(text, "another key") != NULL;
	lines->left += strstr(text, "has left") != NULL;
	lines->other += strstr(text, "neither of md5") != NULL;
}

static void
who_has_no_key_costs_nobody_else(struct mpt *t)
{
	mproc_listener *l = listen_with_key(unix_address(t, "keys"));
	struct lines lines = { 0 };
	mproc_conn *c;
	int ids[3];

	mproc_log_set(MPROC_LOG_WARNING, count_line, &lines);
	assert_int_equal(mproc_connect(&c, "x", NULL, MPROC_NOWAIT), -EINVAL);
	ids[0] = mpt_spawn(t, "wrong key", come_with_another_key, NULL);
	ids[1] = mpt_spawn(t, "no key", come_without_key, NULL);
	ids[2] = mpt_spawn(t, "no patience", come_and_go, NULL);
	/* They are heard while nobody is let in. */
	while (lines.n < 3)
		assert_int_equal(mproc_listener_accept(l, &c, mproc_ms(1)),
				 -ETIMEDOUT);
	/* Which is nobody's error here. */
	assert_true(detail_has("begins neither"));
	for (int i = 0; i < 3; i++)
		mpt_expect_exit(t, ids[i], 0);
	assert_int_equal(lines.another, 1);
	assert_int_equal(lines.left, 1);
	assert_int_equal(lines.other, 1);
	mpt_spawn(t, "good", come_with_key, NULL);
	welcome(t, l);
	assert_true(detail_has("begins neither"));
	mpt_join_all(t);
	mproc_log_set(MPROC_LOG_OFF, NULL, NULL);
	mproc_listener_close(l);
}

both(who_has_no_key_costs_nobody_else)

static int
let_in_without_key(struct mpt *t, void *arg)
{
	mproc_listener *l;
	mproc_conn *c;

	mpt_check_int(t, mproc_listener_open(&l, mpt_scratch(t), NULL), 0);
	mpt_step(t, 0);
	mpt_check_int(t, mproc_listener_accept(l, &c, mproc_sec(20)), 0);
	if (arg)
		send_text(t, c, "a message that is no question");
	mpt_check_int(t, mproc_conn_recv(c, NULL, 0, NULL, mproc_sec(20)),
		      -EPIPE);
	mproc_conn_close(c);
	mproc_listener_close(l);
	return 0;
}

/* It says nothing, or something else. */
static void
who_has_a_key_alone_is_told(void **state, bool talks)
{
	struct mpt *t = *state;
	char *address = unix_address(t, "alone");
	mproc_conn *c;

	mpt_spawn(t, "listener", let_in_without_key, (void *)(intptr_t)talks);
	mpt_reach(t, 1);
	assert_int_equal(mproc_connect(&c, address,
		MPROC_OPTS(mproc_connect_opts, A_KEY,
			   .handshake_timeout = mproc_ms(talks ? 20000 : 10)),
		MPROC_FOREVER), -EACCES);
	assert_true(detail_has(talks ? "asks for no key" : "may have none"));
	mpt_join_all(t);
}

static void
a_silent_listener_without_a_key_is_noticed(void **state)
{
	who_has_a_key_alone_is_told(state, false);
}

static void
a_talkative_listener_without_a_key_is_noticed(void **state)
{
	who_has_a_key_alone_is_told(state, true);
}

/* Whatever lengths they claim, and however much they say. */
static void
what_strangers_say_costs_no_memory(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} words[] = {
		{ "\x7f\xff\xff\xff", 4 },
		{ "\0\0\1\1", 4 },
		{ "\xff\xff\xff\xff\0\0\0\1\0\0\0\0", 12 },
		{ "\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 12 },
		{ "\x80\0\0\0", 4 },
	};
	enum { N = sizeof(words) / sizeof(words[0]) };
	static const char more[20000];
	char *address = unix_address(*state, "words");
	mproc_listener *l = listen_with_key(address), *other;
	int fds[N];
	mproc_conn *c;
	char buf[64];

	for (int i = 0; i < N; i++) {
		fds[i] = raw_connect(address);
		assert_true(fds[i] >= 0);
	}
	/* What a connection needs is there before the first word. */
	assert_int_equal(mproc_listener_accept(l, &c, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(mproc_test_fault("malloc:1"), 0);
	for (int i = 0; i < N; i++) {
		assert_int_equal(recv(fds[i], buf, 63, MSG_WAITALL), 63);
		assert_int_equal(send(fds[i], words[i].bytes, words[i].n,
				      MSG_NOSIGNAL), words[i].n);
		assert_int_equal(send(fds[i], more, sizeof(more), MSG_NOSIGNAL),
				 sizeof(more));
	}
	assert_int_equal(mproc_listener_accept(l, &c, MPROC_NOWAIT), -EAGAIN);
	/* They have gone by now, and this is the first to ask for memory. */
	for (int i = 0; i < N; i++) {
		errno = 0;
		assert_true(recv(fds[i], buf, 63, MSG_DONTWAIT) <= 0 &&
			    errno != EAGAIN);
		close(fds[i]);
	}
	assert_int_equal(mproc_listener_open(&other, "unix:@mpt-words", NULL),
			 -ENOMEM);
	assert_int_equal(mproc_test_fault(NULL), 0);
	mproc_listener_close(l);
}

#define SILENT 150
#define PLACES 64

static void
those_who_are_silent_keep_nobody_out(void **state)
{
	struct mpt *t = *state;
	char *address = unix_address(t, "silent");
	mproc_listener *l = listen_with_key(address);
	unsigned gone = 0, before = mpt_fd_count();
	int fds[SILENT];
	mproc_conn *c;

	for (int i = 0; i < SILENT; i++) {
		fds[i] = raw_connect(address);
		assert_true(fds[i] >= 0);
		assert_int_equal(mproc_listener_accept(l, &c, MPROC_NOWAIT),
				 -EAGAIN);
		/* It has so many descriptors, and no more. */
		assert_true(mpt_fd_count() - before <=
			    (unsigned)i + 1 + PLACES);
	}
	mpt_spawn(t, "good", come_with_key, NULL);
	welcome(t, l);
	mpt_join_all(t);
	/* The first ones had to go. */
	for (int i = 0; i < SILENT; i++) {
		char buf[200];
		ssize_t n = recv(fds[i], buf, sizeof(buf), MSG_DONTWAIT);

		assert_int_equal(n, 63); /* they were asked */
		n = recv(fds[i], buf, sizeof(buf), MSG_DONTWAIT);
		gone += n == 0;
		assert_int_equal(n == 0, i < SILENT - PLACES + 1);
		close(fds[i]);
	}
	assert_int_equal(gone, SILENT - PLACES + 1);
	mproc_listener_close(l);
}

/* Asked, and then nothing more. */
static bool
was_dropped(int fd)
{
	char buf[100];

	return recv(fd, buf, sizeof(buf), MSG_DONTWAIT) == 63 &&
	       recv(fd, buf, sizeof(buf), MSG_DONTWAIT) == 0;
}

/* The process gets no descriptor any more. Returns the limit before. */
static struct rlimit
use_up_descriptors(void)
{
	struct rlimit before, now;
	int next = fcntl(0, F_DUPFD_CLOEXEC, 0);

	assert_true(next > 2);
	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	now = before;
	now.rlim_cur = (rlim_t)next;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
	return before;
}

/* Silent ones must not have the last descriptors for ever. */
static void
who_is_silent_has_no_descriptor_that_is_needed(void **state)
{
	char *address = unix_address(*state, "descriptors");
	mproc_listener *l = listen_with_key(address);
	struct rlimit before;
	mproc_conn *c;
	int fds[3], r[3];

	for (int i = 0; i < 2; i++) {
		fds[i] = raw_connect(address);
		assert_int_equal(mproc_listener_accept(l, &c, MPROC_NOWAIT),
				 -EAGAIN);
	}
	fds[2] = raw_connect(address);
	before = use_up_descriptors();
	/* For who has come. When nobody else comes, nobody has to go. */
	for (int i = 0; i < 3; i++)
		r[i] = mproc_listener_accept(l, &c, MPROC_NOWAIT);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(r[i], -EAGAIN);
	assert_true(was_dropped(fds[0]));
	assert_false(was_dropped(fds[1]));
	assert_false(was_dropped(fds[2]));
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	mproc_listener_close(l);
}

/* Handshakes without a limit in time: all may stay for equally long. */
static void
the_oldest_of_the_patient_goes(void **state)
{
	char *address = unix_address(*state, "patient");
	mproc_listener *l;
	int fds[PLACES + 3];
	mproc_conn *c;

	assert_int_equal(mproc_listener_open(&l, address,
		MPROC_OPTS(mproc_listener_opts, A_KEY,
			   .handshake_timeout = MPROC_FOREVER)), 0);
	for (int i = 0; i < PLACES + 3; i++) {
		fds[i] = raw_connect(address);
		assert_int_equal(mproc_listener_accept(l, &c, MPROC_NOWAIT),
				 -EAGAIN);
	}
	for (int i = 0; i < PLACES + 3; i++) {
		assert_int_equal(was_dropped(fds[i]), i < 3);
		close(fds[i]);
	}
	mproc_listener_close(l);
}

struct calls {
	const char *address;
	int n; /* of them have returned */
};

static void *
call_and_be_cancelled(void *arg)
{
	struct calls *calls = arg;
	mproc_listener *l;
	mproc_conn *c, *d;

	pthread_cancel(pthread_self());
	if (mproc_listener_open(&l, calls->address,
				MPROC_OPTS(mproc_listener_opts, A_KEY)) < 0)
		return NULL;
	calls->n++;
	if (mproc_connect(&c, calls->address, NULL, MPROC_NOWAIT) < 0 ||
	    mproc_conn_send(c, "no key", 6, MPROC_NOWAIT) < 0)
		return NULL;
	calls->n++;
	/* It is asked and refused. */
	if (mproc_listener_accept(l, &d, MPROC_NOWAIT) != -EAGAIN)
		return NULL;
	calls->n++;
	/* And one who has a key is not heard. */
	if (mproc_connect(&d, calls->address,
			  MPROC_OPTS(mproc_connect_opts, A_KEY), mproc_ms(1)) !=
	    -ETIMEDOUT)
		return NULL;
	calls->n++;
	mproc_conn_close(c);
	calls->n++;
	mproc_listener_close(l);
	calls->n++;
	pthread_testcancel();
	return NULL;
}

/* Or a turn would be taken for ever, and descriptors lost. */
static void
no_call_is_cancelled_half_way(void **state)
{
	struct calls calls = { unix_address(*state, "cancelled"), 0 };
	pthread_t thread;
	void *result;

	assert_int_equal(pthread_create(&thread, NULL, call_and_be_cancelled,
					&calls), 0);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_int_equal(calls.n, 6);
	assert_true(result == PTHREAD_CANCELED);
}

struct flood {
	const char *address;
	unsigned n;
};

/* Who is refused comes again at once, so that there is always one. */
static void
come_again(void *ctx, int level, const char *text)
{
	struct flood *flood = ctx;
	int fd;

	(void)level;
	(void)text;
	if (++flood->n > 20000)
		return;
	fd = raw_connect(flood->address);
	(void)!send(fd, "\377\0\0\0", 4, MSG_NOSIGNAL);
	close(fd);
}

static void
a_flood_does_not_hold_up_whose_time_is_over(void **state)
{
	struct flood flood = { unix_address(*state, "flood"), 0 };
	mproc_listener *l = listen_with_key(flood.address);
	mproc_conn *c;

	come_again(&flood, 0, "");
	mproc_log_set(MPROC_LOG_WARNING, come_again, &flood);
	assert_int_equal(mproc_listener_accept(l, &c, mproc_ms(3)), -ETIMEDOUT);
	mproc_log_set(MPROC_LOG_OFF, NULL, NULL);
	assert_in_range(flood.n, 2, 20000);
	mproc_listener_close(l);
}

static void
who_says_nothing_in_time_is_dropped(void **state)
{
	struct mpt *t = *state;
	char *address = unix_address(t, "slow");
	mproc_listener *l;
	mproc_conn *c;
	char buf[100];
	int fd, id;

	assert_int_equal(mproc_listener_open(&l, address,
		MPROC_OPTS(mproc_listener_opts, A_KEY,
			   .handshake_timeout = mproc_ms(10))), 0);
	fd = raw_connect(address);
	assert_int_equal(mproc_listener_accept(l, &c, mproc_ms(15)),
			 -ETIMEDOUT);
	assert_int_equal(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), 63);
	assert_int_equal(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), 0);
	close(fd);
	/* Time in which nobody is here to hear it does not count. */
	id = mpt_spawn(t, "good", come_with_key, NULL);
	assert_true(becomes_readable(mproc_listener_fd(l), 20000));
	/* Or it might answer faster than we look. */
	mpt_pause(t, id);
	assert_int_equal(mproc_listener_accept(l, &c, MPROC_NOWAIT), -EAGAIN);
	poll(NULL, 0, 20);
	mpt_resume(t, id);
	welcome(t, l);
	mpt_expect_exit(t, id, 0);
	mproc_listener_close(l);
}

/* Nor does it help to say a little all the time. */
static void
who_says_it_slowly_is_dropped_as_well(void **state)
{
	static const char answer[44] = "\0\0\0\50{sha256}";
	char *address = unix_address(*state, "drip"), buf[100];
	mproc_listener *l;
	mproc_conn *c;
	size_t said = 0;
	int fd;

	assert_int_equal(mproc_listener_open(&l, address,
		MPROC_OPTS(mproc_listener_opts, A_KEY,
			   .handshake_timeout = mproc_ms(20))), 0);
	fd = raw_connect(address);
	while (said < sizeof(answer) &&
	       send(fd, answer + said, 1, MSG_NOSIGNAL) == 1) {
		said++;
		assert_int_equal(mproc_listener_accept(l, &c, mproc_ms(2)),
				 -ETIMEDOUT);
	}
	/* After a quarter of it. */
	assert_in_range(said, 1, sizeof(answer) / 2);
	assert_int_equal(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), 63);
	close(fd);
	mproc_listener_close(l);
}

/* Bytes at random; some look like what is expected, up to a point. */
static int
make_noise(struct mpt *t, void *arg)
{
	struct mpt_rand rand;
	unsigned char bytes[300];
	int fds[8];

	mpt_rand_init(&rand, mpt_seed() + (uintptr_t)arg);
	for (int round = 0; round < 12; round++) {
		for (int i = 0; i < 8; i++) {
			size_t n = mpt_rand_below(&rand, sizeof(bytes) + 1);

			for (size_t j = 0; j < sizeof(bytes); j++)
				bytes[j] = (unsigned char)mpt_rand_next(&rand);
			if (mpt_rand_below(&rand, 2))
				memcpy(bytes, "\0\0\0\50{sha256}", 12);
			fds[i] = raw_connect(mpt_scratch(t));
			if (fds[i] >= 0)
				(void)!send(fds[i], bytes, n, MSG_NOSIGNAL);
		}
		for (int i = 0; i < 8; i++)
			if (fds[i] >= 0)
				close(fds[i]);
	}
	return 0;
}

static void
noise_lets_nobody_in_and_keeps_nobody_out(void **state)
{
	struct mpt *t = *state;
	mproc_listener *l = listen_with_key(unix_address(t, "noise"));

	mpt_spawn(t, "noise 1", make_noise, (void *)1);
	mpt_spawn(t, "noise 2", make_noise, (void *)2);
	for (int i = 0; i < 4; i++) {
		int id = mpt_spawn(t, "good", come_with_key, NULL);

		/* Who gets in says "good". */
		welcome(t, l);
		mpt_expect_exit(t, id, 0);
	}
	mproc_listener_close(l);
	mpt_join_all(t);
}

static int
come_as_another_user(struct mpt *t, void *arg)
{
	char buf[8];
	mproc_conn *c;

	mpt_check(t, setgid(12345) == 0 && setuid(12345) == 0);
	mpt_check_int(t, mproc_connect(&c, mpt_scratch(t), NULL, mproc_sec(20)),
		      0);
	mpt_check_int(t, mproc_conn_recv(c, buf, 8, NULL, mproc_sec(20)),
		      arg ? 0 : -EPIPE);
	mproc_conn_close(c);
	return 0;
}

static int
listen_as_another_user(struct mpt *t, void *arg)
{
	mproc_listener *l;
	mproc_conn *c;

	(void)arg;
	mpt_check(t, setgid(12345) == 0 && setuid(12345) == 0);
	mpt_check_int(t, mproc_listener_open(&l, mpt_scratch(t),
		MPROC_OPTS(mproc_listener_opts, .peers = MPROC_PEERS_ANY)), 0);
	mpt_step(t, 0);
	mpt_check_int(t, mproc_listener_accept(l, &c, mproc_sec(20)), 0);
	mproc_conn_close(c);
	mpt_check_int(t, mproc_listener_accept(l, &c, mproc_sec(20)), 0);
	mproc_conn_close(c);
	mproc_listener_close(l);
	return 0;
}

static void
other_users_are_let_in_if_they_may_be(void **state)
{
	struct mpt *t = *state;
	char *address = unix_address(t, "users"), base[64];
	mproc_listener *l;
	mproc_conn *c;
	int id;

	if (geteuid() != 0)
		skip(); /* it cannot be another one */
	snprintf(address, 100, "unix:@%s", mpt_name(t, base, "users") + 1);
	for (intptr_t any = 0; any < 2; any++) {
		assert_int_equal(mproc_listener_open(&l, address,
			MPROC_OPTS(mproc_listener_opts, .peers = any ?
				MPROC_PEERS_ANY : MPROC_PEERS_USER)), 0);
		id = mpt_spawn(t, "other user", come_as_another_user,
			       (void *)any);
		if (any) {
			assert_int_equal(mproc_listener_accept(l, &c,
							       mproc_sec(20)), 0);
			send_text(t, c, "x");
			mproc_conn_close(c);
		} else {
			assert_true(becomes_readable(mproc_listener_fd(l),
						     20000));
			assert_int_equal(mproc_listener_accept(l, &c,
							       MPROC_NOWAIT),
					 -EAGAIN);
		}
		mpt_expect_exit(t, id, 0);
		mproc_listener_close(l);
	}
	mpt_spawn(t, "other user", listen_as_another_user, NULL);
	mpt_reach(t, 1);
	assert_int_equal(mproc_connect(&c, address,
		MPROC_OPTS(mproc_connect_opts, .peers = MPROC_PEERS_USER),
		mproc_sec(20)), -EACCES);
	assert_true(detail_has("user 12345"));
	assert_int_equal(mproc_connect(&c, address, NULL, mproc_sec(20)), 0);
	mproc_conn_close(c);
	mpt_join_all(t);
}

#define CLIENTS 3

static int
come_often(struct mpt *t, void *arg)
{
	for (uintptr_t i = (uintptr_t)arg; i; i--)
		come_with_key(t, NULL);
	return 0;
}

static _Atomic unsigned served;

static int
serve(struct mpt *t, void *arg)
{
	mproc_conn *c;

	while (served) {
		int r = mproc_listener_accept(arg, &c, mproc_ms(5));

		if (r == -ETIMEDOUT)
			continue;
		mpt_check_int(t, r, 0);
		expect_message(t, c, "good");
		send_text(t, c, "welcome");
		mproc_conn_close(c);
		served--;
	}
	return 0;
}

static void
many_come_and_several_threads_accept(void **state)
{
	struct mpt *t = *state;
	uintptr_t each = amount(34);
	mproc_listener *l = listen_with_key(unix_address(t, "many"));
	int threads[2];

	served = CLIENTS * (unsigned)each;
	mpt_watchdog(t, 60);
	for (int i = 0; i < CLIENTS; i++)
		mpt_spawn(t, "client", come_often, (void *)each);
	mpt_use_threads(t, true);
	for (int i = 0; i < 2; i++)
		threads[i] = mpt_spawn(t, "server", serve, l);
	for (int i = 0; i < 2; i++)
		mpt_expect_exit(t, threads[i], 0);
	assert_int_equal(served, 0);
	mpt_join_all(t);
	mproc_listener_close(l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		both_tests(who_has_no_key_costs_nobody_else),
		mpt_test(a_silent_listener_without_a_key_is_noticed),
		mpt_test(a_talkative_listener_without_a_key_is_noticed),
		mpt_test(what_strangers_say_costs_no_memory),
		mpt_test(those_who_are_silent_keep_nobody_out),
		mpt_test(who_is_silent_has_no_descriptor_that_is_needed),
		mpt_test(the_oldest_of_the_patient_goes),
		mpt_test(no_call_is_cancelled_half_way),
		mpt_test(a_flood_does_not_hold_up_whose_time_is_over),
		mpt_test(who_says_nothing_in_time_is_dropped),
		mpt_test(who_says_it_slowly_is_dropped_as_well),
		mpt_test(noise_lets_nobody_in_and_keeps_nobody_out),
		mpt_test(other_users_are_let_in_if_they_may_be),
		mpt_test(many_come_and_several_threads_accept),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
