/* SPDX-License-Identifier: MIT */
/*
 * core.h: mproc_interrupt() - which waits it ends, how often, and how soon. See
 * interrupt.h. Whom it concerns is in test_interrupt_others.c.
 */
#include <pthread.h>
#include <sched.h>

#include "interrupt.h"
#include "mpt_times.h"

/* main() calls it before anything else. */
static void
an_interrupt_before_the_first_use_is_for_the_first_wait(void **state)
{
	mproc_queue *q = new_queue();
	char c;

	(void)state;
	assert_int_equal(mproc_queue_get(q, &c, 1, NULL, MPROC_NOWAIT),
			 -EAGAIN);
	assert_int_equal(mproc_queue_get(q, &c, 1, NULL, MPROC_FOREVER),
			 -EINTR);
	assert_int_equal(mproc_queue_get(q, &c, 1, NULL, mproc_ms(1)),
			 -ETIMEDOUT);
	mproc_queue_destroy(q);
}

/*
 * A thread in a wait of some kind, interrupted again and again: it is told each
 * time, once, and soon. The limits are those within which a lost wake-up shows:
 * a sleeper in a queue looks after 50 ms by itself, one in a join after 1 s.
 */
static void
tell_a_sleeper(struct mpt *t, enum way way)
{
	bool polls = way == JOIN || way == STOP;
	struct board *b = begin(t);
	struct waiter *w = new_waiter(t, 0, way);
	unsigned n = 0, rounds = 4;
	int64_t began;

	for (int source = 0; source < SOURCES; source++) {
		struct mpt_times spent[2] = { 0 };

		for (unsigned i = 0; i < rounds; i++) {
			await_sleep(t, w);
			/* A join changes its way of waiting after 20 ms. */
			if (polls && i % 2)
				let_pass(t, 60 * MS);
			began = mproc_now();
			interrupt(t, source, w);
			n++;
			mpt_until(t, w->told == n);
			mpt_times_add(&spent[i % 2], mproc_now() - began);
		}
		for (int k = 0; k < 2; k++)
			assert_true(mpt_times_median(&spent[k]) <
				    (polls ? 200 : 25) * MS);
		/* It waits again. */
		let_pass(t, 5 * MS);
		await_sleep(t, w);
		assert_int_equal(w->told, n);
	}
	let_pass(t, 60 * MS);
	assert_int_equal(w->told, n);
	release(t, b, way == GET);
	mpt_join_all(t);
	assert_int_equal(w->told, n);
	end(t, b);
}

static void
a_sleeping_get_is_told_once(void **state)
{
	tell_a_sleeper(*state, GET);
}

static void
a_sleeping_put_is_told_once(void **state)
{
	tell_a_sleeper(*state, PUT);
}

static void
a_sleeping_join_is_told_once(void **state)
{
	tell_a_sleeper(*state, JOIN);
}

static void
a_sleeping_stop_is_told_once(void **state)
{
	tell_a_sleeper(*state, STOP);
}

static void
the_next_wait_of_any_kind_is_told_and_the_one_after_it_waits(void **state)
{
	static const enum way ways[] = { GET, PUT, JOIN };
	struct mpt *t = *state;
	struct board *b = begin(t);
	int64_t began;

	fill(t, b->full);
	for (int i = 0; i < 3; i++) {
		mproc_interrupt();
		assert_int_equal(wait_in(b, ways[i], MPROC_FOREVER), -EINTR);
		began = mproc_now();
		assert_int_equal(wait_in(b, ways[i], mproc_ms(5)), -ETIMEDOUT);
		assert_true(mproc_now() - began >= 5 * MS);
	}
	mproc_interrupt();
	assert_int_equal(wait_in(b, STOP, MPROC_FOREVER), -EINTR);
	assert_true(mproc_process_is_alive(b->child));
	assert_int_equal(wait_in(b, GET, mproc_ms(1)), -ETIMEDOUT);
	end(t, b);
}

static void
several_interrupts_before_a_wait_count_as_one(void **state)
{
	struct mpt *t = *state;
	struct board *b = begin(t);

	for (int i = 0; i < 5; i++)
		mproc_interrupt();
	raise(SIGUSR1);
	assert_int_equal(wait_in(b, GET, MPROC_FOREVER), -EINTR);
	assert_int_equal(wait_in(b, GET, mproc_ms(1)), -ETIMEDOUT);
	assert_int_equal(wait_in(b, JOIN, mproc_ms(1)), -ETIMEDOUT);
	end(t, b);
}

static int
return_at_once(void *arg)
{
	(void)arg;
	return 0;
}

static void
a_call_that_need_not_wait_leaves_it_to_one_that_must(void **state)
{
	struct mpt *t = *state;
	struct board *b = begin(t);
	mproc_queue *q = new_queue();
	mproc_process *p;
	char c = 'a';

	assert_int_equal(mproc_process_start(&p, return_at_once, NULL, NULL),
			 0);
	while (mproc_process_is_alive(p))
		sched_yield();
	fill(t, b->full);
	mproc_interrupt();

	assert_int_equal(mproc_queue_put(q, &c, 1, MPROC_FOREVER), 0);
	assert_int_equal(mproc_queue_put(q, &c, 1, mproc_ms(1)), 0);
	assert_int_equal(mproc_queue_get(q, &c, 1, NULL, MPROC_FOREVER), 0);
	assert_int_equal(mproc_queue_get(q, &c, 1, NULL, mproc_ms(1)), 0);
	assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
	assert_int_equal(mproc_process_stop(p, MPROC_FOREVER), 0);
	/* Nor do those that would have to, but were told not to. */
	assert_int_equal(wait_in(b, GET, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(wait_in(b, PUT, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(wait_in(b, JOIN, MPROC_NOWAIT), -EAGAIN);
	/* Nor a wait that has an outcome. */
	assert_int_equal(mproc_queue_shutdown(q, MPROC_DRAIN), 0);
	assert_int_equal(mproc_queue_get(q, &c, 1, NULL, MPROC_FOREVER),
			 -ESHUTDOWN);

	assert_int_equal(wait_in(b, JOIN, MPROC_FOREVER), -EINTR);
	assert_int_equal(wait_in(b, JOIN, mproc_ms(1)), -ETIMEDOUT);
	mproc_process_close(p);
	mproc_queue_destroy(q);
	end(t, b);
}

static void
errno_is_left_alone(void **state)
{
	struct mpt *t = *state;
	struct board *b = begin(t);
	struct waiter *w = new_waiter(t, 0, JOIN);

	new_waiter(t, 1, GET);
	await_sleep(t, w);
	let_pass(t, 60 * MS);
	errno = EXDEV;
	mproc_interrupt();
	assert_int_equal(errno, EXDEV);
	mpt_until(t, w->told == 1);
	release(t, b, 1);
	end(t, b);
}

static void
each_thread_is_told_once(void **state)
{
	struct mpt *t = *state;
	struct board *b = begin(t);

	for (unsigned i = 0; i < WAITERS; i++)
		new_waiter(t, i, i % WAYS);
	for (unsigned n = 1; n <= 5; n++) {
		for (unsigned i = 0; i < WAITERS; i++)
			await_sleep(t, &b->waiter[i]);
		mproc_interrupt();
		for (unsigned i = 0; i < WAITERS; i++)
			mpt_until(t, b->waiter[i].told == n);
	}
	let_pass(t, 30 * MS);
	release(t, b, WAITERS / WAYS);
	mpt_join_all(t);
	for (unsigned i = 0; i < WAITERS; i++)
		assert_int_equal(b->waiter[i].told, 5);
	end(t, b);
}

static void
a_crowd_that_joins_is_told_soon(void **state)
{
	struct mpt *t = *state;
	struct board *b = begin(t);
	struct mpt_times spent = { 0 };
	int64_t began;

	for (unsigned i = 0; i < CROWD; i++)
		new_waiter(t, i, JOIN);
	for (unsigned n = 1; n <= 3; n++) {
		for (unsigned i = 0; i < CROWD; i++)
			await_sleep(t, &b->waiter[i]);
		let_pass(t, 60 * MS);
		began = mproc_now();
		mproc_interrupt();
		for (unsigned i = 0; i < CROWD; i++)
			mpt_until(t, b->waiter[i].told == n);
		mpt_times_add(&spent, mproc_now() - began);
	}
	assert_true(mpt_times_median(&spent) < 700 * MS);
	release(t, b, 0);
	mpt_join_all(t);
	for (unsigned i = 0; i < CROWD; i++)
		assert_int_equal(b->waiter[i].told, 3);
	end(t, b);
}

/* By the time that it interrupts, it is to be cancelled. */
static void *
interrupt_when_cancelled(void *arg)
{
	int before;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
	pthread_cancel(pthread_self());
	pthread_setcancelstate(before, &before);
	mproc_interrupt();
	return arg;
}

static void
a_thread_that_is_cancelled_interrupts_all_the_same(void **state)
{
	struct mpt *t = *state;
	struct board *b = begin(t);
	struct waiter *w = new_waiter(t, 0, JOIN);
	pthread_t thread;

	for (unsigned n = 1; n <= 3; n++) {
		await_sleep(t, w);
		let_pass(t, 60 * MS);
		assert_int_equal(pthread_create(&thread, NULL,
						interrupt_when_cancelled,
						NULL), 0);
		pthread_join(thread, NULL);
		mpt_until(t, w->told == n);
	}
	release(t, b, 0);
	end(t, b);
}

/* A join waits without a descriptor, then with one for a second, and so on:
 * wherever an interrupt meets it, it is told soon. */
static void
a_join_is_told_at_any_time(void **state)
{
	struct mpt *t = *state;
	struct board *b = begin(t);
	struct waiter *w = new_waiter(t, 0, JOIN);
	struct mpt_rand rand;
	int64_t began, pause;
	unsigned n = 0;

	mpt_rand_init(&rand, mpt_seed());
	for (unsigned i = 0; i < amount(30); i++) {
		struct mpt_times spent = { 0 };

		pause = (int64_t)mpt_rand_below(&rand, 40 * MS);
		/* One that is late is late again, or the machine was busy. */
		do {
			let_pass(t, pause);
			began = mproc_now();
			mproc_interrupt();
			n++;
			mpt_until(t, w->told == n);
			mpt_times_add(&spent, mproc_now() - began);
		} while (mpt_times_median(&spent) >= 500 * MS && spent.n < 4);
		assert_true(mpt_times_median(&spent) < 500 * MS);
	}
	release(t, b, 0);
	end(t, b);
}

/* No pause between two interrupts: they meet the sleeper anywhere on its way
 * to sleep. */
static void
interrupts_in_turn_lose_no_wake_up(void **state)
{
	struct mpt *t = *state;
	struct board *b = begin(t);
	struct waiter *w = new_waiter(t, 0, GET);
	unsigned rounds = amount(2000);
	int64_t began = mproc_now();

	for (unsigned n = 1; n <= rounds; n++) {
		mproc_interrupt();
		for (unsigned i = 0; w->told < n && i < 1000; i++)
			sched_yield();
		mpt_until(t, w->told == n);
	}
	assert_true(mproc_now() - began < rounds * 10 * MS);
	release(t, b, 1);
	end(t, b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(an_interrupt_before_the_first_use_is_for_the_first_wait),
		mpt_test(a_sleeping_get_is_told_once),
		mpt_test(a_sleeping_put_is_told_once),
		mpt_test(a_sleeping_join_is_told_once),
		mpt_test(a_sleeping_stop_is_told_once),
		mpt_test(the_next_wait_of_any_kind_is_told_and_the_one_after_it_waits),
		mpt_test(several_interrupts_before_a_wait_count_as_one),
		mpt_test(a_call_that_need_not_wait_leaves_it_to_one_that_must),
		mpt_test(errno_is_left_alone),
		mpt_test(each_thread_is_told_once),
		mpt_test(a_crowd_that_joins_is_told_soon),
		mpt_test(a_thread_that_is_cancelled_interrupts_all_the_same),
		mpt_test(a_join_is_told_at_any_time),
		mpt_test(interrupts_in_turn_lose_no_wake_up),
	};

	mproc_interrupt();
	return cmocka_run_group_tests(tests, with_arena, NULL);
}
