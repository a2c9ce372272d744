/* SPDX-License-Identifier: MIT */
/*
 * Processes that accept at one listener, and others that connect to it, show its key and
 * ask a few questions. They are killed and stopped at random, in the middle of a
 * handshake as well. Who is left is told, and goes on with the next one; in a truce no
 * server has a descriptor more than at first, and nobody waits for the dead.
 */
#include <stdio.h>

#include "chaos.h"

#define KILLS 200
#define SERVERS 4 /* two of which are never killed; the rest are clients */
#define KEY "correct horse"
#define A_KEY .authkey = KEY, .authkey_len = sizeof(KEY) - 1

enum { ACCEPTS = 1, SERVES, CONNECTS, ASKS, CLOSES };

static const char *const deeds[] = {
	"accept", "a server's recv and send", "connect",
	"a client's send and recv", "a client's close", NULL,
};

struct town {
	struct chaos chaos;
	char address[80];
	mproc_listener *listener; /* the test's; servers have copies */
	_Atomic pid_t server, client; /* who has just begun with the other side */
	_Atomic uint64_t answers;
};

/* Until the client has gone, by itself or not. */
static void
serve(struct mpt *t, mproc_conn *c)
{
	uint64_t number;
	size_t len;
	int r;

	do {
		chaos_does(SERVES);
		r = mproc_conn_recv(c, &number, sizeof(number), &len,
				    mproc_sec(30));
		if (r == 0) {
			mpt_check_int(t, len, sizeof(number));
			number = ~number;
			r = mproc_conn_send(c, &number, sizeof(number),
					    mproc_sec(30));
		}
		chaos_does(0);
	} while (r == 0);
	mpt_check_int(t, r, -EPIPE);
	mproc_conn_close(c);
}

/* No client needs a server any more. */
static bool
clients_rest(const struct chaos *c)
{
	for (int i = SERVERS; i < CHAOS_WORKERS; i++)
		if (c->rests[i] != c->truce)
			return false;
	return true;
}

static void
be_server(struct mpt *t, struct town *b, unsigned me)
{
	unsigned fds = 0;
	mproc_conn *c;
	bool rests;
	int r;

	do {
		rests = chaos_is_truce(t) && clients_rest(&b->chaos);
		chaos_does(ACCEPTS);
		r = chaos_done(mproc_listener_accept(
			b->listener, &c, rests ? MPROC_NOWAIT : mproc_ms(1)));
		if (r == 0) {
			b->server = getpid();
			serve(t, c);
			b->server = 0;
			b->chaos.finished[me]++;
			continue;
		}
		mpt_check_int(t, r, rests ? -EAGAIN : -ETIMEDOUT);
		/* All who are left of those who came have been heard and have gone. */
		if (rests && !fds)
			fds = mpt_fd_count();
		if (rests)
			mpt_check_int(t, mpt_fd_count(), fds);
	} while (!rests || chaos_rest(t, me));
}

static void
ask(struct mpt *t, struct town *b, mproc_conn *c, struct mpt_rand *rand)
{
	uint64_t question, answer;
	int r = 0;

	for (uint64_t n = mpt_rand_below(rand, 20); n && r == 0; n--) {
		question = mpt_rand_next(rand);
		chaos_does(ASKS);
		r = mproc_conn_send(c, &question, sizeof(question),
				    mproc_sec(30));
		if (r == 0)
			r = mproc_conn_recv(c, &answer, sizeof(answer), NULL,
					    mproc_sec(30));
		chaos_does(0);
		mpt_check(t, r == -EPIPE || (r == 0 && answer == ~question));
		b->answers += r == 0;
	}
}

static void
be_client(struct mpt *t, struct town *b, unsigned me, struct mpt_rand *rand)
{
	mproc_conn *c;
	int r;

	do {
		chaos_does(CONNECTS);
		r = chaos_done(mproc_connect(&c, b->address,
			MPROC_OPTS(mproc_connect_opts, A_KEY), mproc_ms(100)));
		/* The server was killed, or stopped. */
		mpt_check(t, r == 0 || r == -EPIPE || r == -ETIMEDOUT);
		if (r < 0)
			continue;
		b->client = getpid();
		ask(t, b, c, rand);
		b->client = 0;
		chaos_does(CLOSES);
		mproc_conn_close(c);
		chaos_does(0);
		b->chaos.finished[me]++;
	} while (!chaos_is_truce(t) || chaos_rest(t, me));
}

static int
work(struct mpt *t, void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	struct town *b = mpt_scratch(t);
	struct mpt_rand rand;

	chaos_begin(t, me);
	mpt_rand_init(&rand, (uint64_t)getpid());
	chaos_join(t);
	if (me < SERVERS)
		be_server(t, b, me);
	else
		be_client(t, b, me, &rand);
	return 0;
}

static pid_t
inside(struct mpt *t, struct mpt_rand *rand)
{
	const struct town *b = mpt_scratch(t);

	return mpt_rand_below(rand, 2) ? b->server : b->client;
}

static void
servers_and_clients_go_on(struct mpt *t)
{
	struct town *b = mpt_scratch(t);
	struct chaos_plan plan = {
		.work = work,
		.kills = KILLS,
		.deeds = deeds,
		.inside = inside,
	};
	char name[64];

	snprintf(b->address, sizeof(b->address), "unix:@%s",
		 mpt_name(t, name, "town") + 1);
	assert_int_equal(mproc_listener_open(&b->listener, b->address,
		MPROC_OPTS(mproc_listener_opts, A_KEY)), 0);
	chaos_run(t, &plan);
	assert_true(b->answers > 0);
	print_message("# %llu connections, %llu answers, %u kills\n",
		      (unsigned long long)chaos_finished(t),
		      (unsigned long long)b->answers, b->chaos.deaths);
	mproc_listener_close(b->listener);
}

chaos_both(servers_and_clients_go_on)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		chaos_tests(servers_and_clients_go_on),
	};

	return cmocka_run_group_tests(tests, chaos_setup, NULL);
}
