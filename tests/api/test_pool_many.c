/* SPDX-License-Identifier: MIT */
/*
 * pool.h: as many tasks as one thread can have waiting, which are some 100,000; what they
 * cost is given back.
 */
#include "pool.h"

#define MANY 100000
#define TOO_MANY 1000000

static mproc_future *fs[TOO_MANY];

/* Has each of the workers busy, so that nobody begins another one. */
static void
hold_workers(struct board *b, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		b->futures[i] = submit_int(b, linger, (int)i);
	await_begun(b, n);
}

static void
let_workers_go(struct board *b, unsigned n)
{
	atomic_store(&b->go_on, true);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(take_int(b, b->futures[i]), i);
}

static void
a_hundred_thousand_are_in_flight(void **state)
{
	struct board *b = pool_of(*state, 2);

	mpt_watchdog(*state, 60);
	hold_workers(b, 2);
	for (int i = 0; i < MANY; i++)
		fs[i] = submit_int(b, square, i % 1000);
	assert_int_equal(pool_stat(b).queued, MANY);
	assert_int_equal(pool_stat(b).futures, MANY + 2);
	for (int i = 0; i < MANY; i += 999)
		assert_int_equal(mproc_future_ready(fs[i]), 0);
	let_workers_go(b, 2);
	/* All at once, then one by one. */
	assert_int_equal(mproc_future_wait_many(fs, MANY, MPROC_ALL, MPROC_FOREVER),
			 MANY);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(take_int(b, fs[i]), i % 1000 * (i % 1000));
	assert_int_equal(pool_stat(b).futures, 0);
	close_and_join(b);
}

/* Who submits is told, and what was submitted is done. */
static void
one_too_many_is_refused(void **state)
{
	struct board *b = pool_of(*state, 1);
	mproc_future *f = NULL;
	int n = 0, number, r;

	mpt_watchdog(*state, 60);
	hold_workers(b, 1);
	while (n < TOO_MANY) {
		number = n % 1000;
		r = mproc_pool_submit(b->pool, square, &number, sizeof(number),
				      &fs[n]);
		if (r < 0)
			break;
		n++;
	}
	assert_int_equal(r, -EAGAIN);
	assert_in_range(n, MANY, TOO_MANY - 1);
	assert_int_equal(pool_stat(b).futures, n + 1);
	/* None of them is lost by that. */
	let_workers_go(b, 1);
	for (int i = 0; i < n; i++) {
		assert_int_equal(mproc_future_wait(fs[i], MPROC_FOREVER), 0);
		mproc_future_close(fs[i]);
	}
	f = submit_int(b, square, 4);
	assert_int_equal(take_int(b, f), 16);
	close_and_join(b);
}

/* Freed with all that it has, after a death in the middle of it. Where futures had their
 * places stays for the next pool, and is there since the first test. */
static void
what_waits_is_gone_with_its_pool(void **state)
{
	struct mproc_arena_stat before = stat_now();
	const int n = MANY / 5;
	struct board *b = pool_of(*state, 2);

	mpt_watchdog(*state, 60);
	hold_workers(b, 2);
	for (int i = 0; i < n; i++)
		fs[i] = submit_int(b, square, i % 1000);
	assert_int_equal(kill(atomic_load(&b->pid), SIGKILL), 0);
	mpt_until(b->t, pool_stat(b).deaths == 1 && pool_stat(b).workers == 2);
	assert_int_equal(mproc_pool_terminate(b->pool), 0);
	assert_int_equal(mproc_pool_join(b->pool, MPROC_FOREVER), 0);
	for (int i = 0; i < n; i += 7)
		assert_int_equal(mproc_future_ready(fs[i]), 1);
	mproc_pool_free(b->pool);
	assert_int_equal(mproc_future_ready(fs[0]), -ESTALE);
	expect_stat(&before);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		test_of_workers(a_hundred_thousand_are_in_flight),
		test_of_workers(one_too_many_is_refused),
		test_of_processes(what_waits_is_gone_with_its_pool),
	};

	return cmocka_run_group_tests(tests, with_pool, NULL);
}
