/* SPDX-License-Identifier: MIT */
/*
 * pool.h: maps. Deaths are in test_pool_map_death.c.
 */
#include <sys/time.h>

#include "pool.h"

#define N_MAX 1000

static int
square_plus(const void *in, void *out, void *ctx)
{
	int i = int_of(in), plus = ctx ? int_of(ctx) : 0;

	i = i * i + plus;
	memcpy(out, &i, sizeof(i));
	return 0;
}

static int
no_op(const void *in, void *out, void *ctx)
{
	(void)in;
	(void)out;
	(void)ctx;
	return 0;
}

static void
what_makes_no_sense_is_refused(void **state)
{
	struct board *b = pool_of(*state, 1);
	struct mproc_map_opts o = { .struct_size = 3 };
	int in[2] = { 1, 2 }, out[2], error;
	mproc_future *f = NULL;
	mproc_event *elsewhere = mproc_value(mproc_event, { 0 });
	size_t i = 0, size = sizeof(int);

	assert_int_equal(mproc_pool_map(b->pool, no_op, NULL, in, size, out,
					size, 2, &o), -EINVAL);
	mproc_opts_init(&o, sizeof(o));
	assert_int_equal(mproc_pool_map(NULL, no_op, NULL, in, size, out, size,
					2, NULL), -EINVAL);
	assert_int_equal(mproc_pool_map(b->pool, NULL, NULL, in, size, out, size,
					2, NULL), -EINVAL);
	assert_int_equal(mproc_pool_map(b->pool, no_op, NULL, NULL, size, out,
					size, 2, NULL), -EINVAL);
	assert_true(detail_has("in is NULL"));
	assert_int_equal(mproc_pool_map(b->pool, no_op, NULL, in, size, NULL,
					size, 2, NULL), -EINVAL);
	assert_true(detail_has("out is NULL"));
	assert_int_equal(mproc_pool_map(b->pool, no_op, NULL, in, size, out,
					size, SIZE_MAX / 4, NULL), -ENOMEM);
	assert_int_equal(mproc_pool_map(b->pool, no_op, NULL, NULL, 0, NULL, 0,
					SIZE_MAX, NULL), -EINVAL);
	assert_int_equal(mproc_pool_map(b->pool, no_op, NULL, elsewhere,
					(size_t)1 << 40, NULL, 0, 1000, NULL),
			 -EFAULT);
	o.ctx_size = 1;
	assert_int_equal(mproc_pool_map(b->pool, no_op, NULL, in, size, out,
					size, 2, &o), -EINVAL);
	o.ctx_size = 0;
	assert_int_equal(mproc_pool_map_async(b->pool, no_op, NULL, in, size,
					      NULL, 0, 2, &o, NULL), -EINVAL);
	assert_int_equal(mproc_pool_map_async(b->pool, no_op, NULL, in, size, out,
					      size, 2, &o, &f), -EFAULT);
	o.timeout = mproc_ms(1);
	assert_int_equal(mproc_pool_map_async(b->pool, no_op, NULL, in, size,
					      NULL, 0, 2, &o, &f), -EINVAL);
	assert_null(f);
	f = submit_int(b, square, 2);
	assert_int_equal(mproc_future_next_failed(f, &i, &error), -EINVAL);
	assert_int_equal(mproc_future_next_failed(NULL, &i, &error), -EINVAL);
	assert_int_equal(mproc_future_next_failed(f, NULL, &error), -EINVAL);
	assert_int_equal(mproc_future_next_failed(f, &i, NULL), -EINVAL);
	assert_int_equal(mproc_future_progress(f, NULL, NULL), -EINVAL);
	assert_int_equal(take_int(b, f), 4);
	assert_int_equal(pool_stat(b).futures, 0);
	mproc_free(elsewhere);
	close_and_join(b);
	assert_int_equal(mproc_pool_map(b->pool, no_op, NULL, in, size, out,
					size, 2, NULL), -ESTALE);
}

/* Where an array lies. */
enum place { PRIVATE, SHARED, PLACES };

static int *
new_array(enum place place)
{
	int *a = place == SHARED ? mproc_array(int, N_MAX) :
				   calloc(N_MAX, sizeof(int));

	assert_non_null(a);
	return a;
}

static void
free_array(enum place place, int *a)
{
	if (place == SHARED)
		mproc_free(a);
	else
		free(a);
}

static void
map_squares(struct board *b, enum place from, enum place to, size_t n,
	    size_t chunk)
{
	int *in = new_array(from), *out = new_array(to), plus = 7;

	for (int i = 0; i < N_MAX; i++)
		in[i] = i;
	memset(out, -1, N_MAX * sizeof(int));
	assert_int_equal(mproc_pool_map(b->pool, square_plus, &plus, in,
					sizeof(int), out, sizeof(int), n,
					MPROC_OPTS(mproc_map_opts,
						   .chunk = chunk,
						   .ctx_size = sizeof(plus))), 0);
	for (int i = 0; i < N_MAX; i++)
		assert_int_equal(out[i], (size_t)i < n ? i * i + 7 : -1);
	free_array(from, in);
	free_array(to, out);
}

static void
results_are_in_the_order_of_items(void **state)
{
	static const size_t sizes[] = { 0, 1, 2, 3, 7, 8, 100, N_MAX };
	static const size_t chunks[] = { 0, 1, 3, 64, SIZE_MAX };

	for (int workers = 1; workers <= 3; workers++) {
		struct board *b = pool_of(*state, workers);
		size_t done = 0;

		for (size_t i = 0; i < 8; i++)
			for (size_t j = 0; j < 5; j++) {
				map_squares(b, (enum place)(i + j) % PLACES,
					    (enum place)(i / 2 + j) % PLACES,
					    sizes[i], chunks[j]);
				done += sizes[i];
			}
		/* Told when a chunk is done, which may be after the map is. */
		mpt_until(b->t, pool_stat(b).done == done);
		assert_int_equal(pool_stat(b).futures, 0);
		close_and_join(b);
	}
}

static int
count_one(const void *in, void *out, void *ctx)
{
	(void)in;
	(void)out;
	atomic_fetch_add((_Atomic unsigned *)ctx, 1);
	return in || out ? -EFAULT : 0;
}

static void
items_may_have_no_bytes(void **state)
{
	struct board *b = pool_of(*state, 2);

	/* The context is where all have it. */
	assert_int_equal(mproc_pool_map(b->pool, count_one, &b->counts[0], NULL,
					0, NULL, 0, 500, NULL), 0);
	assert_int_equal(atomic_load(&b->counts[0]), 500);
	close_and_join(b);
}

/* Also where they are told of one. */
static void
items_without_results_get_no_place_for_them(void **state)
{
	struct board *b = pool_of(*state, 1);
	mproc_future *f;
	int in[2] = { 0 };

	assert_int_equal(mproc_pool_map(b->pool, count_one, &b->counts[0], in, 0,
					in, 0, 2, NULL), 0);
	assert_int_equal(mproc_pool_map_async(b->pool, count_one, &b->counts[0],
					      in, 0, in, 0, 2, NULL, &f), 0);
	assert_int_equal(mproc_future_get(f, NULL, 0, NULL, MPROC_FOREVER), 0);
	mproc_future_close(f);
	assert_int_equal(atomic_load(&b->counts[0]), 4);
	close_and_join(b);
}

/* Counts that it was begun. Every tenth one fails. */
static int
fail_sometimes(const void *in, void *out, void *ctx)
{
	int i = int_of(in);

	(void)ctx;
	atomic_fetch_add(&the_board()->counts[i], 1);
	memcpy(out, &i, sizeof(i));
	return i % 10 == 3 ? -1000 - i : 5;
}

static void
each_item_fails_for_itself(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct board *b = pool_of(*state, 2);
	int in[N_MAX], out[N_MAX], errors[N_MAX], error;
	struct mproc_task_error e;
	struct mproc_exit end;
	mproc_future *f;
	size_t item = 0;

	for (int i = 0; i < N_MAX; i++)
		in[i] = i;
	assert_int_equal(mproc_pool_map(b->pool, fail_sometimes, NULL, in,
					sizeof(int), out, sizeof(int), N_MAX,
					MPROC_OPTS(mproc_map_opts,
						   .errors = errors)),
			 MPROC_TASK_FAILED);
	assert_true(detail_has("100 of 1000 items"));
	assert_true(detail_has("item 3:"));
	for (int i = 0; i < N_MAX; i++) {
		assert_int_equal(errors[i], i % 10 == 3 ? -1000 - i : 0);
		assert_int_equal(out[i], i);
		assert_int_equal(atomic_load(&b->counts[i]), 1);
	}
	assert_int_equal(mproc_pool_map_async(b->pool, fail_sometimes, NULL, in,
					      sizeof(int), NULL, sizeof(int),
					      N_MAX, NULL, &f), 0);
	memset(out, 0, sizeof(out));
	assert_int_equal(mproc_future_get(f, out, sizeof(out), NULL,
					  MPROC_FOREVER), MPROC_TASK_FAILED);
	for (int i = 0; i < N_MAX; i++)
		assert_int_equal(out[i], i);
	for (size_t i = 3; i < N_MAX; i += 10, item++) {
		assert_int_equal(mproc_future_next_failed(f, &item, &error), 0);
		assert_int_equal(item, i);
		assert_int_equal(error, -1000 - (int)i);
	}
	assert_int_equal(mproc_future_next_failed(f, &item, &error), -ENODATA);
	item = SIZE_MAX;
	assert_int_equal(mproc_future_next_failed(f, &item, &error), -ENODATA);
	assert_int_equal(mproc_future_error(f, &e), 0);
	assert_int_equal(e.error, -1003);
	assert_int_equal(e.item, 3);
	assert_int_equal(e.items, 100);
	assert_int_equal(e.deaths, 0);
	assert_string_equal(e.text, "");
	assert_int_equal(mproc_future_exit_info(f, &end), -ENODATA);
	mproc_future_close(f);
	close_and_join(b);
	/* Nor do their errors stay. */
	expect_stat(&before);
}

static void
fail_fast_begins_no_other(void **state)
{
	struct board *b = pool_of(*state, 1);
	int in[100], errors[100];

	for (int i = 0; i < 100; i++)
		in[i] = i;
	for (size_t chunk = 1; chunk <= 100; chunk = 3 * chunk + 1) {
		int out[100] = { 0 };

		for (int i = 0; i < 100; i++)
			atomic_store(&b->counts[i], 0);
		assert_int_equal(mproc_pool_map(b->pool, fail_sometimes, NULL,
						in, sizeof(int), out,
						sizeof(int), 100,
						MPROC_OPTS(mproc_map_opts,
							   .chunk = chunk,
							   .fail_fast = true,
							   .errors = errors)),
				 MPROC_TASK_FAILED);
		assert_true(detail_has("97 of 100 items"));
		for (int i = 0; i < 100; i++) {
			assert_int_equal(atomic_load(&b->counts[i]), i <= 3);
			assert_int_equal(errors[i], i < 3 ? 0 : i == 3 ? -1003 :
							 -ECANCELED);
		}
	}
	close_and_join(b);
}

static void
fail_fast_ends_all_workers(void **state)
{
	struct board *b = pool_of(*state, 3);
	int in[N_MAX], out[N_MAX], errors[N_MAX], done = 0;

	for (int i = 0; i < N_MAX; i++)
		in[i] = i;
	assert_int_equal(mproc_pool_map(b->pool, fail_sometimes, NULL, in,
					sizeof(int), out, sizeof(int), N_MAX,
					MPROC_OPTS(mproc_map_opts,
						   .fail_fast = true,
						   .errors = errors)),
			 MPROC_TASK_FAILED);
	for (int i = 0; i < N_MAX; i++) {
		/* What was begun, it says so. */
		assert_int_equal(atomic_load(&b->counts[i]),
				 errors[i] != -ECANCELED);
		done += errors[i] == 0;
	}
	assert_in_range(done, 1, N_MAX - 2);
	close_and_join(b);
}

static int
linger_then_add(const void *in, void *out, void *ctx)
{
	struct board *b = the_board();

	atomic_fetch_add(&b->begun, 1);
	mpt_until(b->t, atomic_load(&b->go_on));
	return square_plus(in, out, ctx);
}

/* Wherever it lies: it can change as soon as the map is on its way. */
static void
a_context_is_copied(void **state)
{
	struct board *b = pool_of(*state, 1);
	int *ctx = mproc_array(int, 1), in[2] = { 2, 3 }, out[2];
	mproc_future *f;

	*ctx = 5;
	assert_int_equal(mproc_pool_map_async(b->pool, linger_then_add, ctx, in,
					      sizeof(int), NULL, sizeof(int), 2,
					      MPROC_OPTS(mproc_map_opts,
							 .ctx_size = sizeof(int)),
					      &f), 0);
	await_begun(b, 1);
	*ctx = 1000;
	atomic_store(&b->go_on, true);
	assert_int_equal(mproc_future_get(f, out, sizeof(out), NULL,
					  MPROC_FOREVER), 0);
	assert_int_equal(out[0], 4 + 5);
	assert_int_equal(out[1], 9 + 5);
	mproc_future_close(f);
	mproc_free(ctx);
	close_and_join(b);
}

static void
a_future_has_the_results(void **state)
{
	struct board *b = pool_of(*state, 2);
	int in[100], out[100], *shared = mproc_array(int, 100), error;
	mproc_future *f[2];
	size_t len, done, n, item = 0;

	for (int i = 0; i < 100; i++)
		in[i] = i;
	assert_int_equal(mproc_pool_map_async(b->pool, square_plus, NULL, in,
					      sizeof(int), NULL, sizeof(int), 100,
					      NULL, &f[0]), 0);
	assert_int_equal(mproc_pool_map_async(b->pool, square_plus, NULL, in,
					      sizeof(int), shared, sizeof(int),
					      100, NULL, &f[1]), 0);
	/* It is copied, if it is not shared. */
	memset(in, 0, sizeof(in));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(mproc_future_wait(f[i], MPROC_FOREVER), 0);
		assert_int_equal(mproc_future_progress(f[i], &done, &n), 0);
		assert_int_equal(done, 100);
		assert_int_equal(n, 100);
		assert_int_equal(mproc_future_next_failed(f[i], &item, &error),
				 -ENODATA);
	}
	assert_int_equal(mproc_future_get(f[0], out, sizeof(out) - 1, &len,
					  MPROC_NOWAIT), -EMSGSIZE);
	assert_int_equal(len, sizeof(out));
	assert_int_equal(mproc_future_get(f[0], out, sizeof(out), &len,
					  MPROC_NOWAIT), 0);
	assert_int_equal(mproc_future_get(f[1], NULL, 0, &len, MPROC_NOWAIT), 0);
	assert_int_equal(len, 0);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(out[i], i * i);
		assert_int_equal(shared[i], i * i);
	}
	mproc_future_close(f[0]);
	mproc_future_close(f[1]);
	/* Of nothing, at once. */
	assert_int_equal(mproc_pool_map_async(b->pool, square_plus, NULL, NULL,
					      sizeof(int), NULL, sizeof(int), 0,
					      NULL, &f[1]), 0);
	assert_int_equal(mproc_future_get(f[1], NULL, 0, &len, MPROC_NOWAIT), 0);
	assert_int_equal(len, 0);
	mproc_future_close(f[1]);
	assert_int_equal(mproc_future_progress(f[0], &done, &n), -ESTALE);
	mproc_free(shared);
	close_and_join(b);
}

/* Until the test says so. */
static int
linger_with(const void *in, void *out, void *ctx)
{
	struct board *b = the_board();

	(void)ctx;
	atomic_store(&b->pid, getpid());
	atomic_fetch_add(&b->counts[int_of(in)], 1);
	atomic_fetch_add(&b->begun, 1);
	mpt_until(b->t, atomic_load(&b->go_on));
	if (out)
		memcpy(out, in, sizeof(int));
	return 0;
}

static mproc_future *
map_lingering(struct board *b, size_t n)
{
	static const int in[10] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 };
	mproc_future *f = NULL;

	assert_int_equal(mproc_pool_map_async(b->pool, linger_with, NULL, in,
					      sizeof(int), NULL, sizeof(int), n,
					      NULL, &f), 0);
	return f;
}

static void
who_waits_may_stop_waiting(void **state)
{
	struct board *b = pool_of(*state, 2);
	int in[10] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 }, out[10];
	const struct mproc_map_opts *o = MPROC_OPTS(mproc_map_opts,
						    .timeout = mproc_ms(20));
	unsigned deaths;

	assert_int_equal(mproc_pool_map(b->pool, linger_with, NULL, in,
					sizeof(int), out, sizeof(int), 10, o),
			 -ETIMEDOUT);
	assert_true(detail_has("canceled"));
	/* Nobody works on it any more. */
	assert_int_equal(pool_stat(b).futures, 0);
	deaths = pool_stat(b).deaths;
	/* Some may have been about to begin. */
	assert_true(atomic_load(&b->begun) <= deaths && deaths <= 2);
	if (atomic_load(&b->pid))
		assert_int_equal(kill(atomic_load(&b->pid), 0), -1);
	mproc_interrupt();
	assert_int_equal(mproc_pool_map(b->pool, linger_with, NULL, in,
					sizeof(int), out, sizeof(int), 10, NULL),
			 -EINTR);
	assert_int_equal(pool_stat(b).futures, 0);
	atomic_store(&b->go_on, true);
	assert_int_equal(mproc_pool_map(b->pool, linger_with, NULL, in,
					sizeof(int), out, sizeof(int), 10, NULL),
			 0);
	assert_memory_equal(in, out, sizeof(in));
	close_and_join(b);
}

static void
interrupt(int signal)
{
	(void)signal;
	mproc_interrupt();
}

/* Who stops waiting waits for the end of all who work on it, however often it is
 * interrupted. */
static void
interrupts_do_not_leave_workers(void **state)
{
	struct board *b = pool_of(*state, 2);
	const struct itimerval often = { { 0, 300 }, { 0, 300 } }, never = { 0 };
	int in[10] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 }, out[10];

	for (int round = 0; round < 10; round++) {
		atomic_store(&b->pid, 0);
		signal(SIGALRM, interrupt);
		setitimer(ITIMER_REAL, &often, NULL);
		assert_int_equal(mproc_pool_map(b->pool, linger_with, NULL, in,
						sizeof(int), out, sizeof(int), 10,
						NULL), -EINTR);
		setitimer(ITIMER_REAL, &never, NULL);
		signal(SIGALRM, SIG_DFL);
		assert_int_equal(pool_stat(b).futures, 0);
		if (atomic_load(&b->pid))
			assert_int_equal(kill(atomic_load(&b->pid), 0), -1);
	}
	/* One that came too late. */
	while (mproc_wait(NULL, 0, mproc_ms(1)) == -EINTR)
		;
	close_and_join(b);
}

#define GATE 100 /* a count that no item has */

static int
linger_at_gate(const void *in, size_t len, struct mproc_result *out)
{
	struct board *b = the_board();

	atomic_fetch_add(&b->begun, 1);
	mpt_until(b->t, atomic_load(&b->counts[GATE]));
	return mproc_result_set(out, in, len);
}

static void
a_map_can_be_canceled(void **state)
{
	struct board *b = pool_of(*state, 1);
	mproc_future *first = submit_int(b, linger_at_gate, 1);
	mproc_future *f = map_lingering(b, 4);
	struct mproc_task_error e;
	size_t done, item = 0;
	int error;

	await_begun(b, 1);
	assert_int_equal(mproc_future_progress(f, &done, NULL), 0);
	assert_int_equal(done, 0);
	assert_int_equal(mproc_future_next_failed(f, &item, &error), -EAGAIN);
	assert_int_equal(mproc_future_cancel(f, 0), 0);
	assert_int_equal(mproc_future_ready(f), 1);
	assert_int_equal(mproc_future_cancel(f, 0), -EALREADY);
	assert_int_equal(mproc_future_error(f, &e), 0);
	assert_int_equal(e.error, -ECANCELED);
	assert_int_equal(e.items, 4);
	for (; item < 4; item++) {
		assert_int_equal(mproc_future_next_failed(f, &item, &error), 0);
		assert_int_equal(error, -ECANCELED);
	}
	mproc_future_close(f);

	f = map_lingering(b, 4);
	atomic_store(&b->counts[GATE], 1);
	assert_int_equal(take_int(b, first), 1);
	await_begun(b, 2);
	assert_int_equal(mproc_future_cancel(f, 0), -EBUSY);
	assert_int_equal(mproc_future_cancel(f, MPROC_CANCEL_RUNNING), 0);
	assert_int_equal(mproc_future_wait(f, MPROC_FOREVER), 0);
	assert_int_equal(mproc_future_error(f, &e), 0);
	assert_int_equal(e.error, -ECANCELED);
	mproc_future_close(f);
	assert_int_equal(atomic_load(&b->counts[0]), 1);
	assert_int_equal(pool_stat(b).deaths, 1);
	close_and_join(b);
}

static void
close_does_what_was_submitted(void **state)
{
	struct board *b = pool_of(*state, 2);
	mproc_future *f = map_lingering(b, 10);
	int out[10];

	assert_int_equal(mproc_pool_close(b->pool), 0);
	assert_int_equal(mproc_pool_map(b->pool, no_op, NULL, NULL, 0, NULL, 0, 1,
					NULL), -ESHUTDOWN);
	assert_int_equal(mproc_pool_join(b->pool, mproc_ms(1)), -ETIMEDOUT);
	atomic_store(&b->go_on, true);
	assert_int_equal(mproc_pool_join(b->pool, MPROC_FOREVER), 0);
	assert_int_equal(mproc_future_get(f, out, sizeof(out), NULL,
					  MPROC_NOWAIT), 0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(out[i], i);
	mproc_future_close(f);
	mproc_pool_free(b->pool);
}

static void
terminate_fails_what_is_not_done(void **state)
{
	struct board *b = pool_of(*state, 2);
	mproc_future *f[3];
	struct mproc_task_error e;
	size_t item = 0;
	int error;

	for (int i = 0; i < 3; i++)
		f[i] = map_lingering(b, 10);
	await_begun(b, 2);
	assert_int_equal(mproc_pool_terminate(b->pool), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(mproc_future_wait(f[i], MPROC_FOREVER), 0);
		assert_int_equal(mproc_future_error(f[i], &e), 0);
		assert_int_equal(e.error, -ESHUTDOWN);
		assert_int_equal(e.items, 10);
	}
	assert_int_equal(mproc_future_next_failed(f[2], &item, &error), 0);
	assert_int_equal(error, -ESHUTDOWN);
	mproc_future_close(f[0]);
	assert_int_equal(mproc_pool_join(b->pool, MPROC_FOREVER), 0);
	mproc_pool_free(b->pool);
}

static void
a_closed_future_is_still_worked_on(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct board *b = pool_of(*state, 2);

	for (int i = 0; i < 3; i++)
		mproc_future_close(map_lingering(b, 10));
	await_begun(b, 2);
	atomic_store(&b->go_on, true);
	mpt_until(b->t, pool_stat(b).futures == 0);
	assert_int_equal(atomic_load(&b->begun), 30);
	for (int i = 0; i < 3; i++)
		map_lingering(b, 10);
	mproc_pool_free(b->pool);
	expect_stat(&before);
}

/* Sums squares by a map of its own. */
static int
map_in_item(const void *in, void *out, void *ctx)
{
	struct board *b = the_board();
	int squares[20], numbers[20], n = int_of(in), total = 0;

	(void)ctx;
	for (int i = 0; i < n; i++)
		numbers[i] = i;
	mpt_check_int(b->t, mproc_pool_map(b->pool, square_plus, NULL, numbers,
					   sizeof(int), squares, sizeof(int),
					   (size_t)n, MPROC_OPTS(mproc_map_opts,
								 .chunk = 2)),
		      0);
	for (int i = 0; i < n; i++)
		total += squares[i];
	memcpy(out, &total, sizeof(total));
	return 0;
}

static int
map_in_task(const void *in, size_t len, struct mproc_result *out)
{
	struct board *b = the_board();
	int numbers[20], sums[20], n = int_of(in), total = 0;

	(void)len;
	for (int i = 0; i < n; i++)
		numbers[i] = i;
	mpt_check_int(b->t, mproc_pool_map(b->pool, map_in_item, NULL, numbers,
					   sizeof(int), sums, sizeof(int),
					   (size_t)n, NULL), 0);
	for (int i = 0; i < n; i++)
		total += sums[i];
	return mproc_result_set(out, &total, sizeof(total));
}

static void
maps_may_wait_for_maps(void **state)
{
	for (int workers = 1; workers <= 3; workers++) {
		struct board *b = pool_of(*state, workers);
		int expected = 0;

		for (int i = 0; i < 20; i++)
			for (int j = 0; j < i; j++)
				expected += j * j;
		for (int i = 0; i < 3; i++)
			b->futures[i] = submit_int(b, map_in_task, 20);
		for (int i = 0; i < 3; i++)
			assert_int_equal(take_int(b, b->futures[i]), expected);
		assert_int_equal(pool_stat(b).futures, 0);
		close_and_join(b);
	}
}

static int
map_many_times(struct mpt *t, void *arg)
{
	struct board *b = arg;
	int in[50], out[50];

	for (int i = 0; i < 50; i++)
		in[i] = i;
	for (int round = 0; round < 20; round++) {
		memset(out, 0, sizeof(out));
		mpt_check_int(t, mproc_pool_map(b->pool, square_plus, &round, in,
						sizeof(int), out, sizeof(int),
						50,
						MPROC_OPTS(mproc_map_opts,
							   .chunk = 3,
							   .ctx_size =
							   sizeof(round))), 0);
		for (int i = 0; i < 50; i++)
			mpt_check_int(t, out[i], i * i + round);
	}
	return 0;
}

static void
any_process_maps(void **state)
{
	struct board *b = pool_of(*state, 2);
	int ids[4];

	for (int i = 0; i < 4; i++)
		ids[i] = mpt_fork(b->t, "mapper", map_many_times, b);
	for (int i = 0; i < 4; i++)
		mpt_expect_exit(b->t, ids[i], 0);
	assert_int_equal(pool_stat(b).futures, 0);
	close_and_join(b);
}

struct told {
	struct board *b;
	size_t last;
	unsigned times;
};

static void
tell(size_t done, size_t n, void *ctx)
{
	struct told *told = ctx;

	assert_int_equal(n, 10);
	assert_in_range(done, told->last, n);
	told->last = done;
	/* Not before it was told once. */
	atomic_store(&told->b->go_on, true);
	told->times++;
}

static void
progress_is_told(void **state)
{
	struct board *b = pool_of(*state, 2);
	struct told told = { .b = b };
	int in[10] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 }, out[10];

	assert_int_equal(mproc_pool_map(b->pool, linger_with, NULL, in,
					sizeof(int), out, sizeof(int), 10,
					MPROC_OPTS(mproc_map_opts,
						   .progress = tell,
						   .progress_ctx = &told)), 0);
	assert_true(told.times >= 2);
	assert_int_equal(told.last, 10);
	close_and_join(b);
}

static void
end_pool(size_t done, size_t n, void *ctx)
{
	struct board *b = ctx;

	(void)done;
	(void)n;
	if (b->pool)
		mproc_pool_free(b->pool);
	b->pool = NULL;
}

/* It is told before anything is done, and the map's memory is gone then. */
static void
progress_may_end_the_pool(void **state)
{
	struct board *b = pool_of(*state, 2);
	int in[10] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 }, out[10], errors[10];

	assert_int_equal(mproc_pool_map(b->pool, linger_with, NULL, in,
					sizeof(int), out, sizeof(int), 10,
					MPROC_OPTS(mproc_map_opts,
						   .errors = errors,
						   .progress = end_pool,
						   .progress_ctx = b)), -ESTALE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(what_makes_no_sense_is_refused),
		mpt_test(results_are_in_the_order_of_items),
		mpt_test(items_may_have_no_bytes),
		mpt_test(items_without_results_get_no_place_for_them),
		mpt_test(a_context_is_copied),
		mpt_test(each_item_fails_for_itself),
		mpt_test(fail_fast_begins_no_other),
		mpt_test(fail_fast_ends_all_workers),
		mpt_test(a_future_has_the_results),
		test_of_processes(who_waits_may_stop_waiting),
		test_of_processes(interrupts_do_not_leave_workers),
		test_of_processes(a_map_can_be_canceled),
		test_of_workers(close_does_what_was_submitted),
		test_of_processes(terminate_fails_what_is_not_done),
		test_of_workers(a_closed_future_is_still_worked_on),
		mpt_test(maps_may_wait_for_maps),
		mpt_test(any_process_maps),
		test_of_workers(progress_is_told),
		test_of_processes(progress_may_end_the_pool),
	};

	return cmocka_run_group_tests(tests, with_pool, NULL);
}
