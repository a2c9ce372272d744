/* SPDX-License-Identifier: MIT */
/*
 * pool.h: how long workers live: .max_tasks_per_worker and .idle_timeout.
 */
#include <sys/syscall.h>
#include <unistd.h>

#include "pool.h"

#define N 100

static struct board *
pool_with(struct mpt *t, int workers, uint64_t max, mproc_timeout idle)
{
	return new_pool(t, MPROC_OPTS(mproc_pool_opts, .workers = workers,
				      .retries = 3, .max_tasks_per_worker = max,
				      .idle_timeout = idle));
}

/* Of the first thread of a process it is that of the process. */
static int
worker_id(void)
{
	return (int)syscall(SYS_gettid);
}

static int
tell_worker(const void *in, size_t len, struct mproc_result *out)
{
	int tid = worker_id();

	(void)in;
	(void)len;
	return mproc_result_set(out, &tid, sizeof(tid));
}

static void
what_makes_no_sense_is_refused(void **state)
{
	mproc_pool *p;

	(void)state;
	assert_int_equal(mproc_pool_create(&p, MPROC_OPTS(
			 mproc_pool_opts, .idle_timeout = mproc_until(1))),
			 -EINVAL);
	assert_true(detail_has("idle_timeout"));
}

static void
a_worker_ends_after_its_tasks(void **state)
{
	struct board *b = pool_with(*state, 1, 3, MPROC_NOWAIT);
	int pids[12];

	for (int i = 0; i < 12; i++)
		pids[i] = take_int(b, submit_int(b, tell_worker, i));
	for (int i = 0; i < 12; i++)
		for (int k = 0; k < i; k++)
			assert_int_equal(pids[i] == pids[k], i / 3 == k / 3);
	/* In order: that is no death, and the pool keeps its size. */
	mpt_until(b->t, pool_stat(b).workers == 1 && pool_stat(b).done == 12);
	assert_int_equal(pool_stat(b).deaths, 0);
	close_and_join(b);
}

/* Notes in the board which worker did which item. */
static int
note_worker(const void *in, void *out, void *ctx)
{
	int i = int_of(in), tid = worker_id();

	(void)ctx;
	atomic_fetch_add(&the_board()->counts[i], 1);
	memcpy(out, &tid, sizeof(tid));
	return 0;
}

static void
expect_shares(struct board *b, const int *pids, unsigned most)
{
	for (int i = 0; i < N; i++) {
		unsigned n = 0;

		for (int k = 0; k < N; k++)
			n += pids[k] == pids[i];
		assert_in_range(n, 1, most);
		assert_int_equal(atomic_load(&b->counts[i]), 1);
		atomic_store(&b->counts[i], 0);
	}
}

/* Whatever a chunk is. */
static void
items_count(void **state)
{
	static const size_t chunks[] = { 0, 1, 7, N };
	int in[N], pids[N];

	for (int i = 0; i < N; i++)
		in[i] = i;
	for (int workers = 1; workers <= 3; workers++) {
		struct board *b = pool_with(*state, workers, 10, MPROC_NOWAIT);

		for (int i = 0; i < 4; i++) {
			assert_int_equal(mproc_pool_map(
				b->pool, note_worker, NULL, in, sizeof(in[0]), pids,
				sizeof(pids[0]), N,
				MPROC_OPTS(mproc_map_opts, .chunk = chunks[i])),
				0);
			expect_shares(b, pids, 10);
		}
		assert_int_equal(pool_stat(b).deaths, 0);
		close_and_join(b);
	}
}

static int
fail_item(const void *in, void *out, void *ctx)
{
	(void)out;
	(void)ctx;
	return int_of(in) == 5 ? -EDOM : 0;
}

/* The other ways in which a map comes to its end. */
static void
maps_end_as_they_do(void **state)
{
	struct board *b = new_pool(*state, MPROC_OPTS(
		mproc_pool_opts, .workers = 2, .max_tasks_per_worker = 3,
		.task_timeout = mproc_sec(30)));
	int in[N], errors[N];

	for (int i = 0; i < N; i++)
		in[i] = i;
	assert_int_equal(mproc_pool_map(b->pool, fail_item, NULL, in,
					sizeof(in[0]), NULL, 0, N,
					MPROC_OPTS(mproc_map_opts, .chunk = 7,
						   .errors = errors)),
			 MPROC_TASK_FAILED);
	for (int i = 0; i < N; i++)
		assert_int_equal(errors[i], i == 5 ? -EDOM : 0);
	assert_int_equal(mproc_pool_map(b->pool, fail_item, NULL, in,
					sizeof(in[0]), NULL, 0, N,
					MPROC_OPTS(mproc_map_opts, .chunk = 7,
						   .fail_fast = true,
						   .errors = errors)),
			 MPROC_TASK_FAILED);
	assert_int_equal(errors[5], -EDOM);
	close_and_join(b);
}

/* What it runs in a task that waits counts, and does not end it in the middle. */
static int
nest(const void *in, size_t len, struct mproc_result *out)
{
	struct board *b = the_board();
	int sum = 0, values[N], results[N];

	(void)in;
	(void)len;
	for (int i = 0; i < 5; i++)
		sum += take_int(b, submit_int(b, square, i));
	for (int i = 0; i < N; i++)
		values[i] = i;
	mpt_check_int(b->t, mproc_pool_map(b->pool, note_worker, NULL, values,
					   sizeof(int), results, sizeof(int), N,
					   NULL), 0);
	return mproc_result_set(out, &sum, sizeof(sum));
}

static void
tasks_of_tasks_end_nobody(void **state)
{
	struct board *b = pool_with(*state, 1, 2, MPROC_NOWAIT);
	int pids[3];

	for (int i = 0; i < 3; i++) {
		assert_int_equal(take_int(b, submit(b, nest, NULL, 0)),
				 1 + 4 + 9 + 16);
		pids[i] = take_int(b, submit_int(b, tell_worker, 0));
	}
	assert_int_not_equal(pids[0], pids[1]);
	assert_int_not_equal(pids[1], pids[2]);
	assert_int_equal(pool_stat(b).deaths, 0);
	close_and_join(b);
}

static void
a_pool_that_is_closed_does_the_rest(void **state)
{
	struct board *b = pool_with(*state, 2, 1, MPROC_NOWAIT);

	for (int i = 0; i < N; i++)
		b->futures[i] = submit_int(b, square, i);
	assert_int_equal(mproc_pool_close(b->pool), 0);
	assert_int_equal(mproc_pool_join(b->pool, MPROC_FOREVER), 0);
	for (int i = 0; i < N; i++)
		assert_int_equal(take_int(b, b->futures[i]), i * i);
	mproc_pool_free(b->pool);
}

static void
idle_workers_end_and_come_back(void **state)
{
	struct board *b = pool_with(*state, 3, 0, mproc_ms(20));

	for (int round = 0; round < 5; round++) {
		/* As many as are needed. */
		atomic_store(&b->begun, 0);
		atomic_store(&b->go_on, false);
		for (int i = 0; i < 3; i++)
			b->futures[i] = submit_int(b, linger, i);
		await_begun(b, 3);
		atomic_store(&b->go_on, true);
		for (int i = 0; i < 3; i++)
			assert_int_equal(take_int(b, b->futures[i]), i);
		mpt_until(b->t, pool_stat(b).workers == 0);
		assert_int_equal(take_int(b, submit_int(b, square, 5)), 25);
		mpt_until(b->t, pool_stat(b).workers == 0);
	}
	assert_int_equal(pool_stat(b).deaths, 0);
	/* Who waits is not idle. */
	assert_int_equal(take_int(b, submit(b, nest, NULL, 0)), 1 + 4 + 9 + 16);
	mpt_until(b->t, pool_stat(b).workers == 0);
	close_and_join(b);
}

/* The last one goes as a task comes. */
static void
no_task_is_missed(void **state)
{
	struct board *b = pool_with(*state, 1, 0, (mproc_timeout){ 1 });

	for (int i = 0; i < 10 * N; i++)
		assert_int_equal(take_int(b, submit_int(b, square, i % N)),
				 i % N * (i % N));
	assert_int_equal(pool_stat(b).deaths, 0);
	close_and_join(b);
}

static void
who_was_reaped_comes_back(void **state)
{
	struct board *b = pool_with(*state, 1, 0, mproc_ms(1));

	for (int i = 0; i < N; i++) {
		pid_t pid = take_int(b, submit_int(b, tell_worker, 0));

		/* Reaped. */
		mpt_until(b->t, kill(pid, 0) < 0);
	}
	close_and_join(b);
}

static void
a_pool_without_workers_ends_as_others(void **state)
{
	struct board *b = pool_with(*state, 2, 0, mproc_ms(1));

	mpt_until(b->t, pool_stat(b).workers == 0);
	close_and_join(b);
	b = pool_with(*state, 2, 0, mproc_ms(1));
	mpt_until(b->t, pool_stat(b).workers == 0);
	for (int i = 0; i < 4; i++)
		b->futures[i] = submit_int(b, square, i);
	assert_int_equal(mproc_pool_close(b->pool), 0);
	assert_int_equal(mproc_pool_join(b->pool, MPROC_FOREVER), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(take_int(b, b->futures[i]), i * i);
	mproc_pool_free(b->pool);
	b = pool_with(*state, 2, 0, mproc_ms(1));
	mpt_until(b->t, pool_stat(b).workers == 0);
	mproc_pool_free(b->pool);
}

/* The next one knows nothing of who rests. */
static void
a_keeper_dies_while_all_rest(void **state)
{
	struct board *b = pool_with(*state, 2, 0, mproc_ms(1));

	mpt_until(b->t, pool_stat(b).workers == 0);
	assert_int_equal(kill(pool_stat(b).keeper, SIGKILL), 0);
	assert_int_equal(take_int(b, submit_int(b, square, 6)), 36);
	mpt_until(b->t, pool_stat(b).workers == 0);
	assert_int_equal(take_int(b, submit_int(b, square, 7)), 49);
	close_and_join(b);
	mpt_reap_orphans(b->t);
}

static int
die_at_first(const void *in, size_t len, struct mproc_result *out)
{
	struct board *b = the_board();

	if (atomic_fetch_add(&b->counts[int_of(in)], 1) == 0)
		raise(SIGKILL);
	return mproc_result_set(out, in, len);
}

/* Deaths in between change nothing. */
static void
workers_die_before_their_time(void **state)
{
	struct board *b = pool_with(*state, 2, 2, mproc_ms(1));

	for (int i = 0; i < N; i++)
		b->futures[i] = submit_int(b, i % 5 ? tell_worker : die_at_first,
					   i);
	for (int i = 0; i < N; i++) {
		int value = take_int(b, b->futures[i]);

		assert_true(i % 5 || value == i);
	}
	assert_int_equal(pool_stat(b).deaths, N / 5);
	close_and_join(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(what_makes_no_sense_is_refused),
		mpt_test(a_worker_ends_after_its_tasks),
		mpt_test(items_count),
		mpt_test(maps_end_as_they_do),
		mpt_test(tasks_of_tasks_end_nobody),
		mpt_test(a_pool_that_is_closed_does_the_rest),
		mpt_test(idle_workers_end_and_come_back),
		mpt_test(no_task_is_missed),
		test_of_processes(who_was_reaped_comes_back),
		mpt_test(a_pool_without_workers_ends_as_others),
		test_of_processes(a_keeper_dies_while_all_rest),
		test_of_processes(workers_die_before_their_time),
	};

	return cmocka_run_group_tests(tests, with_pool, NULL);
}
