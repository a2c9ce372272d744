/* SPDX-License-Identifier: MIT */
/*
 * Messages of a manager's queues that are kept until they are done: the same cases with
 * all in the family, with all as clients, and with some of each.
 */
#include <pthread.h>

#include "manager_queue.h"

static int
take_until_killed(struct mpt *t, void *arg)
{
	mproc_queue *q = queue_of(t, number(arg));
	struct board *b = mpt_scratch(t);
	struct note n;

	mpt_check(t, get_note(q, &n, mproc_sec(20)) >= 0);
	b->ready++;
	mpt_until(t, false);
	return 0;
}

static void
what_a_dead_one_had_comes_back(void **state)
{
	struct mpt *t = *state;

	for (unsigned who = 1; who <= 2; who++) {
		struct board *b = new_queue(t, MPROC_OPTS(mproc_queue_opts,
							  .ack = true));
		mproc_queue *q = queue_of(t, 0);
		struct note n;
		int id;

		b->ready = 0;
		assert_int_equal(put_note(q, 0, 1, MPROC_NOWAIT), 0);
		assert_int_equal(put_note(q, 0, 2, MPROC_NOWAIT), 0);
		id = mpt_fork(t, "dies", take_until_killed, AS(who));
		mpt_until(t, b->ready == 1);
		assert_int_equal(stat_of(b).held, 1);
		mpt_kill(t, id);
		/* It comes first, but for who was faster. */
		mpt_until(t, mproc_arena_recover(NULL) >= 0 && stat_of(b).held == 0);
		assert_int_equal(get_note(q, &n, mproc_sec(20)), 1);
		assert_int_equal(get_note(q, &n, mproc_sec(20)), 2);
		assert_int_equal(mproc_queue_join(q, MPROC_NOWAIT), -EDEADLK);
		assert_int_equal(mproc_queue_task_done(q), 0);
		assert_int_equal(mproc_queue_requeue(q), 0);
		assert_int_equal(mproc_queue_task_done(q), -EINVAL);
		assert_int_equal(mproc_queue_requeue(q), -EINVAL);
		assert_int_equal(mproc_queue_join(q, MPROC_NOWAIT), -EAGAIN);
		assert_int_equal(mproc_queue_join(q, mproc_ms(20)), -ETIMEDOUT);
		assert_int_equal(get_note(q, &n, mproc_sec(20)), 2);
		assert_int_equal(mproc_queue_task_done(q), 0);
		assert_int_equal(mproc_queue_join(q, MPROC_FOREVER), 0);
		expect_nothing(q);
		end(t, b);
	}
}

static void *
take_and_end(void *arg)
{
	struct note n;

	return AS(get_note(arg, &n, mproc_sec(20)));
}

static void
what_a_thread_that_ends_had_comes_back(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_queue(t, MPROC_OPTS(mproc_queue_opts, .ack = true));
	mproc_queue *q = queue_of(t, 0);
	pthread_t thread;
	struct note n;
	void *got;

	assert_int_equal(put_note(q, 0, 7, MPROC_NOWAIT), 0);
	assert_int_equal(pthread_create(&thread, NULL, take_and_end, q), 0);
	pthread_join(thread, &got);
	assert_int_equal(number(got), 7);
	assert_int_equal(get_note(q, &n, mproc_sec(20)), 7);
	assert_int_equal(mproc_queue_task_done(q), 0);
	expect_nothing(q);
	end(t, b);
}

static int
take_and_do(struct mpt *t, void *arg)
{
	mproc_queue *q = queue_of(t, number(arg));
	struct board *b = mpt_scratch(t);
	struct note n;

	mpt_check_int(t, get_note(q, &n, mproc_sec(20)), 1);
	b->ready++;
	mpt_until(t, b->done == 1);
	mpt_check_int(t, mproc_queue_task_done(q), 0);
	return 0;
}

static int
join_it(struct mpt *t, void *arg)
{
	mproc_queue *q = queue_of(t, number(arg));
	struct board *b = mpt_scratch(t);

	mpt_check_int(t, mproc_queue_join(q, mproc_ms(1)), -ETIMEDOUT);
	b->ready++;
	mpt_check_int(t, mproc_queue_join(q, mproc_sec(20)), 0);
	mpt_check_int(t, b->done, 1);
	return 0;
}

static void
all_is_done_when_a_join_returns(void **state)
{
	struct mpt *t = *state;

	for (unsigned who = 1; who <= 2; who++) {
		struct board *b = new_queue(t, MPROC_OPTS(mproc_queue_opts,
							  .joinable = true));
		mproc_queue *q = queue_of(t, 0);

		b->ready = b->done = 0;
		assert_int_equal(mproc_queue_join(q, MPROC_NOWAIT), 0);
		assert_int_equal(put_note(q, 0, 1, MPROC_NOWAIT), 0);
		mpt_fork(t, "does", take_and_do, AS(who));
		mpt_until(t, b->ready == 1);
		for (unsigned i = 1; i <= 3; i++)
			mpt_fork(t, "joins", join_it, AS(i));
		mpt_until(t, b->ready == 4);
		b->done = 1;
		end(t, b);
	}
}

static void
what_kills_too_often_is_a_dead_letter(void **state)
{
	struct mpt *t = *state;

	for (unsigned who = 1; who <= 2; who++) {
		struct board *b = new_queue(t, MPROC_OPTS(mproc_queue_opts,
							  .ack = true,
							  .max_redeliveries = 1));
		mproc_queue *q = queue_of(t, 0), *dlq, *again;
		unsigned char buf[sizeof(struct mproc_dead_letter) +
				  sizeof(struct note)];
		struct mproc_dead_letter letter;
		struct note n;
		size_t len;

		assert_int_equal(mproc_queue_dead_letters(q, &dlq), 0);
		assert_int_equal(mproc_queue_dead_letters(q, &again), 0);
		assert_ptr_equal(dlq, again);
		assert_int_equal(mproc_queue_get(dlq, buf, sizeof(buf), NULL,
						 MPROC_NOWAIT), -EAGAIN);
		assert_int_equal(put_note(dlq, 0, 1, MPROC_NOWAIT), -EPERM);
		assert_int_equal(mproc_queue_shutdown(dlq, MPROC_DRAIN), -EPERM);
		mproc_queue_destroy(dlq);
		assert_int_equal(put_note(q, 0, 7, MPROC_NOWAIT), 0);
		for (unsigned i = 0; i < 2; i++) {
			int id;

			b->ready = 0;
			id = mpt_fork(t, "dies", take_until_killed, AS(who));
			mpt_until(t, b->ready == 1);
			mpt_kill(t, id);
		}
		assert_int_equal(mproc_queue_join(q, mproc_sec(20)), -EOWNERDEAD);
		assert_int_equal(mproc_queue_get(dlq, buf, 10, &len, MPROC_NOWAIT),
				 -EMSGSIZE);
		assert_int_equal(len, sizeof(buf));
		assert_int_equal(mproc_queue_get(dlq, buf, sizeof(buf), &len,
						 mproc_sec(20)), 0);
		assert_int_equal(len, sizeof(buf));
		memcpy(&letter, buf, sizeof(letter));
		memcpy(&n, buf + sizeof(letter), sizeof(n));
		assert_int_equal(letter.deaths, 2);
		assert_true(n.number == 7 && n.sum == sum_of(&n));
		assert_int_equal(mproc_queue_join(q, MPROC_NOWAIT), 0);
		end(t, b);
	}
}

static int
see_what_is_left(struct mpt *t, void *arg)
{
	mproc_queue *q = queue_of(t, number(arg));
	struct board *b = mpt_scratch(t);
	struct note n;

	mpt_check_int(t, get_note(q, &n, mproc_sec(20)), 2);
	b->ready++;
	/* One more is there, which another one has; and may give back. */
	mpt_check_int(t, get_note(q, &n, mproc_sec(20)), -EDEADLK);
	mpt_check_int(t, mproc_queue_task_done(q), 0);
	b->done++;
	mpt_check_int(t, get_note(q, &n, mproc_sec(20)), 1);
	mpt_check_int(t, mproc_queue_task_done(q), 0);
	mpt_check_int(t, get_note(q, &n, mproc_sec(20)), -ESHUTDOWN);
	return 0;
}

static void
what_others_hold_may_come_back_after_a_drain(void **state)
{
	struct mpt *t = *state;

	for (unsigned who = 1; who <= 2; who++) {
		struct board *b = new_queue(t, MPROC_OPTS(mproc_queue_opts,
							  .ack = true));
		mproc_queue *q = queue_of(t, 0);
		struct note n;

		b->ready = b->done = 0;
		assert_int_equal(put_note(q, 0, 1, MPROC_NOWAIT), 0);
		assert_int_equal(put_note(q, 0, 2, MPROC_NOWAIT), 0);
		assert_int_equal(get_note(q, &n, MPROC_NOWAIT), 1);
		assert_int_equal(mproc_queue_shutdown(q, MPROC_DRAIN), 0);
		mpt_fork(t, "other", see_what_is_left, AS(who));
		mpt_until(t, b->done == 1);
		/* Alone, nothing can come back to it. */
		assert_int_equal(get_note(q, &n, MPROC_NOWAIT), -ESHUTDOWN);
		assert_int_equal(mproc_queue_requeue(q), 0);
		end(t, b);
	}
}

static void
killed_waiters_take_nothing_along(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_queue(t, MPROC_OPTS(mproc_queue_opts, .ack = true));
	mproc_queue *q = queue_of(t, 0);
	struct note n;
	int ids[4];

	for (unsigned i = 0; i < 4; i++)
		ids[i] = mpt_fork(t, "waits", get_one, AS(i + 1));
	mpt_until(t, b->ready == 4 && stat_of(b).sleeping_consumers);
	for (unsigned i = 0; i < 4; i++)
		mpt_kill(t, ids[i]);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(put_note(q, 0, i, MPROC_NOWAIT), 0);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(get_note(q, &n, mproc_sec(20)), i);
		assert_int_equal(mproc_queue_task_done(q), 0);
	}
	assert_int_equal(mproc_queue_join(q, MPROC_NOWAIT), 0);
	end(t, b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ALL(what_a_dead_one_had_comes_back),
		ALL(what_a_thread_that_ends_had_comes_back),
		ALL(all_is_done_when_a_join_returns),
		ALL(what_kills_too_often_is_a_dead_letter),
		ALL(what_others_hold_may_come_back_after_a_drain),
		ALL(killed_waiters_take_nothing_along),
	};

	return cmocka_run_group_tests(tests, start_both, end_both);
}
