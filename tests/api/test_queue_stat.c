/* SPDX-License-Identifier: MIT */
/*
 * What can be seen of a queue from outside: its name, sizes, contents, and who
 * uses it; and the options that show there.
 */
#include <stdio.h>

#include "common.h"
#include "mpt_refuse.h"

static struct mproc_queue_stat
look(mproc_queue *q)
{
	struct mproc_queue_stat st;

	memset(&st, 0xee, sizeof(st));
	assert_int_equal(mproc_queue_stat(q, &st), 0);
	return st;
}

static mproc_queue *
new_queue(const struct mproc_queue_opts *opts)
{
	mproc_queue *q = NULL;

	assert_int_equal(mproc_queue_create(&q, opts), 0);
	return q;
}

static void
a_fresh_queue_is_open_and_empty(void **state)
{
	mproc_queue *q = new_queue(NULL);
	struct mproc_queue_stat st = look(q);

	(void)state;
	assert_string_equal(st.name, "");
	assert_int_equal(st.state, MPROC_QUEUE_OPEN);
	assert_false(st.single_consumer);
	assert_int_equal(st.capacity, 65536);
	assert_true(st.max_message > 32 << 20);
	assert_int_equal(st.depth, 0);
	assert_int_equal(st.bytes, 0);
	assert_int_equal(st.puts, 0);
	assert_int_equal(st.gets, 0);
	assert_int_equal(st.lanes, 0);
	assert_int_equal(st.producers, 0);
	assert_int_equal(st.sleeping_producers, 0);
	assert_int_equal(st.consumers, 0);
	assert_int_equal(st.sleeping_consumers, 0);
	mproc_queue_destroy(q);
}

static void
messages_are_counted(void **state)
{
	mproc_queue *q = new_queue(NULL);
	struct mproc_queue_stat st;
	struct iovec msgs[5];
	char buf[40];

	(void)state;
	for (int i = 0; i < 5; i++)
		msgs[i] = (struct iovec){ buf, 24 };
	memset(buf, 0, sizeof(buf));
	assert_int_equal(mproc_queue_put(q, "four", 5, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_put_many(q, msgs, 5, MPROC_NOWAIT), 5);
	assert_int_equal(mproc_queue_putv(q, msgs, 1, MPROC_NOWAIT), 0);
	st = look(q);
	assert_int_equal(st.depth, 7);
	assert_int_equal(st.bytes, 16 + 6 * 32);
	assert_int_equal(st.puts, 7);
	assert_int_equal(st.gets, 0);
	assert_int_equal(st.lanes, 1);
	assert_int_equal(st.producers, 1);
	assert_int_equal(st.consumers, 0);

	assert_int_equal(mproc_queue_get(q, buf, sizeof(buf), NULL,
					 MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_get_many(q, buf, sizeof(buf), msgs, 1,
					      MPROC_NOWAIT), 1);
	st = look(q);
	assert_int_equal(st.depth, 5);
	assert_int_equal(st.bytes, 5 * 32);
	assert_int_equal(st.puts, 7);
	assert_int_equal(st.gets, 2);
	assert_int_equal(st.consumers, 1);
	mproc_queue_destroy(q);
}

static void
the_state_follows_the_shutdowns(void **state)
{
	mproc_queue *q = new_queue(NULL);
	struct mproc_queue_stat st;

	(void)state;
	assert_int_equal(mproc_queue_shutdown(q, MPROC_DRAIN), 0);
	assert_int_equal(look(q).state, MPROC_QUEUE_DRAINING);
	assert_int_equal(mproc_queue_shutdown(q, MPROC_IMMEDIATE), 0);
	assert_int_equal(look(q).state, MPROC_QUEUE_CLOSED);
	mproc_queue_destroy(q);
	assert_int_equal(mproc_queue_stat(q, &st), -ESTALE);
	assert_int_equal(mproc_queue_stat(NULL, &st), -EINVAL);
	assert_int_equal(mproc_queue_stat(q, NULL), -EINVAL);
	assert_int_equal(mproc_queue_stat((mproc_queue *)(void *)&st, &st),
			 -EFAULT);
}

static void
a_name_is_shown_and_told_in_errors(void **state)
{
	char longest[100], buf[1];
	mproc_queue *q;

	(void)state;
	q = new_queue(MPROC_OPTS(mproc_queue_opts, .name = "jobs",
				 .max_message = 99999));
	assert_string_equal(look(q).name, "jobs");
	assert_int_equal(mproc_queue_put(q, NULL, 100000, MPROC_NOWAIT),
			 -EINVAL);
	assert_int_equal(mproc_queue_put(q, "x", 100000, MPROC_NOWAIT),
			 -EMSGSIZE);
	assert_true(detail_has("'jobs'"));
	assert_int_equal(mproc_queue_put(q, "xy", 2, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_get(q, buf, 1, NULL, MPROC_NOWAIT),
			 -EMSGSIZE);
	assert_true(detail_has("'jobs'"));
	assert_int_equal(mproc_queue_shutdown(q, MPROC_IMMEDIATE), 0);
	assert_int_equal(mproc_queue_get(q, buf, 1, NULL, MPROC_NOWAIT),
			 -ESHUTDOWN);
	assert_true(detail_has("'jobs'"));
	mproc_queue_destroy(q);

	/* The next one gets the same header, and not the name. */
	q = new_queue(NULL);
	assert_string_equal(look(q).name, "");
	mproc_queue_destroy(q);

	memset(longest, 'n', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	q = new_queue(MPROC_OPTS(mproc_queue_opts, .name = longest));
	assert_int_equal(strlen(look(q).name), 63);
	mproc_queue_destroy(q);
}

static void
the_longest_message_can_be_limited(void **state)
{
	mproc_queue *q = new_queue(MPROC_OPTS(mproc_queue_opts,
					      .max_message = 100));
	struct iovec msgs[3] = { 0 };
	char bytes[200] = "";

	(void)state;
	assert_int_equal(look(q).capacity, 65536);
	assert_int_equal(look(q).max_message, 100);
	assert_int_equal(mproc_queue_put(q, bytes, 101, MPROC_FOREVER),
			 -EMSGSIZE);
	assert_true(detail_has("101 bytes") && detail_has("most 100"));
	assert_int_equal(mproc_queue_put(q, bytes, 100, MPROC_FOREVER), 0);
	for (int i = 0; i < 3; i++)
		msgs[i] = (struct iovec){ bytes, i < 2 ? 50 : 101 };
	assert_int_equal(mproc_queue_putv(q, msgs, 2, MPROC_FOREVER), 0);
	assert_int_equal(mproc_queue_putv(q, msgs, 3, MPROC_FOREVER),
			 -EMSGSIZE);
	assert_int_equal(mproc_queue_put_many(q, msgs, 3, MPROC_FOREVER), 2);
	assert_int_equal(mproc_queue_put_many(q, msgs + 2, 1, MPROC_FOREVER),
			 -EMSGSIZE);
	assert_int_equal(mproc_queue_len(q), 4);
	mproc_queue_destroy(q);
}

/* It lies elsewhere. */
static void
a_long_message_leaves_the_lane_as_it_is(void **state)
{
	static char bytes[4 << 20], buf[4 << 20];
	mproc_queue *q = new_queue(MPROC_OPTS(mproc_queue_opts,
					      .max_message = sizeof(bytes)));

	(void)state;
	assert_int_equal(look(q).max_message, sizeof(bytes));
	assert_int_equal(look(q).capacity, 65536);
	assert_int_equal(mproc_queue_put(q, bytes, sizeof(bytes),
					 MPROC_NOWAIT), 0);
	/* As much of the lane as four of the longest may have. */
	assert_int_equal(look(q).bytes, 16384);
	assert_int_equal(mproc_queue_get(q, buf, sizeof(buf), NULL,
					 MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_put(q, bytes, sizeof(bytes) + 1,
					 MPROC_NOWAIT), -EMSGSIZE);
	mproc_queue_destroy(q);
}

static void
messages_that_fit_no_arena_are_refused_at_once(void **state)
{
	struct mproc_arena_stat before = stat_now();
	mproc_queue *q = NULL;

	(void)state;
	assert_int_equal(mproc_queue_create(&q, MPROC_OPTS(
		mproc_queue_opts, .max_message = before.capacity)), -EINVAL);
	assert_int_equal(mproc_queue_create(&q, MPROC_OPTS(
		mproc_queue_opts, .max_message = SIZE_MAX)), -EINVAL);
	assert_true(detail_has("18446744073709551615"));
	assert_null(q);
	expect_stat(&before);
}

/* Memory comes as the tail first reaches it. */
static void
a_large_lane_costs_what_is_used_of_it(void **state)
{
	/* Where the kernel takes nothing back, the lane has had it before. */
	bool kept = mpt_without("remove");
	uint64_t before, fresh;
	static char bytes[4000];
	mproc_queue *q;

	(void)state;
	q = new_queue(MPROC_OPTS(mproc_queue_opts, .capacity = 4 << 20));
	before = stat_now().backed;
	assert_int_equal(mproc_queue_put(q, bytes, 1, MPROC_NOWAIT), 0);
	fresh = stat_now().backed - before;
	assert_in_range(fresh, 0, 256 << 10);
	for (uint64_t used = 0; used < 4000000; used += sizeof(bytes)) {
		assert_int_equal(mproc_queue_put(q, bytes, sizeof(bytes) - 8,
						 MPROC_NOWAIT), 0);
		assert_in_range(stat_now().backed - before, kept ? 0 : used,
				2 * used + (512 << 10));
	}
	mproc_queue_destroy(q);
	/* All of it goes with the queue. */
	if (!kept)
		assert_in_range(stat_now().backed, before,
				before + (256 << 10));
}

/* Several times around, through a lane that had another owner. */
static int
fill_it(struct mpt *t, void *arg)
{
	static char bytes[3000];

	for (int i = 0; i < 200; i++)
		mpt_check_int(t, mproc_queue_put(arg, bytes, sizeof(bytes),
						 MPROC_NOWAIT), 0);
	return 0;
}

static void
the_next_owner_of_a_large_lane_finds_its_memory(void **state)
{
	mproc_queue *q = new_queue(MPROC_OPTS(mproc_queue_opts,
					      .capacity = 1 << 20));
	struct mpt *t = *state;
	static char buf[3000];

	for (int round = 0; round < 8; round++) {
		mpt_expect_exit(t, mpt_spawn(t, "producer", fill_it, q), 0);
		assert_true(mproc_arena_recover(NULL) >= 0);
		assert_int_equal(look(q).lanes, 1);
		assert_int_equal(look(q).producers, 0);
		for (int i = 0; i < 200; i++)
			assert_int_equal(mproc_queue_get(q, buf, sizeof(buf),
							 NULL, MPROC_NOWAIT),
					 0);
	}
	assert_int_equal(look(q).puts, 1600);
	assert_int_equal(look(q).gets, 1600);
	mproc_queue_destroy(q);
}

static int
sleep_in_get(struct mpt *t, void *arg)
{
	char buf[8];

	(void)t;
	return mproc_queue_get(arg, buf, sizeof(buf), NULL, MPROC_FOREVER) !=
	       -ESHUTDOWN;
}

static int
sleep_in_put(struct mpt *t, void *arg)
{
	static char bytes[1000];
	int r;

	(void)t;
	do
		r = mproc_queue_put(arg, bytes, sizeof(bytes), MPROC_FOREVER);
	while (r == 0);
	return r != -ESHUTDOWN;
}

static void
who_sleeps_is_shown(void **state)
{
	mproc_queue *empty = new_queue(NULL);
	mproc_queue *full = new_queue(MPROC_OPTS(mproc_queue_opts,
						 .capacity = 4096));
	struct mpt *t = *state;

	for (int i = 0; i < 3; i++)
		mpt_spawn(t, "consumer", sleep_in_get, empty);
	for (int i = 0; i < 2; i++)
		mpt_spawn(t, "producer", sleep_in_put, full);
	mpt_until(t, look(empty).sleeping_consumers == 3);
	assert_int_equal(look(empty).consumers, 3);
	assert_int_equal(look(empty).producers, 0);
	mpt_until(t, look(full).sleeping_producers == 2);
	assert_int_equal(look(full).producers, 2);
	assert_int_equal(look(full).lanes, 2);
	assert_int_equal(look(full).consumers, 0);
	assert_int_equal(mproc_queue_shutdown(empty, MPROC_DRAIN), 0);
	assert_int_equal(mproc_queue_shutdown(full, MPROC_DRAIN), 0);
	mpt_join_all(t);
	assert_true(mproc_arena_recover(NULL) >= 0);
	assert_int_equal(look(empty).consumers, 0);
	assert_int_equal(look(full).producers, 0);
	assert_int_equal(look(full).sleeping_producers, 0);
	mproc_queue_destroy(empty);
	mproc_queue_destroy(full);
}

static void
the_dead_are_not_counted_once_they_are_recovered(void **state)
{
	mproc_queue *q = new_queue(NULL);
	struct mpt *t = *state;
	int id = mpt_spawn(t, "consumer", sleep_in_get, q);

	mpt_until(t, look(q).sleeping_consumers == 1);
	mpt_kill(t, id);
	assert_true(mproc_arena_recover(NULL) >= 0);
	assert_int_equal(look(q).consumers, 0);
	assert_int_equal(look(q).sleeping_consumers, 0);
	mproc_queue_destroy(q);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_fresh_queue_is_open_and_empty),
		mpt_test(messages_are_counted),
		mpt_test(the_state_follows_the_shutdowns),
		mpt_test(a_name_is_shown_and_told_in_errors),
		mpt_test(the_longest_message_can_be_limited),
		mpt_test(a_long_message_leaves_the_lane_as_it_is),
		mpt_test(messages_that_fit_no_arena_are_refused_at_once),
		mpt_test(a_large_lane_costs_what_is_used_of_it),
		mpt_test(the_next_owner_of_a_large_lane_finds_its_memory),
		mpt_test(who_sleeps_is_shown),
		mpt_test(the_dead_are_not_counted_once_they_are_recovered),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
