/* SPDX-License-Identifier: MIT */
/*
 * queue.h with .joinable, .ack and .max_items: who waits for messages to be done,
 * to come back, or to leave room.
 */
#include <poll.h>

#include "keep.h"
#include "mpt_times.h"

static int
join_it(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	b->tid = gettid();
	mpt_check_int(t, mproc_queue_join(b->q, mproc_sec(20)),
		      (int)(intptr_t)arg);
	b->done = 1;
	return 0;
}

static void
a_join_ends_with_the_last_message(struct mpt *t)
{
	struct mproc_arena_stat before = cleaned_up();
	struct board *b = new_board(t, joinable());
	int id;

	b->done = 0;
	b->tid = 0;
	for (unsigned i = 0; i < 100; i++)
		put_value(t, b->q, i);
	id = mpt_spawn(t, "joiner", join_it, (void *)(intptr_t)0);
	mpt_until(t, b->tid && mpt_task_state(b->tid) == 'S');
	for (unsigned i = 0; i < 100; i++) {
		take_value(t, b->q, i);
		if (i % 2)
			continue;
		/* One that is put before another is done counts. */
		put_value(t, b->q, 100 + i);
		assert_int_equal(mproc_queue_task_done(b->q), 0);
	}
	for (unsigned i = 0; i < 50; i++) {
		take_value(t, b->q, 100 + 2 * i);
		assert_int_equal(mproc_queue_task_done(b->q), 0);
	}
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(b->done, 0);
		assert_int_equal(mproc_queue_task_done(b->q), 0);
	}
	mpt_expect_exit(t, id, 0);
	assert_int_equal(b->done, 1);
	end(t, b, &before);
}

static void
a_join_ends_when_it_is_in_vain(void **state)
{
	struct mpt *t = *state;
	struct board *b;
	int id;

	for (int destroy = 0; destroy < 2; destroy++) {
		b = new_board(t, joinable());
		b->tid = 0;
		put_value(t, b->q, 1);
		id = mpt_spawn(t, "joiner", join_it,
			       (void *)(intptr_t)-ESHUTDOWN);
		mpt_until(t, b->tid && mpt_task_state(b->tid) == 'S');
		if (destroy)
			mproc_queue_destroy(b->q);
		else
			assert_int_equal(mproc_queue_shutdown(
				b->q, MPROC_IMMEDIATE), 0);
		mpt_expect_exit(t, id, 0);
		mproc_queue_destroy(b->q);
	}
}

static void
a_join_learns_of_a_death(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, joinable());
	int id, taker;

	b->tid = 0;
	b->ready = 0;
	put_value(t, b->q, 1);
	taker = mpt_spawn(t, "taker", take_and_wait, (void *)(uintptr_t)1);
	mpt_until(t, b->ready == 1);
	id = mpt_spawn(t, "joiner", join_it, (void *)(intptr_t)-EOWNERDEAD);
	mpt_until(t, b->tid && mpt_task_state(b->tid) == 'S');
	/* Nobody but the joiner looks. */
	mpt_kill(t, taker);
	mpt_expect_exit(t, id, 0);
	mproc_queue_destroy(b->q);
}

/* After a drain there may be messages as long as somebody holds one. */
static int
get_until_final(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	unsigned value;
	int r;

	b->tid = gettid();
	while ((r = mproc_queue_get(b->q, &value, sizeof(value), NULL,
				    mproc_sec(20))) == 0) {
		b->done++;
		mpt_check_int(t, mproc_queue_task_done(b->q), 0);
	}
	mpt_check_int(t, r, -ESHUTDOWN);
	mpt_check_int(t, b->done, (uintptr_t)arg);
	return 0;
}

static void
a_drain_waits_for_who_holds_a_message(void **state)
{
	struct mpt *t = *state;
	struct board *b;
	int id, taker;

	for (unsigned killed = 0; killed < 2; killed++) {
		b = new_board(t, with_ack());
		b->tid = 0;
		b->ready = 0;
		b->done = 0;
		put_value(t, b->q, 1);
		put_value(t, b->q, 2);
		taker = killed ? mpt_spawn(t, "taker", take_and_wait,
					   (void *)(uintptr_t)1) : -1;
		if (killed)
			mpt_until(t, b->ready == 1);
		else
			take_value(t, b->q, 1);
		assert_int_equal(mproc_queue_shutdown(b->q, MPROC_DRAIN), 0);
		id = mpt_spawn(t, "consumer", get_until_final,
			       (void *)(uintptr_t)(1 + killed));
		mpt_until(t, b->done == 1 && mpt_task_state(b->tid) == 'S');
		/* It waits for us, but nobody does for himself. */
		if (killed)
			mpt_kill(t, taker);
		else
			assert_int_equal(mproc_queue_task_done(b->q), 0);
		mpt_expect_exit(t, id, 0);
		mproc_queue_destroy(b->q);
	}
}

static void
nobody_waits_for_what_he_holds_himself(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, with_ack());
	unsigned value;

	put_value(t, b->q, 1);
	take_value(t, b->q, 1);
	assert_int_equal(mproc_queue_shutdown(b->q, MPROC_DRAIN), 0);
	assert_int_equal(mproc_queue_get(b->q, &value, sizeof(value), NULL,
					 MPROC_FOREVER), -ESHUTDOWN);
	assert_int_equal(mproc_queue_requeue(b->q), 0);
	take_value(t, b->q, 1);
	assert_int_equal(mproc_queue_task_done(b->q), 0);
	mproc_queue_destroy(b->q);
}

/* Two that hold one each, and want another one first, would wait for each other
 * for ever. */
static void
who_holds_messages_does_not_wait_in_a_drain(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, with_ack());
	unsigned value;
	int taker;

	b->ready = 0;
	put_value(t, b->q, 1);
	put_value(t, b->q, 2);
	take_value(t, b->q, 1);
	taker = mpt_spawn(t, "taker", take_and_wait, (void *)(uintptr_t)2);
	mpt_until(t, b->ready == 1);
	assert_int_equal(mproc_queue_shutdown(b->q, MPROC_DRAIN), 0);
	assert_int_equal(mproc_queue_get(b->q, &value, sizeof(value), NULL,
					 MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(mproc_queue_get(b->q, &value, sizeof(value), NULL,
					 MPROC_FOREVER), -EDEADLK);
	assert_int_equal(mproc_queue_task_done(b->q), 0);
	/* Now it can wait, for the other's death. */
	mpt_kill(t, taker);
	assert_int_equal(mproc_queue_get(b->q, &value, sizeof(value), NULL,
					 mproc_sec(20)), 0);
	assert_int_equal(value, 2);
	assert_int_equal(mproc_queue_task_done(b->q), 0);
	mproc_queue_destroy(b->q);
}

static void
there_are_no_more_items_than_allowed(void **state)
{
	static const size_t limits[] = { 1, 2, 63, 64, 130 };
	struct mpt *t = *state;

	for (unsigned i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct mproc_arena_stat before = cleaned_up();
		struct board *b = new_board(t, MPROC_OPTS(
			mproc_queue_opts, .max_items = limits[i]));
		unsigned n = (unsigned)limits[i], value = n;
		void *p;

		assert_int_equal(look(b->q).max_items, n);
		for (int round = 0; round < 3; round++) {
			for (unsigned j = 0; j < n; j++)
				put_value(t, b->q, j);
			assert_int_equal(mproc_queue_put(b->q, &value,
							 sizeof(value),
							 MPROC_NOWAIT),
					 -EAGAIN);
			assert_int_equal(mproc_queue_put(b->q, &value,
							 sizeof(value),
							 mproc_ms(2)),
					 -ETIMEDOUT);
			take_value(t, b->q, 0);
			/* What is reserved counts. */
			assert_int_equal(mproc_queue_reserve(
				b->q, 4, &p, MPROC_NOWAIT), 0);
			assert_int_equal(mproc_queue_abort(b->q, p), 0);
			put_value(t, b->q, n);
			for (unsigned j = 1; j <= n; j++)
				take_value(t, b->q, j);
			is_empty(t, b->q);
		}
		end(t, b, &before);
	}
}

static int
put_in_turn(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	unsigned rounds = (unsigned)(uintptr_t)arg;

	b->tid = gettid();
	for (unsigned i = 1; i <= rounds; i++) {
		mpt_check_int(t, mproc_queue_put(b->q, &i, sizeof(i),
						 MPROC_FOREVER), 0);
		b->done = i;
	}
	return 0;
}

/* Who is not woken sleeps until it looks for the dead, which is half of 50 ms
 * away on average. */
static void
who_is_done_wakes_who_waits_for_room(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, MPROC_OPTS(
		mproc_queue_opts, .ack = true, .max_items = 1));
	unsigned rounds = amount(40);
	int64_t began;
	struct mpt_times spent = { 0 };

	b->tid = 0;
	b->done = 0;
	put_value(t, b->q, 0);
	mpt_spawn(t, "producer", put_in_turn, (void *)(uintptr_t)rounds);
	for (unsigned i = 0; i < rounds; i++) {
		take_value(t, b->q, i);
		mpt_until(t, b->tid && mpt_task_state(b->tid) == 'S');
		assert_int_equal(b->done, i);
		began = mproc_now();
		assert_int_equal(mproc_queue_task_done(b->q), 0);
		mpt_until(t, b->done == i + 1);
		mpt_times_add(&spent, mproc_now() - began);
	}
	assert_true(mpt_times_median(&spent) < INT64_C(15000000));
	mpt_join_all(t);
	mproc_queue_destroy(b->q);
}

static int
put_one_more(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	unsigned value = 99;

	(void)arg;
	b->tid = gettid();
	mpt_check_int(t, mproc_queue_put(b->q, &value, sizeof(value),
					 mproc_sec(20)), 0);
	b->done++;
	return 0;
}

static void
a_producer_waits_for_an_item_to_be_taken(struct mpt *t)
{
	struct mproc_arena_stat before = cleaned_up();
	struct board *b = new_board(t, MPROC_OPTS(mproc_queue_opts,
						  .max_items = 2));
	int id;

	b->tid = 0;
	b->done = 0;
	put_value(t, b->q, 0);
	put_value(t, b->q, 1);
	id = mpt_spawn(t, "producer", put_one_more, NULL);
	mpt_until(t, b->tid && mpt_task_state(b->tid) == 'S');
	assert_int_equal(b->done, 0);
	take_value(t, b->q, 0);
	mpt_expect_exit(t, id, 0);
	take_value(t, b->q, 1);
	take_value(t, b->q, 99);
	end(t, b, &before);
}

enum { IN_TURN = 16, FEW = 3 };

static int
put_when_called(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	unsigned me = (unsigned)(uintptr_t)arg;

	put_value(t, b->q, me);
	b->done++;
	mpt_until(t, b->ready == me);
	mpt_check_int(t, mproc_queue_put(b->q, &me, sizeof(me),
					 mproc_sec(20)), 0);
	return 0;
}

/* How often somebody puts before one who has waited longer. They come to the
 * queue in one order, and wait in the other. */
static unsigned
count_overtaken(struct mpt *t)
{
	struct board *b = new_board(t, MPROC_OPTS(
		mproc_queue_opts, .joinable = true, .max_items = 1));
	unsigned value, first = IN_TURN, overtaken = 0;
	bool came[IN_TURN] = { false };

	b->ready = IN_TURN;
	b->done = 0;
	for (unsigned i = 0; i < IN_TURN; i++) {
		mpt_spawn(t, "producer", put_when_called, (void *)(uintptr_t)i);
		mpt_until(t, b->done == i + 1);
		take_value(t, b->q, i);
		assert_int_equal(mproc_queue_task_done(b->q), 0);
	}
	put_value(t, b->q, IN_TURN);
	take_value(t, b->q, IN_TURN);
	for (unsigned i = IN_TURN; i--;) {
		b->ready = i;
		mpt_until(t, look(b->q).sleeping_producers == IN_TURN - i);
	}
	for (unsigned i = IN_TURN; i--;) {
		assert_int_equal(mproc_queue_task_done(b->q), 0);
		assert_int_equal(mproc_queue_get(b->q, &value, sizeof(value),
						 NULL, mproc_sec(20)), 0);
		assert_in_range(value, 0, IN_TURN - 1);
		came[value] = true;
		while (first && came[first - 1])
			first--;
		overtaken += value + 1 < first;
	}
	assert_int_equal(first, 0);
	assert_int_equal(mproc_queue_task_done(b->q), 0);
	mpt_join_all(t);
	assert_int_equal(look(b->q).sleeping_producers, 0);
	mproc_queue_destroy(b->q);
	return overtaken;
}

/*
 * Each also looks by itself every 50 ms, and then may be faster than the one
 * whose turn it is. All of them do so within a millisecond or two, as they have
 * begun to wait; but not each time while we take.
 */
static void
who_waits_longest_puts_first(void **state)
{
	unsigned least = IN_TURN;

	for (int round = 0; round < 16 && least > FEW; round++) {
		unsigned n = count_overtaken(*state);

		least = n < least ? n : least;
	}
	assert_in_range(least, 0, FEW);
}

/* The bound is neither more nor less after deaths. */
static void
kills_do_not_change_the_bound(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, MPROC_OPTS(
		mproc_queue_opts, .ack = true, .max_redeliveries = -1,
		.max_items = 3));
	unsigned rounds = amount(20), value = 0;

	while (rounds--) {
		for (unsigned i = 0; i < 3; i++)
			put_value(t, b->q, i);
		kill_a_taker(t, b, 0);
		assert_int_equal(mproc_queue_put(b->q, &value, sizeof(value),
						 MPROC_NOWAIT), -EAGAIN);
		for (unsigned i = 0; i < 3; i++)
			take_value(t, b->q, i);
		assert_int_equal(mproc_queue_put(b->q, &value, sizeof(value),
						 MPROC_NOWAIT), -EAGAIN);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(mproc_queue_task_done(b->q), 0);
	}
	mproc_queue_destroy(b->q);
}

static bool
is_readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

/* Not only what is in lanes makes a descriptor readable. */
static void
a_descriptor_tells_of_what_comes_back(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, MPROC_OPTS(
		mproc_queue_opts, .ack = true, .max_redeliveries = 1));
	int fd = mproc_queue_fd(b->q), letters = mproc_queue_fd(b->dlq);
	struct letter {
		struct mproc_dead_letter head;
		unsigned value;
	} letter;

	assert_true(fd >= 0 && letters >= 0);
	put_value(t, b->q, 1);
	assert_true(is_readable(fd, 20000));
	for (int death = 0; death < 2; death++) {
		kill_a_taker(t, b, 1);
		if (death == 0) {
			assert_true(is_readable(fd, 20000));
			take_value(t, b->q, 1);
			is_empty(t, b->q);
			assert_int_equal(mproc_queue_requeue(b->q), 0);
			assert_true(is_readable(fd, 20000));
		}
	}
	assert_true(is_readable(letters, 20000));
	assert_int_equal(mproc_queue_get(b->dlq, &letter, sizeof(letter), NULL,
					 MPROC_NOWAIT), 0);
	assert_int_equal(letter.value, 1);
	is_empty(t, b->dlq);
	is_empty(t, b->q);
	/* After a drain, what is held may come back. */
	put_value(t, b->q, 2);
	take_value(t, b->q, 2);
	assert_int_equal(mproc_queue_shutdown(b->q, MPROC_DRAIN), 0);
	assert_int_equal(mproc_queue_task_done(b->q), 0);
	assert_true(is_readable(fd, 20000));
	mproc_queue_destroy(b->dlq); /* closes the descriptor alone */
	mproc_queue_destroy(b->q);
}

both(a_join_ends_with_the_last_message)
both(a_producer_waits_for_an_item_to_be_taken)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		both_tests(a_join_ends_with_the_last_message),
		mpt_test(a_join_ends_when_it_is_in_vain),
		mpt_test(a_join_learns_of_a_death),
		mpt_test(a_drain_waits_for_who_holds_a_message),
		mpt_test(nobody_waits_for_what_he_holds_himself),
		mpt_test(who_holds_messages_does_not_wait_in_a_drain),
		mpt_test(there_are_no_more_items_than_allowed),
		both_tests(a_producer_waits_for_an_item_to_be_taken),
		mpt_test(who_is_done_wakes_who_waits_for_room),
		mpt_test(who_waits_longest_puts_first),
		mpt_test(kills_do_not_change_the_bound),
		mpt_test(a_descriptor_tells_of_what_comes_back),
	};

	return cmocka_run_group_tests(tests, make_the_arena, NULL);
}
