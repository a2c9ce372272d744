/* SPDX-License-Identifier: MIT */
/*
 * pool.h: the loops by which workers do items of maps.
 */
#include "pool.h"

#define N 100
#define CHUNK 7
#define FAILING 9 /* an item */

/* The counts behind those of items. */
enum { LOOPS = N, LEFT };

static int
count(const void *in, void *out, void *ctx)
{
	int i = int_of(in);

	(void)ctx;
	atomic_fetch_add(&the_board()->counts[i], 1);
	memcpy(out, &i, sizeof(i));
	return i == FAILING ? -EDOM : i;
}

static int
count_loops(struct mproc_map_run *run)
{
	atomic_fetch_add(&the_board()->counts[LOOPS], 1);
	return mproc_map_loop_near_(run);
}

/* Begins no item but the first one. */
static int
leave_items(struct mproc_map_run *run)
{
	uint64_t end = run->end;
	int r;

	run->end = run->next + run->step;
	r = mproc_map_loop_near_(run);
	run->end = end;
	if (run->next < end)
		atomic_fetch_add(&the_board()->counts[LEFT], 1);
	return r < 0 ? r : 0;
}

static int
die(struct mproc_map_run *run)
{
	(void)run;
	kill(getpid(), SIGKILL);
	return 0;
}

static struct board *
pool_with(struct mpt *t, mproc_map_loop *loop)
{
	struct board *b = new_board(t);

	mpt_check_int(t, mproc_pool_create_near(
		&b->pool, MPROC_OPTS(mproc_pool_opts, .workers = 2), loop), 0);
	return b;
}

/* All items are done once, and fail as they do. */
static void
map_and_free(struct board *b)
{
	int in[N], out[N], errors[N];

	for (int i = 0; i < N; i++)
		in[i] = i;
	assert_int_equal(mproc_pool_map(b->pool, count, NULL, in, sizeof(in[0]),
					out, sizeof(out[0]), N,
					MPROC_OPTS(mproc_map_opts,
						   .chunk = CHUNK,
						   .errors = errors)),
			 MPROC_TASK_FAILED);
	for (int i = 0; i < N; i++) {
		assert_int_equal(atomic_load(&b->counts[i]), 1);
		assert_int_equal(out[i], i);
		assert_int_equal(errors[i], i == FAILING ? -EDOM : 0);
	}
	assert_int_equal(pool_stat(b).deaths, 0);
	mproc_pool_free(b->pool);
}

static void
a_pool_has_a_loop(void **state)
{
	mproc_pool *p;

	(void)state;
	assert_int_equal(mproc_pool_create_near(&p, NULL, NULL), -EINVAL);
	assert_non_null(strstr(mproc_error_detail(), "loop is NULL"));
	assert_int_equal(mproc_pool_create_near(NULL, NULL, count_loops), -EINVAL);
}

static void
items_are_done_by_the_loop_of_the_pool(void **state)
{
	struct board *b = pool_with(*state, count_loops);
	int chunks = (N - 1) / CHUNK + 1;

	map_and_free(b);
	/* Once for each chunk, and once more behind the item that fails; unless the
	 * loop leaves all items, as the kernel wipes no page at a fork. */
	assert_in_range(atomic_load(&b->counts[LOOPS]), chunks, chunks + 1);
}

static void
the_function_has_one_of_the_librarys(void **state)
{
	int (*create)(mproc_pool **, const struct mproc_pool_opts *) =
		mproc_pool_create;
	struct board *b = new_board(*state);

	assert_int_equal(create(&b->pool, MPROC_OPTS(mproc_pool_opts,
						     .workers = 2)), 0);
	map_and_free(b);
}

static void
what_a_loop_leaves_is_done(void **state)
{
	struct board *b = pool_with(*state, leave_items);

	map_and_free(b);
	assert_int_not_equal(atomic_load(&b->counts[LEFT]), 0);
}

/* As of one whose address was scribbled: it does not come back for ever. */
static void
who_dies_in_a_loop_dies_of_an_item(void **state)
{
	struct board *b = pool_with(*state, die);
	int in[3] = { 0, 1, 2 }, errors[3];

	mpt_watchdog(*state, 60);
	assert_int_equal(mproc_pool_map(b->pool, count, NULL, in, sizeof(in[0]),
					in, sizeof(in[0]), 3,
					MPROC_OPTS(mproc_map_opts,
						   .errors = errors)),
			 MPROC_TASK_FAILED);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(atomic_load(&b->counts[i]), 0);
		assert_int_equal(errors[i], -EOWNERDEAD);
	}
	mproc_pool_free(b->pool);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_pool_has_a_loop),
		mpt_test(items_are_done_by_the_loop_of_the_pool),
		mpt_test(the_function_has_one_of_the_librarys),
		mpt_test(what_a_loop_leaves_is_done),
		mpt_test(who_dies_in_a_loop_dies_of_an_item),
	};

	return cmocka_run_group_tests(tests, with_pool, NULL);
}
