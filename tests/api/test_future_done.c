/* SPDX-License-Identifier: MIT */
/*
 * future.h: functions that are called once tasks are done.
 */
#include <pthread.h>
#include <unistd.h>

#include <mproc/testing.h>

#include "pool.h"

#define MANY 1000
#define LOOKS 64 /* futures that a call looks at */

/* In the test's own memory. */
struct seen {
	struct board *b;
	/* Threads call what a task of theirs has registered, which counts on it. */
	_Atomic unsigned calls;
	mproc_future *f; /* the last one */
	pthread_t thread;
	bool closes;
	int value;
};

static void
note(mproc_future *f, void *ctx)
{
	struct seen *s = ctx;

	s->f = f;
	s->thread = pthread_self();
	/* What is told is done. */
	mpt_check_int(s->b->t, mproc_future_ready(f), 1);
	if (s->closes)
		mproc_future_close(f);
	/* It has an error of its own. */
	mpt_check_int(s->b->t, mproc_future_ready(NULL), -EINVAL);
	/* Last: who has waited for that closes the future, and @s is gone. */
	s->calls++;
}

/* A call that is for nothing else. */
static void
let_call(struct board *b)
{
	mpt_check_int(b->t, mproc_future_wait_many(NULL, 0, MPROC_ALL,
						   MPROC_NOWAIT), 0);
}

static mproc_future *
submit_noted(struct board *b, mproc_task *fn, int i, struct seen *s)
{
	mproc_future *f = submit_int(b, fn, i);

	s->b = b;
	mpt_check_int(b->t, mproc_future_on_done(f, note, s), 0);
	return f;
}

static void
await_done(struct board *b, mproc_future *f)
{
	mpt_until(b->t, mproc_future_ready(f));
}

/* One that is done since the function was registered. */
static mproc_future *
have_done(struct board *b, struct seen *s)
{
	mproc_future *f;

	atomic_store(&b->go_on, false);
	f = submit_noted(b, linger, 9, s);
	atomic_store(&b->go_on, true);
	await_done(b, f);
	return f;
}

static void
what_makes_no_sense_is_refused(void **state)
{
	struct board *b = pool_of(*state, 1);
	mproc_future *f = submit_int(b, linger, 2);
	struct seen s = { .b = b };

	assert_int_equal(mproc_future_on_done(NULL, note, &s), -EINVAL);
	assert_int_equal(mproc_future_on_done(f, NULL, &s), -EINVAL);
	assert_int_equal(mproc_future_on_done((mproc_future *)&f, note, &s),
			 -EFAULT);
	assert_int_equal(mproc_test_fault("malloc:1"), 0);
	assert_int_equal(mproc_future_on_done(f, note, &s), -ENOMEM);
	assert_int_equal(mproc_test_fault(NULL), 0);
	atomic_store(&b->go_on, true);
	assert_int_equal(take_int(b, f), 2);
	assert_int_equal(mproc_future_on_done(f, note, &s), -ESTALE);
	close_and_join(b);
	assert_int_equal(s.calls, 0);
}

static void
it_is_called_once_by_the_thread_of_a_call(void **state)
{
	struct board *b = pool_of(*state, 1);
	struct seen s = { 0 };
	mproc_future *f = submit_noted(b, linger, 7, &s);

	await_begun(b, 1);
	let_call(b);
	assert_int_equal(mproc_future_wait(f, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(s.calls, 0);
	atomic_store(&b->go_on, true);
	await_done(b, f);
	/* Nobody else does it. */
	assert_int_equal(s.calls, 0);
	let_call(b);
	assert_int_equal(s.calls, 1);
	assert_ptr_equal(s.f, f);
	assert_true(pthread_equal(s.thread, pthread_self()));
	let_call(b);
	assert_int_equal(s.calls, 1);
	/* And at once if it is done. */
	assert_int_equal(mproc_future_on_done(f, note, &s), 0);
	assert_int_equal(s.calls, 2);
	assert_int_equal(take_int(b, f), 7);
	close_and_join(b);
	assert_int_equal(s.calls, 2);
}

static int
fail_it(const void *in, size_t len, struct mproc_result *out)
{
	(void)in;
	(void)len;
	(void)out;
	return -ENOTTY;
}

static int
give_nothing(void *src, const void **ret_in, size_t *ret_len)
{
	(void)src;
	(void)ret_in;
	(void)ret_len;
	return -ENODATA;
}

static void
expect_iterator_to_call(struct board *b, struct seen *s)
{
	unsigned calls = s->calls;
	mproc_iter *it;

	assert_int_equal(mproc_pool_imap(b->pool, square, give_nothing, NULL,
					 NULL, &it), 0);
	assert_int_equal(s->calls, calls);
	assert_int_equal(mproc_iter_next(it, NULL, 0, NULL, MPROC_NOWAIT),
			 -ENODATA);
	assert_int_equal(s->calls, calls + 1);
	mproc_iter_close(it);
}

/* What is called comes before what the call itself has to say. */
static void
those_who_wait_call_it(void **state)
{
	struct board *b = pool_of(*state, 2);
	struct seen s = { 0 };
	mproc_future *f, *g;
	int n = 0;

	f = submit_noted(b, square, 3, &s);
	assert_int_equal(mproc_future_wait(f, MPROC_FOREVER), 0);
	assert_int_equal(s.calls, 1);
	assert_int_equal(take_int(b, f), 9);
	f = submit_noted(b, fail_it, 0, &s);
	assert_int_equal(mproc_future_get(f, NULL, 0, NULL, MPROC_FOREVER),
			 MPROC_TASK_FAILED);
	assert_non_null(strstr(mproc_error_detail(), "the task failed"));
	assert_int_equal(s.calls, 2);
	mproc_future_close(f);
	f = submit_noted(b, square, 3, &s);
	assert_int_equal(mproc_future_wait_many(&f, 1, MPROC_ALL,
						MPROC_FOREVER), 1);
	assert_int_equal(s.calls, 3);
	assert_int_equal(take_int(b, f), 9);
	/* Of another one. */
	f = have_done(b, &s);
	assert_int_equal(mproc_pool_apply(b->pool, square, &n, sizeof(n), &n,
					  sizeof(n), NULL, MPROC_FOREVER), 0);
	assert_int_equal(s.calls, 4);
	assert_int_equal(take_int(b, f), 9);
	f = have_done(b, &s);
	g = submit_int(b, square, 1);
	assert_int_equal(s.calls, 5);
	assert_int_equal(take_int(b, g), 1);
	assert_int_equal(take_int(b, f), 9);
	f = have_done(b, &s);
	expect_iterator_to_call(b, &s);
	assert_int_equal(take_int(b, f), 9);
	(void)submit_noted(b, square, 3, &s);
	assert_int_equal(mproc_pool_close(b->pool), 0);
	assert_int_equal(mproc_pool_join(b->pool, MPROC_FOREVER), 0);
	assert_int_equal(s.calls, 7);
	mproc_pool_free(b->pool);
	assert_int_equal(s.calls, 7);
}

/* Each call looks at some, and comes round. */
static void
many_have_their_turn(void **state)
{
	struct board *b = pool_of(*state, 2);
	struct seen s = { .b = b, .closes = true };
	struct mproc_pool_stat stat;

	for (int i = 0; i < MANY; i++)
		b->futures[i] = submit_int(b, i ? square : linger, i);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(mproc_future_on_done(b->futures[i], note, &s),
				 0);
	mpt_until(b->t, mproc_pool_stat(b->pool, &stat) == 0 &&
				stat.queued + stat.running == 1);
	for (int i = 0; i < MANY / LOOKS + 1; i++)
		let_call(b);
	assert_int_equal(s.calls, MANY - 1);
	atomic_store(&b->go_on, true);
	await_done(b, b->futures[0]);
	let_call(b);
	assert_int_equal(s.calls, MANY);
	mpt_until(b->t, pool_stat(b).futures == 0);
	close_and_join(b);
}

static void
who_is_closed_is_not_called(void **state)
{
	struct board *b = pool_of(*state, 1);
	struct seen s = { 0 };
	mproc_future *f = submit_noted(b, linger, 1, &s);

	mproc_future_close(f);
	atomic_store(&b->go_on, true);
	mproc_future_close(have_done(b, &s));
	f = submit_noted(b, square, 3, &s);
	assert_int_equal(mproc_future_wait(f, MPROC_FOREVER), 0);
	assert_int_equal(s.calls, 1);
	assert_ptr_equal(s.f, f);
	/* Nor looked at for ever. */
	for (int i = 0; i < 2 * LOOKS; i++)
		mproc_future_close(have_done(b, &s));
	for (int i = 0; i < 3; i++)
		let_call(b);
	assert_int_equal(s.calls, 1);
	f = have_done(b, &s);
	let_call(b);
	assert_int_equal(s.calls, 2);
	assert_int_equal(take_int(b, f), 9);
	close_and_join(b);
	assert_int_equal(s.calls, 2);
}

/* Has its future tell another one. */
static void
note_again(mproc_future *f, void *ctx)
{
	struct seen *s = ctx;

	mpt_check_int(s->b->t, mproc_future_on_done(f, note, s), 0);
	/* Not before this one is over. */
	let_call(s->b);
	mpt_check_int(s->b->t, s->calls, 0);
}

static void
the_end_of_a_pool_calls_all(void **state)
{
	struct board *b = pool_of(*state, 1);
	struct seen s = { 0 }, again = { .b = b };
	mproc_future *f = submit_int(b, linger, 0);

	assert_int_equal(mproc_future_on_done(f, note_again, &again), 0);
	for (int i = 0; i < 2 * LOOKS; i++)
		(void)submit_noted(b, linger, i, &s);
	mproc_pool_free(b->pool);
	assert_int_equal(s.calls, 2 * LOOKS);
	assert_int_equal(again.calls, 1);
}

/* One that is called does all it likes. */
static void
go_on(mproc_future *f, void *ctx)
{
	struct seen *s = ctx;
	struct board *b = s->b;
	mproc_future *next;
	unsigned calls = s->calls++;
	int n;

	mpt_check_int(b->t, mproc_future_get(f, &n, sizeof(n), NULL,
					     MPROC_NOWAIT), 0);
	mproc_future_close(f);
	mpt_check_int(b->t, n, s->value * s->value);
	/* No other one lies upon this one. */
	mpt_check_int(b->t, s->calls, calls + 1);
	if (--s->value == 0)
		return;
	next = submit_int(b, square, s->value);
	mpt_check_int(b->t, mproc_future_wait(next, MPROC_FOREVER), 0);
	mpt_check_int(b->t, mproc_future_on_done(next, go_on, s), 0);
	mpt_check_int(b->t, s->calls, calls + 1);
}

static void
one_that_is_called_may_do_anything(void **state)
{
	struct board *b = pool_of(*state, 2);
	struct seen s = { .b = b, .value = 100 };
	mproc_future *f = submit_int(b, square, 100);

	assert_int_equal(mproc_future_wait(f, MPROC_FOREVER), 0);
	assert_int_equal(mproc_future_on_done(f, go_on, &s), 0);
	/* Those that come meanwhile have their turn in the next call. */
	for (unsigned calls = 1; calls < 100; calls++) {
		assert_int_equal(s.calls, calls);
		let_call(b);
	}
	assert_int_equal(s.calls, 100);
	assert_int_equal(s.value, 0);
	close_and_join(b);
}

/* The only worker that has time, which asks until it is called. */
static int
ask_for_others(const void *in, size_t len, struct mproc_result *out)
{
	struct board *b = the_board();
	/* It is called after this task, where that is by the same process. */
	static struct seen never;
	struct seen s = { .b = b };
	int i;

	(void)in;
	never = (struct seen){ .b = b };
	/* First: one that another worker has. */
	if (len)
		mpt_check_int(b->t, mproc_future_on_done(b->futures[0], note,
							 &never), 0);
	for (i = 0; i < 3; i++) {
		mproc_future *f = submit_noted(b, square, i, &s), *g;

		/* Who submits does not wait. */
		g = submit_int(b, square, i);
		mpt_check_int(b->t, mproc_future_ready(f), 0);
		mpt_until(b->t, (let_call(b), s.calls == (unsigned)i + 1));
		mproc_future_close(f);
		mpt_check_int(b->t, take_int(b, g), i * i);
	}
	mpt_check_int(b->t, never.calls, 0);
	return mproc_result_set(out, &i, sizeof(i));
}

/* Another one lies there afterwards. */
static void
replace_pool(mproc_future *f, void *ctx)
{
	struct seen *s = ctx;
	struct board *b = s->b;
	mproc_pool *p = b->pool;

	(void)f;
	s->calls++;
	mproc_pool_free(p);
	(void)pool_of(b->t, 1);
	mpt_check(b->t, b->pool == p);
}

static void
one_that_is_called_may_free_the_pool(void **state)
{
	struct board *b = pool_of(*state, 1);
	struct seen s = { .b = b }, other = { .b = b };
	mproc_future *f = submit_int(b, linger, 1);

	assert_int_equal(mproc_future_on_done(f, replace_pool, &s), 0);
	(void)submit_noted(b, linger, 1, &other);
	atomic_store(&b->go_on, true);
	mpt_until(b->t, (let_call(b), s.calls));
	assert_int_equal(s.calls, 1);
	assert_int_equal(other.calls, 1);
	/* And while it is freed. */
	atomic_store(&b->go_on, false);
	f = submit_int(b, linger, 1);
	assert_int_equal(mproc_future_on_done(f, replace_pool, &s), 0);
	mproc_pool_free(b->pool);
	assert_int_equal(s.calls, 2);
	/* Its worker was not called, though the pool was made by one that was. */
	assert_int_equal(take_int(b, submit(b, ask_for_others, NULL, 0)), 3);
	close_and_join(b);
}

/* Starts a process that has one called. */
static int
ask_in_process(void *arg)
{
	struct seen *s = arg;

	mpt_check_int(s->b->t, mproc_future_on_done(s->f, note, s), 0);
	mpt_check_int(s->b->t, s->calls, 1);
	return 0;
}

static void
start_process(mproc_future *f, void *ctx)
{
	struct seen *s = ctx, child = { .b = s->b, .f = f };
	mproc_process *p;

	s->calls++;
	mpt_check_int(s->b->t, mproc_process_start(&p, ask_in_process, &child,
						   MPROC_OPTS(mproc_process_opts,
							      .method = MPROC_FORK)),
		      0);
	mpt_check_int(s->b->t, mproc_process_join(p, MPROC_FOREVER), 0);
	mproc_process_close(p);
}

static void
one_that_is_called_may_start_a_process(void **state)
{
	struct board *b = pool_of(*state, 1);
	struct seen s = { .b = b };
	mproc_future *f = submit_int(b, square, 3);

	assert_int_equal(mproc_future_wait(f, MPROC_FOREVER), 0);
	assert_int_equal(mproc_future_on_done(f, start_process, &s), 0);
	assert_int_equal(s.calls, 1);
	assert_int_equal(take_int(b, f), 9);
	close_and_join(b);
}

/* Ends its thread, in the middle of a call. */
static void
end_thread(mproc_future *f, void *ctx)
{
	struct seen *s = ctx;

	(void)f;
	s->calls++;
	pthread_exit(s);
}

static void *
wait_in_thread(void *arg)
{
	(void)!mproc_future_wait(arg, MPROC_FOREVER);
	return NULL;
}

/* For more than it has room for on its stack. */
static void *
wait_for_many_in_thread(void *arg)
{
	mproc_future *fs[20] = { arg };

	(void)!mproc_future_wait_many(fs, 20, MPROC_ALL, MPROC_FOREVER);
	return NULL;
}

static void
one_that_ends_its_thread_ends_nothing_else(void **state)
{
	void *(*const waits[])(void *) = { wait_in_thread,
					   wait_for_many_in_thread };
	struct board *b = pool_of(*state, 1);
	pthread_t thread;
	void *result;

	for (int i = 0; i < 2; i++) {
		struct seen s = { .b = b }, other = { .b = b };
		mproc_future *f;

		atomic_store(&b->go_on, false);
		f = submit_int(b, linger, 1);
		assert_int_equal(mproc_future_on_done(f, end_thread, &s), 0);
		assert_int_equal(mproc_future_on_done(f, note, &other), 0);
		assert_int_equal(pthread_create(&thread, NULL, waits[i], f), 0);
		atomic_store(&b->go_on, true);
		assert_int_equal(pthread_join(thread, &result), 0);
		assert_ptr_equal(result, &s);
		assert_int_equal(s.calls, 1);
		let_call(b);
		assert_int_equal(other.calls, 1);
		assert_int_equal(take_int(b, f), 1);
	}
	close_and_join(b);
}

/* A child has none; and one that is forked in one has no more than that. */
static int
expect_none(struct mpt *t, void *arg)
{
	struct seen *s = arg;
	mproc_future *f;

	mpt_check_int(t, mproc_future_wait(s->f, MPROC_FOREVER), 0);
	mpt_check_int(t, mproc_future_wait_many(NULL, 0, MPROC_ALL,
						MPROC_NOWAIT), 0);
	mpt_check_int(t, s->calls, 0);
	mpt_check_int(t, mproc_future_on_done(s->f, note, s), 0);
	mpt_check_int(t, s->calls, 1);
	/* But its own. */
	f = have_done(s->b, s);
	let_call(s->b);
	mpt_check_int(t, s->calls, 2);
	mpt_check_int(t, take_int(s->b, f), 9);
	return 0;
}

static void
a_child_has_none(void **state)
{
	struct board *b = pool_of(*state, 1);
	struct seen s = { 0 };
	mproc_future *f = submit_noted(b, linger, 1, &s);

	s.f = f;
	mpt_fork(b->t, "child", expect_none, &s);
	atomic_store(&b->go_on, true);
	mpt_join_all(b->t);
	assert_int_equal(s.calls, 0);
	let_call(b);
	assert_int_equal(s.calls, 1);
	assert_int_equal(take_int(b, f), 1);
	close_and_join(b);
}

/* Nobody waits for it but the function. */
static void
a_dead_keeper_is_replaced(void **state)
{
	struct board *b = new_pool(*state, MPROC_OPTS(mproc_pool_opts,
						      .workers = 1,
						      .retries = 1));
	struct seen s = { 0 };
	mproc_future *f = submit_noted(b, linger, 5, &s);

	await_begun(b, 1);
	assert_int_equal(kill(pool_stat(b).keeper, SIGKILL), 0);
	mpt_until(b->t, (let_call(b), atomic_load(&b->begun) == 2));
	assert_int_equal(pool_stat(b).keepers, 2);
	atomic_store(&b->go_on, true);
	mpt_until(b->t, (let_call(b), s.calls));
	assert_int_equal(take_int(b, f), 5);
	close_and_join(b);
	mpt_reap_orphans(b->t);
}

static void
a_task_has_others_run(void **state)
{
	struct board *b = pool_of(*state, 1);

	mproc_future *f = submit(b, ask_for_others, NULL, 0);

	/* So that other threads call them, too. */
	mpt_until(b->t, (let_call(b), mproc_future_ready(f)));
	assert_int_equal(take_int(b, f), 3);
	close_and_join(b);
	b = pool_of(*state, 2);
	b->futures[0] = submit_int(b, linger, 5);
	await_begun(b, 1);
	assert_int_equal(take_int(b, submit_int(b, ask_for_others, 0)), 3);
	atomic_store(&b->go_on, true);
	assert_int_equal(take_int(b, b->futures[0]), 5);
	close_and_join(b);
}

/* All threads call what all have registered, each once. */
static _Atomic unsigned counted;

static void
count(mproc_future *f, void *ctx)
{
	(void)ctx;
	mproc_future_close(f);
	atomic_fetch_add(&counted, 1);
}

static void *
register_many(void *arg)
{
	struct board *b = the_board();
	mproc_future **fs = arg;

	for (int i = 0; i < MANY; i++)
		mpt_check_int(b->t, mproc_future_on_done(fs[i], count, NULL), 0);
	mpt_until(b->t, (let_call(b), atomic_load(&counted) == 3 * MANY));
	return NULL;
}

static void
threads_register_many(void **state)
{
	struct board *b = pool_of(*state, 2);
	pthread_t threads[3];

	for (int i = 0; i < 3 * MANY; i++)
		b->futures[i] = submit_int(b, square, i % MANY);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, register_many,
						b->futures + i * MANY), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(pool_stat(b).futures, 0);
	close_and_join(b);
	assert_int_equal(atomic_load(&counted), 3 * MANY);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(what_makes_no_sense_is_refused),
		mpt_test(it_is_called_once_by_the_thread_of_a_call),
		mpt_test(those_who_wait_call_it),
		mpt_test(many_have_their_turn),
		mpt_test(who_is_closed_is_not_called),
		test_of_processes(the_end_of_a_pool_calls_all),
		mpt_test(one_that_is_called_may_do_anything),
		test_of_processes(one_that_is_called_may_free_the_pool),
		mpt_test(one_that_is_called_may_start_a_process),
		mpt_test(one_that_ends_its_thread_ends_nothing_else),
		mpt_test(a_child_has_none),
		test_of_processes(a_dead_keeper_is_replaced),
		mpt_test(a_task_has_others_run),
		mpt_test(threads_register_many),
	};

	return cmocka_run_group_tests(tests, with_pool, NULL);
}
