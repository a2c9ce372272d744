/* SPDX-License-Identifier: MIT */
/*
 * Ten thousand queues in one arena, each with a lane. Headers stay for later
 * queues, all else goes with them.
 */
#include <stdlib.h>

#include "common.h"

#define MOST 10000

static mproc_queue *queues[MOST];
static unsigned n_queues;

static void
create_all(void)
{
	for (unsigned i = 0; i < n_queues; i++) {
		assert_int_equal(mproc_queue_create(
			&queues[i], MPROC_OPTS(mproc_queue_opts,
					       .capacity = 4096)), 0);
		/* Of which none is another's. */
		assert_true(i == 0 || queues[i] != queues[i - 1]);
	}
}

static void
destroy_all(void)
{
	for (unsigned i = 0; i < n_queues; i++)
		mproc_queue_destroy(queues[i]);
}

static int
put_to_all(struct mpt *t, void *arg)
{
	unsigned from = *(unsigned *)arg;

	for (unsigned i = 0; i < n_queues; i++) {
		unsigned msg[2] = { from, i };

		mpt_check_int(t, mproc_queue_put(queues[i], msg, sizeof(msg),
						 MPROC_NOWAIT), 0);
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
	unsigned from = *(unsigned *)arg;

	for (unsigned i = 0; i < n_queues; i++) {
		unsigned msg[2];
		size_t len;

		mpt_check_int(t, mproc_queue_get(queues[i], msg, sizeof(msg),
						 &len, MPROC_NOWAIT), 0);
		mpt_check_int(t, len, sizeof(msg));
		mpt_check_int(t, msg[0], from);
		mpt_check_int(t, msg[1], i);
		mpt_check_int(t, mproc_queue_len(queues[i]), 0);
	}
	return 0;
}

static int
make_headers(void **state)
{
	if (with_arena(state) < 0)
		return -1;
	n_queues = amount(MOST);
	if (n_queues > MOST)
		n_queues = MOST;
	create_all();
	destroy_all();
	return 0;
}

static void
thousands_of_queues_come_and_go(void **state)
{
	struct mproc_arena_stat before = stat_now();
	unsigned from = 1;

	mpt_watchdog(*state, 60);
	for (int round = 0; round < 2; round++) {
		create_all();
		assert_int_equal(stat_now().queues, before.queues + n_queues);
		assert_int_equal(put_to_all(*state, &from), 0);
		assert_int_equal(stat_now().blocks, before.blocks + n_queues);
		assert_int_equal(get_from_all(*state, &from), 0);
		destroy_all();
		expect_stat(&before);
	}
}

static void
thousands_of_queues_between_processes(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct mpt *t = *state;
	unsigned from = 1;

	mpt_watchdog(*state, 60);
	create_all();
	mpt_expect_exit(t, mpt_spawn(t, "producer", put_to_all, &from), 0);
	mpt_expect_exit(t, mpt_spawn(t, "consumer", get_from_all, &from), 0);
	destroy_all();
	expect_stat(&before);
}

static void
who_is_killed_leaves_thousands_of_lanes(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct mpt *t = *state;
	unsigned from = 2;
	int id;

	mpt_watchdog(*state, 60);
	create_all();
	id = mpt_spawn(t, "producer", put_to_all_and_wait, &from);
	mpt_reach(t, 1);
	mpt_kill(t, id);
	assert_int_equal(mproc_arena_recover(NULL), 1);
	assert_int_equal(get_from_all(t, &from), 0);
	/* The lanes are there for the next one. */
	assert_int_equal(stat_now().blocks, before.blocks + n_queues);
	from = 3;
	assert_int_equal(put_to_all(t, &from), 0);
	assert_int_equal(stat_now().blocks, before.blocks + n_queues);
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
