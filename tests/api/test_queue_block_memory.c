/* SPDX-License-Identifier: MIT */
/*
 * queue.h: long messages where the arena's memory is short. Producers wait for
 * what is queued, or held, to be given back, and fail at once if there is
 * nothing that could be.
 *
 * The arena is as small as one can be, and all of it is taken, but for memory
 * for two messages.
 */
#include <stdatomic.h>

#include "common.h"
#include "mpt_times.h"

#define LEN 900000 /* of which there is one to the MiB */
#define ROOM 2

/* In the scratch bytes. */
struct job {
	mproc_queue *q;
	bool single;
	bool in_place;
	unsigned rounds;
	_Atomic unsigned turn;
	_Atomic pid_t tid;
	_Atomic unsigned done;
};

static unsigned char message[LEN], buffer[LEN];

static int
with_a_small_arena(void **state)
{
	int r = mproc_arena_configure_default(MPROC_OPTS(
		mproc_arena_opts, .capacity = (size_t)16 << 20));

	return r < 0 ? r : with_arena(state);
}

static void
fill(unsigned char *to, unsigned number)
{
	memset(to, (int)number, LEN);
	memcpy(to, &number, sizeof(number));
}

static bool
is_message(const unsigned char *at, unsigned number)
{
	return memcmp(at, &number, sizeof(number)) == 0 &&
	       at[sizeof(number)] == (unsigned char)number &&
	       memcmp(at + sizeof(number), at + sizeof(number) + 1,
		      LEN - sizeof(number) - 1) == 0;
}

static int
put(mproc_queue *q, unsigned number, mproc_timeout timeout)
{
	fill(message, number);
	return mproc_queue_put(q, message, LEN, timeout);
}

static void
get(mproc_queue *q, unsigned number)
{
	size_t len = 0;

	assert_int_equal(mproc_queue_get(q, buffer, LEN, &len, MPROC_NOWAIT),
			 0);
	assert_int_equal(len, LEN);
	assert_true(is_message(buffer, number));
}

static void *taken[16];
static unsigned n_taken;

/* Takes all memory in which a long message could lie, but for @room of them. */
static void
leave_room_for(unsigned room)
{
	while (n_taken < 16 && (taken[n_taken] = mproc_alloc(LEN)))
		n_taken++;
	assert_in_range(n_taken, room, 15);
	while (room--)
		mproc_free(taken[--n_taken]);
}

static void
give_back(void)
{
	while (n_taken)
		mproc_free(taken[--n_taken]);
}

/* A queue that has all but memory for long messages. */
static struct job *
new_job(struct mpt *t, bool threads, bool single)
{
	struct job *job = mpt_scratch(t);

	mpt_use_threads(t, threads);
	*job = (struct job){ .single = single };
	assert_true(mproc_arena_recover(NULL) >= 0);
	assert_int_equal(mproc_queue_create(
		&job->q, MPROC_OPTS(mproc_queue_opts,
				    .single_consumer = single)), 0);
	assert_int_equal(mproc_queue_put(job->q, message, 40000, MPROC_NOWAIT),
			 0);
	assert_int_equal(mproc_queue_get(job->q, buffer, LEN, NULL,
					 MPROC_NOWAIT), 0);
	leave_room_for(ROOM);
	return job;
}

static void
end(struct mpt *t, struct job *job)
{
	mpt_join_all(t);
	mproc_queue_destroy(job->q);
	give_back();
	assert_true(mproc_arena_recover(NULL) >= 0);
}

static bool
is_short(int r)
{
	return r == -ENOSPC || r == -ENOMEM;
}

/* Whoever waits for it would wait for ever. */
static void
where_nothing_is_queued_it_fails_at_once(void **state)
{
	for (int single = 0; single < 2; single++) {
		struct job *job = new_job(*state, false, single);
		void *p;

		leave_room_for(0);
		for (int i = 0; i < 10; i++) {
			assert_true(is_short(put(job->q, 1, MPROC_NOWAIT)));
			assert_true(is_short(put(job->q, 1, MPROC_FOREVER)));
			assert_true(is_short(mproc_queue_reserve(
				job->q, LEN, &p, MPROC_FOREVER)));
			assert_int_equal(mproc_queue_len(job->q), 0);
			/* The lane is as good as before. */
			assert_int_equal(mproc_queue_put(job->q, "x", 1,
							 MPROC_NOWAIT), 0);
			assert_int_equal(mproc_queue_get(job->q, buffer, 1,
							 NULL, MPROC_NOWAIT),
					 0);
		}
		leave_room_for(1);
		assert_int_equal(put(job->q, 1, MPROC_NOWAIT), 0);
		get(job->q, 1);
		end(*state, job);
	}
}

static void
where_something_is_queued_it_is_full(void **state)
{
	for (int single = 0; single < 2; single++) {
		struct job *job = new_job(*state, false, single);
		unsigned n = 0;

		for (unsigned i = 0; i < 10; i++) {
			while (put(job->q, n, MPROC_NOWAIT) == 0)
				n++;
			assert_int_equal(n, i + ROOM);
			assert_int_equal(put(job->q, n, MPROC_NOWAIT), -EAGAIN);
			assert_int_equal(put(job->q, n, mproc_ms(5)),
					 -ETIMEDOUT);
			assert_int_equal(mproc_queue_len(job->q), ROOM);
			get(job->q, i);
		}
		end(*state, job);
	}
}

/* A thread cannot wait for what it holds itself. */
static void
what_one_holds_oneself_does_not_count(void **state)
{
	for (int single = 0; single < 2; single++) {
		struct job *job = new_job(*state, false, single);
		const void *shown;
		void *p;

		leave_room_for(1);
		assert_int_equal(put(job->q, 1, MPROC_NOWAIT), 0);
		assert_int_equal(mproc_queue_peek(job->q, &shown, NULL,
						  MPROC_NOWAIT), 0);
		assert_true(is_short(mproc_queue_reserve(job->q, LEN, &p,
							 MPROC_NOWAIT)));
		assert_true(is_short(put(job->q, 1, MPROC_FOREVER)));
		assert_true(is_message(shown, 1));
		assert_int_equal(mproc_queue_release(job->q, shown), 0);
		assert_int_equal(mproc_queue_reserve(job->q, LEN, &p,
						     MPROC_NOWAIT), 0);
		assert_int_equal(mproc_queue_abort(job->q, p), 0);
		assert_int_equal(put(job->q, 2, MPROC_NOWAIT), 0);
		get(job->q, 2);
		end(*state, job);
	}
}

#define ROUNDS 20

static int
put_when_there_is_memory(struct mpt *t, void *arg)
{
	struct job *job = arg;
	void *p;

	for (unsigned i = 0; i < ROOM + ROUNDS; i++) {
		if (i == ROOM)
			job->tid = gettid();
		if (job->in_place) {
			mpt_check_int(t, mproc_queue_reserve(
				job->q, LEN, &p, MPROC_FOREVER), 0);
			fill(p, i);
			mpt_check_int(t, mproc_queue_commit(job->q, p, LEN), 0);
		} else {
			mpt_check_int(t, put(job->q, i, MPROC_FOREVER), 0);
		}
		job->done++;
	}
	return 0;
}

/* Until it sleeps inside the library. */
static void
await_sleep(struct mpt *t, struct job *job)
{
	mpt_until(t, job->tid);
	mpt_until(t, mpt_task_state(job->tid) == 'S');
}

/* A message that is taken wakes the producer, not its next look for the
 * dead. */
static void
memory_is_waited_for(struct mpt *t, bool threads, bool single, bool in_place)
{
	struct job *job = new_job(t, threads, single);
	int64_t began;
	struct mpt_times spent[2] = { 0 };
	const void *shown;

	job->in_place = in_place;
	mpt_spawn(t, "producer", put_when_there_is_memory, job);
	for (unsigned i = 0; i < ROUNDS; i++) {
		mpt_until(t, job->done == ROOM + i);
		await_sleep(t, job);
		assert_int_equal(job->done, ROOM + i);
		if (i % 2) {
			assert_int_equal(mproc_queue_peek(
				job->q, &shown, NULL, MPROC_NOWAIT), 0);
			assert_true(is_message(shown, i));
			began = mproc_now();
			assert_int_equal(mproc_queue_release(job->q, shown), 0);
		} else {
			began = mproc_now();
			get(job->q, i);
		}
		mpt_until(t, job->done == ROOM + i + 1);
		mpt_times_add(&spent[i % 2], mproc_now() - began);
	}
	for (int k = 0; k < 2; k++)
		assert_true(mpt_times_median(&spent[k]) < 25 * MS);
	end(t, job);
}

static void
a_put_waits_for_memory(void **state)
{
	for (int i = 0; i < 4; i++)
		memory_is_waited_for(*state, i & 1, i & 2, false);
}

static void
a_reservation_waits_for_memory(void **state)
{
	for (int i = 0; i < 4; i++)
		memory_is_waited_for(*state, i & 1, i & 2, true);
}

static int
put_in_turn(struct mpt *t, void *arg)
{
	struct job *job = arg;

	for (unsigned i = 0; i < job->rounds; i++) {
		mpt_until(t, job->turn == i + 1);
		job->tid = gettid();
		mpt_check_int(t, put(job->q, i, MPROC_FOREVER), 0);
		job->tid = 0;
		job->done++;
	}
	return 0;
}

/* What is given up wakes it as well. */
static void
an_abort_is_waited_for(void **state)
{
	struct mpt *t = *state;

	for (int i = 0; i < 4; i++) {
		struct job *job = new_job(t, i & 1, i & 2);
		int64_t began;
		struct mpt_times spent = { 0 };
		void *p;

		leave_room_for(1);
		job->rounds = ROUNDS;
		mpt_spawn(t, "producer", put_in_turn, job);
		for (unsigned j = 0; j < ROUNDS; j++) {
			assert_int_equal(mproc_queue_reserve(
				job->q, LEN, &p, MPROC_NOWAIT), 0);
			job->turn++;
			await_sleep(t, job);
			assert_int_equal(job->done, j);
			began = mproc_now();
			assert_int_equal(mproc_queue_abort(job->q, p), 0);
			mpt_until(t, job->done == j + 1);
			mpt_times_add(&spent, mproc_now() - began);
			get(job->q, j);
		}
		assert_true(mpt_times_median(&spent) < 25 * MS);
		end(t, job);
	}
}

static int
reserve_and_wait(struct mpt *t, void *arg)
{
	struct job *job = arg;
	void *p;

	mpt_check_int(t, mproc_queue_reserve(job->q, LEN, &p, MPROC_NOWAIT), 0);
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

/* And what a killed one held. */
static void
a_death_is_waited_for(void **state)
{
	struct mpt *t = *state;
	struct job *job = new_job(t, false, false);
	int holder;

	leave_room_for(1);
	holder = mpt_spawn(t, "holder", reserve_and_wait, job);
	mpt_reach(t, 1);
	job->rounds = 1;
	job->turn = 1;
	mpt_spawn(t, "producer", put_in_turn, job);
	await_sleep(t, job);
	assert_int_equal(job->done, 0);
	mpt_kill(t, holder);
	mpt_until(t, job->done);
	get(job->q, 0);
	end(t, job);
}

static int
put_and_be_refused(struct mpt *t, void *arg)
{
	struct job *job = arg;

	job->tid = gettid();
	mpt_check_int(t, put(job->q, 7, MPROC_FOREVER), -ESHUTDOWN);
	return 0;
}

static void
the_end_of_the_queue_ends_the_wait(void **state)
{
	struct mpt *t = *state;

	for (int i = 0; i < 8; i++) {
		struct job *job = new_job(t, i & 1, i & 2);

		leave_room_for(1);
		assert_int_equal(put(job->q, 1, MPROC_NOWAIT), 0);
		mpt_spawn(t, "producer", put_and_be_refused, job);
		await_sleep(t, job);
		if (i & 4)
			mproc_queue_destroy(job->q);
		else
			assert_int_equal(mproc_queue_shutdown(job->q,
							      MPROC_DRAIN), 0);
		end(t, job);
	}
}

#define STREAM 300
#define PRODUCERS 3

static int
stream_in(struct mpt *t, void *arg)
{
	struct job *job = arg;

	for (unsigned i = 0; i < amount(STREAM); i++)
		mpt_check_int(t, put(job->q, i, MPROC_FOREVER), 0);
	return 0;
}

/* More producers than there is memory for: all of them come to an end. */
static void
several_producers_share_what_there_is(void **state)
{
	struct mpt *t = *state;

	for (int single = 0; single < 2; single++) {
		struct job *job = new_job(t, false, single);
		unsigned n[10 * STREAM] = { 0 }, number;

		for (int i = 0; i < PRODUCERS; i++)
			mpt_spawn(t, "producer", stream_in, job);
		for (unsigned i = 0; i < PRODUCERS * amount(STREAM); i++) {
			assert_int_equal(mproc_queue_get(job->q, buffer, LEN,
							 NULL, MPROC_FOREVER),
					 0);
			memcpy(&number, buffer, sizeof(number));
			assert_true(number < amount(STREAM));
			assert_true(is_message(buffer, number));
			n[number]++;
		}
		for (unsigned i = 0; i < amount(STREAM); i++)
			assert_int_equal(n[i], PRODUCERS);
		end(t, job);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(where_nothing_is_queued_it_fails_at_once),
		mpt_test(where_something_is_queued_it_is_full),
		mpt_test(what_one_holds_oneself_does_not_count),
		mpt_test(a_put_waits_for_memory),
		mpt_test(a_reservation_waits_for_memory),
		mpt_test(an_abort_is_waited_for),
		mpt_test(a_death_is_waited_for),
		mpt_test(the_end_of_the_queue_ends_the_wait),
		mpt_test(several_producers_share_what_there_is),
	};

	return cmocka_run_group_tests(tests, with_a_small_arena, NULL);
}
