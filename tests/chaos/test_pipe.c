/* SPDX-License-Identifier: MIT */
/*
 * Two children on the two ends of a pipe, one of which is killed at random, or
 * stopped before that: the other one learns of it in time, what it has received is
 * whole and in order, and nothing is left of the pipe.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "level.h"
#include "mpt_rand.h"

#define LONGEST 9000
#define LIFE 3000 /* us, at most, between their beginning and a kill */

enum { SENDER, RECEIVER, SIDES };

/* In the scratch bytes; one for each round. */
struct board {
	mproc_conn *a, *b;
	_Atomic uint32_t sent, received;
	_Atomic unsigned began;
	_Atomic bool inside[SIDES];
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
		b->inside[SENDER] = true;
		r = mproc_conn_send(b->a, bytes, length_of(number),
				    mproc_sec(20));
		b->inside[SENDER] = false;
		b->sent = ++number;
	} while (r == 0);
	mpt_check_int(t, r, -EPIPE);
	return 0;
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
	for (;;) {
		b->inside[RECEIVER] = true;
		r = mproc_conn_recv(b->b, bytes, sizeof(bytes), &len,
				    mproc_sec(20));
		b->inside[RECEIVER] = false;
		if (r < 0)
			break;
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

/* Returns whether the victim was inside a call. */
static bool
round_of(struct mpt *t, struct mpt_rand *rand)
{
	unsigned victim = (unsigned)mpt_rand_below(rand, SIDES);
	struct board *b = mpt_scratch(t);
	mproc_process *p[SIDES];
	bool inside;

	*b = (struct board){ 0 };
	assert_int_equal(mproc_pipe(&b->a, &b->b, NULL), 0);
	p[SENDER] = start(t, send_all, b->a);
	p[RECEIVER] = start(t, receive_all, b->b);
	/* Some are killed before they begin. */
	if (mpt_rand_below(rand, 4)) {
		mpt_until(t, b->began == 2);
		linger(mpt_rand_below(rand, LIFE));
	}
	if (!mpt_rand_below(rand, 8)) {
		assert_int_equal(mproc_process_signal(p[victim], SIGSTOP), 0);
		linger(mpt_rand_below(rand, LIFE));
	}
	inside = b->inside[victim];
	assert_int_equal(mproc_process_kill(p[victim]), 0);
	/* The survivor has to notice it by itself, or is told as we reap. */
	if (!mpt_rand_below(rand, 16)) {
		expect_end(p[!victim], 0);
		p[!victim] = NULL;
	}
	expect_end(p[victim], -SIGKILL);
	if (p[!victim])
		expect_end(p[!victim], 0);
	/* What was sent is received; the last one may be so without its sender's
	 * knowledge. */
	if (victim == SENDER)
		assert_in_range(b->received, b->sent, b->sent + 1);
	return inside;
}

static void
either_side_is_killed(void **state)
{
	unsigned rounds = chaos_by_level(100, 100, 2000), hits = 0;
	struct mproc_arena_stat before, now;
	struct mpt_rand rand;

	mpt_rand_init(&rand, mpt_seed());
	mpt_watchdog(*state, chaos_by_level(40, 40, 200));
	for (unsigned i = 0; i < rounds; i++) {
		hits += round_of(*state, &rand);
		assert_true(mproc_arena_recover(NULL) >= 0);
		assert_int_equal(mproc_arena_stat(NULL, &now), 0);
		if (i == 0)
			before = now;
		assert_int_equal(now.blocks, before.blocks);
		assert_int_equal(now.participants, before.participants);
	}
	printf("# %u kills, %u of them inside a call\n", rounds, hits);
	assert_true(hits >= rounds / 5);
}

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
		mpt_test(either_side_is_killed),
	};

	return cmocka_run_group_tests(tests, with_a_pipe, NULL);
}
