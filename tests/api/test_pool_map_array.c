/* SPDX-License-Identifier: MIT */
/*
 * pool.h: the arrays of a map. Those that lie in the arena are used where they are, others
 * are copied; and so many items are claimed at a time as .chunk says, or the rule.
 */
#include "pool.h"

#define N 1000

struct item {
	int number;
	char rest[1020];
};

/* The first one waits for the test, with the rest of its chunk. */
static int
copy_number(const void *in, void *out, void *ctx)
{
	struct board *b = the_board();
	const struct item *from = in;
	int *to = out;

	(void)ctx;
	if (from->number == 0) {
		atomic_fetch_add(&b->begun, 1);
		mpt_until(b->t, atomic_load(&b->go_on));
	}
	atomic_fetch_add(&b->counts[from->number], 1);
	*to = from->number;
	return 0;
}

static struct item *
fill(struct item *items)
{
	assert_non_null(items);
	for (int i = 0; i < N; i++)
		items[i].number = i;
	return items;
}

static mproc_future *
map(struct board *b, const struct item *in, int *out, size_t n, size_t chunk)
{
	mproc_future *f = NULL;

	for (size_t i = 0; i < n; i++)
		atomic_store(&b->counts[i], 0);
	atomic_store(&b->begun, 0);
	mpt_check_int(b->t, mproc_pool_map_async(b->pool, copy_number, NULL, in,
						 sizeof(*in), out, sizeof(*out), n,
						 MPROC_OPTS(mproc_map_opts,
							    .chunk = chunk), &f), 0);
	return f;
}

/* Each changes what is the other's, too. */
static void
what_lies_in_the_arena_is_used_there(void **state)
{
	struct item *in = fill(mproc_array(struct item, N));
	int *out = mproc_array(int, N);
	struct board *b = pool_of(*state, 1);
	struct mproc_arena_stat before;
	mproc_future *f;

	assert_non_null(out);
	/* A pool's memory for futures is there. */
	assert_int_equal(take_int(b, submit_int(b, square, 2)), 4);
	before = stat_now();
	f = map(b, in, out, N, 1);
	await_begun(b, 1);
	assert_true(stat_now().used < before.used + N * sizeof(*in) / 2);
	in[N - 1].number = 5;
	assert_int_equal(out[1], 0);
	atomic_store(&b->go_on, true);
	/* It is there before anybody gets it. */
	mpt_until(b->t, *(volatile int *)&out[N / 2] == N / 2);
	assert_int_equal(mproc_future_wait(f, MPROC_FOREVER), 0);
	for (int i = 0; i < N - 1; i++)
		assert_int_equal(out[i], i);
	assert_int_equal(out[N - 1], 5);
	mproc_future_close(f);
	close_and_join(b);
	mproc_free(in);
	mproc_free(out);
}

static void
what_lies_elsewhere_is_copied(void **state)
{
	struct item *in = fill(calloc(N, sizeof(*in)));
	struct board *b = pool_of(*state, 1);
	struct mproc_arena_stat before;
	int out[N] = { 0 };
	mproc_future *f;

	assert_int_equal(take_int(b, submit_int(b, square, 2)), 4);
	before = stat_now();
	f = map(b, in, NULL, N, 1);
	await_begun(b, 1);
	assert_true(stat_now().used >= before.used + N * (sizeof(*in) + sizeof(*out)));
	memset(in, 0x77, N * sizeof(*in));
	free(in);
	atomic_store(&b->go_on, true);
	assert_int_equal(mproc_future_get(f, out, sizeof(out), NULL, MPROC_FOREVER), 0);
	for (int i = 0; i < N; i++)
		assert_int_equal(out[i], i);
	mproc_future_close(f);
	assert_true(stat_now().used < before.used + N * sizeof(*in) / 2);
	close_and_join(b);
}

static bool
all_but(struct board *b, size_t first, size_t n)
{
	for (size_t i = first; i < n; i++)
		if (!atomic_load(&b->counts[i]))
			return false;
	return true;
}

/* Who waits has the first so many of @n items; others do the rest meanwhile. */
static void
expect_chunk(struct board *b, const struct item *in, size_t n, size_t chunk,
	     size_t expected)
{
	mproc_future *f;
	int out[N];

	atomic_store(&b->go_on, false);
	f = map(b, in, NULL, n, chunk);
	mpt_until(b->t, atomic_load(&b->begun) && all_but(b, expected, n));
	for (size_t i = 0; i < expected; i++)
		assert_int_equal(atomic_load(&b->counts[i]), 0);
	atomic_store(&b->go_on, true);
	assert_int_equal(mproc_future_get(f, out, sizeof(out), NULL, MPROC_FOREVER), 0);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(out[i], i);
	mproc_future_close(f);
}

/* What nothing is said of is a quarter of a worker's part, rounded up. */
static void
a_chunk_is_claimed_at_a_time(void **state)
{
	struct item *in = fill(mproc_array(struct item, N));
	struct board *b;

	b = pool_of(*state, 2);
	expect_chunk(b, in, 1, 0, 1);
	expect_chunk(b, in, 8, 0, 1);
	expect_chunk(b, in, 9, 0, 2);
	expect_chunk(b, in, 16, 0, 2);
	expect_chunk(b, in, 17, 0, 3);
	expect_chunk(b, in, N, 0, N / 8);
	expect_chunk(b, in, N, 1, 1);
	expect_chunk(b, in, N, 30, 30);
	expect_chunk(b, in, N, SIZE_MAX, N);
	close_and_join(b);
	b = pool_of(*state, 3);
	expect_chunk(b, in, 12, 0, 1);
	expect_chunk(b, in, 13, 0, 2);
	expect_chunk(b, in, N, 0, 84);
	close_and_join(b);
	mproc_free(in);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		test_of_workers(what_lies_in_the_arena_is_used_there),
		test_of_workers(what_lies_elsewhere_is_copied),
		test_of_workers(a_chunk_is_claimed_at_a_time),
	};

	return cmocka_run_group_tests(tests, with_pool, NULL);
}
