/* SPDX-License-Identifier: MIT */
/*
 * Managers: who is let in, and what becomes of those who are slow, hostile or dead.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "manager.h"

#define PATH_AT 5 /* behind "unix:" */
#define LINGERS_AT 256 /* in the scratch bytes */

/* A socket that does what it likes. */
static int
raw_connect(const char *address)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(name.sun_path, sizeof(name.sun_path), "%s", address + PATH_AT);
	assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	return fd;
}

/* Requests as they lie in the stream. */
#define HELLO "\0\0\0\23\225\0\0\0\255mproc-manager\1"
#define HELLO_LEN (sizeof(HELLO) - 1)

static void
raw_send(int fd, const void *bytes, size_t n)
{
	assert_int_equal(send(fd, bytes, n, MSG_NOSIGNAL), n);
}

static bool
ends(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	char buf[4096];
	ssize_t n;

	do {
		assert_int_equal(poll(&pfd, 1, 20000), 1);
		n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
	} while (n > 0);
	close(fd);
	return true;
}

static void
family_and_clients_have_the_same_dict(void **state)
{
	mproc_manager *m = start(NULL), *c = connect_to(m), *other = connect_to(m);
	mproc_dict *here = dict_of(m, "tally"), *there = dict_of(c, "tally");

	(void)state;
	assert_true(mproc_is_shared(here) && !mproc_is_shared(there));
	assert_ptr_equal(dict_of(c, "tally"), there);
	assert_ptr_equal(dict_of(m, "tally"), here);
	assert_int_equal(mproc_dict_set(here, mproc_str("a"), mproc_int(1)), 0);
	expect_there(there, mproc_str("a"), mproc_int(1));
	expect_there(dict_of(other, "tally"), mproc_str("a"), mproc_int(1));
	assert_string_equal(mproc_manager_address(c), mproc_manager_address(m));
	assert_int_equal(mproc_manager_shutdown(c, MPROC_NOWAIT), -EPERM);
	mproc_manager_close(other);
	expect_there(there, mproc_str("a"), mproc_int(1));
	assert_int_equal(mproc_manager_shutdown(m, mproc_sec(20)), 0);
	assert_int_equal(mproc_dict_has(there, mproc_str("a")), -EPIPE);
	assert_int_equal(mproc_dict_has(there, mproc_str("a")), -EPIPE);
	assert_non_null(strstr(mproc_error_detail(), mproc_manager_address(c)));
	mproc_manager_close(c);
	assert_int_equal(mproc_dict_has(there, mproc_str("a")), -ESTALE);
	mproc_manager_close(m);
	mproc_manager_close(NULL);
	expect_there(here, mproc_str("a"), mproc_int(1));
	assert_int_equal(mproc_arena_bind(NULL, "tally", NULL), 0);
	mproc_dict_destroy(here);
}

static void
names_are_those_of_the_arena(void **state)
{
	char name[] = "a name of fifty-six bytes, which is one more than it may be";
	mproc_manager *m = start(NULL), *c = connect_to(m);
	mproc_dict *mine, *d;
	void *block = mproc_alloc(64);

	(void)state;
	name[56] = '\0';
	assert_int_equal(mproc_dict_create(&mine, NULL), 0);
	assert_int_equal(mproc_dict_set(mine, mproc_int(1), mproc_int(2)), 0);
	assert_int_equal(mproc_arena_bind(NULL, "mine", mine), 0);
	assert_int_equal(mproc_arena_bind(NULL, "block", block), 0);
	expect_there(dict_of(c, "mine"), mproc_int(1), mproc_int(2));
	assert_ptr_equal(dict_of(m, "mine"), mine);
	for (int i = 0; i < 2; i++) {
		mproc_manager *any = i ? m : c;

		assert_int_equal(mproc_manager_dict(any, "block", &d),
				 -EPROTOTYPE);
		assert_int_equal(mproc_manager_dict(any, name, &d),
				 -ENAMETOOLONG);
		assert_int_equal(mproc_manager_dict(any, "", &d), -EINVAL);
		assert_int_equal(mproc_manager_dict(any, NULL, &d), -EINVAL);
		assert_int_equal(mproc_manager_dict(any, "x", NULL), -EINVAL);
	}
	/* It is destroyed, and has its name still. */
	mproc_dict_destroy(mine);
	assert_int_equal(mproc_manager_dict(m, "mine", &d), -ESTALE);
	assert_int_equal(mproc_manager_dict(c, "mine", &d), -ESTALE);
	assert_int_equal(mproc_arena_bind(NULL, "mine", NULL), 0);
	d = dict_of(c, "mine");
	assert_int_equal(mproc_dict_len(d), 0);
	/* A client takes the name away with it. */
	mproc_dict_destroy(d);
	assert_int_equal(mproc_arena_bind(NULL, "mine", block), 0);
	assert_int_equal(mproc_arena_bind(NULL, "mine", NULL), 0);
	assert_int_equal(mproc_arena_bind(NULL, "block", NULL), 0);
	mproc_free(block);
	mproc_manager_close(c);
	mproc_manager_close(m);
}

static void
what_makes_no_sense_is_refused(void **state)
{
	mproc_manager *m = NULL;

	(void)state;
	assert_int_equal(mproc_manager_start(NULL, NULL), -EINVAL);
	assert_int_equal(mproc_manager_connect(NULL, "unix:@x", NULL,
					       MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_manager_start(&m, MPROC_OPTS(mproc_manager_opts,
					.max_clients = -1)), -EINVAL);
	assert_int_equal(mproc_manager_start(&m, MPROC_OPTS(mproc_manager_opts,
					.max_message = 1)), -EINVAL);
	assert_int_equal(mproc_manager_start(&m, MPROC_OPTS(mproc_manager_opts,
					.address = "nowhere")), -EINVAL);
	assert_int_equal(mproc_manager_start(&m, MPROC_OPTS(mproc_manager_opts,
					.address = "nowhere",
					.in_process = true)), -EINVAL);
	assert_int_equal(mproc_manager_start(&m, MPROC_OPTS(mproc_manager_opts,
					.address = "tcp:127.0.0.1:0")), -EINVAL);
	assert_int_equal(mproc_manager_connect(&m, "unix:@mpt-nobody", NULL,
					       mproc_sec(1)), -ECONNREFUSED);
	assert_int_equal(mproc_manager_connect(&m, "unix:@x",
				MPROC_OPTS(mproc_connect_opts, .pass_fds = true),
				mproc_sec(1)), -EINVAL);
	assert_int_equal(mproc_manager_serve(NULL, MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_manager_fd(NULL), -EINVAL);
	assert_int_equal(mproc_manager_shutdown(NULL, MPROC_NOWAIT), -EINVAL);
	assert_null(m);
	/* What answers is none. */
	m = start(NULL);
	assert_int_equal(mproc_manager_serve(m, MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_manager_fd(m), -EINVAL);
	mproc_manager_close(m);
}

static int
serve(struct mpt *t, void *arg)
{
	mproc_manager *m;

	mpt_check_int(t, mproc_manager_start(&m, arg), 0);
	mpt_step(t, 0);
	mpt_check_int(t, mproc_manager_serve(m, MPROC_FOREVER), 0);
	mproc_manager_close(m);
	return 0;
}

static void
keys_are_compared(void **state)
{
	mproc_manager *m = start(MPROC_OPTS(mproc_manager_opts, A_KEY)), *c;
	const char *address = mproc_manager_address(m);

	(void)state;
	assert_int_equal(mproc_manager_connect(&c, address, NULL, mproc_sec(20)),
			 -EACCES);
	assert_int_equal(mproc_manager_connect(&c, address,
				MPROC_OPTS(mproc_connect_opts, .authkey = "else",
					   .authkey_len = 4), mproc_sec(20)),
			 -EACCES);
	assert_int_equal(mproc_manager_connect(&c, address,
				MPROC_OPTS(mproc_connect_opts, A_KEY),
				mproc_sec(20)), 0);
	mproc_dict_destroy(dict_of(c, "keyed"));
	mproc_manager_close(c);
	mproc_manager_close(m);
	/* Over TCP, and of this machine only. */
	m = start(MPROC_OPTS(mproc_manager_opts, .address = "tcp::0", A_KEY));
	address = mproc_manager_address(m);
	assert_int_equal(strncmp(address, "tcp:127.0.0.1:", 14), 0);
	assert_int_equal(mproc_manager_connect(&c, address,
				MPROC_OPTS(mproc_connect_opts, A_KEY),
				mproc_sec(20)), 0);
	mproc_dict_destroy(dict_of(c, "keyed"));
	mproc_manager_close(c);
	mproc_manager_close(m);
}

static void
an_event_loop_can_serve(void **state)
{
	struct pollfd pfd = { .events = POLLIN };
	struct mpt *t = *state;
	mproc_manager *m = start(MPROC_OPTS(mproc_manager_opts,
			.address = file_address(t, "loop"), .in_process = true));
	int fd = raw_connect(file_address(t, "loop"));
	char answer[64];

	pfd.fd = mproc_manager_fd(m);
	assert_int_equal(poll(&pfd, 1, 20000), 1);
	raw_send(fd, HELLO, HELLO_LEN);
	assert_int_equal(mproc_manager_serve(m, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(mproc_manager_serve(m, mproc_us(1)), -ETIMEDOUT);
	assert_int_equal(poll(&pfd, 1, 0), 0);
	/* Its number, 0, and what it speaks. */
	assert_true(recv(fd, answer, sizeof(answer), MSG_DONTWAIT) > 8);
	assert_memory_equal(answer + 4, "\224\0\0\1", 4);
	/* Half a request. */
	raw_send(fd, "\0\0", 2);
	assert_int_equal(poll(&pfd, 1, 20000), 1);
	assert_int_equal(mproc_manager_serve(m, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(mproc_manager_shutdown(m, MPROC_NOWAIT), 0);
	assert_int_equal(poll(&pfd, 1, 20000), 1);
	assert_int_equal(mproc_manager_serve(m, MPROC_FOREVER), 0);
	assert_int_equal(mproc_manager_serve(m, MPROC_NOWAIT), 0);
	mproc_manager_close(m);
	assert_true(ends(fd));
}

static void
who_speaks_nonsense_is_cut_off(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		bool greets;
	} all[] = {
		{ "GET / HTTP/1.1\r\n\r\n", 18, false },
		{ "\0\0\0\4\223\0\4\1", 8, false }, /* no greeting */
		{ "\0\0\0\0", 4, true },
		{ "\377\377\377\377", 4, true },
		{ "\177\377\377\377\335\377\377\377\377", 9, true },
		{ "\0\0\0\5\335\377\377\377\377", 9, true }, /* a long row */
		{ "\0\0\0\4\221\221\221\221", 8, true },     /* rows in rows */
		{ "\0\0\0\6\224\0\20\1\333\377", 10, true },
		{ "\0\0\0\4\223\0\300\1", 8, true },
	};
	struct mpt *t = *state;
	mproc_manager *m = start(MPROC_OPTS(mproc_manager_opts,
					    .address = file_address(t, "odd")));
	mproc_manager *c = connect_to(m);
	mproc_dict *d = dict_of(c, "odd");

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		int fd = raw_connect(mproc_manager_address(m));

		if (all[i].greets)
			raw_send(fd, HELLO, HELLO_LEN);
		raw_send(fd, all[i].bytes, all[i].n);
		assert_true(ends(fd));
		assert_int_equal(mproc_dict_add(d, mproc_int(1), mproc_int(1),
						NULL), 0);
	}
	mproc_dict_destroy(d);
	mproc_manager_close(c);
	mproc_manager_close(m);
}

static void
another_version_is_told_so(void **state)
{
	struct mpt *t = *state;
	mproc_manager *m = start(MPROC_OPTS(mproc_manager_opts,
					    .address = file_address(t, "new")));
	int fd = raw_connect(mproc_manager_address(m));
	char hello[HELLO_LEN], answer[128] = "";

	memcpy(hello, HELLO, HELLO_LEN);
	hello[HELLO_LEN - 1] = 2;
	raw_send(fd, hello, HELLO_LEN);
	assert_true(recv(fd, answer, sizeof(answer) - 1, 0) > 8);
	/* [0, -EPROTO, a text] */
	assert_memory_equal(answer + 4, "\223\0\320\271", 4);
	assert_true(ends(fd));
	mproc_manager_close(m);
}

/* Takes @n answers. */
static void
take_answers(int fd, int n)
{
	static unsigned char buf[1 << 16];
	size_t have = 0;

	while (n > 0) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		ssize_t got;
		size_t at = 0;

		assert_int_equal(poll(&pfd, 1, 20000), 1);
		got = recv(fd, buf + have, sizeof(buf) - have, 0);
		assert_true(got > 0);
		have += (size_t)got;
		/* All are short. */
		for (; have - at >= 4 && have - at >= 4u + buf[at + 3]; n--)
			at += 4u + buf[at + 3];
		have -= at;
		memmove(buf, buf + at, have);
	}
	assert_int_equal(n, 0);
}

static void
who_takes_no_answers_holds_nobody_up(void **state)
{
	struct mpt *t = *state;
	mproc_manager *m = start(MPROC_OPTS(mproc_manager_opts,
			.address = file_address(t, "greedy"),
			.max_memory = (size_t)4 << 20));
	mproc_manager *c = connect_to(m);
	mproc_dict *d = dict_of(c, "greedy");
	int fd = raw_connect(mproc_manager_address(m)), n = 0, full = 0;
	/* No operation, so that the answers are longer than the requests. */
	const char request[] = "\0\0\0\4\223\1\177\0";

	raw_send(fd, HELLO, HELLO_LEN);
	/* It comes to a stop: nobody takes answers, so nobody reads requests. Others
	 * have their turns all the time. */
	while (full < 10) {
		if (send(fd, request, 8, MSG_NOSIGNAL | MSG_DONTWAIT) == 8) {
			n++;
			full = 0;
			continue;
		}
		assert_int_equal(errno, EAGAIN);
		assert_int_equal(mproc_dict_add(d, mproc_int(2), mproc_int(1),
						NULL), 0);
		full++;
	}
	/* All is answered in the end. */
	take_answers(fd, n + 1);
	close(fd);
	mproc_dict_destroy(d);
	mproc_manager_close(c);
	mproc_manager_close(m);
}

static void
what_is_too_long_is_an_error_of_one_call(void **state)
{
	static char value[5000];
	mproc_manager *m = start(MPROC_OPTS(mproc_manager_opts,
					    .max_message = 4096));
	mproc_manager *c = connect_to(m);
	mproc_dict *local = dict_of(m, "long"), *d = dict_of(c, "long");
	struct mproc_any got;

	(void)state;
	assert_int_equal(mproc_dict_set(d, mproc_int(1), mproc_bytes(value, 5000)),
			 -EMSGSIZE);
	assert_int_equal(mproc_dict_set(d, mproc_int(1), mproc_bytes(value, 4000)),
			 0);
	assert_int_equal(mproc_dict_set(local, mproc_int(2),
					mproc_bytes(value, 5000)), 0);
	assert_int_equal(mproc_dict_get(d, mproc_int(2), &got), -EMSGSIZE);
	assert_int_equal(got.kind, MPROC_NIL);
	expect_there(d, mproc_int(1), mproc_bytes(value, 4000));
	mproc_dict_destroy(d);
	mproc_manager_close(c);
	mproc_manager_close(m);
}

static void
there_are_as_many_clients_as_may_be(void **state)
{
	mproc_manager *m = start(MPROC_OPTS(mproc_manager_opts, .max_clients = 2));
	mproc_manager *a = connect_to(m), *b = connect_to(m), *c = NULL;

	assert_int_equal(mproc_manager_connect(&c, mproc_manager_address(m), NULL,
					       mproc_sec(20)), -EBUSY);
	mproc_dict_destroy(dict_of(b, "crowd"));
	mproc_manager_close(a);
	/* It sees that soon. */
	mpt_until((struct mpt *)*state,
		  mproc_manager_connect(&c, mproc_manager_address(m), NULL,
					mproc_sec(20)) == 0);
	mproc_dict_destroy(dict_of(c, "crowd"));
	mproc_manager_close(b);
	mproc_manager_close(c);
	mproc_manager_close(m);
}

/* Or as many as this system lets one have. */
enum { CROWD_OF_CLIENTS = 1000, OTHER_FILES = 50 };

static void
a_thousand_clients_are_served(void **state)
{
	/* [1, FIND, 0, a dict, "crowd"] */
	const char find[] = "\0\0\0\13\225\1\1\0\1\245crowd";
	struct rlimit before, files;
	mproc_manager *m;
	char answer[64];
	int fds[CROWD_OF_CLIENTS], n;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	files = before;
	files.rlim_cur = files.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	n = files.rlim_cur < CROWD_OF_CLIENTS + OTHER_FILES ?
		    (int)files.rlim_cur - OTHER_FILES : CROWD_OF_CLIENTS;
	assert_true(n > 0);
	m = start(MPROC_OPTS(mproc_manager_opts,
			     .address = file_address(*state, "crowd")));
	for (int i = 0; i < n; i++) {
		fds[i] = raw_connect(mproc_manager_address(m));
		raw_send(fds[i], HELLO, HELLO_LEN);
	}
	/* All have asked before one is answered. */
	for (int i = 0; i < n; i++)
		raw_send(fds[i], find, sizeof(find) - 1);
	for (int i = 0; i < n; i++)
		take_answers(fds[i], 2);
	/* Those who have gone leave the others alone. */
	for (int i = 0; i < n; i += 2)
		close(fds[i]);
	for (int i = 1; i < n; i += 2) {
		raw_send(fds[i], find, sizeof(find) - 1);
		assert_true(recv(fds[i], answer, sizeof(answer), 0) > 4);
		close(fds[i]);
	}
	mproc_dict_destroy(dict_of(m, "crowd"));
	assert_int_equal(mproc_arena_bind(NULL, "crowd", NULL), 0);
	mproc_manager_close(m);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

enum { THREADS = 6, ADDS = 200 };

static int
add_up(struct mpt *t, void *arg)
{
	mproc_dict *d = arg;
	int64_t n;

	for (int i = 0; i < ADDS; i++) {
		mpt_check_int(t, mproc_dict_add(d, mproc_str("n"), mproc_int(1),
						NULL), 0);
		mpt_check_int(t, mproc_dict_get_int(d, mproc_str("n"), &n), 0);
	}
	return 0;
}

static void
threads_share_a_connection(void **state)
{
	struct mpt *t = *state;
	mproc_manager *m = start(NULL), *c = connect_to(m);
	mproc_dict *d = dict_of(c, "threads");

	mpt_use_threads(t, true);
	for (int i = 0; i < THREADS; i++)
		mpt_spawn(t, "adds", add_up, d);
	mpt_join_all(t);
	expect_there(d, mproc_str("n"), mproc_int(THREADS * ADDS));
	mproc_dict_destroy(d);
	mproc_manager_close(c);
	mproc_manager_close(m);
}

static void
a_forked_child_has_no_part_in_it(void **state)
{
	struct mpt *t = *state;
	mproc_manager *m = start(NULL), *c = connect_to(m);
	mproc_dict *d = dict_of(c, "forked"), *other;
	int status;
	pid_t pid;

	(void)t;
	pid = fork();
	if (pid == 0) {
		bool good = mproc_dict_has(d, mproc_int(1)) == -ECHILD &&
			    mproc_manager_dict(c, "x", &other) == -ECHILD &&
			    mproc_manager_shutdown(m, MPROC_NOWAIT) == -ECHILD;

		mproc_manager_close(c);
		mproc_manager_close(m);
		_exit(!good);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(mproc_dict_set(d, mproc_int(1), mproc_int(1)), 0);
	mproc_dict_destroy(d);
	mproc_manager_close(c);
	mproc_manager_close(m);
}

/* A server that is killed, and another one in the same arena. */
static void
what_is_in_a_named_arena_outlives_its_server(void **state)
{
	struct mpt *t = *state;
	char name[64], *address = file_address(t, "state");
	struct mproc_manager_opts o = { .struct_size = sizeof(o),
					.address = address, .in_process = true };
	mproc_manager *c;
	mproc_dict *d;
	int id;

	assert_int_equal(mproc_arena_create(&o.arena,
			MPROC_OPTS(mproc_arena_opts,
				   .name = mpt_name(t, name, "arena"),
				   .capacity = (size_t)64 << 20)), 0);
	id = mpt_fork(t, "server", serve, &o);
	mpt_reach(t, 1);
	assert_int_equal(mproc_manager_connect(&c, address, NULL, mproc_sec(20)),
			 0);
	d = dict_of(c, "state");
	assert_int_equal(mproc_dict_set(d, mproc_int(1), mproc_int(2)), 0);
	mpt_kill(t, id);
	assert_int_equal(mproc_dict_set(d, mproc_int(1), mproc_int(3)), -EPIPE);
	assert_int_equal(mproc_manager_connect(&c, address, NULL, mproc_sec(20)),
			 -ECONNREFUSED);
	mproc_manager_close(c);
	o.in_process = false;
	c = start(&o);
	expect_there(dict_of(c, "state"), mproc_int(1), mproc_int(2));
	assert_int_equal(mproc_manager_shutdown(c, mproc_sec(20)), 0);
	mproc_manager_close(c);
	mproc_arena_close(o.arena);
	assert_int_equal(mproc_arena_unlink(name), 0);
}

/* A child of the caller's, which does nothing. */
static pid_t
linger(void)
{
	pid_t pid = fork();

	/* Not for ever, if the test cannot end it. */
	if (pid == 0)
		alarm(120);
	while (pid == 0)
		pause();
	return pid;
}

static int
start_and_wait(struct mpt *t, void *arg)
{
	_Atomic pid_t *lingers = (void *)((char *)mpt_scratch(t) + LINGERS_AT);
	mproc_manager *m;

	mpt_check_int(t, mproc_manager_start(&m, MPROC_OPTS(mproc_manager_opts,
							    .address = arg)), 0);
	/* It has copies of all descriptors. */
	*lingers = linger();
	mpt_step(t, 0);
	for (;;)
		pause();
	return 0;
}

static void
a_server_ends_with_its_starter(void **state)
{
	struct mpt *t = *state;
	char *address = file_address(t, "orphan");
	_Atomic pid_t *lingers = (void *)((char *)mpt_scratch(t) + LINGERS_AT);
	int id = mpt_fork(t, "starter", start_and_wait, address);
	mproc_manager *c;
	struct stat st;
	mproc_dict *d;

	mpt_reach(t, 1);
	assert_int_equal(mproc_manager_connect(&c, address, NULL, mproc_sec(20)),
			 0);
	d = dict_of(c, "orphan");
	mpt_kill(t, id);
	mpt_until(t, mproc_dict_has(d, mproc_int(1)) == -EPIPE);
	/* In order: its socket file is gone. */
	mpt_until(t, stat(address + PATH_AT, &st) < 0);
	assert_int_equal(kill(*lingers, SIGKILL), 0);
	assert_int_equal(mpt_reap_orphans(t), 2);
	mproc_manager_close(c);
}

static void
one_is_shut_down_beside_children_of_its_starter(void **state)
{
	char *address = file_address(*state, "beside");
	mproc_manager *m = start(MPROC_OPTS(mproc_manager_opts,
					    .address = address));
	pid_t pid = linger();
	struct stat st;

	assert_int_equal(mproc_manager_shutdown(m, mproc_sec(20)), 0);
	/* It was not killed. */
	assert_int_equal(stat(address + PATH_AT, &st), -1);
	assert_int_equal(mproc_manager_shutdown(m, MPROC_NOWAIT), 0);
	mproc_manager_close(m);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static int
ask_in_vain(struct mpt *t, void *arg)
{
	*(_Atomic pid_t *)mpt_scratch(t) = gettid();
	mpt_check_int(t, mproc_dict_has(arg, mproc_int(1)), -EINTR);
	return 0;
}

/* Of a server that does not answer. */
static void
a_call_can_be_interrupted(void **state)
{
	struct mpt *t = *state;
	char *address = file_address(t, "stopped");
	struct mproc_manager_opts o = { .struct_size = sizeof(o),
					.address = address, .in_process = true };
	int id = mpt_fork(t, "server", serve, &o), asks;
	_Atomic pid_t *tid = mpt_scratch(t);
	char copy[128];
	mproc_manager *c;
	mproc_dict *d;

	strcpy(copy, address);
	mpt_reach(t, 1);
	assert_int_equal(mproc_manager_connect(&c, copy, NULL, mproc_sec(20)), 0);
	d = dict_of(c, "stopped");
	mpt_pause(t, id);
	*tid = 0;
	mpt_use_threads(t, true);
	asks = mpt_spawn(t, "asks", ask_in_vain, d);
	mpt_until(t, *tid && mpt_task_state(*tid) == 'S');
	mproc_interrupt();
	mpt_expect_exit(t, asks, 0);
	/* It was for this thread, too, which waits for the first time here. */
	assert_int_equal(mproc_dict_has(d, mproc_int(1)), -EINTR);
	mpt_resume(t, id);
	/* The late answers are nobody's. */
	assert_int_equal(mproc_dict_set(d, mproc_int(1), mproc_int(1)), 0);
	expect_there(d, mproc_int(1), mproc_int(1));
	mpt_kill(t, id);
	assert_int_equal(unlink(copy + PATH_AT), 0);
	mproc_manager_close(c);
}

/* In the scratch bytes. */
struct taking {
	char address[128];
	pid_t server;
	_Atomic bool begun;
	_Atomic int interrupted;
};

static struct taking *taking;

static void
interrupt_taking(int signal)
{
	(void)signal;
	mproc_interrupt();
	taking->interrupted++;
}

static int
take_all(struct mpt *t, void *arg)
{
	struct mproc_any got;
	mproc_manager *c;
	mproc_dict *d;
	mproc_list *l;

	(void)arg;
	taking = mpt_scratch(t);
	signal(SIGUSR1, interrupt_taking);
	mpt_check_int(t, mproc_manager_connect(&c, taking->address, NULL,
					       mproc_sec(20)), 0);
	mpt_check_int(t, mproc_manager_dict(c, "taken", &d), 0);
	mpt_check_int(t, mproc_manager_list(c, "taken list", &l), 0);
	mpt_check_int(t, mproc_dict_set(d, mproc_int(1), mproc_int(10)), 0);
	mpt_check_int(t, mproc_list_append(l, mproc_int(20)), 0);
	mpt_check_int(t, mproc_dict_set(d, mproc_int(2), mproc_int(30)), 0);
	mpt_check_int(t, kill(taking->server, SIGSTOP), 0);
	taking->begun = true;
	mpt_check_int(t, mproc_dict_pop(d, mproc_int(1), &got), 0);
	mpt_check_int(t, got.i64, 10);
	mpt_check_int(t, mproc_list_pop(l, 0, &got), 0);
	mpt_check_int(t, got.i64, 20);
	mpt_check_int(t, mproc_dict_pop_item(d, NULL, &got), 0);
	mpt_check_int(t, got.i64, 30);
	mproc_manager_close(c);
	return 0;
}

/* What a server takes away is on its way when the interrupt comes. */
static void
an_interrupt_loses_nothing_that_was_taken_out(void **state)
{
	struct mpt *t = *state;
	char *address = file_address(t, "takes"), copy[128];
	struct mproc_manager_opts o = { .struct_size = sizeof(o),
					.address = address, .in_process = true };
	struct taking *shared = mpt_scratch(t);
	int id = mpt_fork(t, "server", serve, &o), takes;

	strcpy(copy, address);
	mpt_reach(t, 1);
	shared->server = mpt_pid(t, id);
	takes = mpt_fork(t, "takes", take_all, NULL);
	mpt_until(t, shared->begun && mpt_task_state(mpt_pid(t, takes)) == 'S');
	assert_int_equal(kill(mpt_pid(t, takes), SIGUSR1), 0);
	mpt_until(t, shared->interrupted);
	assert_int_equal(kill(mpt_pid(t, id), SIGCONT), 0);
	mpt_expect_exit(t, takes, 0);
	mpt_kill(t, id);
	assert_int_equal(unlink(copy + PATH_AT), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(family_and_clients_have_the_same_dict),
		mpt_test(names_are_those_of_the_arena),
		mpt_test(what_makes_no_sense_is_refused),
		mpt_test(keys_are_compared),
		mpt_test(an_event_loop_can_serve),
		mpt_test(who_speaks_nonsense_is_cut_off),
		mpt_test(another_version_is_told_so),
		mpt_test(who_takes_no_answers_holds_nobody_up),
		mpt_test(what_is_too_long_is_an_error_of_one_call),
		mpt_test(there_are_as_many_clients_as_may_be),
		mpt_test(a_thousand_clients_are_served),
		mpt_test(threads_share_a_connection),
		mpt_test(a_forked_child_has_no_part_in_it),
		mpt_test(what_is_in_a_named_arena_outlives_its_server),
		mpt_test(a_server_ends_with_its_starter),
		mpt_test(one_is_shut_down_beside_children_of_its_starter),
		mpt_test(a_call_can_be_interrupted),
		mpt_test(an_interrupt_loses_nothing_that_was_taken_out),
	};

	return cmocka_run_group_tests(tests, with_manager, NULL);
}
