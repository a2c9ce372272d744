/* SPDX-License-Identifier: MIT */
/*
 * What the tests of Python's Pool and ProcessPoolExecutor ask for, and no other test here
 * does. The names of theirs stand before each.
 *
 * Others of theirs are in test_pool.c (results, errors, cancel, close, initializers),
 * test_pool_map.c (orders, chunks, fail_fast), test_pool_imap.c (iterators whose source
 * fails), test_pool_workers.c (max_tasks_per_worker), test_pool_wait.c and
 * test_future_done.c (waiting, callbacks), test_pool_crash.c (what their
 * test_deadlock.py does).
 */
#include <pthread.h>

#include "pool.h"

#define MB (1 << 20)

static int
no_source(void *src, const void **ret_in, size_t *ret_len)
{
	(void)src;
	(void)ret_in;
	(void)ret_len;
	return -ENODATA;
}

static int
no_item(const void *in, void *out, void *ctx)
{
	(void)in;
	(void)out;
	(void)ctx;
	abort();
}

static mproc_iter *
iterate_over_nothing(struct board *b, bool unordered)
{
	mproc_iter *it = NULL;

	assert_int_equal(mproc_pool_imap(b->pool, square, no_source, NULL,
					 MPROC_OPTS(mproc_imap_opts,
						    .unordered = unordered),
					 &it), 0);
	return it;
}

/* _TestPool.test_empty_iterable, test_map_chunksize */
static void
nothing_gives_nothing(void **state)
{
	struct board *b = pool_of(*state, 2);
	int out = 7, errors = 7;
	mproc_future *f = NULL;
	size_t len = 7;

	for (size_t chunk = 0; chunk < 3; chunk++)
		assert_int_equal(mproc_pool_map(
			b->pool, no_item, NULL, NULL, sizeof(int), &out,
			sizeof(out), 0,
			MPROC_OPTS(mproc_map_opts, .chunk = chunk,
				   .errors = &errors)), 0);
	assert_int_equal(mproc_pool_map_async(b->pool, no_item, NULL, NULL,
					      sizeof(int), NULL, sizeof(int), 0,
					      NULL, &f), 0);
	assert_int_equal(mproc_future_get(f, &out, sizeof(out), &len,
					  MPROC_FOREVER), 0);
	assert_int_equal(len, 0);
	mproc_future_close(f);
	for (int unordered = 0; unordered < 2; unordered++) {
		mproc_iter *it = iterate_over_nothing(b, unordered);

		assert_int_equal(mproc_iter_next(it, &out, sizeof(out), &len,
						 MPROC_FOREVER), -ENODATA);
		mproc_iter_close(it);
	}
	assert_int_equal(out, 7);
	assert_int_equal(errors, 7);
	close_and_join(b);
}

#define TIME mproc_ms(30)

static bool
has_passed(int64_t began)
{
	return mproc_now() - began >= TIME.ns;
}

/* _TestPool.test_async_timeout, test_imap with a time; test_executor.test_map_timeout */
static void
nobody_waits_less_than_he_says(void **state)
{
	struct board *b = pool_of(*state, 1);
	mproc_future *f = submit_int(b, linger, 1);
	int64_t began;
	int in = 0;

	await_begun(b, 1);
	began = mproc_now();
	assert_int_equal(mproc_future_get(f, NULL, 0, NULL, TIME), -ETIMEDOUT);
	assert_true(has_passed(began));
	began = mproc_now();
	assert_int_equal(mproc_pool_apply(b->pool, square, &in, sizeof(in), NULL,
					  0, NULL, TIME), -ETIMEDOUT);
	assert_true(has_passed(began));
	began = mproc_now();
	assert_int_equal(mproc_pool_map(b->pool, no_item, NULL, &in, sizeof(in),
					NULL, 0, 1,
					MPROC_OPTS(mproc_map_opts,
						   .timeout = TIME)),
			 -ETIMEDOUT);
	assert_true(has_passed(began));
	assert_int_equal(mproc_pool_close(b->pool), 0);
	began = mproc_now();
	assert_int_equal(mproc_pool_join(b->pool, TIME), -ETIMEDOUT);
	assert_true(has_passed(began));
	atomic_store(&b->go_on, true);
	assert_int_equal(take_int(b, f), 1);
	close_and_join(b);
}

/* _TestPool.test_terminate: Python's has 10,000 tasks of a tenth of a second. */
static void
terminate_does_not_wait_for_what_is_queued(void **state)
{
	const unsigned n = amount(1000);
	mproc_future **fs = calloc(n, sizeof(mproc_future *));
	struct board *b = pool_of(*state, 3);

	for (unsigned i = 0; i < n; i++)
		fs[i] = submit_int(b, linger, (int)i);
	await_begun(b, 3);
	assert_int_equal(mproc_pool_terminate(b->pool), 0);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(mproc_future_wait(fs[i], MPROC_FOREVER), 0);
	/* Threads come to the end of what they have. */
	atomic_store(&b->go_on, !are_processes());
	assert_int_equal(mproc_pool_join(b->pool, MPROC_FOREVER), 0);
	/* Nobody has begun another one, and each says what became of it. */
	assert_int_equal(atomic_load(&b->begun), 3);
	for (unsigned i = 0; i < n; i++)
		expect_error(b, fs[i], -ESHUTDOWN);
	free(fs);
	mproc_pool_free(b->pool);
}

static void
expect_all_refused(struct board *b, int error)
{
	mproc_future *f = NULL;
	mproc_iter *it = NULL;
	int i = 3, out;

	assert_int_equal(mproc_pool_submit(b->pool, square, &i, sizeof(i), &f),
			 error);
	assert_int_equal(mproc_pool_apply(b->pool, square, &i, sizeof(i), &out,
					  sizeof(out), NULL, MPROC_FOREVER),
			 error);
	assert_int_equal(mproc_pool_map(b->pool, no_item, NULL, &i, sizeof(i),
					&out, sizeof(out), 1, NULL), error);
	assert_int_equal(mproc_pool_map_async(b->pool, no_item, NULL, &i,
					      sizeof(i), NULL, sizeof(out), 1,
					      NULL, &f), error);
	assert_null(f);
	/* Its first input tells, at the latest. */
	if (mproc_pool_imap(b->pool, square, no_source, NULL, NULL, &it) == 0)
		mproc_iter_close(it);
}

/* _TestPool.test_context, test_enter; test_shutdown.test_run_after_shutdown */
static void
what_has_ended_takes_nothing(void **state)
{
	struct board *b = pool_of(*state, 1);

	assert_int_equal(mproc_pool_close(b->pool), 0);
	expect_all_refused(b, -ESHUTDOWN);
	assert_int_equal(mproc_pool_terminate(b->pool), 0);
	expect_all_refused(b, -ESHUTDOWN);
	assert_int_equal(mproc_pool_join(b->pool, MPROC_FOREVER), 0);
	expect_all_refused(b, -ESHUTDOWN);
	/* As often as one likes. */
	assert_int_equal(mproc_pool_close(b->pool), 0);
	assert_int_equal(mproc_pool_terminate(b->pool), 0);
	assert_int_equal(mproc_pool_join(b->pool, MPROC_NOWAIT), 0);
	mproc_pool_free(b->pool);
	expect_all_refused(b, -ESTALE);
}

/* TerminateWorkers and KillWorkers: *_not_started, *_dead_workers */
static void
who_has_not_begun_or_is_dead_is_terminated(void **state)
{
	struct board *b = pool_of(*state, 4);

	assert_int_equal(mproc_pool_terminate(b->pool), 0);
	assert_int_equal(mproc_pool_join(b->pool, MPROC_FOREVER), 0);
	mproc_pool_free(b->pool);
	b = pool_of(*state, 1);
	atomic_store(&b->go_on, true);
	assert_int_equal(take_int(b, submit_int(b, linger, 1)), 1);
	assert_int_equal(kill(atomic_load(&b->pid), SIGKILL), 0);
	assert_int_equal(mproc_pool_terminate(b->pool), 0);
	assert_int_equal(mproc_pool_join(b->pool, MPROC_FOREVER), 0);
	mproc_pool_free(b->pool);
}

static int
fail_at_length(const void *in, size_t len, struct mproc_result *out)
{
	char *text = malloc(MB);
	int r;

	(void)len;
	memset(text, 'x', MB);
	r = mproc_result_set(out, text, MB);
	free(text);
	return r < 0 ? r : int_of(in) % 2 ? -EDOM : 0;
}

/* _TestPool.test_map_no_failfast, test_release_task_refs; executor.test_free_reference */
static void
what_nobody_takes_holds_up_nobody(void **state)
{
	struct board *b = pool_of(*state, 2);
	struct mproc_arena_stat before;
	struct mproc_task_error e;
	size_t len = 0;

	assert_int_equal(take_int(b, submit_int(b, square, 2)), 4);
	before = stat_now();
	for (int i = 0; i < 8; i++)
		b->futures[i] = submit_int(b, fail_at_length, i);
	for (int i = 0; i < 8; i++)
		assert_int_equal(mproc_future_wait(b->futures[i],
						   MPROC_FOREVER), 0);
	/* Results and errors are there as long as their futures. */
	assert_true(stat_now().used >= before.used + 8 * MB);
	assert_int_equal(mproc_future_get(b->futures[0], NULL, 0, &len,
					  MPROC_NOWAIT), -EMSGSIZE);
	assert_int_equal(len, MB);
	assert_int_equal(mproc_future_error(b->futures[1], &e), 0);
	assert_int_equal(e.error, -EDOM);
	assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
	for (int i = 0; i < 4; i++)
		mproc_future_close(b->futures[i]);
	assert_true(stat_now().used < before.used + 5 * MB);
	assert_int_equal(mproc_pool_close(b->pool), 0);
	assert_int_equal(mproc_pool_join(b->pool, MPROC_FOREVER), 0);
	mproc_pool_free(b->pool);
}

static int
leave_too_much(const void *in, size_t len, struct mproc_result *out)
{
	pid_t pid = getpid();
	int r = mproc_result_set(out, in, SIZE_MAX / 4);

	(void)len;
	if (r != -ENOSPC && r != -ENOMEM)
		return -ENOTRECOVERABLE;
	return mproc_result_set(out, &pid, sizeof(pid)) < 0 ? r : -E2BIG;
}

/* _TestPoolWorkerErrors.test_unpickleable_result: theirs is as often. */
static void
a_result_that_cannot_be_ends_no_worker(void **state)
{
	struct board *b = pool_of(*state, 1);
	struct mproc_task_error e;
	pid_t pid = 0;

	for (int i = 0; i < 20; i++) {
		mproc_future *f = submit_int(b, leave_too_much, i);

		assert_int_equal(mproc_future_wait(f, MPROC_FOREVER), 0);
		assert_int_equal(mproc_future_error(f, &e), 0);
		assert_int_equal(e.error, -E2BIG);
		assert_true(!pid || e.pid == pid);
		pid = e.pid;
		mproc_future_close(f);
	}
	assert_int_equal(pool_stat(b).deaths, 0);
	close_and_join(b);
}

/* MiscTestCase.test_large_pool: theirs has 200, and so has ours in full runs. */
static void
a_pool_may_be_large(void **state)
{
	const unsigned workers = amount(20);
	struct board *b = pool_of(*state, (int)workers);

	for (unsigned i = 0; i < workers; i++)
		b->futures[i] = submit_int(b, linger, (int)i);
	await_begun(b, workers);
	assert_int_equal(pool_stat(b).workers, workers);
	atomic_store(&b->go_on, true);
	for (unsigned i = 0; i < workers; i++)
		assert_int_equal(take_int(b, b->futures[i]), i);
	close_and_join(b);
}

/* ProcessPoolExecutorTest.test_saturation; test_shutdown.test_cancel_futures */
static void
what_waits_can_be_canceled_at_once(void **state)
{
	enum { WORKERS = 3, N = 15 * WORKERS };
	struct board *b = pool_of(*state, WORKERS);
	unsigned canceled = 0;

	for (int i = 0; i < N; i++)
		b->futures[i] = submit_int(b, linger, i);
	await_begun(b, WORKERS);
	assert_int_equal(pool_stat(b).queued, N - WORKERS);
	assert_int_equal(mproc_pool_close(b->pool), 0);
	for (int i = 0; i < N; i++)
		canceled += mproc_future_cancel(b->futures[i], 0) == 0;
	assert_int_equal(canceled, N - WORKERS);
	atomic_store(&b->go_on, true);
	for (int i = 0; i < N; i++)
		if (i < WORKERS)
			assert_int_equal(take_int(b, b->futures[i]), i);
		else
			expect_error(b, b->futures[i], -ECANCELED);
	assert_int_equal(mproc_pool_join(b->pool, MPROC_FOREVER), 0);
	assert_int_equal(atomic_load(&b->begun), WORKERS);
	mproc_pool_free(b->pool);
}

/* ProcessPoolExecutorTest.test_idle_process_reuse_one, test_idle_process_reuse_multiple */
static void
the_same_workers_come_again(void **state)
{
	struct board *b = pool_of(*state, 3);
	int pids[3], n = 0;

	for (int i = 0; i < 50; i++) {
		int pid = take_int(b, submit_int(b, tell_pid, 0)), at = 0;

		while (at < n && pids[at] != pid)
			at++;
		assert_in_range(at, 0, 2);
		pids[at] = pid;
		n += at == n;
	}
	close_and_join(b);
}

#define THREADS 4

static void *
submit_in_thread(void *arg)
{
	struct board *b = arg;
	mproc_future *fs[50];

	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 50; i++)
			fs[i] = submit_int(b, square, i);
		for (int i = 0; i < 50; i++)
			mpt_check_int(b->t, take_int(b, fs[i]), i * i);
	}
	return NULL;
}

/* loky's TestReusableExecutor.test_thread_safety_deadlock */
static void
threads_submit_at_once(void **state)
{
	struct board *b = pool_of(*state, 2);
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
						submit_in_thread, b), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	mpt_until(b->t, pool_stat(b).done == THREADS * 5 * 50);
	assert_int_equal(pool_stat(b).futures, 0);
	close_and_join(b);
}

static int
map_without_streams(struct mpt *t, void *arg)
{
	struct board *b = arg;

	for (int fd = 0; fd <= 2; fd++)
		close(fd);
	mpt_check_int(t, mproc_pool_create(&b->pool,
					   MPROC_OPTS(mproc_pool_opts,
						      .workers = 2)), 0);
	for (int i = 0; i < 10; i++)
		b->futures[i] = submit_int(b, square, i);
	for (int i = 0; i < 10; i++)
		mpt_check_int(t, take_int(b, b->futures[i]), i * i);
	mpt_check_int(t, mproc_pool_close(b->pool), 0);
	mpt_check_int(t, mproc_pool_join(b->pool, MPROC_FOREVER), 0);
	mproc_pool_free(b->pool);
	return 0;
}

/* TestStdinBadfiledescriptor.test_pool_in_process */
static void
a_child_without_streams_may_have_a_pool(void **state)
{
	struct board *b = new_board(*state);

	mpt_expect_exit(b->t, mpt_fork(b->t, "creator", map_without_streams, b),
			0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(nothing_gives_nothing),
		test_of_workers(nobody_waits_less_than_he_says),
		test_of_workers(terminate_does_not_wait_for_what_is_queued),
		mpt_test(what_has_ended_takes_nothing),
		test_of_processes(who_has_not_begun_or_is_dead_is_terminated),
		mpt_test(what_nobody_takes_holds_up_nobody),
		mpt_test(a_result_that_cannot_be_ends_no_worker),
		test_of_workers(a_pool_may_be_large),
		test_of_workers(what_waits_can_be_canceled_at_once),
		test_of_processes(the_same_workers_come_again),
		mpt_test(threads_submit_at_once),
		test_of_processes(a_child_without_streams_may_have_a_pool),
	};

	return cmocka_run_group_tests(tests, with_pool, NULL);
}
