/* SPDX-License-Identifier: MIT */
/*
 * A client is killed in mproc_connect(), a server in mproc_listener_open() and in
 * mproc_listener_accept(): at both sides of each system call, and in between. Who is at
 * the other side hears of it and goes on with the next one; nothing is left, neither a
 * descriptor nor a socket file that is in the way.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common.h"
#include "os/fds.h"
#include "os/socket.h"

#define KEY "correct horse"
#define A_KEY .authkey = KEY, .authkey_len = sizeof(KEY) - 1

/* Longer than anything takes here; the handshake has as long, too. */
#define BOUND mproc_sec(10)

/* In the scratch bytes. */
struct board {
	char address[128];
	bool with_key;
	_Atomic unsigned listening; /* a server, for that round */
	_Atomic unsigned round;	    /* of the client */
	_Atomic unsigned done;	    /* rounds that it has done */
	_Atomic unsigned served, calls;
	_Atomic unsigned fds; /* of the one that lives on */
	_Atomic int result;
	_Atomic bool end;
};

struct scene {
	struct mpt *t;
	struct board *b;
	unsigned fds;
};

static const char *
path_of(const struct board *b)
{
	return strchr(b->address, ':') + 1;
}

static struct scene
new_scene(struct mpt *t, bool with_key)
{
	struct scene s = { .t = t, .b = mpt_scratch(t) };
	char name[64];

	*s.b = (struct board){ .with_key = with_key };
	snprintf(s.b->address, sizeof(s.b->address), "unix:/dev/shm%s",
		 mpt_name(t, name, with_key ? "key" : "plain"));
	return s;
}

static int
open_listener(const struct board *b, mproc_listener **ret_l)
{
	return b->with_key ?
		       mproc_listener_open(ret_l, b->address,
					   MPROC_OPTS(mproc_listener_opts,
						      A_KEY)) :
		       mproc_listener_open(ret_l, b->address, NULL);
}

static int
connect_to(const struct board *b, mproc_conn **ret_c)
{
	return b->with_key ?
		       mproc_connect(ret_c, b->address,
				     MPROC_OPTS(mproc_connect_opts, A_KEY),
				     BOUND) :
		       mproc_connect(ret_c, b->address, NULL, BOUND);
}

/* Says back what one client says, until that has gone. */
static void
serve_one(struct mpt *t, mproc_conn *c)
{
	char text[16];
	size_t len;
	int r;

	while ((r = mproc_conn_recv(c, text, sizeof(text), &len, BOUND)) == 0)
		mpt_check_int(t, mproc_conn_send(c, text, len, BOUND), 0);
	mpt_check_int(t, r, -EPIPE);
	mproc_conn_close(c);
}

static int
serve(struct mpt *t, void *arg)
{
	struct board *b = arg;
	mproc_listener *l;
	mproc_conn *c;
	int r;

	mpt_check_int(t, open_listener(b, &l), 0);
	/* With what the first one with a key loads. */
	b->listening = 1;
	while (!b->end) {
		r = mproc_listener_accept(l, &c, mproc_ms(1));
		if (r == 0) {
			serve_one(t, c);
			b->served++;
		} else {
			mpt_check_int(t, r, -ETIMEDOUT);
		}
		b->fds = mpt_fd_count();
		b->calls++;
	}
	mproc_listener_close(l);
	return 0;
}

/* The next client is served as if nothing had happened. */
static void
be_served(const struct board *b)
{
	mproc_conn *c = NULL;
	char text[16] = "";

	assert_int_equal(connect_to(b, &c), 0);
	assert_int_equal(mproc_conn_send(c, "ping", 5, BOUND), 0);
	assert_int_equal(mproc_conn_recv(c, text, sizeof(text), NULL, BOUND), 0);
	assert_string_equal(text, "ping");
	mproc_conn_close(c);
}

static void
connect_victim(void *arg)
{
	struct scene *s = arg;
	mproc_conn *c;

	/* What is loaded once is there already. */
	may_fail(connect_to(s->b, &c));
	mproc_conn_close(c);
	mpt_step_begin();
	may_fail(connect_to(s->b, &c));
	mpt_step_end();
}

static void
connect_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	unsigned calls;

	(void)victim;
	(void)n;
	(void)finished;
	be_served(s->b);
	/* It has done with all who came, and has no descriptor more than before. */
	calls = s->b->calls;
	mpt_until(s->t, s->b->calls - calls >= 2);
	mpt_until(s->t, s->b->fds == s->fds);
}

static void
killed_in_connect(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct scene s = new_scene(*state, i);
		int id = mpt_fork(*state, i ? "server with a key" : "server",
				  serve, s.b);

		mpt_until(s.t, s.b->listening);
		be_served(s.b);
		mpt_until(s.t, s.b->served == 1);
		s.b->calls = 0;
		mpt_until(s.t, s.b->calls > 1);
		s.fds = s.b->fds;
		mpt_stepper_run(*state, &(struct mpt_stepper_opts){
			.name = i ? "connect with a key" : "connect",
			.victim = connect_victim,
			.survivor = connect_survivor,
			.arg = &s,
			.every = 1,
			.budget = 24,
		}, NULL);
		s.b->end = true;
		mpt_expect_exit(s.t, id, 0);
	}
}

/* Connects once in each round, and waits for what becomes of that. */
static int
be_client(struct mpt *t, void *arg)
{
	struct board *b = arg;
	mproc_conn *c;
	char text[16];
	int r;

	b->fds = mpt_fd_count();
	while (!b->end) {
		unsigned round = b->done + 1;

		mpt_until(t, b->listening == round || b->end);
		if (b->end)
			break;
		r = connect_to(b, &c);
		if (r == 0) {
			r = mproc_conn_recv(c, text, sizeof(text), NULL, BOUND);
			mproc_conn_close(c);
		}
		b->result = r;
		b->fds = mpt_fd_count();
		b->done = round;
	}
	return 0;
}

static void
next_round(void *arg)
{
	struct scene *s = arg;

	s->b->round++;
}

static void
accept_victim(void *arg)
{
	struct scene *s = arg;
	mproc_listener *l;
	mproc_conn *c;

	may_fail(open_listener(s->b, &l));
	s->b->listening = s->b->round;
	mpt_step_begin();
	may_fail(mproc_listener_accept(l, &c, BOUND));
	mpt_step_end();
}

/* A new listener is there at once, and works. */
static void
listen_anew(const struct board *b)
{
	mproc_listener *l = NULL;
	mproc_conn *c = NULL, *d = NULL;
	char text[16] = "";
	struct stat st;

	assert_int_equal(mproc_listener_open(&l, b->address, NULL), 0);
	assert_int_equal(mproc_connect(&c, b->address, NULL, BOUND), 0);
	assert_int_equal(mproc_listener_accept(l, &d, BOUND), 0);
	assert_int_equal(mproc_conn_send(c, "ping", 5, BOUND), 0);
	assert_int_equal(mproc_conn_recv(d, text, sizeof(text), NULL, BOUND), 0);
	assert_string_equal(text, "ping");
	mproc_conn_close(c);
	mproc_conn_close(d);
	mproc_listener_close(l);
	assert_int_equal(stat(path_of(b), &st), -1);
}

static void
accept_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	(void)finished;
	/* It hears of it long before its own time is over. */
	mpt_until(s->t, s->b->done == s->b->round);
	assert_true(s->b->result == -EPIPE || s->b->result == -ECONNREFUSED);
	assert_int_equal(s->b->fds, s->fds);
	listen_anew(s->b);
}

static void
killed_in_accept(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct scene s = new_scene(*state, i);
		int id = mpt_fork(*state, i ? "client with a key" : "client",
				  be_client, s.b);

		mpt_until(s.t, s.b->fds);
		s.fds = s.b->fds;
		mpt_stepper_run(*state, &(struct mpt_stepper_opts){
			.name = i ? "accept with a key" : "accept",
			.victim = accept_victim,
			.before = next_round,
			.survivor = accept_survivor,
			.arg = &s,
			.every = 1,
			.budget = 24,
		}, NULL);
		s.b->end = true;
		mpt_expect_exit(s.t, id, 0);
	}
}

static void
open_victim(void *arg)
{
	struct mpr_socket_place place;
	struct scene *s = arg;
	int fd;

	/* What mproc_listener_open() and _close() do about the file: the handle is
	 * large, and to clear it takes most of their instructions. */
	mpt_step_begin();
	fd = mpr_socket_listen(s->b->address, 0600, 8, false, &place);
	may_fail(fd);
	mpr_socket_remove(&place);
	mpr_fds_close(fd);
	mpt_step_end();
}

/* Every second time there is a file of one who was killed before. */
static void
leave_a_file(void *arg)
{
	struct scene *s = arg;
	mproc_listener *l;
	pid_t pid;

	if (++s->b->round & 1)
		return;
	pid = fork();
	if (pid == 0) {
		may_fail(open_listener(s->b, &l));
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void
open_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	(void)finished;
	listen_anew(s->b);
}

static void
killed_in_open_and_close(void **state)
{
	struct scene s = new_scene(*state, false);

	mpt_stepper_run(*state, &(struct mpt_stepper_opts){
		.name = "listen",
		.victim = open_victim,
		.before = leave_a_file,
		.survivor = open_survivor,
		.arg = &s,
		.every = 1,
		.budget = 24,
	}, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_in_connect),
		mpt_test(killed_in_accept),
		mpt_test(killed_in_open_and_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
