/* SPDX-License-Identifier: MIT */
/*
 * pool.h: the loops by which workers do items of maps.
 */
#include <sys/mman.h>

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
copy(const void *in, void *out, void *ctx)
{
	(void)ctx;
	memcpy(out, in, sizeof(int));
	return 0;
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

/* An error, but of no item. */
static int
stay(struct mproc_map_run *run)
{
	(void)run;
	return -ERANGE;
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
		&b->pool, MPROC_OPTS(mproc_pool_opts, .workers = 2,
				       .method = usual_method()), loop), 0);
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

static void
the_error_of_a_loop_that_stays_is_no_items(void **state)
{
	struct board *b = pool_with(*state, stay);

	mpt_watchdog(*state, 60);
	map_and_free(b);
}

/* It does not come back for ever. */
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

/* Makes a pool whose loop only this process has, and no worker that would call it. */
static int
create(struct mpt *t, void *arg)
{
	struct board *b = the_board();
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	union {
		void *page;
		mproc_map_loop *loop;
	} its = { mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) };

	mpt_check(t, its.page != MAP_FAILED);
	mpt_check_int(t, mproc_pool_create_near(
		&b->pool, MPROC_OPTS(mproc_pool_opts, .workers = 1,
				     .backend = *(int *)arg), its.loop), 0);
	mpt_step(t, 0);
	mpt_reach(t, 2);
	mproc_pool_free(b->pool);
	munmap(its.page, size);
	return 0;
}

static void
map_and_let_free(struct board *b, int creator)
{
	int in[N], out[N];

	for (int i = 0; i < N; i++)
		in[i] = i + N;
	mpt_check_int(b->t, mproc_pool_map(b->pool, copy, NULL, in, sizeof(in[0]), out,
					   sizeof(out[0]), N, NULL), 0);
	assert_memory_equal(in, out, sizeof(in));
	mpt_step(b->t, 1);
	mpt_expect_exit(b->t, creator, 0);
}

static void
who_runs_items_itself_needs_no_loop_of_the_creators(void **state)
{
	struct board *b = new_board(*state);
	int backend = MPROC_POOL_INLINE;
	int creator = mpt_fork(b->t, "creator", create, &backend);

	mpt_reach(b->t, 1);
	map_and_let_free(b, creator);
}

static void
nor_do_workers_of_who_starts_another_keeper(void **state)
{
	struct board *b = new_board(*state);
	int backend = MPROC_POOL_PROCESSES;
	int creator = mpt_fork(b->t, "creator", create, &backend);
	int worker, end;

	mpt_reach(b->t, 1);
	worker = take_int(b, submit(b, tell_pid, NULL, 0));
	mpt_check_int(b->t, kill(pool_stat(b).keeper, SIGKILL), 0);
	mpt_until(b->t, pool_stat(b).keeper == 0);
	/* It ends with its keeper. */
	mpt_until(b->t, (end = mpt_task_state(worker)) == 0 || end == 'Z');
	map_and_let_free(b, creator);
	mpt_reap_orphans(b->t);
	/* Reaps the keeper that this process has started. */
	b = pool_of(b->t, 1);
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
		mpt_test(the_error_of_a_loop_that_stays_is_no_items),
		mpt_test(who_dies_in_a_loop_dies_of_an_item),
		mpt_test(who_runs_items_itself_needs_no_loop_of_the_creators),
		mpt_test(nor_do_workers_of_who_starts_another_keeper),
	};

	return cmocka_run_group_tests(tests, with_pool, NULL);
}
