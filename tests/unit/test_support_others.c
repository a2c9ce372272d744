/* SPDX-License-Identifier: MIT */
/*
 * The single-step killer knows whether others are asleep beside its victim: then it
 * tells what matters as if they were not there. It kills everywhere if they are not.
 */
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "mpt.h"
#include "mpt_step.h"

/* In the scratch bytes. */
struct board {
	_Atomic(uint32_t) call, reply, first, second, over;
};

static unsigned n_torn, n_replied, n_loops;

static void futex(_Atomic(uint32_t) *word, int op, uint32_t value)
{
	syscall(SYS_futex, word, op, value, NULL, NULL, 0);
}

static void stay_away(unsigned n)
{
	volatile unsigned i;

	for (i = 0; i < n; i++)
		;
}

static void clear(void *arg)
{
	struct board *b = arg;

	b->call = b->reply = b->first = b->second = 0;
}

/* A victim's only mistake: there is a moment between the two. */
static void write_a_pair(void *arg)
{
	struct board *b = arg;

	mpt_step_begin();
	stay_away(100);
	b->first = 1;
	b->second = 1;
	stay_away(100);
	mpt_step_end();
}

static void see_torn_pairs(void *arg, pid_t victim, unsigned long n,
			   bool finished)
{
	struct board *b = arg;

	(void)victim;
	(void)n;
	(void)finished;
	n_torn += b->first != b->second;
}

static const struct mpt_stepper_opts pair = {
	.name = "a pair",
	.victim = write_a_pair,
	.before = clear,
	.survivor = see_torn_pairs,
	.max_cases = 4,
};

static int sleep_for_good(struct mpt *t, void *arg)
{
	(void)t;
	(void)arg;
	for (;;)
		pause();
	return 0;
}

static void *sleep_as_a_thread(void *arg)
{
	struct board *b = arg;

	while (!b->over)
		futex(&b->over, FUTEX_WAIT, 0);
	return NULL;
}

static void who_sleeps_makes_no_difference(void **state)
{
	struct board *b = mpt_scratch(*state);
	int other = mpt_fork(*state, "other", sleep_for_good, NULL);
	struct mpt_stepper_opts o = pair;
	struct mpt_stepper_result r;
	pthread_t thread;

	o.arg = b;
	b->over = 0;
	assert_int_equal(pthread_create(&thread, NULL, sleep_as_a_thread, b),
			 0);
	n_torn = 0;
	mpt_stepper_run(*state, &o, &r);
	assert_true(r.exact);
	assert_int_equal(r.others, 2);
	assert_int_equal(r.cases, 2 + o.max_cases);
	assert_int_equal(n_torn, 1);

	b->over = 1;
	futex(&b->over, FUTEX_WAKE, INT_MAX);
	pthread_join(thread, NULL);
	mpt_kill(*state, other);
}

/* It never asks for a processor, it has one. */
static int stay_awake(struct mpt *t, void *arg)
{
	struct board *b = arg;

	(void)t;
	while (!b->over)
		;
	return 0;
}

/* It sleeps whenever somebody looks twice. */
static int sleep_briefly(struct mpt *t, void *arg)
{
	const struct timespec ts = { .tv_nsec = 1000 };
	struct board *b = arg;

	(void)t;
	while (!b->over)
		nanosleep(&ts, NULL);
	return 0;
}

static void expect_kills_everywhere(struct mpt *t, mpt_fn *fn)
{
	struct board *b = mpt_scratch(t);
	struct mpt_stepper_opts o = pair;
	struct mpt_stepper_result r;
	int other;

	b->over = 0;
	other = mpt_fork(t, "other", fn, b);
	o.arg = b;
	mpt_stepper_run(t, &o, &r);
	assert_false(r.exact);
	b->over = 1;
	mpt_expect_exit(t, other, 0);
}

static void who_is_awake_may_do_anything(void **state)
{
	expect_kills_everywhere(*state, stay_awake);
	expect_kills_everywhere(*state, sleep_briefly);
}

/* It sleeps at first, and long enough to be taken for one who does. */
static int start_to_run(struct mpt *t, void *arg)
{
	struct board *b = arg;

	while (b->call == 0)
		futex(&b->call, FUTEX_WAIT, 0);
	return stay_awake(t, arg);
}

/* The same, but it takes a nap before. */
static int start_to_run_later(struct mpt *t, void *arg)
{
	const struct timespec ts = { .tv_nsec = 10000000 };
	struct board *b = arg;

	while (b->call == 0)
		futex(&b->call, FUTEX_WAIT, 0);
	nanosleep(&ts, NULL);
	return stay_awake(t, arg);
}

static void take_some_time(long ns)
{
	struct timespec began, now;

	clock_gettime(CLOCK_MONOTONIC, &began);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((now.tv_sec - began.tv_sec) * 1000000000 + now.tv_nsec -
		       began.tv_nsec < ns);
}

/* It answers each call, so late that the victim has long been killed otherwise. */
static int answer(struct mpt *t, void *arg)
{
	struct board *b = arg;

	(void)t;
	while (!b->over) {
		futex(&b->call, FUTEX_WAIT, 0);
		if (b->call != 0 && b->reply == 0) {
			take_some_time(5000000);
			b->reply = 1;
		}
		/* Who answered waits until the call is taken back. */
		while (b->call != 0 && !b->over)
			futex(&b->call, FUTEX_WAIT, 1);
	}
	return 0;
}

static void call(void *arg)
{
	struct board *b = arg;

	mpt_step_begin();
	b->call = 1;
	futex(&b->call, FUTEX_WAKE, INT_MAX);
	stay_away(n_loops);
	b->first = 1;
	b->second = 1;
	stay_away(n_loops);
	mpt_step_end();
}

static void see_replies(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct board *b = arg;

	n_replied += b->reply;
	see_torn_pairs(arg, victim, n, finished);
	if (b->call == 0)
		return;
	/* The victim may not have come to that. */
	futex(&b->call, FUTEX_WAKE, INT_MAX);
	while (b->reply == 0)
		sched_yield();
	b->call = 0;
	futex(&b->call, FUTEX_WAKE, INT_MAX);
}

static void who_is_woken_has_settled_in_some_cases(void **state)
{
	struct board *b = mpt_scratch(*state);
	const struct mpt_stepper_opts o = {
		.name = "a call",
		.victim = call,
		.before = clear,
		.survivor = see_replies,
		.arg = b,
		.max_cases = 12,
	};
	struct mpt_stepper_result r;
	int other;

	b->over = 0;
	clear(b);
	other = mpt_fork(*state, "other", answer, b);
	n_torn = n_replied = 0;
	n_loops = 100;
	mpt_stepper_run(*state, &o, &r);
	assert_true(r.exact);
	/* At points behind the call one more is killed, which is answered first. */
	assert_in_range(r.cases, 2 + o.max_cases + 4, 2 + 2 * o.max_cases);
	assert_true(n_replied >= r.cases - o.max_cases);
	/* Behind the first store and, if that is another place, before the second. */
	assert_in_range(n_torn, 2, 4);
	b->over = b->call = 1;
	futex(&b->call, FUTEX_WAKE, INT_MAX);
	mpt_expect_exit(*state, other, 0);
}

static void expect_no_trust(struct mpt *t, mpt_fn *fn)
{
	struct board *b = mpt_scratch(t);
	const struct mpt_stepper_opts o = {
		.name = "a call that has no end",
		.victim = call,
		.survivor = see_torn_pairs,
		.arg = b,
		.max_cases = 4,
	};
	struct mpt_stepper_result r;
	int other;

	b->over = 0;
	clear(b);
	other = mpt_fork(t, "other", fn, b);
	mpt_until(t, mpt_task_state(mpt_pid(t, other)) == 'S');
	mpt_stepper_run(t, &o, &r);
	assert_false(r.exact);
	/* It is not tried again. */
	assert_int_equal(r.cases, 1 + o.max_cases);
	b->over = 1;
	mpt_expect_exit(t, other, 0);
}

static void who_is_awake_in_the_end_may_do_anything(void **state)
{
	n_loops = 100;
	expect_no_trust(*state, start_to_run);
	n_loops = 500;
	expect_no_trust(*state, start_to_run_later);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(who_sleeps_makes_no_difference),
		mpt_test(who_is_awake_may_do_anything),
		mpt_test(who_is_woken_has_settled_in_some_cases),
		mpt_test(who_is_awake_in_the_end_may_do_anything),
	};

	/* It is to be as it is by itself. */
	unsetenv("MPT_STEP");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
