/* SPDX-License-Identifier: MIT */
/*
 * Two children on the two ends of a pipe, one of which is killed at random, or
 * stopped before that: the other one learns of it in time, what it has received is
 * whole and in order, and nothing is left of the pipe.
 *
 * Each notes which call it is in. How many kills have hit each is printed, and a run in
 * which one has not been hit often enough fails.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "level.h"
#include "mpt_rand.h"

#define LONGEST 9000
#define LIFE 3000 /* us, at most, between their beginning and a kill */
#define AIM INT64_C(3000000) /* ns, at most, until one is seen in a call */
#define SOON mproc_us(30)
#define LATE mproc_sec(20)

enum { SENDER, RECEIVER, SIDES };

/* Calls; over a socket they are others. */
enum { NONE, SENDS, SENDS_PARTS, RECEIVES, POLLS, CALLS, DEEDS = 2 * CALLS };

static const char *const deeds[DEEDS] = {
	[SENDS] = "send", [SENDS_PARTS] = "sendv", [RECEIVES] = "recv",
	[POLLS] = "poll", [CALLS + SENDS] = "send over a socket",
	[CALLS + SENDS_PARTS] = "sendv", [CALLS + RECEIVES] = "recv",
	[CALLS + POLLS] = "poll",
};

/* In the scratch bytes; one for each round. */
struct board {
	mproc_conn *a, *b;
	_Atomic uint32_t sent, received;
	_Atomic unsigned began;
	_Atomic unsigned call[SIDES]; /* which one each is in */
};

static size_t
length_of(uint32_t number)
{
	uint32_t n = number * UINT32_C(2654435769);

	/* A few lie in blocks, most in the lane. */
	return 4 + (n >> 28 ? n >> 16 & 255 : n >> 8 & 8191);
}

static void
fill(unsigned char *bytes, uint32_t number)
{
	memset(bytes, (int)(number * 31 & 255), length_of(number));
	memcpy(bytes, &number, sizeof(number));
}

/* Some are in parts, some wait for a moment only, and then send it again. */
static int
send_one(struct board *b, unsigned char *bytes, uint32_t number)
{
	size_t len = length_of(number), part = len / 3;
	struct iovec parts[] = {
		{ bytes, part }, { NULL, 0 }, { bytes + part, len - part },
	};
	bool in_parts = number % 3 == 2;
	int r;

	b->call[SENDER] = in_parts ? SENDS_PARTS : SENDS;
	do {
		mproc_timeout timeout = number % 4 ? LATE : SOON;

		r = in_parts ? mproc_conn_sendv(b->a, parts, 3, timeout) :
			       mproc_conn_send(b->a, bytes, len, timeout);
	} while (r == -ETIMEDOUT && number % 4 == 0);
	b->call[SENDER] = NONE;
	return r;
}

static int
send_all(void *arg)
{
	struct mpt *t = arg;
	struct board *b = mpt_scratch(t);
	unsigned char bytes[LONGEST];
	uint32_t number = 0;
	int r;

	b->began++;
	do {
		fill(bytes, number);
		r = send_one(b, bytes, number);
		b->sent = ++number;
	} while (r == 0);
	mpt_check_int(t, r, -EPIPE);
	return 0;
}

/* Some are waited for first, some for a moment only. */
static int
receive_one(struct mpt *t, struct board *b, unsigned char *bytes, size_t *ret_len,
	    uint32_t number)
{
	mproc_timeout timeout = number % 4 ? LATE : SOON;
	int r;

	if (number % 2) {
		b->call[RECEIVER] = POLLS;
		r = mproc_conn_poll(b->b, timeout);
		mpt_check(t, r == 0 || (r == -ETIMEDOUT && number % 4 == 0));
	}
	b->call[RECEIVER] = RECEIVES;
	do
		r = mproc_conn_recv(b->b, bytes, LONGEST, ret_len, timeout);
	while (r == -ETIMEDOUT && number % 4 == 0);
	b->call[RECEIVER] = NONE;
	return r;
}

static int
receive_all(void *arg)
{
	struct mpt *t = arg;
	struct board *b = mpt_scratch(t);
	unsigned char bytes[LONGEST], good[LONGEST];
	uint32_t number = 0;
	size_t len;
	int r;

	b->began++;
	while ((r = receive_one(t, b, bytes, &len, number)) == 0) {
		fill(good, number);
		mpt_check_int(t, len, length_of(number));
		mpt_check(t, memcmp(bytes, good, len) == 0);
		b->received = ++number;
	}
	mpt_check_int(t, r, -EPIPE);
	return 0;
}

static mproc_process *
start(struct mpt *t, mproc_entry *fn, mproc_conn *conn)
{
	mproc_process *p = NULL;

	assert_int_equal(mproc_process_start(
		&p, fn, t, MPROC_OPTS(mproc_process_opts, .conns = &conn,
				      .n_conns = 1)), 0);
	return p;
}

static void
expect_end(mproc_process *p, int code)
{
	int got = 9999;

	assert_int_equal(mproc_process_join(p, mproc_sec(10)), 0);
	assert_int_equal(mproc_process_exitcode(p, &got), 0);
	assert_int_equal(got, code);
	mproc_process_close(p);
}

static void
linger(uint64_t us)
{
	int64_t end = mproc_now() + (int64_t)us * 1000;

	while (mproc_now() < end)
		usleep(50);
}

/* Which call has been hit least, over sockets or not. */
static unsigned
least_hit(const unsigned hits[DEEDS], bool sockets)
{
	const unsigned *of = hits + (sockets ? CALLS : 0);
	unsigned least = 1;

	for (unsigned call = 2; call < CALLS; call++)
		if (of[call] < of[least])
			least = call;
	return least;
}

/* Stops it in the middle of @call: a kill that is only sent when it is seen there mostly
 * comes too late. */
static void
catch_in(struct mpt *t, const _Atomic unsigned *where, unsigned call,
	 mproc_process *p)
{
	int64_t end = mproc_now() + AIM;

	while (mproc_now() < end) {
		if (*where != call) {
			if (chaos_has_one_cpu)
				sched_yield();
			continue;
		}
		assert_int_equal(mproc_process_signal(p, SIGSTOP), 0);
		mpt_until(t, mpt_task_state(mproc_process_pid(p)) == 'T');
		if (*where == call)
			return;
		assert_int_equal(mproc_process_signal(p, SIGCONT), 0);
	}
}

static void
round_of(struct mpt *t, struct mpt_rand *rand, unsigned hits[DEEDS])
{
	bool sockets = mpt_rand_below(rand, 3) == 0;
	unsigned call = least_hit(hits, sockets);
	unsigned victim = call < RECEIVES ? SENDER : RECEIVER;
	struct board *b = mpt_scratch(t);
	mproc_process *p[SIDES];

	*b = (struct board){ 0 };
	assert_int_equal(mproc_pipe(&b->a, &b->b, MPROC_OPTS(
		mproc_pipe_opts, .sockets = sockets)), 0);
	p[SENDER] = start(t, send_all, b->a);
	p[RECEIVER] = start(t, receive_all, b->b);
	/* Some are killed before they begin. */
	if (mpt_rand_below(rand, 4)) {
		mpt_until(t, b->began == 2);
		linger(mpt_rand_below(rand, LIFE));
		if (mpt_rand_below(rand, 2))
			catch_in(t, &b->call[victim], call, p[victim]);
	}
	if (!mpt_rand_below(rand, 8)) {
		assert_int_equal(mproc_process_signal(p[victim], SIGSTOP), 0);
		linger(mpt_rand_below(rand, LIFE));
	}
	assert_int_equal(mproc_process_kill(p[victim]), 0);
	/* The survivor has to notice it by itself, or is told as we reap. */
	if (!mpt_rand_below(rand, 16)) {
		expect_end(p[!victim], 0);
		p[!victim] = NULL;
	}
	expect_end(p[victim], -SIGKILL);
	hits[b->call[victim] + (sockets ? CALLS : 0)]++;
	if (p[!victim])
		expect_end(p[!victim], 0);
	/* What was sent is received; the last one may be so without its sender's
	 * knowledge. */
	if (victim == SENDER)
		assert_in_range(b->received, b->sent, b->sent + 1);
}

/* How many have hit any call. */
static unsigned
inside(const unsigned hits[DEEDS])
{
	unsigned n = 0;

	for (unsigned i = 0; i < DEEDS; i++)
		n += deeds[i] ? hits[i] : 0;
	return n;
}

static bool
is_enough(const unsigned hits[DEEDS])
{
	for (unsigned i = 0; i < DEEDS; i++)
		if (deeds[i] && hits[i] < chaos_enough())
			return false;
	return true;
}

static void
either_side_is_killed(struct mpt *t)
{
	unsigned rounds = chaos_by_level(100, 100, 2000), n;
	unsigned hits[DEEDS] = { 0 };
	struct mproc_arena_stat before, now;
	struct mpt_rand rand;

	if (chaos_has_one_cpu)
		rounds /= 2;
	mpt_rand_init(&rand, mpt_seed());
	mpt_watchdog(t, chaos_by_level(40, 60, 400));
	for (n = 0; n < rounds || (n < 3 * rounds && !is_enough(hits)); n++) {
		round_of(t, &rand, hits);
		assert_true(mproc_arena_recover(NULL) >= 0);
		assert_int_equal(mproc_arena_stat(NULL, &now), 0);
		if (n == 0)
			before = now;
		assert_int_equal(now.blocks, before.blocks);
		assert_int_equal(now.participants, before.participants);
	}
	for (unsigned i = 0, named = 0; i < DEEDS; i++)
		if (deeds[i])
			print_message("%s%s: %u", named++ ? ", " : "# hit in ",
				      deeds[i], hits[i]);
	print_message(", of %u kills\n", n);
	assert_true(is_enough(hits));
	assert_true(inside(hits) >= n / 5);
}

chaos_both(either_side_is_killed)

/* Group setup: the arena and the headers stay. */
static int
with_a_pipe(void **state)
{
	mproc_conn *a, *b;

	(void)state;
	if (mproc_pipe(&a, &b, NULL) < 0)
		return -1;
	mproc_conn_close(a);
	mproc_conn_close(b);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		chaos_tests(either_side_is_killed),
	};

	return cmocka_run_group_tests(tests, with_a_pipe, NULL);
}
