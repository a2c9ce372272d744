/* SPDX-License-Identifier: MIT */
/*
 * arena.h and queue.h: threads that end in any way give back what they held,
 * and a process lives as long as any of its threads does, whatever else it
 * has lost. test_family.c is about the ends of processes.
 */
#include "family.h"

static void *
hold_and_return(void *t)
{
	hold_all(t);
	return t;
}

static void *
hold_and_exit(void *t)
{
	hold_all(t);
	pthread_exit(t);
}

static void *
hold_and_be_cancelled(void *t)
{
	struct board *b = mpt_scratch(t);

	pthread_cancel(pthread_self());
	/* No call of the queue's is cancelled half-way. */
	hold_all(t);
	pthread_testcancel();
	b->ready = 0;
	return NULL;
}

/* A thread that ends needs no recovery. */
static void
a_thread_gives_it_back(struct mpt *t, void *(*fn)(void *arg), void *expected)
{
	struct board *b = mpt_scratch(t);
	pthread_t thread;
	void *result;

	begin(t);
	assert_int_equal(pthread_create(&thread, NULL, fn, t), 0);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_ptr_equal(result, expected);
	assert_int_equal(b->ready, 1);
	assert_int_equal(stat_now().participants, b->before.participants);
	assert_int_equal(mproc_arena_recover(NULL), 0);
	expect_all_given_back(t);
}

static void
a_thread_that_returns_gives_it_back(void **state)
{
	a_thread_gives_it_back(*state, hold_and_return, *state);
}

static void
a_thread_that_exits_gives_it_back(void **state)
{
	a_thread_gives_it_back(*state, hold_and_exit, *state);
}

static void
a_thread_that_is_cancelled_gives_it_back(void **state)
{
	a_thread_gives_it_back(*state, hold_and_be_cancelled,
			       PTHREAD_CANCELED);
}

static void *
wait_for_a_message(void *t)
{
	struct board *b = mpt_scratch(t);
	unsigned value = 0;

	b->ready = (unsigned)gettid();
	if (mproc_queue_get(b->q, &value, sizeof(value), NULL,
			    MPROC_FOREVER) == 0)
		b->got = value;
	pthread_testcancel();
	return NULL;
}

static void
a_cancel_takes_no_message_with_it(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	pthread_t thread;
	void *result;

	begin(t);
	assert_int_equal(pthread_create(&thread, NULL, wait_for_a_message, t),
			 0);
	mpt_until(t, b->ready && mpt_task_state((pid_t)b->ready) == 'S');
	assert_int_equal(pthread_cancel(thread), 0);
	put_value(t, 9);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_ptr_equal(result, PTHREAD_CANCELED);
	assert_int_equal(b->got, 9);
	b->blocks = stat_now().blocks;
	expect_all_given_back(t);
}

static void *
put_now_and_later(void *t)
{
	struct board *b = mpt_scratch(t);

	put_value(t, 20);
	b->ready++;
	mpt_reach(t, 1);
	put_value(t, 21);
	b->ready++;
	wait_to_be_killed(t);
	return NULL;
}

static void *
put_ten(void *t)
{
	put_value(t, 10);
	return NULL;
}

static void *
join_too_late(void *t)
{
	struct board *b = mpt_scratch(t);
	char c = 'c';

	mpt_check_int(t, mproc_queue_put(b->q, &c, 1, MPROC_NOWAIT), -ENOLCK);
	mpt_check(t, detail_has("closed"));
	return NULL;
}

/* Three threads have registered: the first, one that stays, and one that has
 * ended when the descriptors go. */
static int
close_all_after_a_thread(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	unsigned sum = 0, value;

	(void)arg;
	hold_all(t);
	start_thread(t, put_now_and_later);
	mpt_until(t, b->ready == 2);
	run_thread(t, put_ten);
	closefrom(3);
	mpt_step(t, 0);
	mpt_until(t, b->ready == 3);
	put_value(t, 4);
	while (mproc_queue_get(b->q, &value, sizeof(value), NULL,
			       MPROC_NOWAIT) == 0)
		sum += value;
	mpt_check_int(t, sum, 10 + 20 + 21 + 4);
	run_thread(t, join_too_late);
	b->ready++;
	wait_to_be_killed(t);
	return 0;
}

static void
one_that_lost_a_thread_and_closed_all_files_is_alive(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	int id;

	begin(t);
	id = mpt_spawn(t, "closer", close_all_after_a_thread, NULL);
	mpt_reach(t, 1);
	expect_nobody_dead(t);
	mpt_until(t, b->ready == 4);
	expect_nobody_dead(t);
	assert_int_equal(stat_now().participants, b->before.participants + 2);
	mpt_kill(t, id);
	assert_int_equal(mproc_arena_recover(NULL), 2);
	b->blocks = stat_now().blocks;
	expect_all_given_back(t);
}

static int
close_all_without_a_participant(struct mpt *t, void *arg)
{
	(void)arg;
	run_thread(t, put_ten);
	closefrom(3);
	/* Nobody who could be taken for dead, and nobody can join. */
	mpt_check_int(t, mproc_arena_recover(NULL), 0);
	join_too_late(t);
	return 0;
}

static void
one_whose_only_participant_ended_has_lost_nothing(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);

	begin(t);
	mpt_expect_exit(t, mpt_spawn(t, "closer",
				     close_all_without_a_participant, NULL), 0);
	assert_int_equal(mproc_arena_recover(NULL), 0);
	b->blocks = stat_now().blocks;
	take_value(t, 10);
	expect_all_given_back(t);
}

static int
hold_and_go_on(struct mpt *t, void *arg)
{
	(void)arg;
	hold_all(t);
	mpt_reach(t, 1);
	put_value(t, 5);
	take_value(t, 5);
	return 0;
}

static void *
be_all_that_is_left(void *t)
{
	mpt_until(t, mpt_task_state(getpid()) == 'Z');
	hold_and_go_on(t, NULL);
	_exit(0);
}

static int
end_the_first_thread(struct mpt *t, void *arg)
{
	(void)arg;
	put_value(t, 30);
	take_value(t, 30);
	start_thread(t, be_all_that_is_left);
	pthread_exit(NULL);
}

static void
one_whose_first_thread_ended_is_no_zombie(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	int id;

	begin(t);
	id = mpt_spawn(t, "headless", end_the_first_thread, NULL);
	mpt_until(t, b->ready == 1);
	/* It looks like one, and another thread has all it had. */
	assert_int_equal(mpt_task_state(mpt_pid(t, id)), 'Z');
	expect_nobody_dead(t);
	expect_the_part_taken(t);
	assert_int_equal(stat_now().participants, b->before.participants + 1);
	mpt_step(t, 0);
	mpt_expect_exit(t, id, 0);
	assert_int_equal(mproc_arena_recover(NULL), 1);
	expect_all_given_back(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_thread_that_returns_gives_it_back),
		mpt_test(a_thread_that_exits_gives_it_back),
		mpt_test(a_thread_that_is_cancelled_gives_it_back),
		mpt_test(a_cancel_takes_no_message_with_it),
		mpt_test(one_that_lost_a_thread_and_closed_all_files_is_alive),
		mpt_test(one_whose_only_participant_ended_has_lost_nothing),
		mpt_test(one_whose_first_thread_ended_is_no_zombie),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
