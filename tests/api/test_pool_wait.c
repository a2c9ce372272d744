/* SPDX-License-Identifier: MIT */
/*
 * pool.h: waiting for several futures at once.
 */
#include "pool.h"

static int
wait_many(struct board *b, int n, int mode)
{
	return mproc_future_wait_many(b->futures, n, mode, MPROC_FOREVER);
}

static void
close_all(struct board *b, int n)
{
	for (int i = 0; i < n; i++)
		mproc_future_close(b->futures[i]);
}

static int
fail_with(const void *in, size_t len, struct mproc_result *out)
{
	(void)len;
	(void)out;
	return int_of(in);
}

static void
what_makes_no_sense_is_refused(void **state)
{
	struct board *b = pool_of(*state, 1);
	mproc_future *f = submit_int(b, square, 1), *wrong[2] = { f, NULL };
	int here;

	assert_int_equal(mproc_future_wait_many(NULL, 1, MPROC_ANY,
						MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_future_wait_many(&f, -1, MPROC_ANY, MPROC_NOWAIT),
			 -EINVAL);
	assert_int_equal(mproc_future_wait_many(&f, 1, 0, MPROC_NOWAIT),
			 -EINVAL);
	assert_int_equal(mproc_future_wait_many(&f, 1, 4, MPROC_NOWAIT),
			 -EINVAL);
	wrong[1] = (mproc_future *)&here;
	assert_int_equal(mproc_future_wait_many(wrong, 2, MPROC_ALL,
						MPROC_NOWAIT), -EFAULT);
	wrong[1] = NULL;
	assert_int_equal(mproc_future_wait_many(wrong, 2, MPROC_ALL,
						MPROC_FOREVER), 1);
	assert_int_equal(mproc_future_wait_many(NULL, 0, MPROC_ALL,
						MPROC_FOREVER), 0);
	assert_int_equal(mproc_future_wait_many(wrong + 1, 1, MPROC_ANY,
						MPROC_FOREVER), 0);
	mproc_future_close(f);
	assert_int_equal(mproc_future_wait_many(&f, 1, MPROC_ANY, MPROC_NOWAIT),
			 -ESTALE);
	close_and_join(b);
}

static void
one_is_enough_or_all_are_waited_for(void **state)
{
	struct board *b = pool_of(*state, 2);

	b->futures[0] = submit_int(b, linger, 1);
	await_begun(b, 1);
	assert_int_equal(mproc_future_wait_many(b->futures, 1, MPROC_ANY,
						MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(mproc_future_wait_many(b->futures, 1, MPROC_ANY,
						mproc_ms(1)), -ETIMEDOUT);
	b->futures[1] = submit_int(b, square, 2);
	/* The same one twice. */
	b->futures[2] = b->futures[1];
	assert_int_equal(wait_many(b, 3, MPROC_ANY), 2);
	assert_int_equal(mproc_future_wait_many(b->futures, 3, MPROC_ALL,
						mproc_ms(1)), -ETIMEDOUT);
	mproc_interrupt();
	assert_int_equal(wait_many(b, 3, MPROC_ALL), -EINTR);
	atomic_store(&b->go_on, true);
	assert_int_equal(wait_many(b, 3, MPROC_ALL), 3);
	close_all(b, 2);
	close_and_join(b);
}

static void
an_error_is_enough(void **state)
{
	struct board *b = pool_of(*state, 2);

	b->futures[0] = submit_int(b, linger, 1);
	b->futures[1] = submit_int(b, square, 2);
	assert_int_equal(mproc_future_wait(b->futures[1], MPROC_FOREVER), 0);
	assert_int_equal(mproc_future_wait_many(b->futures, 2, MPROC_FIRST_ERROR,
						mproc_ms(1)), -ETIMEDOUT);
	b->futures[2] = submit_int(b, fail_with, -EDOM);
	assert_int_equal(wait_many(b, 3, MPROC_FIRST_ERROR), 2);
	close_all(b, 3);
	atomic_store(&b->go_on, true);
	close_and_join(b);
}

static int
fail_if_negative(const void *in, void *out, void *ctx)
{
	(void)out;
	(void)ctx;
	return int_of(in);
}

static void
maps_are_waited_for_too(void **state)
{
	struct board *b = pool_of(*state, 2);
	const int in[4] = { 0, 1, -5, 3 };

	b->futures[0] = submit_int(b, linger, 1);
	assert_int_equal(mproc_pool_map_async(b->pool, fail_if_negative, NULL, in,
					      sizeof(int), NULL, 0, 4, NULL,
					      &b->futures[1]), 0);
	assert_int_equal(wait_many(b, 2, MPROC_ANY), 1);
	assert_int_equal(wait_many(b, 2, MPROC_FIRST_ERROR), 1);
	atomic_store(&b->go_on, true);
	assert_int_equal(wait_many(b, 2, MPROC_ALL), 2);
	close_all(b, 2);
	close_and_join(b);
}

/* Of as many as there may be, in the order in which they are done. */
static void
all_come_one_after_the_other(void **state)
{
	struct board *b = pool_of(*state, 3);
	const int n = 200;
	int left = n, r;

	for (int i = 0; i < n; i++)
		b->futures[i] = submit_int(b, square, i);
	while ((r = wait_many(b, n, MPROC_ANY)) > 0) {
		int found = 0;

		for (int i = 0; i < n; i++) {
			if (!b->futures[i] || !mproc_future_ready(b->futures[i]))
				continue;
			assert_int_equal(take_int(b, b->futures[i]), i * i);
			b->futures[i] = NULL;
			found++;
		}
		assert_true(found >= r);
		left -= found;
	}
	assert_int_equal(r, 0);
	assert_int_equal(left, 0);
	close_and_join(b);
}

static int
wait_for_two(struct mpt *t, void *arg)
{
	struct board *b = arg;

	atomic_fetch_add(&b->counts[1], 1);
	mpt_check_int(t, wait_many(b, 2, MPROC_ANY), 1);
	atomic_fetch_add(&b->counts[1], 1);
	mpt_check_int(t, wait_many(b, 2, MPROC_ALL), 2);
	return 0;
}

static void
await_sleep(struct board *b, int id)
{
	mpt_until(b->t, mpt_task_state(mpt_pid(b->t, id)) == 'S');
}

static int
linger_for_another(const void *in, size_t len, struct mproc_result *out)
{
	struct board *b = the_board();

	(void)in;
	(void)len;
	(void)out;
	atomic_fetch_add(&b->begun, 1);
	mpt_until(b->t, atomic_load(&b->counts[0]));
	return 0;
}

static void
who_sleeps_is_woken(void **state)
{
	struct board *b = pool_of(*state, 2);
	int ids[2];

	b->futures[0] = submit_int(b, linger, 1);
	b->futures[1] = submit_int(b, linger_for_another, 1);
	await_begun(b, 2);
	for (int i = 0; i < 2; i++)
		ids[i] = mpt_fork(b->t, "waiter", wait_for_two, b);
	mpt_until(b->t, atomic_load(&b->counts[1]) == 2);
	for (int i = 0; i < 2; i++)
		await_sleep(b, ids[i]);
	atomic_store(&b->counts[0], 1);
	mpt_until(b->t, atomic_load(&b->counts[1]) == 4);
	for (int i = 0; i < 2; i++)
		await_sleep(b, ids[i]);
	atomic_store(&b->go_on, true);
	for (int i = 0; i < 2; i++)
		mpt_expect_exit(b->t, ids[i], 0);
	close_all(b, 2);
	close_and_join(b);
}

static int
wait_in_task(const void *in, size_t len, struct mproc_result *out)
{
	struct board *b = the_board();
	mproc_future *fs[5];
	int total = 0, mode = int_of(in), left = 5, n;

	(void)len;
	for (int i = 0; i < 5; i++)
		fs[i] = submit_int(b, square, i);
	while ((n = mproc_future_wait_many(fs, 5, mode, MPROC_FOREVER)) > 0) {
		for (int i = 0; i < 5; i++) {
			if (!fs[i] || !mproc_future_ready(fs[i]))
				continue;
			total += take_int(b, fs[i]);
			fs[i] = NULL;
			left--;
		}
	}
	mpt_check_int(b->t, n, 0);
	mpt_check_int(b->t, left, 0);
	return mproc_result_set(out, &total, sizeof(total));
}

static void
tasks_may_wait_for_many(void **state)
{
	for (int workers = 1; workers <= 2; workers++) {
		struct board *b = pool_of(*state, workers);

		for (int mode = MPROC_ANY; mode <= MPROC_FIRST_ERROR; mode++)
			b->futures[mode] = submit_int(b, wait_in_task, mode);
		for (int mode = MPROC_ANY; mode <= MPROC_FIRST_ERROR; mode++)
			assert_int_equal(take_int(b, b->futures[mode]), 30);
		close_and_join(b);
	}
}

static int
outlast(const void *in, size_t len, struct mproc_result *out)
{
	struct board *b = the_board();
	int64_t until;

	(void)len;
	(void)out;
	memcpy(&until, in, sizeof(until));
	atomic_fetch_add(&b->counts[0], 1);
	mpt_until(b->t, mproc_now() >= until);
	return 0;
}

static int
wait_for_some_time(const void *in, size_t len, struct mproc_result *out)
{
	struct board *b = the_board();
	int64_t until = mproc_now() + 10000000;
	mproc_future *fs[5];

	(void)in;
	(void)len;
	(void)out;
	for (int i = 0; i < 5; i++)
		fs[i] = submit(b, outlast, &until, sizeof(until));
	mpt_check_int(b->t, mproc_future_wait_many(fs, 5, MPROC_ANY,
						   MPROC_NOWAIT), -EAGAIN);
	mpt_check_int(b->t, atomic_load(&b->counts[0]), 0);
	mpt_check_int(b->t, mproc_future_wait_many(fs, 5, MPROC_ALL,
						   mproc_until(until)),
		      -ETIMEDOUT);
	/* It has run none, or one. */
	mpt_check(b->t, atomic_load(&b->counts[0]) <= 1);
	mpt_check_int(b->t, mproc_future_wait_many(fs, 5, MPROC_ALL,
						   MPROC_FOREVER), 5);
	for (int i = 0; i < 5; i++)
		mproc_future_close(fs[i]);
	return 0;
}

/* However many it could run itself. */
static void
a_task_waits_no_longer_than_it_wants(void **state)
{
	struct board *b = pool_of(*state, 1);
	mproc_future *f = submit(b, wait_for_some_time, NULL, 0);

	assert_int_equal(mproc_future_get(f, NULL, 0, NULL, MPROC_FOREVER), 0);
	mproc_future_close(f);
	close_and_join(b);
}

/* Sees the end of one that is not our child, or was not reaped. */
static void
kill_and_await(struct mpt *t, pid_t pid)
{
	int state;

	mpt_check_int(t, kill(pid, SIGKILL), 0);
	mpt_until(t, (state = mpt_task_state(pid)) == 0 || state == 'Z');
}

static int
wait_for_any_or_the_keeper(struct mpt *t, void *arg)
{
	struct board *b = arg;

	atomic_fetch_add(&b->counts[1], 1);
	mpt_check_int(t, wait_many(b, 2, MPROC_ALL), 2);
	return 0;
}

static void
who_waits_starts_another_keeper(void **state)
{
	for (int asleep = 0; asleep < 2; asleep++) {
		struct board *b = pool_of(*state, 2);
		int id = -1;

		atomic_store(&b->begun, 0);
		b->futures[0] = submit_int(b, linger, 1);
		b->futures[1] = submit_int(b, linger, 2);
		await_begun(b, 2);
		if (asleep) {
			atomic_store(&b->counts[1], 0);
			id = mpt_fork(b->t, "waiter", wait_for_any_or_the_keeper,
				      b);
			mpt_until(b->t, atomic_load(&b->counts[1]) == 1);
			await_sleep(b, id);
		}
		kill_and_await(b->t, pool_stat(b).keeper);
		if (asleep)
			mpt_expect_exit(b->t, id, 0);
		assert_int_equal(wait_many(b, 2, MPROC_ALL), 2);
		expect_error(b, b->futures[0], -EOWNERDEAD);
		expect_error(b, b->futures[1], -EOWNERDEAD);
		close_and_join(b);
		mpt_reap_orphans(b->t);
	}
}

static void
deaths_are_told(void **state)
{
	struct board *b = pool_of(*state, 2);

	b->futures[0] = submit_int(b, linger, 1);
	await_begun(b, 1);
	b->futures[1] = submit_int(b, linger, 2);
	await_begun(b, 2);
	assert_int_equal(kill(atomic_load(&b->pid), SIGKILL), 0);
	assert_int_equal(wait_many(b, 2, MPROC_FIRST_ERROR), 1);
	close_all(b, 2);
	atomic_store(&b->go_on, true);
	close_and_join(b);
}

static void
of_several_pools(void **state)
{
	struct board *b = pool_of(*state, 1);
	mproc_pool *first = b->pool, *second;

	assert_int_equal(mproc_pool_create(&second, MPROC_OPTS(mproc_pool_opts,
							       .workers = 1)),
			 0);
	b->futures[0] = submit_int(b, linger, 1);
	await_begun(b, 1);
	b->pool = second;
	b->futures[1] = submit_int(b, square, 2);
	assert_int_equal(wait_many(b, 2, MPROC_ANY), 1);
	b->futures[2] = submit_int(b, linger, 2);
	await_begun(b, 2);
	/* The keeper of the last one. */
	kill_and_await(b->t, pool_stat(b).keeper);
	assert_int_equal(wait_many(b, 3, MPROC_FIRST_ERROR), 2);
	atomic_store(&b->go_on, true);
	assert_int_equal(wait_many(b, 3, MPROC_ALL), 3);
	close_all(b, 3);
	close_and_join(b);
	b->pool = first;
	close_and_join(b);
	mpt_reap_orphans(b->t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(what_makes_no_sense_is_refused),
		test_of_workers(one_is_enough_or_all_are_waited_for),
		test_of_workers(an_error_is_enough),
		test_of_workers(maps_are_waited_for_too),
		mpt_test(all_come_one_after_the_other),
		test_of_workers(who_sleeps_is_woken),
		mpt_test(tasks_may_wait_for_many),
		test_of_workers(a_task_waits_no_longer_than_it_wants),
		test_of_processes(who_waits_starts_another_keeper),
		test_of_processes(deaths_are_told),
		test_of_workers(of_several_pools),
	};

	return cmocka_run_group_tests(tests, with_pool, NULL);
}
