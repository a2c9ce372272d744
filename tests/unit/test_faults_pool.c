/* SPDX-License-Identifier: MIT */
/*
 * Pools in which calls of the kernel fail: in who makes and uses them, in the keeper, which
 * has what is to fail from there, and in the workers that it forks. See faults.h.
 */
#include "faults.h"
#include "os/task.h"

#define N 8
#define LONG mproc_sec(20)

/* Each worker has its own first call, and fails where the keeper's others have: nobody comes
 * to take a task, and who waits has to stop waiting. */
static bool
may_have_no_workers(struct mpt *t)
{
	const struct board *b = mpt_scratch(t);

	return b->point == MPR_FAULT_KEY;
}

static mproc_timeout
limit(struct mpt *t)
{
	return may_have_no_workers(t) ? mproc_ms(300) : LONG;
}

/* The calls so far in this process and those that it was forked from. */
static int
square(const void *in, size_t len, struct mproc_result *out)
{
	struct board *b = mpt_scratch(mpt_here());
	uint64_t hits = mpr_fault_hits(b->point);
	int i;

	(void)len;
	memcpy(&i, in, sizeof(i));
	i *= i;
	if (b->child_hits < hits)
		b->child_hits = hits;
	return mproc_result_set(out, &i, sizeof(i));
}

static int
square_item(const void *in, void *out, void *ctx)
{
	int i;

	(void)ctx;
	memcpy(&i, in, sizeof(i));
	i *= i;
	memcpy(out, &i, sizeof(i));
	return 0;
}

/* What it comes to, if nothing is to be said against it. */
static int
expect_end(struct mpt *t, mproc_future *f, int r)
{
	struct mproc_task_error e;

	if (r == -ETIMEDOUT && may_have_no_workers(t)) {
		mpt_check_int(t, mproc_future_cancel(f, 0), 0);
		return -EAGAIN;
	}
	mpt_check(t, r != -ETIMEDOUT);
	if (r != MPROC_TASK_FAILED)
		return r;
	mpt_check_int(t, mproc_future_error(f, &e), 0);
	mpt_check(t, e.error < 0);
	return e.error;
}

static int
submit(struct mpt *t, mproc_pool *pool)
{
	mproc_future *f = NULL;
	int i = 5, r;

	r = mproc_pool_submit(pool, square, &i, sizeof(i), &f);
	if (r < 0)
		return r;
	r = expect_end(t, f, mproc_future_get(f, &i, sizeof(i), NULL,
					    limit(t)));
	if (r == 0)
		mpt_check_int(t, i, 25);
	mproc_future_close(f);
	return r;
}

static int
map(struct mpt *t, mproc_pool *pool)
{
	int in[N], out[N] = { 0 }, errors[N], r;

	for (int i = 0; i < N; i++)
		in[i] = i;
	r = mproc_pool_map(pool, square_item, NULL, in, sizeof(int), out, sizeof(int),
			   N, MPROC_OPTS(mproc_map_opts, .chunk = 1,
					 .errors = errors, .timeout = LONG));
	mpt_check(t, r != -ETIMEDOUT);
	for (int i = 0; i < N && r >= 0; i++) {
		if (errors[i])
			return errors[i];
		mpt_check_int(t, out[i], i * i);
	}
	return r;
}

static int
next_number(void *src, const void **ret_in, size_t *ret_len)
{
	int *i = src;

	if (++*i == N)
		return -ENODATA;
	*ret_in = i;
	*ret_len = sizeof(*i);
	return 0;
}

static int
iterate(struct mpt *t, mproc_pool *pool)
{
	mproc_iter *it = NULL;
	struct mproc_task_error e;
	int src = -1, i, r;

	r = mproc_pool_imap(pool, square, next_number, &src,
			    MPROC_OPTS(mproc_imap_opts, .window = 4, .chunk = 2), &it);
	if (r < 0)
		return r;
	for (int n = 0; (r = mproc_iter_next(it, &i, sizeof(i), NULL, LONG)) == 0; n++)
		mpt_check_int(t, i, n * n);
	mpt_check(t, r != -ETIMEDOUT);
	if (r == MPROC_TASK_FAILED) {
		mpt_check_int(t, mproc_iter_error(it, &e), 0);
		r = e.error;
	}
	mproc_iter_close(it);
	return r == -ENODATA ? 0 : r;
}

/* Whatever has failed before: it ends, and is gone. */
static int
end(struct mpt *t, mproc_pool *pool)
{
	struct mproc_pool_stat stat;
	int r;

	mpt_check_int(t, mproc_pool_close(pool), 0);
	r = mproc_pool_join(pool, LONG);
	mpt_check(t, r != -ETIMEDOUT);
	mproc_pool_free(pool);
	mpt_check_int(t, mproc_pool_stat(pool, &stat), -ESTALE);
	mpt_check(t, mproc_arena_recover(NULL) >= 0);
	return r;
}

static int
use_backend(struct mpt *t, int backend)
{
	mproc_pool *pool;
	int r, ended;

	r = mproc_pool_create(&pool, MPROC_OPTS(mproc_pool_opts, .workers = 2,
						.retries = 3, .backend = backend));
	if (r < 0)
		return r;
	r = submit(t, pool);
	if (r == 0)
		r = map(t, pool);
	if (r == 0)
		r = iterate(t, pool);
	ended = end(t, pool);
	return r < 0 ? r : ended;
}

static int
use_processes(struct mpt *t)
{
	return use_backend(t, MPROC_POOL_PROCESSES);
}

static int
use_threads(struct mpt *t)
{
	return use_backend(t, MPROC_POOL_THREADS);
}

static int
use_inline(struct mpt *t)
{
	return use_backend(t, MPROC_POOL_INLINE);
}

/* Its keeper is killed: who waits starts another one. */
static int
use_keepers(struct mpt *t)
{
	struct mproc_pool_stat stat;
	mproc_pool *pool;
	int r, ended, state;

	r = mproc_pool_create(&pool, MPROC_OPTS(mproc_pool_opts, .workers = 1));
	if (r < 0)
		return r;
	mpt_check_int(t, mproc_pool_stat(pool, &stat), 0);
	mpt_check_int(t, kill(stat.keeper, SIGKILL), 0);
	mpt_until(t, (state = mpt_task_state(stat.keeper)) == 0 || state == 'Z');
	r = submit(t, pool);
	ended = end(t, pool);
	return r < 0 ? r : ended;
}

static const struct use processes = { "pool", use_processes, true };
static const struct use threads = { "threads", use_threads, true };
static const struct use in_line = { "inline", use_inline, false };
static const struct use keepers = { "keepers", use_keepers, true };

/* The root of a pool, and the places of its futures, stay for the next one. */
static void
sweep_pool(struct mpt *t, const struct use *use)
{
	struct board *b = mpt_scratch(t);

	b->keeps = true;
	sweep_all(t, use);
}

static void
a_pool_fails_cleanly(void **state)
{
	sweep_pool(*state, &processes);
}

static void
a_pool_of_threads_fails_cleanly(void **state)
{
	sweep_pool(*state, &threads);
}

static void
an_inline_pool_fails_cleanly(void **state)
{
	sweep_pool(*state, &in_line);
}

static void
a_next_keeper_fails_cleanly(void **state)
{
	sweep_pool(*state, &keepers);
	mpt_reap_orphans(*state);
}

static unsigned
count_workers(struct mpt *t, mproc_pool *pool)
{
	struct mproc_pool_stat stat;

	mpt_check_int(t, mproc_pool_stat(pool, &stat), 0);
	return stat.workers;
}

/* One of the keeper's forks fails: that worker comes a little later. */
static int
start_late(struct mpt *t, void *arg)
{
	mproc_pool *pool;
	char spec[32];

	(void)arg;
	for (int n = 2; n <= 6; n++) {
		snprintf(spec, sizeof(spec), "fork:%d", n);
		mpt_check_int(t, mpr_fault_set(spec), 0);
		mpt_check_int(t, mproc_pool_create(&pool, MPROC_OPTS(
			mproc_pool_opts, .workers = 4)), 0);
		mpr_fault_set(NULL);
		mpt_until(t, count_workers(t, pool) == 4);
		mpt_check_int(t, submit(t, pool), 0);
		mpt_check_int(t, end(t, pool), 0);
	}
	return 0;
}

static void
a_worker_that_cannot_be_forked_comes_later(void **state)
{
	mpt_expect_exit(*state, mpt_spawn(*state, "creator", start_late, NULL), 0);
}

/* Whoever waits may stop waiting, and the pool can be ended. */
static int
have_no_workers(struct mpt *t, void *arg)
{
	struct mproc_task_error e;
	mproc_future *fs[2];
	mproc_pool *pool;
	int i = 3;

	(void)arg;
	for (int freed = 0; freed < 2; freed++) {
		mpt_check_int(t, mpr_fault_set("fork:2+"), 0);
		mpt_check_int(t, mproc_pool_create(&pool, MPROC_OPTS(
			mproc_pool_opts, .workers = 4)), 0);
		mpr_fault_set(NULL);
		for (int k = 0; k < 2; k++)
			mpt_check_int(t, mproc_pool_submit(pool, square, &i, sizeof(i),
							   &fs[k]), 0);
		mpt_check_int(t, mproc_future_wait(fs[0], mproc_ms(30)), -ETIMEDOUT);
		mpt_check_int(t, count_workers(t, pool), 0);
		mpt_check_int(t, mproc_future_cancel(fs[0], 0), 0);
		if (!freed) {
			mpt_check_int(t, mproc_pool_terminate(pool), 0);
			mpt_check_int(t, mproc_future_wait(fs[1], LONG), 0);
			mpt_check_int(t, mproc_future_error(fs[1], &e), 0);
			mpt_check_int(t, e.error, -ESHUTDOWN);
			mpt_check_int(t, mproc_pool_join(pool, LONG), 0);
		}
		mproc_pool_free(pool);
		mpt_check_int(t, mproc_future_ready(fs[1]), -ESTALE);
	}
	return 0;
}

static void
a_pool_without_workers_can_be_ended(void **state)
{
	mpt_expect_exit(*state, mpt_spawn(*state, "creator", have_no_workers, NULL), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_pool_fails_cleanly),
		mpt_test(a_pool_of_threads_fails_cleanly),
		mpt_test(an_inline_pool_fails_cleanly),
		mpt_test(a_next_keeper_fails_cleanly),
		mpt_test(a_worker_that_cannot_be_forked_comes_later),
		mpt_test(a_pool_without_workers_can_be_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
