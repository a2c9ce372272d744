/* SPDX-License-Identifier: MIT */
/*
 * pool.h: pools that get more workers, or fewer, while they have tasks, are killed, or
 * have nothing to do.
 */
#include "pool.h"

#define N 64

static void
resize(struct board *b, int workers)
{
	mpt_check_int(b->t, mproc_pool_resize(b->pool, workers), 0);
	mpt_check_int(b->t, pool_stat(b).size, workers);
}

static void
await_workers(struct board *b, unsigned n)
{
	mpt_until(b->t, pool_stat(b).workers == n);
}

static int
resize_in_child(struct mpt *t, void *pool)
{
	mpt_check_int(t, mproc_pool_resize(pool, 2), -ECHILD);
	return 0;
}

static void
what_makes_no_sense_is_refused(void **state)
{
	struct board *b = pool_of(*state, 1);
	mproc_future *f;

	assert_int_equal(mproc_pool_resize(NULL, 1), -EINVAL);
	assert_int_equal(mproc_pool_resize(b->pool, -1), -EINVAL);
	assert_int_equal(mproc_pool_resize(b->pool, 513), -EINVAL);
	assert_true(detail_has("513"));
	assert_int_equal(pool_stat(b).size, 1);
	mpt_expect_exit(b->t, mpt_fork(b->t, "child", resize_in_child, b->pool), 0);
	assert_int_equal(mproc_pool_resize(b->pool, 0), 0);
	assert_int_equal(pool_stat(b).size, mproc_cpu_count());
	f = submit_int(b, linger, 1);
	assert_int_equal(mproc_pool_close(b->pool), 0);
	/* There may be much to do still. */
	assert_int_equal(mproc_pool_resize(b->pool, 1), 0);
	assert_int_equal(mproc_pool_terminate(b->pool), 0);
	assert_int_equal(mproc_pool_resize(b->pool, 1), -ESHUTDOWN);
	atomic_store(&b->go_on, true);
	mproc_future_close(f);
	mproc_pool_free(b->pool);
	assert_int_equal(mproc_pool_resize(b->pool, 1), -ESTALE);
}

/* Until @n at once are being run. */
static void
fill_with_tasks(struct board *b, unsigned n)
{
	atomic_store(&b->begun, 0);
	atomic_store(&b->go_on, false);
	for (unsigned i = 0; i < n; i++)
		b->futures[i] = submit_int(b, linger, (int)i);
	await_begun(b, n);
}

static void
take_tasks(struct board *b, unsigned n)
{
	atomic_store(&b->go_on, true);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(take_int(b, b->futures[i]), i);
}

static void
more_workers_do_more_at_once(void **state)
{
	struct board *b = pool_of(*state, 1);

	for (unsigned n = 2; n <= 8; n *= 2) {
		resize(b, (int)n);
		fill_with_tasks(b, n);
		take_tasks(b, n);
	}
	assert_int_equal(pool_stat(b).deaths, 0);
	close_and_join(b);
}

static void
who_has_nothing_to_do_ends_at_once(void **state)
{
	struct board *b = pool_of(*state, 6);

	fill_with_tasks(b, 6);
	take_tasks(b, 6);
	resize(b, 2);
	await_workers(b, 2);
	fill_with_tasks(b, 2);
	take_tasks(b, 2);
	resize(b, 5);
	fill_with_tasks(b, 5);
	take_tasks(b, 5);
	resize(b, 1);
	await_workers(b, 1);
	assert_int_equal(pool_stat(b).deaths, 0);
	close_and_join(b);
}

/* And others are not held up by it. */
static void
who_is_busy_comes_to_its_end(void **state)
{
	struct board *b = pool_of(*state, 3);

	fill_with_tasks(b, 3);
	resize(b, 1);
	for (unsigned i = 3; i < N; i++)
		b->futures[i] = submit_int(b, square, (int)i);
	/* Whoever sees it first; then the one that stays does the rest. */
	take_tasks(b, 3);
	for (unsigned i = 3; i < N; i++)
		assert_int_equal(take_int(b, b->futures[i]), i * i);
	await_workers(b, 1);
	assert_int_equal(pool_stat(b).deaths, 0);
	close_and_join(b);
}

static int
count_item(const void *in, void *out, void *ctx)
{
	int i = int_of(in);

	(void)out;
	(void)ctx;
	atomic_fetch_add(&the_board()->counts[i], 1);
	return 0;
}

/* As progress of a map, which it calls. */
static void
resize_at_random(size_t done, size_t n, void *ctx)
{
	struct board *b = ctx;

	(void)done;
	(void)n;
	resize(b, 1 + (int)(mproc_now() / 1000 % 4));
}

/* A chunk is done to its end, by somebody. */
static void
a_map_loses_nothing(void **state)
{
	struct board *b = pool_of(*state, 4);
	int in[N], sizes[] = { 1, 4, 2, 3, 1 };
	mproc_future *f;

	for (int i = 0; i < N; i++)
		in[i] = i;
	for (int i = 0; i < 5; i++) {
		atomic_store(&b->begun, 0);
		atomic_store(&b->go_on, false);
		assert_int_equal(mproc_pool_map_async(
			b->pool, i % 2 ? linger_over : count_item, NULL, in,
			sizeof(int), NULL, i % 2 ? sizeof(int) : 0, N,
			MPROC_OPTS(mproc_map_opts, .chunk = 4), &f), 0);
		if (i % 2)
			await_begun(b, 1);
		resize(b, sizes[i]);
		atomic_store(&b->go_on, true);
		assert_int_equal(mproc_future_wait(f, MPROC_FOREVER), 0);
		assert_int_equal(mproc_future_error(f, &(struct mproc_task_error){
							       0 }), -ENODATA);
		mproc_future_close(f);
		await_workers(b, (unsigned)sizes[i]);
	}
	for (int i = 0; i < N; i++)
		assert_int_equal(atomic_load(&b->counts[i]), 3);
	assert_int_equal(mproc_pool_map(b->pool, count_item, NULL, in, sizeof(int),
					NULL, 0, N,
					MPROC_OPTS(mproc_map_opts, .chunk = 1,
						   .progress = resize_at_random,
						   .progress_ctx = b)), 0);
	assert_int_equal(pool_stat(b).deaths, 0);
	close_and_join(b);
}

/* Each item has its worker until it is told to go on: so many workers are at it. */
static void
a_map_is_spread_over_those_that_come_later(void **state)
{
	struct board *b = pool_of(*state, 1);
	int in[N], out[N];
	mproc_future *f;

	for (int i = 0; i < N; i++)
		in[i] = i;
	for (int guided = 0; guided < 2; guided++) {
		resize(b, 1);
		await_workers(b, 1);
		atomic_store(&b->begun, 0);
		atomic_store(&b->go_on, false);
		assert_int_equal(mproc_pool_map_async(
			b->pool, linger_over, NULL, in, sizeof(int), NULL,
			sizeof(int), N,
			MPROC_OPTS(mproc_map_opts, .chunk = 1, .guided = guided),
			&f), 0);
		await_begun(b, 1);
		resize(b, 2);
		await_begun(b, 2);
		resize(b, 5);
		await_begun(b, 5);
		atomic_store(&b->go_on, true);
		assert_int_equal(mproc_future_get(f, out, sizeof(out), NULL,
						  MPROC_FOREVER), 0);
		assert_memory_equal(in, out, sizeof(in));
		assert_int_equal(atomic_load(&b->begun), N);
		mproc_future_close(f);
	}
	assert_int_equal(pool_stat(b).deaths, 0);
	close_and_join(b);
}

/* Also where a keeper dies before it has told them. */
static void
a_dead_keepers_successor_spreads_a_map(void **state)
{
	struct board *b = pool_of(*state, 1);
	pid_t keeper = pool_stat(b).keeper;
	int in[N];
	mproc_future *f;

	for (int i = 0; i < N; i++)
		in[i] = i;
	atomic_store(&b->begun, 0);
	atomic_store(&b->go_on, false);
	assert_int_equal(mproc_pool_map_async(b->pool, linger_over, NULL, in,
					      sizeof(int), NULL, sizeof(int), N,
					      MPROC_OPTS(mproc_map_opts, .chunk = 1),
					      &f), 0);
	await_begun(b, 1);
	assert_int_equal(kill(keeper, SIGSTOP), 0);
	mpt_until(b->t, mpt_task_state(keeper) == 'T');
	resize(b, 3);
	assert_int_equal(kill(keeper, SIGKILL), 0);
	mpt_until(b->t, pool_stat(b).keeper == 0);
	atomic_store(&b->begun, 0);
	assert_int_equal(mproc_future_wait(f, mproc_ms(1)), -ETIMEDOUT);
	await_begun(b, 3);
	atomic_store(&b->go_on, true);
	assert_int_equal(mproc_future_wait(f, MPROC_FOREVER), 0);
	mproc_future_close(f);
	close_and_join(b);
	mpt_reap_orphans(b->t);
}

static int
die_at_first(const void *in, size_t len, struct mproc_result *out)
{
	if (atomic_fetch_add(&the_board()->counts[int_of(in)], 1) == 0)
		raise(SIGKILL);
	return mproc_result_set(out, in, len);
}

static int
die_over_some(const void *in, void *out, void *ctx)
{
	int i = int_of(in);

	(void)ctx;
	if (i % 4 == 0 && atomic_fetch_add(&the_board()->counts[i], 1) == 0)
		raise(SIGKILL);
	memcpy(out, &i, sizeof(i));
	return 0;
}

/* What they had begun is done by others, whoever is there. */
static void
a_map_is_spread_in_spite_of_deaths(void **state)
{
	struct board *b = new_pool(*state, MPROC_OPTS(mproc_pool_opts, .workers = 1,
						      .retries = 1000));
	int in[N], out[N], size = 0, r;
	mproc_future *f;

	for (int i = 0; i < N; i++)
		in[i] = i;
	assert_int_equal(mproc_pool_map_async(b->pool, die_over_some, NULL, in,
					      sizeof(int), NULL, sizeof(int), N,
					      MPROC_OPTS(mproc_map_opts, .chunk = 2),
					      &f), 0);
	do {
		resize(b, 1 + ++size % 5);
		r = mproc_future_wait(f, mproc_ms(1));
	} while (r == -ETIMEDOUT);
	assert_int_equal(r, 0);
	assert_int_equal(mproc_future_get(f, out, sizeof(out), NULL, MPROC_NOWAIT),
			 0);
	assert_memory_equal(in, out, sizeof(in));
	mproc_future_close(f);
	assert_int_equal(pool_stat(b).deaths, N / 4);
	close_and_join(b);
}

/* Workers, and keepers. */
static void
in_spite_of_deaths(void **state)
{
	struct board *b = new_pool(*state, MPROC_OPTS(mproc_pool_opts, .workers = 2,
						      .retries = 1000));
	pid_t keeper, killed = -1;

	for (int i = 0; i < N; i++) {
		b->futures[i] = submit_int(b, i % 4 ? square : die_at_first, i);
		if (i % 8 == 7)
			resize(b, 1 + i % 5);
		keeper = i % 32 == 31 ? pool_stat(b).keeper : 0;
		if (keeper) {
			assert_int_equal(kill(keeper, SIGKILL), 0);
			killed = keeper;
		}
	}
	for (int i = 0; i < N; i++)
		assert_int_equal(take_int(b, b->futures[i]), i % 4 ? i * i : i);
	/* Those may be done before it is dead. Then nobody has missed it, and who it has
	 * started ends with it. */
	mpt_until(b->t, pool_stat(b).keeper != killed);
	resize(b, 3);
	b->futures[0] = submit_int(b, linger, 0);
	assert_int_equal(mproc_future_wait(b->futures[0], mproc_ms(1)), -ETIMEDOUT);
	take_tasks(b, 1);
	fill_with_tasks(b, 3);
	take_tasks(b, 3);
	resize(b, 2);
	await_workers(b, 2);
	close_and_join(b);
	mpt_reap_orphans(b->t);
}

/* The next one begins with as many as are wanted by then. */
static void
a_dead_keepers_successor_does_it(void **state)
{
	struct board *b = pool_of(*state, 4);
	pid_t keeper = pool_stat(b).keeper;

	assert_int_equal(kill(keeper, SIGKILL), 0);
	mpt_until(b->t, pool_stat(b).keeper == 0);
	resize(b, 2);
	assert_int_equal(take_int(b, submit_int(b, square, 3)), 9);
	await_workers(b, 2);
	close_and_join(b);
	mpt_reap_orphans(b->t);
}

static int
note_pid(const void *in, size_t len, struct mproc_result *out)
{
	atomic_store(&the_board()->counts[int_of(in)], (unsigned)getpid());
	return linger(in, len, out);
}

/* How many of those are in this state. */
static unsigned
count_in_state(const struct board *b, unsigned n, int state)
{
	unsigned found = 0;

	for (unsigned i = 0; i < n; i++)
		found += mpt_task_state((pid_t)atomic_load(&b->counts[i])) == state;
	return found;
}

/* The one that ends as one too many is not the one that is woken for it, and sleeps again.
 * The keeper sees that only when two are too many. */
static void
who_is_woken_in_vain_is_woken_again(void **state)
{
	struct board *b = pool_of(*state, 3);
	pid_t keeper = pool_stat(b).keeper;

	for (int i = 0; i < 3; i++)
		b->futures[i] = submit_int(b, note_pid, i);
	await_begun(b, 3);
	resize(b, 2);
	/* It has told one, and whoever comes first ends. */
	mpt_until(b->t, mpt_task_state(keeper) == 'S');
	assert_int_equal(kill(keeper, SIGSTOP), 0);
	mpt_until(b->t, mpt_task_state(keeper) == 'T');
	take_tasks(b, 3);
	mpt_until(b->t, count_in_state(b, 3, 'Z') == 1);
	mpt_until(b->t, count_in_state(b, 3, 'S') == 2);
	resize(b, 1);
	assert_int_equal(kill(keeper, SIGCONT), 0);
	await_workers(b, 1);
	assert_int_equal(pool_stat(b).deaths, 0);
	close_and_join(b);
}

/* It does not end with its keeper. */
static int
outlive(const void *in, size_t len, struct mproc_result *out)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMAX);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return note_pid(in, len, out);
}

/* Also those with numbers that are not wanted any more. */
static void
who_outlives_its_keeper_is_looked_after(void **state)
{
	struct board *b = pool_of(*state, 3);

	for (int i = 0; i < 3; i++)
		b->futures[i] = submit_int(b, outlive, i);
	await_begun(b, 3);
	resize(b, 1);
	assert_int_equal(kill(pool_stat(b).keeper, SIGKILL), 0);
	mpt_until(b->t, pool_stat(b).keeper == 0);
	assert_int_equal(mproc_future_wait(b->futures[0], mproc_ms(1)), -ETIMEDOUT);
	mpt_until(b->t, pool_stat(b).keepers == 2);
	for (int i = 0; i < 3; i++) {
		pid_t pid = (pid_t)atomic_load(&b->counts[i]);

		assert_int_equal(kill(pid, SIGKILL), 0);
		expect_error(b, b->futures[i], -EOWNERDEAD);
	}
	assert_int_equal(take_int(b, submit_int(b, square, 3)), 9);
	await_workers(b, 1);
	close_and_join(b);
	mpt_reap_orphans(b->t);
}

static void
who_rests_is_forgotten(void **state)
{
	struct board *b = new_pool(*state, MPROC_OPTS(mproc_pool_opts, .workers = 4,
						      .idle_timeout = mproc_ms(5)));

	fill_with_tasks(b, 4);
	take_tasks(b, 4);
	await_workers(b, 0);
	resize(b, 1);
	fill_with_tasks(b, 1);
	b->futures[1] = submit_int(b, linger, 1);
	/* Nobody else comes for it. */
	assert_int_equal(mproc_future_wait(b->futures[1], mproc_ms(20)),
			 -ETIMEDOUT);
	assert_int_equal(atomic_load(&b->begun), 1);
	take_tasks(b, 2);
	await_workers(b, 0);
	/* Those that are new have not rested yet. */
	resize(b, 3);
	fill_with_tasks(b, 3);
	take_tasks(b, 3);
	await_workers(b, 0);
	assert_int_equal(pool_stat(b).deaths, 0);
	close_and_join(b);
}

/* The next pool in its place has what it asks for. */
static void
others_have_their_own_size(void **state)
{
	struct board *b = pool_of(*state, 1);

	resize(b, 20);
	await_workers(b, 20);
	close_and_join(b);
	b = pool_of(*state, 2);
	await_workers(b, 2);
	assert_int_equal(pool_stat(b).size, 2);
	close_and_join(b);
	b = new_pool(*state, MPROC_OPTS(mproc_pool_opts,
					.backend = MPROC_POOL_INLINE));
	resize(b, 7);
	assert_int_equal(take_int(b, submit_int(b, square, 3)), 9);
	close_and_join(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(what_makes_no_sense_is_refused),
		mpt_test(more_workers_do_more_at_once),
		mpt_test(who_has_nothing_to_do_ends_at_once),
		mpt_test(who_is_busy_comes_to_its_end),
		mpt_test(a_map_loses_nothing),
		mpt_test(a_map_is_spread_over_those_that_come_later),
		test_of_processes(a_dead_keepers_successor_spreads_a_map),
		test_of_processes(a_map_is_spread_in_spite_of_deaths),
		test_of_processes(in_spite_of_deaths),
		test_of_processes(a_dead_keepers_successor_does_it),
		test_of_processes(who_is_woken_in_vain_is_woken_again),
		test_of_processes(who_outlives_its_keeper_is_looked_after),
		mpt_test(who_rests_is_forgotten),
		mpt_test(others_have_their_own_size),
	};

	return cmocka_run_group_tests(tests, with_pool, NULL);
}
