/* SPDX-License-Identifier: MIT */
/*
 * queue.h: waiting for room and for messages, and how those who wait learn
 * that the queue is shut down or destroyed.
 *
 * Each test is about peers, which are processes in one round and threads in
 * another. Where a wake-up could get lost, a sleeper would still look again
 * after 50 ms; so these tests repeat what they do, and limit the time.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

#include "common.h"
#include "mpt_times.h"

#define PEERS 4

/* In the scratch bytes. */
struct board {
	mproc_queue *q;
	unsigned rounds;
	size_t size;			/* of messages and buffers */
	_Atomic pid_t tid[PEERS];
	_Atomic unsigned n_peers;
	_Atomic unsigned round;		/* that the test has begun */
	_Atomic unsigned done;		/* rounds that a peer has finished */
	_Atomic unsigned got[PEERS];
};

static struct board *
new_board(struct mpt *t, size_t capacity)
{
	struct board *b = mpt_scratch(t);

	assert_int_equal(mproc_queue_create(
		&b->q, MPROC_OPTS(mproc_queue_opts, .capacity = capacity)), 0);
	return b;
}

static unsigned
introduce_oneself(struct board *b)
{
	unsigned i = b->n_peers++;

	b->tid[i] = gettid();
	return i;
}

/* Until that many peers sleep inside the library. */
static void
await_sleep(struct mpt *t, struct board *b, unsigned peers)
{
	mpt_until(t, b->n_peers == peers);
	for (unsigned i = 0; i < peers; i++)
		mpt_until(t, mpt_task_state(b->tid[i]) == 'S');
}

static void
end(struct mpt *t, struct board *b)
{
	mpt_join_all(t);
	mproc_queue_destroy(b->q);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

/* Fills the queue with messages of 56 bytes. */
static unsigned
fill(struct mpt *t, mproc_queue *q)
{
	char msg[56] = "";
	unsigned n = 0;
	int r;

	while ((r = mproc_queue_put(q, msg, sizeof(msg), MPROC_NOWAIT)) == 0)
		n++;
	mpt_check_int(t, r, -EAGAIN);
	return n;
}

static void
a_wait_runs_out_in_time(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, 4096);
	int64_t began = mproc_now();
	char c;

	assert_int_equal(mproc_queue_get(b->q, &c, 1, NULL, mproc_ms(30)),
			 -ETIMEDOUT);
	assert_in_range(mproc_now() - began, 30 * MS, 10000 * MS);
	began = mproc_now();
	assert_int_equal(mproc_queue_get(b->q, &c, 1, NULL,
					 mproc_until(began + 30 * MS)),
			 -ETIMEDOUT);
	assert_true(mproc_now() - began >= 30 * MS);
	fill(t, b->q);
	began = mproc_now();
	assert_int_equal(mproc_queue_put(b->q, &c, 1, mproc_ms(30)),
			 -ETIMEDOUT);
	assert_true(mproc_now() - began >= 30 * MS);
	/* Longer than a slice of the sleeper. */
	began = mproc_now();
	assert_int_equal(mproc_queue_put(b->q, &c, 1, mproc_ms(120)),
			 -ETIMEDOUT);
	assert_true(mproc_now() - began >= 120 * MS);
	end(t, b);
}

static int
get_messages(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	unsigned value;

	(void)arg;
	introduce_oneself(b);
	for (unsigned i = 0; i < b->rounds; i++) {
		mpt_check_int(t, mproc_queue_get(b->q, &value, sizeof(value),
						 NULL, MPROC_FOREVER), 0);
		mpt_check_int(t, value, i);
		b->done++;
	}
	return 0;
}

static void
a_sleeping_consumer_is_woken(struct mpt *t)
{
	struct board *b = new_board(t, 4096);
	int64_t began;
	struct mpt_times spent = { 0 };

	b->rounds = 20;
	mpt_spawn(t, "consumer", get_messages, NULL);
	for (unsigned i = 0; i < b->rounds; i++) {
		await_sleep(t, b, 1);
		began = mproc_now();
		assert_int_equal(mproc_queue_put(b->q, &i, sizeof(i),
						 MPROC_NOWAIT), 0);
		mpt_until(t, b->done == i + 1);
		mpt_times_add(&spent, mproc_now() - began);
	}
	assert_true(mpt_times_median(&spent) < 25 * MS);
	end(t, b);
}

static int
put_messages(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	char *msg = calloc(1, b->size);

	(void)arg;
	fill(t, b->q);
	introduce_oneself(b);
	for (unsigned i = 0; i < b->rounds; i++) {
		mpt_check_int(t, mproc_queue_put(b->q, msg, b->size,
						 MPROC_FOREVER), 0);
		b->done++;
	}
	free(msg);
	return 0;
}

static void
a_blocked_producer_goes_on_when_there_is_room(struct mpt *t)
{
	struct board *b = new_board(t, 4096);
	int64_t began;
	struct mpt_times spent = { 0 };
	char buf[64];

	b->rounds = 20;
	b->size = 56;
	mpt_spawn(t, "producer", put_messages, NULL);
	for (unsigned i = 0; i < b->rounds; i++) {
		await_sleep(t, b, 1);
		began = mproc_now();
		assert_int_equal(mproc_queue_get(b->q, buf, sizeof(buf), NULL,
						 MPROC_NOWAIT), 0);
		mpt_until(t, b->done == i + 1);
		mpt_times_add(&spent, mproc_now() - began);
	}
	assert_true(mpt_times_median(&spent) < 25 * MS);
	end(t, b);
}

/* There is room for it in one piece, whatever lies before the lane's end. */
static int
get_large(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	static char buf[4096];

	(void)arg;
	introduce_oneself(b);
	for (unsigned i = 0; i < 2 * b->rounds; i++) {
		mpt_check_int(t, mproc_queue_get(b->q, buf, sizeof(buf), NULL,
						 MPROC_FOREVER), 0);
		b->done++;
	}
	return 0;
}

static void
a_message_behind_padding_wakes_the_consumer(struct mpt *t)
{
	struct board *b = new_board(t, 4096);
	int64_t began;
	struct mpt_times spent = { 0 };
	static char msg[2040];

	b->rounds = 20;
	mpt_spawn(t, "consumer", get_large, NULL);
	for (unsigned i = 0; i < b->rounds; i++) {
		assert_int_equal(mproc_queue_put(b->q, msg, 2000,
						 MPROC_FOREVER), 0);
		mpt_until(t, b->done == 2 * i + 1);
		await_sleep(t, b, 1);
		began = mproc_now();
		assert_int_equal(mproc_queue_put(b->q, msg, 2040,
						 MPROC_FOREVER), 0);
		mpt_until(t, b->done == 2 * i + 2);
		mpt_times_add(&spent, mproc_now() - began);
	}
	assert_true(mpt_times_median(&spent) < 25 * MS);
	end(t, b);
}

/*
 * From the other side: there is room as soon as the padding in front of a
 * message is passed, also by a consumer whom that message does not fit.
 */
static int
put_around_the_end(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	static char msg[2040];

	for (int i = 0; i < 3; i++)
		mpt_check_int(t, mproc_queue_put(b->q, msg, 1184, MPROC_NOWAIT),
			      0);
	/* 496 bytes to the end, which the next message cannot use. */
	mpt_check_int(t, mproc_queue_put(b->q, msg, 2040, MPROC_FOREVER), 0);
	mpt_check_int(t, mproc_queue_put(b->q, msg, 1536, MPROC_FOREVER), 0);
	introduce_oneself(b);
	mpt_check_int(t, mproc_queue_put(b->q, msg, 400, MPROC_FOREVER), 0);
	b->done++;
	(void)arg;
	return 0;
}

static void
passed_padding_wakes_the_producer_though_nothing_was_taken(struct mpt *t)
{
	struct board *b = NULL;
	int64_t began;
	struct mpt_times spent = { 0 };
	static char buf[4096];

	for (unsigned i = 0; i < 10; i++) {
		b = new_board(t, 4096);
		b->n_peers = 0;
		mpt_spawn(t, "producer", put_around_the_end, NULL);
		for (int j = 0; j < 3; j++)
			assert_int_equal(mproc_queue_get(b->q, buf, sizeof(buf),
							 NULL, MPROC_FOREVER),
					 0);
		await_sleep(t, b, 1);
		/* Its first sleeps are short ones, for more room than needed. */
		began = mproc_now();
		mpt_until(t, mproc_now() - began > 70 * MS);
		await_sleep(t, b, 1);
		began = mproc_now();
		assert_int_equal(mproc_queue_get(b->q, buf, 10, NULL,
						 MPROC_NOWAIT), -EMSGSIZE);
		mpt_until(t, b->done == i + 1);
		mpt_times_add(&spent, mproc_now() - began);
		mpt_join_all(t);
		mproc_queue_destroy(b->q);
		assert_true(mproc_arena_recover(NULL) >= 0);
	}
	assert_true(mpt_times_median(&spent) < 25 * MS);
}

static int
get_one_each(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	unsigned me = introduce_oneself(b), value;

	(void)arg;
	mpt_check_int(t, mproc_queue_get(b->q, &value, sizeof(value), NULL,
					 MPROC_FOREVER), 0);
	b->got[me] = value;
	b->done++;
	return 0;
}

static void
as_many_are_woken_as_there_are_messages(struct mpt *t)
{
	struct board *b = new_board(t, 4096);
	unsigned sum = 0;

	for (unsigned i = 0; i < PEERS; i++)
		mpt_spawn(t, "consumer", get_one_each, NULL);
	await_sleep(t, b, PEERS);
	for (unsigned i = 1; i <= PEERS; i++) {
		assert_int_equal(mproc_queue_put(b->q, &i, sizeof(i),
						 MPROC_NOWAIT), 0);
		if (i == 2)
			mpt_until(t, b->done == 2);
	}
	mpt_until(t, b->done == PEERS);
	for (unsigned i = 0; i < PEERS; i++)
		sum += b->got[i];
	assert_int_equal(sum, PEERS * (PEERS + 1) / 2);
	end(t, b);
}

static int
get_with_little_room(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	size_t len = 0;
	char buf[10];

	(void)arg;
	introduce_oneself(b);
	mpt_check_int(t, mproc_queue_get(b->q, buf, sizeof(buf), &len,
					 MPROC_FOREVER), -EMSGSIZE);
	mpt_check_int(t, len, 50);
	return 0;
}

static int
get_with_room(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	char buf[100];

	(void)arg;
	introduce_oneself(b);
	mpt_check_int(t, mproc_queue_get(b->q, buf, sizeof(buf), NULL,
					 MPROC_FOREVER), 0);
	b->done++;
	return 0;
}

static void
a_message_too_long_for_one_is_left_to_another(struct mpt *t)
{
	struct board *b = new_board(t, 4096);
	int64_t began;
	struct mpt_times spent = { 0 };
	char msg[50] = "";

	for (unsigned i = 0; i < 10; i++) {
		b->n_peers = 0;
		/* The first one is woken first. */
		mpt_spawn(t, "small", get_with_little_room, NULL);
		await_sleep(t, b, 1);
		mpt_spawn(t, "large", get_with_room, NULL);
		await_sleep(t, b, 2);
		began = mproc_now();
		assert_int_equal(mproc_queue_put(b->q, msg, sizeof(msg),
						 MPROC_NOWAIT), 0);
		mpt_until(t, b->done == i + 1);
		mpt_times_add(&spent, mproc_now() - began);
		/* One that has not seen it yet sees it now. */
		assert_int_equal(mproc_queue_put(b->q, msg, sizeof(msg),
						 MPROC_NOWAIT), 0);
		mpt_join_all(t);
		assert_int_equal(mproc_queue_get(b->q, msg, sizeof(msg), NULL,
						 MPROC_NOWAIT), 0);
		assert_true(mproc_arena_recover(NULL) >= 0);
	}
	assert_true(mpt_times_median(&spent) < 25 * MS);
	end(t, b);
}

/* A peer that waits in vain, and what it is told at last. */
static int
get_until_closed(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	char buf[64];

	introduce_oneself(b);
	mpt_check_int(t, mproc_queue_get(b->q, buf, sizeof(buf), NULL,
					 MPROC_FOREVER), -ESHUTDOWN);
	if (arg)
		mpt_check_int(t, mproc_queue_get(b->q, buf, sizeof(buf), NULL,
						 MPROC_FOREVER), -ESTALE);
	return 0;
}

static int
put_until_closed(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	char msg[56] = "";

	fill(t, b->q);
	introduce_oneself(b);
	mpt_check_int(t, mproc_queue_put(b->q, msg, sizeof(msg), MPROC_FOREVER),
		      -ESHUTDOWN);
	mpt_check_int(t, mproc_queue_put(b->q, msg, sizeof(msg), MPROC_FOREVER),
		      arg ? -ESTALE : -ESHUTDOWN);
	return 0;
}

enum { ROUNDS = 8 };

/* Peers that wait for the end of a queue, how it ends, and how long it takes
 * until they know. */
static int64_t
end_waits(struct mpt *t, struct board *b, mpt_fn *fn, unsigned flags)
{
	int64_t began;

	b->n_peers = 0;
	for (int i = 0; i < 2; i++)
		mpt_spawn(t, "peer", fn, flags ? NULL : b);
	await_sleep(t, b, 2);
	/* A producer's first sleep is a short one. */
	began = mproc_now();
	mpt_until(t, mproc_now() - began > 3 * MS);
	await_sleep(t, b, 2);
	began = mproc_now();
	if (flags)
		assert_int_equal(mproc_queue_shutdown(b->q, flags), 0);
	else
		mproc_queue_destroy(b->q);
	mpt_join_all(t);
	return mproc_now() - began;
}

static void
shutdown_wakes_consumers(struct mpt *t)
{
	struct mpt_times spent[2] = { 0 };

	for (int i = 0; i < ROUNDS; i++) {
		struct board *b = new_board(t, 4096);

		mpt_times_add(&spent[i % 2],
			      end_waits(t, b, get_until_closed,
					i % 2 ? MPROC_DRAIN : MPROC_IMMEDIATE));
		end(t, b);
	}
	for (int k = 0; k < 2; k++)
		assert_true(mpt_times_median(&spent[k]) < 25 * MS);
}

static void
shutdown_wakes_producers_and_keeps_what_is_queued(struct mpt *t)
{
	struct mpt_times spent = { 0 };
	char buf[64];

	for (int i = 0; i < ROUNDS; i++) {
		struct board *b = new_board(t, 4096);
		unsigned n = 0;

		mpt_times_add(&spent, end_waits(t, b, put_until_closed,
						MPROC_DRAIN));
		while (mproc_queue_get(b->q, buf, sizeof(buf), NULL,
				       MPROC_FOREVER) == 0)
			n++;
		assert_int_equal(n, 2 * 4096 / 64);
		end(t, b);
	}
	assert_true(mpt_times_median(&spent) < 25 * MS);
}

static void
an_immediate_shutdown_wakes_producers(struct mpt *t)
{
	struct mpt_times spent = { 0 };

	for (int i = 0; i < ROUNDS; i++) {
		struct board *b = new_board(t, 4096);

		mpt_times_add(&spent, end_waits(t, b, put_until_closed,
						MPROC_IMMEDIATE));
		end(t, b);
	}
	assert_true(mpt_times_median(&spent) < 25 * MS);
}

static void
destroy_wakes_all_who_wait(struct mpt *t)
{
	struct mproc_arena_stat before;
	struct mpt_times spent[2] = { 0 };

	assert_true(mproc_arena_recover(NULL) >= 0);
	before = stat_now();
	for (int i = 0; i < ROUNDS; i++) {
		mpt_times_add(&spent[i % 2],
			      end_waits(t, new_board(t, 4096), i % 2 ?
						get_until_closed :
						put_until_closed, 0));
		expect_stat(&before);
	}
	for (int k = 0; k < 2; k++)
		assert_true(mpt_times_median(&spent[k]) < 25 * MS);
}

static int
get_late(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	char c;

	(void)arg;
	mpt_check_int(t, mproc_queue_get(b->q, &c, 1, NULL, MPROC_NOWAIT),
		      -EAGAIN);
	introduce_oneself(b);
	mpt_reach(t, 1);
	mpt_check_int(t, mproc_queue_get(b->q, &c, 1, NULL, MPROC_NOWAIT),
		      -ESTALE);
	mpt_check_int(t, mproc_queue_put(b->q, &c, 1, MPROC_NOWAIT), -ESTALE);
	mpt_check_int(t, mproc_queue_shutdown(b->q, MPROC_DRAIN), -ESTALE);
	b->done = 1;
	mpt_reach(t, 2);
	return 0;
}

static void
memory_comes_back_when_the_last_user_has_noticed(struct mpt *t)
{
	struct mproc_arena_stat before;
	struct board *b;

	assert_true(mproc_arena_recover(NULL) >= 0);
	before = stat_now();
	b = new_board(t, 4096);
	assert_int_equal(mproc_queue_put(b->q, "x", 1, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_get(b->q, (char[1]){ 0 }, 1, NULL,
					 MPROC_NOWAIT), 0);
	mpt_spawn(t, "user", get_late, NULL);
	mpt_until(t, b->n_peers == 1);
	mproc_queue_destroy(b->q);
	assert_int_equal(stat_now().queues, before.queues + 1);
	mpt_step(t, 0);
	mpt_until(t, b->done == 1);
	assert_int_equal(stat_now().queues, before.queues);
	assert_int_equal(stat_now().blocks, before.blocks);
	mpt_step(t, 1);
	mpt_join_all(t);
	expect_stat(&before);
}

static void
nothing_happens(int sig)
{
	(void)sig;
}

static int
get_messages_with_a_handler(struct mpt *t, void *arg)
{
	struct sigaction action = { .sa_handler = nothing_happens };

	mpt_check_int(t, sigaction(SIGUSR1, &action, NULL), 0);
	return get_messages(t, arg);
}

static void
a_wait_goes_on_after_a_signal_handler(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t, 4096);
	unsigned value = 0;

	b->rounds = 1;
	mpt_spawn(t, "consumer", get_messages_with_a_handler, NULL);
	for (int i = 0; i < 5; i++) {
		await_sleep(t, b, 1);
		assert_int_equal(kill(b->tid[0], SIGUSR1), 0);
	}
	assert_int_equal(b->done, 0);
	assert_int_equal(mproc_queue_put(b->q, &value, sizeof(value),
					 MPROC_NOWAIT), 0);
	end(t, b);
}

both(a_sleeping_consumer_is_woken)
both(a_blocked_producer_goes_on_when_there_is_room)
both(a_message_behind_padding_wakes_the_consumer)
both(passed_padding_wakes_the_producer_though_nothing_was_taken)
both(as_many_are_woken_as_there_are_messages)
both(a_message_too_long_for_one_is_left_to_another)
both(shutdown_wakes_consumers)
both(shutdown_wakes_producers_and_keeps_what_is_queued)
both(an_immediate_shutdown_wakes_producers)
both(destroy_wakes_all_who_wait)
both(memory_comes_back_when_the_last_user_has_noticed)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_wait_runs_out_in_time),
		both_tests(a_sleeping_consumer_is_woken),
		both_tests(a_blocked_producer_goes_on_when_there_is_room),
		both_tests(a_message_behind_padding_wakes_the_consumer),
		both_tests(
			passed_padding_wakes_the_producer_though_nothing_was_taken),
		both_tests(as_many_are_woken_as_there_are_messages),
		both_tests(a_message_too_long_for_one_is_left_to_another),
		both_tests(shutdown_wakes_consumers),
		both_tests(shutdown_wakes_producers_and_keeps_what_is_queued),
		both_tests(an_immediate_shutdown_wakes_producers),
		both_tests(destroy_wakes_all_who_wait),
		both_tests(memory_comes_back_when_the_last_user_has_noticed),
		mpt_test(a_wait_goes_on_after_a_signal_handler),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
