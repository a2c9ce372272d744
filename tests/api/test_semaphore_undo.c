/* SPDX-License-Identifier: MIT */
/*
 * sync.h: semaphores whose permits have owners.
 */
#include "mpt_times.h"
#include "semaphore.h"

static int
hold(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check_int(t, mproc_semaphore_acquire(b->s, mproc_sec(20)), 0);
	b->tid = gettid();
	wait_to_be_killed(t);
	return 0;
}

static void
a_dead_holders_permit_is_there_again(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board_of(t, .value = 2, .undo = true);
	int id;

	for (int recovered = 0; recovered < 2; recovered++) {
		b->tid = 0;
		id = mpt_spawn(t, "holder", hold, NULL);
		mpt_until(t, b->tid);
		assert_int_equal(mproc_semaphore_value(b->s), 1);
		assert_int_equal(mproc_semaphore_release(b->s), -EPERM);
		assert_true(detail_has("no permit"));
		mpt_kill(t, id);
		if (recovered)
			assert_true(mproc_arena_recover(NULL) >= 1);
		assert_int_equal(mproc_semaphore_value(b->s), 2);
		for (int i = 0; i < 2; i++)
			assert_int_equal(mproc_semaphore_acquire(
						 b->s, MPROC_NOWAIT), 0);
		assert_int_equal(mproc_semaphore_acquire(b->s, MPROC_NOWAIT),
				 -EAGAIN);
		assert_int_equal(mproc_semaphore_acquire(b->s, mproc_ms(20)),
				 -ETIMEDOUT);
		for (int i = 0; i < 2; i++)
			assert_int_equal(mproc_semaphore_release(b->s), 0);
		assert_int_equal(mproc_semaphore_release(b->s), -EPERM);
		assert_int_equal(mproc_semaphore_value(b->s), 2);
	}
	end(t, b);
}

static int
acquire_and_release(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	acquire_once(t, arg);
	mpt_check_int(t, mproc_semaphore_release(b->s), 0);
	return 0;
}

/* Returns how long it takes. */
static int64_t
pass_a_dead_ones_permit(struct mpt *t, struct board *b, bool recover)
{
	int64_t began;
	int ids[2];

	b->done = 0;
	for (int k = 0; k < 2; k++) {
		b->tid = 0;
		ids[k] = mpt_spawn(t, "holder", hold, NULL);
		mpt_until(t, b->tid);
	}
	for (int k = 0; k < 3; k++)
		spawn_sleeper(t, &b->tid, acquire_and_release);
	began = mproc_now();
	mpt_kill(t, ids[0]);
	if (recover)
		assert_true(mproc_arena_recover(NULL) >= 0);
	mpt_until(t, b->done == 3);
	began = mproc_now() - began;
	mpt_kill(t, ids[1]);
	mpt_join_all(t);
	assert_int_equal(mproc_semaphore_value(b->s), 2);
	return began;
}

static void
those_who_wait_get_a_dead_ones_permit(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board_of(t, .value = 2, .undo = true);
	unsigned rounds = amount(20);
	struct mpt_times spent = { 0 }, told = { 0 };

	for (unsigned i = 0; i < rounds; i++) {
		mpt_times_add(&spent, pass_a_dead_ones_permit(t, b, false));
		mpt_times_add(&told, pass_a_dead_ones_permit(t, b, true));
	}
	/* 100 ms each, and what a busy machine adds; at once, if somebody has
	 * noticed it. */
	assert_true(mpt_times_median(&spent) < 150 * MS);
	assert_true(mpt_times_median(&told) < 20 * MS);
	end(t, b);
}

static void *
acquire_and_end(void *s)
{
	return mproc_semaphore_acquire(s, MPROC_NOWAIT) ? s : NULL;
}

static void
a_thread_that_ends_gives_its_permits_back(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board_of(t, .value = 1, .undo = true);
	pthread_t thread;
	void *failed;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(pthread_create(&thread, NULL, acquire_and_end,
						b->s), 0);
		pthread_join(thread, &failed);
		assert_null(failed);
		assert_int_equal(mproc_semaphore_value(b->s), 1);
	}
	end(t, b);
}

static int
hold_until_told(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check_int(t, mproc_semaphore_acquire(b->s, MPROC_NOWAIT), 0);
	b->tid = gettid();
	mpt_until(t, b->stop);
	return 0;
}

static void
those_who_wait_get_an_ended_threads_permit(struct mpt *t)
{
	struct board *b = new_board_of(t, .value = 1, .undo = true);

	mpt_spawn(t, "holder", hold_until_told, NULL);
	mpt_until(t, b->tid);
	spawn_sleeper(t, &b->tid, acquire_once);
	b->stop = 1;
	mpt_until(t, b->done == 1);
	end(t, b);
}

static int
release_parents(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_check_int(t, mproc_semaphore_release(b->s), -EPERM);
	mpt_check_int(t, mproc_semaphore_acquire(b->s, MPROC_NOWAIT), -EAGAIN);
	return 0;
}

static void
a_forked_child_has_no_permit(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board_of(t, .value = 1, .max = 1, .undo = true);

	assert_int_equal(mproc_semaphore_acquire(b->s, MPROC_FOREVER), 0);
	mpt_expect_exit(t, mpt_spawn(t, "child", release_parents, NULL), 0);
	assert_int_equal(mproc_semaphore_release(b->s), 0);
	end(t, b);
}

static void
a_stopped_holder_keeps_its_permit(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board_of(t, .value = 1, .undo = true);
	int id = mpt_spawn(t, "holder", hold, NULL);

	mpt_until(t, b->tid);
	mpt_pause(t, id);
	assert_int_equal(mproc_semaphore_acquire(b->s, mproc_ms(300)),
			 -ETIMEDOUT);
	mpt_resume(t, id);
	mpt_kill(t, id);
	assert_int_equal(mproc_semaphore_acquire(b->s, MPROC_NOWAIT), 0);
	end(t, b);
}

/* Holders are killed at random times; in the end all permits are there. */
static int
pass_for_ever(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	for (;;) {
		mpt_check_int(t, mproc_semaphore_acquire(b->s, mproc_sec(20)),
			      0);
		b->done++;
		mpt_check_int(t, mproc_semaphore_release(b->s), 0);
	}
}

static void
no_permit_is_lost_by_kills(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board_of(t, .value = 2, .undo = true);
	int ids[4];

	for (int k = 0; k < 4; k++)
		ids[k] = mpt_spawn(t, "victim", pass_for_ever, NULL);
	for (unsigned i = 0; i < amount(60); i++) {
		unsigned seen = b->done;

		/* They go on, whoever was killed before. */
		mpt_until(t, b->done - seen > 50);
		mpt_kill(t, ids[i % 4]);
		ids[i % 4] = mpt_spawn(t, "victim", pass_for_ever, NULL);
	}
	for (int k = 0; k < 4; k++)
		mpt_kill(t, ids[k]);
	assert_int_equal(mproc_semaphore_value(b->s), 2);
	end(t, b);
}

both(those_who_wait_get_an_ended_threads_permit)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_dead_holders_permit_is_there_again),
		mpt_test(those_who_wait_get_a_dead_ones_permit),
		mpt_test(a_thread_that_ends_gives_its_permits_back),
		both_tests(those_who_wait_get_an_ended_threads_permit),
		mpt_test(a_forked_child_has_no_permit),
		mpt_test(a_stopped_holder_keeps_its_permit),
		mpt_test(no_permit_is_lost_by_kills),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
