/* SPDX-License-Identifier: MIT */
/*
 * pool.h: tasks, results and futures, and the end of a pool. Deaths are in
 * test_pool_death.c.
 */
#include "pool.h"

static void
what_makes_no_sense_is_refused(void **state)
{
	struct mproc_pool_opts o = { .struct_size = 3 };
	struct {
		struct mproc_pool_opts o;
		int more;
	} longer = { { .struct_size = sizeof(longer) }, 1 };
	struct mproc_task_error error;
	struct mproc_pool_stat stat;
	struct mproc_exit end;
	mproc_pool *p = NULL;
	mproc_future *f = NULL;

	(void)state;
	assert_int_equal(mproc_pool_create(NULL, NULL), -EINVAL);
	assert_int_equal(mproc_pool_create(&p, &o), -EINVAL);
	assert_int_equal(mproc_pool_create(&p, &longer.o), -E2BIG);
	mproc_opts_init(&o, sizeof(o));
	o.workers = 513;
	assert_int_equal(mproc_pool_create(&p, &o), -EINVAL);
	assert_true(detail_has("workers is 513"));
	o.workers = -1;
	assert_int_equal(mproc_pool_create(&p, &o), -EINVAL);
	o.workers = 1;
	o.retries = -1;
	assert_int_equal(mproc_pool_create(&p, &o), -EINVAL);
	o.retries = 0;
	o.task_timeout = mproc_until(1);
	assert_int_equal(mproc_pool_create(&p, &o), -EINVAL);
	o.task_timeout = MPROC_NOWAIT;
	o.init_size = 1;
	assert_int_equal(mproc_pool_create(&p, &o), -EINVAL);
	o.init_size = 0;
	o.backend = MPROC_POOL_INLINE + 1;
	assert_int_equal(mproc_pool_create(&p, &o), -EINVAL);
	o.backend = -1;
	assert_int_equal(mproc_pool_create(&p, &o), -EINVAL);
	assert_null(p);

	assert_int_equal(mproc_pool_submit(NULL, square, NULL, 0, &f), -EINVAL);
	assert_int_equal(mproc_pool_submit((mproc_pool *)&o, square, NULL, 0,
					   &f), -EFAULT);
	assert_int_equal(mproc_pool_stat(NULL, &stat), -EINVAL);
	assert_int_equal(mproc_pool_close(NULL), -EINVAL);
	assert_int_equal(mproc_pool_terminate(NULL), -EINVAL);
	assert_int_equal(mproc_pool_join(NULL, MPROC_NOWAIT), -EINVAL);
	mproc_pool_free(NULL);
	assert_int_equal(mproc_future_get(NULL, NULL, 0, NULL, MPROC_NOWAIT),
			 -EINVAL);
	assert_int_equal(mproc_future_wait((mproc_future *)&o, MPROC_NOWAIT),
			 -EFAULT);
	assert_int_equal(mproc_future_ready(NULL), -EINVAL);
	assert_int_equal(mproc_future_cancel(NULL, 0), -EINVAL);
	assert_int_equal(mproc_future_error(NULL, &error), -EINVAL);
	assert_int_equal(mproc_future_exit_info(NULL, &end), -EINVAL);
	mproc_future_close(NULL);
	assert_int_equal(mproc_result_set(NULL, NULL, 0), -EINVAL);
}

static void
calls_that_make_no_sense_are_refused(void **state)
{
	struct board *b = pool_of(*state, 1);
	mproc_future *f = NULL;
	char c = 0;

	assert_int_equal(mproc_pool_submit(b->pool, NULL, NULL, 0, &f),
			 -EINVAL);
	assert_int_equal(mproc_pool_submit(b->pool, square, NULL, 1, &f),
			 -EINVAL);
	assert_int_equal(mproc_pool_submit(b->pool, square, &c, 1, NULL),
			 -EINVAL);
	assert_int_equal(mproc_pool_stat(b->pool, NULL), -EINVAL);
	assert_int_equal(mproc_pool_close((void *)((uintptr_t)b->pool + 1)),
			 -EINVAL);
	assert_int_equal(mproc_pool_join(b->pool, MPROC_NOWAIT), -EINVAL);
	assert_true(detail_has("neither closed nor terminated"));
	assert_int_equal(pool_stat(b).futures, 0);
	f = submit_int(b, square, 2);
	assert_int_equal(mproc_future_get(f, NULL, 4, NULL, MPROC_NOWAIT),
			 -EINVAL);
	assert_int_equal(mproc_future_cancel(f, 2), -EINVAL);
	assert_int_equal(mproc_future_error(f, NULL), -EINVAL);
	assert_int_equal(mproc_future_exit_info(f, NULL), -EINVAL);
	assert_int_equal(take_int(b, f), 4);
	close_and_join(b);
}

static void
tasks_give_their_results(void **state)
{
	struct board *b = pool_of(*state, 2);
	const int n = 1000;

	for (int i = 0; i < n; i++)
		b->futures[i] = submit_int(b, square, i);
	for (int i = 0; i < n; i++)
		assert_int_equal(take_int(b, b->futures[i]), i * i);
	mpt_until(b->t, pool_stat(b).done == (unsigned)n);
	assert_int_equal(pool_stat(b).futures, 0);
	close_and_join(b);
}

/* As many bytes as the input says, each one its own number. */
static int
many_bytes(const void *in, size_t len, struct mproc_result *out)
{
	int n = int_of(in), r;
	unsigned char *p = malloc((size_t)n + 1);

	(void)len;
	for (int i = 0; i < n; i++)
		p[i] = (unsigned char)i;
	/* The last one counts. */
	r = mproc_result_set(out, "nothing", 7);
	if (r == 0)
		r = mproc_result_set(out, p, (size_t)n);
	free(p);
	return r;
}

static void
results_have_any_size(void **state)
{
	static const int sizes[] = { 0, 1, 63, 64, 65, 4096, 100000, 3000000 };
	struct board *b = pool_of(*state, 1);
	unsigned char *p = malloc(3000000);
	size_t len;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		mproc_future *f = submit_int(b, many_bytes, sizes[i]);
		size_t n = (size_t)sizes[i];

		assert_int_equal(mproc_future_wait(f, MPROC_FOREVER), 0);
		if (n) {
			assert_int_equal(mproc_future_get(f, p, n - 1, &len,
							  MPROC_NOWAIT),
					 -EMSGSIZE);
			assert_int_equal(len, n);
		}
		assert_int_equal(mproc_future_get(f, p, n, &len, MPROC_NOWAIT),
				 0);
		assert_int_equal(len, n);
		for (size_t j = 0; j < n; j++)
			assert_int_equal(p[j], (unsigned char)j);
		mproc_future_close(f);
	}
	free(p);
	close_and_join(b);
}

static int
sum(const void *in, size_t len, struct mproc_result *out)
{
	const unsigned char *p = in;
	int total = 0;

	if ((uintptr_t)in % 16)
		return -EFAULT;
	for (size_t i = 0; i < len; i++)
		total += p[i];
	return mproc_result_set(out, &total, sizeof(total));
}

static void
inputs_have_any_size_and_are_copied(void **state)
{
	static const size_t sizes[] = { 0, 1, 100, 5000, 2000000 };
	struct board *b = pool_of(*state, 2);
	unsigned char *p = malloc(2000000);
	mproc_future *fs[5];

	for (int i = 0; i < 5; i++) {
		memset(p, i + 1, sizes[i]);
		fs[i] = submit(b, sum, p, sizes[i]);
		memset(p, 0, sizes[i]);
	}
	for (int i = 0; i < 5; i++)
		assert_int_equal(take_int(b, fs[i]),
				 (i + 1) * (int)sizes[i]);
	free(p);
	close_and_join(b);
}

static int
fail_with(const void *in, size_t len, struct mproc_result *out)
{
	static const char text[] = "there is no such thing";
	int r = mproc_result_set(out, text, sizeof(text) - 1);

	(void)len;
	return r < 0 ? r : int_of(in);
}

static void
an_error_is_data(void **state)
{
	struct board *b = pool_of(*state, 1);
	mproc_future *f = submit_int(b, fail_with, -ENOENT);
	struct mproc_task_error e;
	struct mproc_exit end;
	size_t len = 5;
	char c = 'x';

	assert_int_equal(mproc_future_get(f, &c, 1, &len, MPROC_FOREVER),
			 MPROC_TASK_FAILED);
	assert_true(detail_has("ENOENT"));
	assert_int_equal(c, 'x');
	assert_int_equal(len, 0);
	assert_int_equal(mproc_future_error(f, &e), 0);
	assert_int_equal(e.error, -ENOENT);
	assert_string_equal(e.text, "there is no such thing");
	assert_int_equal(e.deaths, 0);
	assert_int_equal(e.worker, 0);
	assert_string_equal(e.name, "worker-0");
	assert_true(e.pid > 0 && (e.pid == getpid()) != are_processes());
	assert_int_equal(mproc_future_exit_info(f, &end), -ENODATA);
	mproc_future_close(f);
	/* The worker goes on. */
	f = submit_int(b, square, 3);
	assert_int_equal(mproc_future_wait(f, MPROC_FOREVER), 0);
	assert_int_equal(mproc_future_error(f, &e), -ENODATA);
	assert_int_equal(take_int(b, f), 9);
	assert_int_equal(pool_stat(b).deaths, 0);
	close_and_join(b);
}

/* As much of its name as leaves room for their numbers. */
static void
workers_are_named_after_their_pool(void **state)
{
	static const char *const names[][2] = {
		{ "p", "p-0" },
		{ "0123456789012345678901234567890123456789",
		  "0123456789012345678901234567890123456789-0" },
		{ "01234567890123456789012345678901234567890123456789",
		  "0123456789012345678901234567890123456789-0" },
	};
	struct mproc_task_error e;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct board *b = new_pool(*state, MPROC_OPTS(mproc_pool_opts,
					   .workers = 1, .name = names[i][0]));
		mproc_future *f = submit_int(b, fail_with, -ENOENT);

		assert_int_equal(mproc_future_wait(f, MPROC_FOREVER), 0);
		assert_int_equal(mproc_future_error(f, &e), 0);
		assert_string_equal(e.name, names[i][1]);
		mproc_future_close(f);
		close_and_join(b);
	}
}

static void
who_waits_may_stop_waiting(void **state)
{
	struct board *b = pool_of(*state, 1);
	mproc_future *f = submit_int(b, linger, 7);
	struct mproc_task_error e;
	struct mproc_exit end;

	await_begun(b, 1);
	assert_int_equal(mproc_future_ready(f), 0);
	assert_int_equal(mproc_future_get(f, NULL, 0, NULL, MPROC_NOWAIT),
			 -EAGAIN);
	assert_int_equal(mproc_future_wait(f, mproc_ms(1)), -ETIMEDOUT);
	assert_int_equal(mproc_future_error(f, &e), -EAGAIN);
	assert_int_equal(mproc_future_exit_info(f, &end), -EAGAIN);
	mproc_interrupt();
	assert_int_equal(mproc_future_wait(f, MPROC_FOREVER), -EINTR);
	atomic_store(&b->go_on, true);
	assert_int_equal(mproc_future_wait(f, MPROC_FOREVER), 0);
	assert_int_equal(mproc_future_ready(f), 1);
	assert_int_equal(take_int(b, f), 7);
	close_and_join(b);
}

static void
apply_is_both(void **state)
{
	struct board *b = pool_of(*state, 1);
	int in = 12, out = 0;
	size_t len;

	assert_int_equal(mproc_pool_apply(b->pool, square, &in, sizeof(in), &out,
					  sizeof(out), &len, MPROC_FOREVER), 0);
	assert_int_equal(out, 144);
	assert_int_equal(len, sizeof(out));
	in = -EIO;
	assert_int_equal(mproc_pool_apply(b->pool, fail_with, &in, sizeof(in), &out,
					  sizeof(out), &len, MPROC_FOREVER),
			 MPROC_TASK_FAILED);
	assert_true(detail_has("EIO"));
	/* One that runs on, and one that is never begun: on a busy machine the
	 * first may be so, too. */
	do
		assert_int_equal(mproc_pool_apply(b->pool, linger, &in,
						  sizeof(in), &out, sizeof(out),
						  &len, mproc_ms(1)),
				 -ETIMEDOUT);
	while (atomic_load(&b->begun) == 0);
	assert_int_equal(mproc_pool_apply(b->pool, linger, &in, sizeof(in), &out,
					  sizeof(out), &len, mproc_ms(1)),
			 -ETIMEDOUT);
	atomic_store(&b->go_on, true);
	assert_int_equal(out, 144);
	close_and_join(b);
	assert_int_equal(atomic_load(&b->begun), 1);
}

static void
what_nobody_has_begun_can_be_canceled(void **state)
{
	struct board *b = pool_of(*state, 1);
	mproc_future *first = submit_int(b, linger, 1);
	mproc_future *second = submit_int(b, linger, 2);
	mproc_future *third = submit_int(b, square, 3);

	await_begun(b, 1);
	assert_int_equal(mproc_future_cancel(second, 0), 0);
	assert_int_equal(mproc_future_ready(second), 1);
	assert_int_equal(mproc_future_cancel(second, 0), -EALREADY);
	expect_error(b, second, -ECANCELED);
	assert_int_equal(mproc_future_cancel(first, 0), -EBUSY);
	atomic_store(&b->go_on, true);
	assert_int_equal(take_int(b, first), 1);
	assert_int_equal(take_int(b, third), 9);
	assert_int_equal(atomic_load(&b->begun), 1);
	close_and_join(b);
}

static void
a_closed_future_is_still_worked_on(void **state)
{
	struct board *b = pool_of(*state, 1);
	mproc_future *first = submit_int(b, linger, 1);
	mproc_future *second = submit_int(b, linger, 2);

	await_begun(b, 1);
	mproc_future_close(first);
	mproc_future_close(second);
	assert_int_equal(pool_stat(b).futures, 2);
	atomic_store(&b->go_on, true);
	mpt_until(b->t, pool_stat(b).futures == 0);
	assert_int_equal(atomic_load(&b->ended), 2);
	close_and_join(b);
}

static void
close_does_what_was_submitted(void **state)
{
	struct board *b = pool_of(*state, 2);
	mproc_future *f;

	for (int i = 0; i < 50; i++)
		b->futures[i] = submit_int(b, linger, i);
	assert_int_equal(mproc_pool_close(b->pool), 0);
	assert_int_equal(pool_stat(b).phase, MPROC_POOL_CLOSING);
	assert_int_equal(mproc_pool_submit(b->pool, square, NULL, 0, &f),
			 -ESHUTDOWN);
	assert_int_equal(mproc_pool_join(b->pool, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(mproc_pool_join(b->pool, mproc_ms(1)), -ETIMEDOUT);
	mproc_interrupt();
	assert_int_equal(mproc_pool_join(b->pool, MPROC_FOREVER), -EINTR);
	atomic_store(&b->go_on, true);
	assert_int_equal(mproc_pool_join(b->pool, MPROC_FOREVER), 0);
	assert_int_equal(mproc_pool_join(b->pool, MPROC_NOWAIT), 0);
	assert_int_equal(pool_stat(b).phase, MPROC_POOL_ENDED);
	assert_int_equal(pool_stat(b).workers, 0);
	/* Results stay. */
	for (int i = 0; i < 50; i++)
		assert_int_equal(take_int(b, b->futures[i]), i);
	mproc_pool_free(b->pool);
	assert_int_equal(mproc_pool_submit(b->pool, square, NULL, 0, &f),
			 -ESTALE);
	assert_int_equal(mproc_pool_close(b->pool), -ESTALE);
}

static void
terminate_fails_what_is_not_done(void **state)
{
	struct board *b = pool_of(*state, 2);
	mproc_future *f = submit_int(b, square, 5);

	assert_int_equal(mproc_future_wait(f, MPROC_FOREVER), 0);
	for (int i = 0; i < 20; i++)
		b->futures[i] = submit_int(b, linger, i);
	await_begun(b, 2);
	assert_int_equal(mproc_pool_terminate(b->pool), 0);
	for (int i = 0; i < 20; i++)
		expect_error(b, b->futures[i], -ESHUTDOWN);
	/* Threads come to the end of what they have. */
	atomic_store(&b->go_on, true);
	assert_int_equal(mproc_pool_join(b->pool, MPROC_FOREVER), 0);
	assert_int_equal(atomic_load(&b->begun), 2);
	assert_int_equal(take_int(b, f), 25);
	mproc_pool_free(b->pool);
}

static void
free_ends_a_pool_with_all_it_has(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct board *b = pool_of(*state, 3);
	mproc_future *f;

	atomic_store(&b->go_on, !are_processes());
	for (int i = 0; i < 20; i++)
		b->futures[i] = submit_int(b, i % 2 ? linger : many_bytes,
					   100 * i);
	f = b->futures[0];
	assert_int_equal(mproc_future_wait(f, MPROC_FOREVER), 0);
	mproc_pool_free(b->pool);
	assert_int_equal(mproc_future_wait(f, MPROC_NOWAIT), -ESTALE);
	mproc_future_close(f);
	expect_stat(&before);
}

static int
submit_and_wait(struct mpt *t, void *arg)
{
	struct board *b = arg;
	mproc_future *f;

	mpt_check_int(t, take_int(b, submit_int(b, square, 9)), 81);
	/* What is left open is closed; inline, with the pool. */
	f = submit_int(b, square, 10);
	mpt_check_int(t, mproc_future_wait(f, MPROC_FOREVER), 0);
	mpt_check_int(t, mproc_pool_close(b->pool), -ECHILD);
	mpt_check_int(t, mproc_pool_terminate(b->pool), -ECHILD);
	mpt_check_int(t, mproc_pool_join(b->pool, MPROC_NOWAIT), -ECHILD);
	mproc_pool_free(b->pool);
	return 0;
}

static void
any_process_submits(void **state)
{
	struct board *b = pool_of(*state, 2);
	int ids[4];

	for (int i = 0; i < 4; i++)
		ids[i] = mpt_fork(b->t, "submitter", submit_and_wait, b);
	for (int i = 0; i < 4; i++)
		mpt_expect_exit(b->t, ids[i], 0);
	mpt_until(b->t, is_inline() || pool_stat(b).futures == 0);
	close_and_join(b);
}

static int
fib(const void *in, size_t len, struct mproc_result *out)
{
	struct board *b = the_board();
	mproc_future *one, *other;
	int n = int_of(in);

	(void)len;
	if (n >= 2) {
		one = submit_int(b, fib, n - 1);
		other = submit_int(b, fib, n - 2);
		n = take_int(b, one) + take_int(b, other);
	}
	return mproc_result_set(out, &n, sizeof(n));
}

static void
tasks_may_wait_for_tasks(void **state)
{
	struct mpt *t = *state;

	for (int workers = 1; workers <= 3; workers++) {
		struct board *b = pool_of(t, workers);

		assert_int_equal(take_int(b, submit_int(b, fib, 10)), 55);
		assert_int_equal(pool_stat(b).futures, 0);
		close_and_join(b);
	}
}

static int
initialize(void *arg)
{
	struct board *b = the_board();

	atomic_fetch_add(&b->counts[0], 1);
	atomic_store(&b->counts[1], (unsigned)int_of(arg));
	return int_of(arg) == 77 ? 77 : 0;
}

static void
each_worker_is_initialized(void **state)
{
	int arg = 5;
	struct board *b = new_pool(*state, MPROC_OPTS(mproc_pool_opts,
						      .workers = 3,
						      .initializer = initialize,
						      .init_arg = &arg,
						      .init_size = sizeof(arg)));

	arg = 6;
	mpt_until(b->t, atomic_load(&b->counts[0]) == 3);
	assert_int_equal(atomic_load(&b->counts[1]), 5);
	assert_int_equal(take_int(b, submit_int(b, square, 2)), 4);
	close_and_join(b);
	assert_int_equal(atomic_load(&b->counts[0]), 3);
}

static void
an_initializer_that_fails_ends_the_pool(void **state)
{
	int arg = 77;
	struct board *b = new_pool(*state, MPROC_OPTS(mproc_pool_opts,
						      .workers = 1,
						      .initializer = initialize,
						      .init_arg = &arg,
						      .init_size = sizeof(arg)));
	mproc_future *f;

	if (mproc_pool_submit(b->pool, square, &arg, sizeof(arg), &f) == 0)
		expect_error(b, f, -ESHUTDOWN);
	assert_int_equal(mproc_pool_close(b->pool), 0);
	assert_int_equal(mproc_pool_join(b->pool, MPROC_FOREVER), 0);
	assert_int_equal(pool_stat(b).initializer, 77);
	mproc_pool_free(b->pool);
}

static void
many_wait_to_be_begun(void **state)
{
	struct board *b = pool_of(*state, 2);
	const unsigned n = amount(20000);
	mproc_future **fs = calloc(n, sizeof(mproc_future *));

	for (unsigned i = 0; i < n; i++)
		fs[i] = submit_int(b, square, (int)(i % 1000));
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(take_int(b, fs[i]),
				 (int)((i % 1000) * (i % 1000)));
	free(fs);
	close_and_join(b);
}

static void
several_pools_live_side_by_side(void **state)
{
	struct board *b = pool_of(*state, 1);
	mproc_pool *first = b->pool, *second;
	mproc_future *f;

	assert_int_equal(mproc_pool_create(&second,
					   MPROC_OPTS(mproc_pool_opts,
						      .workers = 1,
						      .name = "second")), 0);
	f = submit_int(b, linger, 1);
	b->pool = second;
	assert_int_equal(take_int(b, submit_int(b, square, 2)), 4);
	assert_string_equal(pool_stat(b).name, "second");
	close_and_join(b);
	b->pool = first;
	atomic_store(&b->go_on, true);
	assert_int_equal(take_int(b, f), 1);
	close_and_join(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(what_makes_no_sense_is_refused),
		mpt_test(calls_that_make_no_sense_are_refused),
		mpt_test(tasks_give_their_results),
		mpt_test(results_have_any_size),
		mpt_test(inputs_have_any_size_and_are_copied),
		mpt_test(an_error_is_data),
		mpt_test(workers_are_named_after_their_pool),
		test_of_workers(who_waits_may_stop_waiting),
		test_of_workers(apply_is_both),
		test_of_workers(what_nobody_has_begun_can_be_canceled),
		test_of_workers(a_closed_future_is_still_worked_on),
		test_of_workers(close_does_what_was_submitted),
		test_of_workers(terminate_fails_what_is_not_done),
		mpt_test(free_ends_a_pool_with_all_it_has),
		mpt_test(any_process_submits),
		mpt_test(tasks_may_wait_for_tasks),
		test_of_workers(each_worker_is_initialized),
		mpt_test(an_initializer_that_fails_ends_the_pool),
		mpt_test(many_wait_to_be_begun),
		mpt_test(several_pools_live_side_by_side),
	};

	return cmocka_run_group_tests(tests, with_pool, NULL);
}
