/* SPDX-License-Identifier: MIT */
/*
 * No wake-up is lost, not even one that comes while its receiver is about to
 * sleep: many consumers fall asleep, are woken by messages, by the deaths of
 * others, and at last by the queue's shutdown. Then a roll is called, for which
 * each one of them must be woken by a message of its own: who sleeps and
 * cannot be chosen shows. All must come by a wake-up, and not by the end of
 * their slices. With so many sleepers a slice is 5 seconds.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <mproc/mproc.h>

#include "mpt.h"
#include "mpt_rand.h"

#define WORKERS 100
#define KILLS 10
#define ANSWERS 3 /* to each message */
#define MESSAGE_MAX 2000
#define ROLL_CALL MESSAGE_MAX /* the length says it; others are shorter */
#define IDLE 50 /* looks in vain after which all are asleep */
#define BETWEEN_KILLS 20000000 /* ns */
#define WELL_BEFORE_A_SLICE 3000000000 /* ns */

/* Whoever has answered a roll call sleeps at the gate. */
static mproc_queue *tasks, *results, *gate;

static int
worker(void *arg)
{
	static char message[MESSAGE_MAX];
	size_t len;
	int r;

	(void)arg;
	do {
		r = mproc_queue_get(tasks, message, sizeof(message), &len,
				    MPROC_FOREVER);
		for (int i = 0; i < ANSWERS && r == 0; i++)
			r = mproc_queue_put(results, message, len,
					    MPROC_FOREVER);
		if (r == 0 && len == ROLL_CALL)
			r = mproc_queue_get(gate, message, sizeof(message),
					    NULL, MPROC_FOREVER);
	} while (r == 0);
	return 0;
}

static void
start(mproc_process **ret_p)
{
	assert_int_equal(mproc_process_start(ret_p, worker, NULL, NULL), 0);
}

/* Takes results until there are none for a moment. */
static unsigned
take_results(void)
{
	static char message[MESSAGE_MAX];
	unsigned n = 0;

	while (mproc_queue_get(results, message, sizeof(message), NULL,
			       mproc_ms(1)) == 0)
		n++;
	return n;
}

static void
feed(struct mpt_rand *rand)
{
	static const char message[MESSAGE_MAX];

	while (mproc_queue_put(tasks, message,
			       mpt_rand_below(rand, MESSAGE_MAX),
			       MPROC_NOWAIT) == 0)
		;
	take_results();
}

/* Most fall asleep again and again: there is more to wait for than to do. */
static void
work_and_be_killed(struct mpt_rand *rand, mproc_process *p[WORKERS])
{
	int64_t next = mproc_now();

	for (int kills = 0; kills < KILLS;) {
		uint64_t victim = mpt_rand_below(rand, WORKERS);

		feed(rand);
		if (mproc_now() < next)
			continue;
		next = mproc_now() + BETWEEN_KILLS;
		kills++;
		mproc_process_kill(p[victim]);
		assert_int_equal(mproc_process_join(p[victim], MPROC_FOREVER),
				 0);
		mproc_process_close(p[victim]);
		start(&p[victim]);
	}
}

static void
finish_the_work(void)
{
	unsigned idle = 0;

	while (mproc_queue_len(tasks))
		take_results();
	while (idle < IDLE)
		idle = take_results() ? 0 : idle + 1;
}

static mproc_timeout
well_before_a_slice(void)
{
	return mproc_until(mproc_now() + WELL_BEFORE_A_SLICE);
}

static void
call_the_roll(void)
{
	static char message[MESSAGE_MAX];
	mproc_timeout until = well_before_a_slice();

	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(mproc_queue_put(tasks, message, ROLL_CALL,
						 until), 0);
	for (int i = 0; i < WORKERS * ANSWERS; i++)
		assert_int_equal(mproc_queue_get(results, message,
						 sizeof(message), NULL, until),
				 0);
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(mproc_queue_put(gate, NULL, 0, until), 0);
}

static void
wake_ups_reach_every_sleeper(void **state)
{
	mproc_process *p[WORKERS];
	struct mpt_rand rand;
	mproc_timeout until;

	mpt_watchdog(*state, 60);
	mpt_rand_init(&rand, mpt_seed());
	assert_int_equal(mproc_queue_create(&tasks, NULL), 0);
	assert_int_equal(mproc_queue_create(&gate, NULL), 0);
	assert_int_equal(mproc_queue_create(&results,
					    MPROC_OPTS(mproc_queue_opts,
						       .single_consumer =
							       true)),
			 0);
	for (int i = 0; i < WORKERS; i++)
		start(&p[i]);
	work_and_be_killed(&rand, p);
	finish_the_work();
	call_the_roll();

	assert_int_equal(mproc_queue_shutdown(tasks, MPROC_IMMEDIATE), 0);
	assert_int_equal(mproc_queue_shutdown(results, MPROC_IMMEDIATE), 0);
	until = well_before_a_slice();
	for (int i = 0; i < WORKERS; i++) {
		assert_int_equal(mproc_process_join(p[i], until), 0);
		mproc_process_close(p[i]);
	}
	mproc_queue_destroy(tasks);
	mproc_queue_destroy(gate);
	mproc_queue_destroy(results);
}

static int
setup(void **state)
{
	(void)state;
	return mproc_arena_default() ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(wake_ups_reach_every_sleeper),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
