/* SPDX-License-Identifier: MIT */
/*
 * pool.h: pools in processes with an image of their own (MPT_METHOD). Keepers and workers
 * are forked from that one, so what tasks do there is what they do elsewhere. Those that
 * are not (.method) are in the other tests of pools.
 */
#include "pool.h"
#include "started.h"

enum { N = 100, CREATORS = 3 };

/* What an image's functions find in its own memory. */
static int number_of_image;

static int
add_number(const void *in, size_t len, struct mproc_result *out)
{
	int i = int_of(in) + number_of_image;

	(void)len;
	return mproc_result_set(out, &i, sizeof(i));
}

static int
add_number_to_item(const void *in, void *out, void *ctx)
{
	int i = int_of(in) + number_of_image + int_of(ctx);

	memcpy(out, &i, sizeof(i));
	return 0;
}

static int
set_number(void *arg)
{
	number_of_image += int_of(arg);
	return 0;
}

static int
die_at_first(const void *in, size_t len, struct mproc_result *out)
{
	if (atomic_fetch_add(&the_board()->counts[int_of(in)], 1) == 0)
		raise(SIGKILL);
	return add_number(in, len, out);
}

static void
use_pool(struct board *b, mproc_pool *pool, int number)
{
	struct board mine = { .t = b->t, .pool = pool };
	int in[N], out[N];

	for (int i = 0; i < N; i++)
		in[i] = i;
	for (int i = 0; i < N; i++)
		mine.futures[i] = submit_int(&mine, add_number, i);
	mpt_check_int(b->t, mproc_pool_map(pool, add_number_to_item, in + 7, in,
					   sizeof(int), out, sizeof(int), N,
					   MPROC_OPTS(mproc_map_opts,
						      .ctx_size = sizeof(int))),
		      0);
	for (int i = 0; i < N; i++) {
		mpt_check_int(b->t, out[i], i + number + 7);
		mpt_check_int(b->t, take_int(&mine, mine.futures[i]),
			      i + number);
	}
}

/* Its worker is killed, then its keeper. */
static int
create(struct mpt *t, void *arg)
{
	struct board *b = arg;
	int number = getpid(), state;
	struct mproc_pool_stat stat;
	mproc_pool *pool = NULL;
	struct board mine;

	mpt_check_int(t, mproc_pool_create(&pool, MPROC_OPTS(
		mproc_pool_opts, .workers = 2, .retries = 1,
		.initializer = set_number, .init_arg = &number,
		.init_size = sizeof(number))), 0);
	use_pool(b, pool, number);
	mine = (struct board){ .t = t, .pool = pool };
	mpt_check_int(t, take_int(&mine, submit_int(&mine, die_at_first,
						    number % N)),
		      number % N + number);
	mpt_check_int(t, mproc_pool_stat(pool, &stat), 0);
	mpt_check_int(t, kill(stat.keeper, SIGKILL), 0);
	mpt_until(t, (state = mpt_task_state(stat.keeper)) == 0 ||
			     state == 'Z');
	use_pool(b, pool, number);
	mpt_check_int(t, mproc_pool_stat(pool, &stat), 0);
	mpt_check_int(t, stat.keepers, 2);
	mpt_check_int(t, mproc_pool_close(pool), 0);
	mpt_check_int(t, mproc_pool_join(pool, MPROC_FOREVER), 0);
	mproc_pool_free(pool);
	return 0;
}

static void
whoever_was_started_may_have_a_pool(void **state)
{
	struct board *b = new_board(*state);
	int ids[CREATORS];

	for (int i = 0; i < CREATORS; i++)
		ids[i] = mpt_spawn(b->t, "creator", create, b);
	for (int i = 0; i < CREATORS; i++)
		mpt_expect_exit(b->t, ids[i], 0);
	mpt_reap_orphans(b->t);
}

static int
create_for_others(struct mpt *t, void *arg)
{
	struct board *b = arg;

	mpt_check_int(t, mproc_pool_create(&b->pool,
					   MPROC_OPTS(mproc_pool_opts,
						      .workers = 1)), 0);
	b->futures[0] = submit_int(b, linger, 5);
	await_begun(b, 1);
	mpt_step(t, 0);
	mpt_reach(t, 2);
	mpt_check_int(t, mproc_pool_close(b->pool), 0);
	mpt_check_int(t, mproc_pool_join(b->pool, MPROC_FOREVER), 0);
	mproc_pool_free(b->pool);
	return 0;
}

/* Whoever has submitted it. */
static void
another_image_waits_for_a_task(void **state)
{
	struct board *b = new_board(*state);
	int id = mpt_spawn(b->t, "creator", create_for_others, b);

	mpt_reach(b->t, 1);
	assert_int_equal(mproc_future_wait(b->futures[0], mproc_ms(1)),
			 -ETIMEDOUT);
	atomic_store(&b->go_on, true);
	assert_int_equal(take_int(b, b->futures[0]), 5);
	mpt_step(b->t, 1);
	mpt_expect_exit(b->t, id, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(whoever_was_started_may_have_a_pool),
		mpt_test(another_image_waits_for_a_task),
	};

	return cmocka_run_group_tests(tests, with_pool, NULL);
}
