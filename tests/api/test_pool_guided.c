/* SPDX-License-Identifier: MIT */
/*
 * pool.h: maps whose chunks become smaller (.guided). What becomes of an item does not
 * depend on that; which items a worker does at a time does.
 */
#include <sys/syscall.h>
#include <unistd.h>

#include "pool.h"

#define N 1000

struct item {
	int number;
	int worker; /* thread id of who has done it */
};

/* The first one waits for the test. */
static int
do_item(const void *in, void *out, void *ctx)
{
	struct board *b = the_board();
	int i = int_of(in);
	struct item item = { i * i, (int)syscall(SYS_gettid) };

	(void)ctx;
	/* With the rest of its chunk. */
	if (i == 0)
		mpt_until(b->t, atomic_load(&b->go_on));
	atomic_fetch_add(&b->counts[i], 1);
	memcpy(out, &item, sizeof(item));
	return i % 100 == 77 ? -EDOM : 0;
}

static void
fill(struct board *b, int *in)
{
	for (int i = 0; i < N; i++) {
		in[i] = i;
		atomic_store(&b->counts[i], 0);
	}
}

static void
each_item_is_done_once(void **state)
{
	static const size_t sizes[] = { 0, 1, 2, 3, 17, 100, N };
	static const size_t chunks[] = { 0, 1, 5, 400, SIZE_MAX };
	int in[N], errors[N];
	struct item out[N];

	for (int workers = 1; workers <= 3; workers++) {
		struct board *b = pool_of(*state, workers);

		atomic_store(&b->go_on, true);
		for (unsigned at = 0; at < 7 * 5; at++) {
			size_t n = sizes[at / 5];

			fill(b, in);
			memset(errors, 1, sizeof(errors));
			assert_int_equal(mproc_pool_map(
				b->pool, do_item, NULL, in, sizeof(in[0]), out,
				sizeof(out[0]), n,
				MPROC_OPTS(mproc_map_opts, .chunk = chunks[at % 5],
					   .guided = true, .errors = errors)),
				n > 77 ? MPROC_TASK_FAILED : 0);
			for (size_t i = 0; i < N; i++)
				assert_int_equal(atomic_load(&b->counts[i]), i < n);
			for (size_t i = 0; i < n; i++) {
				assert_int_equal(out[i].number, i * i);
				assert_int_equal(errors[i],
						 i % 100 == 77 ? -EDOM : 0);
			}
		}
		close_and_join(b);
	}
}

static bool
are_done(struct board *b, int first)
{
	for (int i = first; i < N; i++)
		if (!atomic_load(&b->counts[i]))
			return false;
	return true;
}

/* Of two workers the first one has a quarter of all at first, and no more; the other does
 * the rest, in chunks down to the smallest. */
static void
who_is_slow_holds_a_part_only(void **state)
{
	static const size_t chunks[] = { 0, 10 };
	int in[N];

	for (int c = 0; c < 2; c++) {
		struct board *b = pool_of(*state, 2);
		mproc_future *f = NULL;

		fill(b, in);
		assert_int_equal(mproc_pool_map_async(
			b->pool, do_item, NULL, in, sizeof(in[0]), NULL,
			sizeof(struct item), N,
			MPROC_OPTS(mproc_map_opts, .chunk = chunks[c],
				   .guided = true), &f), 0);
		mpt_until(b->t, are_done(b, N / 4));
		assert_int_equal(mproc_future_ready(f), 0);
		for (int i = 0; i < N / 4; i++)
			assert_int_equal(atomic_load(&b->counts[i]), 0);
		atomic_store(&b->go_on, true);
		assert_int_equal(mproc_future_wait(f, MPROC_FOREVER), 0);
		for (int i = 0; i < N; i++)
			assert_int_equal(atomic_load(&b->counts[i]), 1);
		mproc_future_close(f);
		close_and_join(b);
	}
}

static int
die_at_some(const void *in, void *out, void *ctx)
{
	int i = int_of(in), square = i * i;

	(void)ctx;
	atomic_fetch_add(&the_board()->counts[i], 1);
	memcpy(out, &square, sizeof(square));
	if (i % 150 == 149)
		raise(SIGKILL);
	return 0;
}

/* Whatever the size of the chunk was. */
static void
a_death_fails_its_item_and_no_other(void **state)
{
	int in[N], out[N], errors[N];

	for (int workers = 1; workers <= 3; workers++) {
		struct board *b = pool_of(*state, workers);

		fill(b, in);
		assert_int_equal(mproc_pool_map(
			b->pool, die_at_some, NULL, in, sizeof(in[0]), out,
			sizeof(out[0]), N, MPROC_OPTS(mproc_map_opts,
						      .guided = true,
						      .errors = errors)),
			MPROC_TASK_FAILED);
		for (int i = 0; i < N; i++) {
			assert_int_equal(errors[i], i % 150 == 149 ? -EOWNERDEAD : 0);
			assert_int_equal(atomic_load(&b->counts[i]), 1);
			assert_int_equal(out[i], i * i);
		}
		close_and_join(b);
	}
}

static void
workers_end_after_their_items(void **state)
{
	struct board *b = new_pool(*state, MPROC_OPTS(mproc_pool_opts,
						      .workers = 2,
						      .max_tasks_per_worker = 60));
	struct item out[N];
	int in[N];

	atomic_store(&b->go_on, true);
	fill(b, in);
	assert_int_equal(mproc_pool_map(b->pool, do_item, NULL, in, sizeof(in[0]), out,
					sizeof(out[0]), N,
					MPROC_OPTS(mproc_map_opts, .guided = true)),
			 MPROC_TASK_FAILED);
	for (int i = 0; i < N; i++) {
		int n = 0;

		for (int k = 0; k < N; k++)
			n += out[k].worker == out[i].worker;
		assert_in_range(n, 1, 60);
		assert_int_equal(atomic_load(&b->counts[i]), 1);
	}
	close_and_join(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(each_item_is_done_once),
		test_of_workers(who_is_slow_holds_a_part_only),
		test_of_processes(a_death_fails_its_item_and_no_other),
		test_of_workers(workers_end_after_their_items),
	};

	return cmocka_run_group_tests(tests, with_pool, NULL);
}
