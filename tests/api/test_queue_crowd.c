/* SPDX-License-Identifier: MIT */
/*
 * Ten thousand queues in one arena, each with a lane. Headers stay for later
 * queues, all else goes with them.
 */
#include <stdlib.h>

#include "common.h"

#define MOST 10000

/* In the arena, and what roles are given. */
static struct crowd {
	unsigned n;
	unsigned from; /* whom messages are of */
	mproc_queue *queues[MOST];
} *all;

static void
create_all(void)
{
	for (unsigned i = 0; i < all->n; i++) {
		assert_int_equal(mproc_queue_create(
			&all->queues[i], MPROC_OPTS(mproc_queue_opts,
					       .capacity = 4096)), 0);
		/* Of which none is another's. */
		assert_true(i == 0 ||
			    all->queues[i] != all->queues[i - 1]);
	}
}

static void
destroy_all(void)
{
	for (unsigned i = 0; i < all->n; i++)
		mproc_queue_destroy(all->queues[i]);
}

static int
put_to_all(struct mpt *t, void *arg)
{
	const struct crowd *crowd = arg;

	for (unsigned i = 0; i < crowd->n; i++) {
		unsigned msg[2] = { crowd->from, i };

		mpt_check_int(t, mproc_queue_put(crowd->queues[i], msg,
						 sizeof(msg), MPROC_NOWAIT), 0);
	}
	return 0;
}

static int
put_to_all_and_wait(struct mpt *t, void *arg)
{
	put_to_all(t, arg);
	mpt_step(t, 0);
	mpt_reach(t, 2); /* until it is killed */
	return 0;
}

static int
get_from_all(struct mpt *t, void *arg)
{
	const struct crowd *crowd = arg;

	for (unsigned i = 0; i < crowd->n; i++) {
		unsigned msg[2];
		size_t len;

		mpt_check_int(t, mproc_queue_get(crowd->queues[i], msg,
						 sizeof(msg), &len,
						 MPROC_NOWAIT), 0);
		mpt_check_int(t, len, sizeof(msg));
		mpt_check_int(t, msg[0], crowd->from);
		mpt_check_int(t, msg[1], i);
		mpt_check_int(t, mproc_queue_len(crowd->queues[i]), 0);
	}
	return 0;
}

static int
make_headers(void **state)
{
	if (with_arena(state) < 0)
		return -1;
	all = mproc_alloc(sizeof(*all));
	if (!all)
		return -1;
	all->n = amount(MOST);
	if (all->n > MOST)
		all->n = MOST;
	create_all();
	destroy_all();
	return 0;
}

static void
thousands_of_queues_come_and_go(void **state)
{
	struct mproc_arena_stat before = stat_now();

	mpt_watchdog(*state, 60);
	all->from = 1;
	for (int round = 0; round < 2; round++) {
		create_all();
		assert_int_equal(stat_now().queues, before.queues + all->n);
		assert_int_equal(put_to_all(*state, all), 0);
		assert_int_equal(stat_now().blocks, before.blocks + all->n);
		assert_int_equal(get_from_all(*state, all), 0);
		destroy_all();
		expect_stat(&before);
	}
}

static void
thousands_of_queues_between_processes(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct mpt *t = *state;

	mpt_watchdog(*state, 60);
	all->from = 1;
	create_all();
	mpt_expect_exit(t, mpt_spawn(t, "producer", put_to_all, all), 0);
	mpt_expect_exit(t, mpt_spawn(t, "consumer", get_from_all, all), 0);
	destroy_all();
	expect_stat(&before);
}

static void
who_is_killed_leaves_thousands_of_lanes(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct mpt *t = *state;
	int id;

	mpt_watchdog(*state, 60);
	all->from = 2;
	create_all();
	id = mpt_spawn(t, "producer", put_to_all_and_wait, all);
	mpt_reach(t, 1);
	mpt_kill(t, id);
	assert_int_equal(mproc_arena_recover(NULL), 1);
	assert_int_equal(get_from_all(t, all), 0);
	/* The lanes are there for the next one. */
	assert_int_equal(stat_now().blocks, before.blocks + all->n);
	all->from = 3;
	assert_int_equal(put_to_all(t, all), 0);
	assert_int_equal(stat_now().blocks, before.blocks + all->n);
	destroy_all();
	expect_stat(&before);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(thousands_of_queues_come_and_go),
		mpt_test(thousands_of_queues_between_processes),
		mpt_test(who_is_killed_leaves_thousands_of_lanes),
	};

	return cmocka_run_group_tests(tests, make_headers, NULL);
}
