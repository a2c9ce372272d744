/* SPDX-License-Identifier: MIT */
/*
 * wait.h: futures among the things that are waited for, in each way to sleep: alone and
 * with an event, which is a sleep of the thread's own; with a descriptor, which needs
 * the process's watching thread; and in a set.
 */
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "mpt_times.h"
#include "pool.h"
#include "wait.h"

#define FUTURE(f) { .kind = MPROC_WAIT_FUTURE, .object = (f) }
#define MANY 100
#define ROUNDS 9
#define MS INT64_C(1000000) /* in nanoseconds */

static int
wait_future(mproc_future *f, mproc_timeout timeout)
{
	return wait_one((struct mproc_waitable)FUTURE(f), timeout);
}

/* Something that never comes, to sleep with. */
static int never[2];
static mproc_event *never_set;

enum way {
	ALONE, WITH_EVENT, WITH_DESCRIPTOR, IN_SET,
	/* By the calls for futures. */
	OF_ONE, OF_MANY,
	WAYS
};

/* Returns whether the future is ready by @timeout. */
static bool
wait_in(enum way way, mproc_future *f, mproc_timeout timeout)
{
	struct mproc_waitable items[] = { FUTURE(f), EVENT(never_set),
					  READABLE(never[0]) };
	struct mproc_waitable ready;
	mproc_waitset *w = NULL;
	int n = way == ALONE ? 1 : 2, r;

	if (way >= OF_ONE) {
		r = way == OF_ONE ?
			    mproc_future_wait(f, timeout) :
			    mproc_future_wait_many(&f, 1, MPROC_ANY, timeout);
		assert_true(r == (way == OF_MANY) || r == -ETIMEDOUT ||
			    r == -ESHUTDOWN);
		return r != -ETIMEDOUT;
	}
	if (way == WITH_DESCRIPTOR)
		items[1] = items[2];
	if (way != IN_SET) {
		r = mproc_wait(items, n, timeout);
		assert_true(r == 1 || r == -ETIMEDOUT);
		assert_int_equal(items[0].ret_events, r == 1 ? POLLIN : 0);
		assert_int_equal(items[n - 1].ret_events,
				 r == 1 && n == 1 ? POLLIN : 0);
		return r == 1;
	}
	assert_int_equal(mproc_waitset_create(&w), 0);
	assert_int_equal(mproc_waitset_add(w, &items[0]), 0);
	assert_int_equal(mproc_waitset_add(w, &items[1]), 0);
	r = mproc_waitset_wait(w, &ready, 1, timeout);
	assert_true(r == 1 || r == -ETIMEDOUT);
	if (r == 1)
		assert_ptr_equal(ready.object, f);
	mproc_waitset_close(w);
	return r == 1;
}

static void
open_never(void)
{
	assert_int_equal(pipe(never), 0);
	assert_int_equal(mproc_event_create(&never_set), 0);
}

static void
close_never(void)
{
	close(never[0]);
	close(never[1]);
	mproc_event_destroy(never_set);
}

static void
what_is_no_future_is_refused(void **state)
{
	struct mproc_waitable none = FUTURE(NULL), here = FUTURE(&none);
	mproc_waitset *w;

	(void)state;
	assert_int_equal(mproc_wait(&none, 1, MPROC_NOWAIT), -EINVAL);
	assert_true(detail_has("item 0 of 1: future is NULL"));
	assert_int_equal(mproc_wait(&here, 1, MPROC_NOWAIT), -EFAULT);
	assert_int_equal(mproc_waitset_create(&w), 0);
	assert_int_equal(mproc_waitset_add(w, &none), -EINVAL);
	assert_int_equal(mproc_waitset_add(w, &here), -EFAULT);
	mproc_waitset_close(w);
}

static void
a_future_is_ready_once_its_task_is_done(void **state)
{
	struct board *b = pool_of(*state, 2);
	mproc_future *f = submit_int(b, linger, 7);

	await_begun(b, 1);
	assert_int_equal(wait_future(f, MPROC_NOWAIT), -EAGAIN);
	open_never();
	for (int way = 0; way < WAYS; way++)
		assert_false(wait_in(way, f, mproc_ms(1)));
	atomic_store(&b->go_on, true);
	assert_int_equal(wait_future(f, MPROC_FOREVER), 1);
	for (int way = 0; way < WAYS; way++)
		assert_true(wait_in(way, f, MPROC_FOREVER));
	assert_int_equal(take_int(b, f), 7);
	/* Closed: there is nothing to come. */
	assert_int_equal(wait_future(f, MPROC_FOREVER), 1);
	close_never();
	close_and_join(b);
}

/* Never returns. */
static int
sleep_for_ever(void *arg)
{
	(void)arg;
	while (pause() < 0)
		;
	return 0;
}

/* What comes of @n things that have become ready, or do so soon. */
static void
expect_all(mproc_waitset *w, struct mproc_waitable *items, int n)
{
	struct mproc_waitable ready;
	unsigned seen = 0;
	int r;

	do {
		r = mproc_wait(items, n, MPROC_FOREVER);
		assert_in_range(r, 1, n);
	} while (r < n);
	for (int i = 0; i < n; i++)
		assert_int_equal(items[i].ret_events, POLLIN);
	/* Of a set, too, where each of them gets its turn. */
	while (seen != (1u << n) - 1) {
		assert_int_equal(mproc_waitset_wait(w, &ready, 1, MPROC_FOREVER),
				 1);
		for (int i = 0; i < n; i++)
			if (ready.kind == items[i].kind &&
			    ready.object == items[i].object)
				seen |= 1u << i;
	}
}

/* Queue, both kinds of connections, listener, process, event, future, descriptor. */
static void
all_kinds_are_waited_for_in_one_call(void **state)
{
	struct board *b = pool_of(*state, 1);
	mproc_event e = { 0 };
	mproc_conn *ends[2], *client, *other, *server;
	mproc_queue *q = new_queue();
	mproc_waitset *w;
	mproc_listener *l;
	mproc_process *p;

	open_never();
	assert_int_equal(mproc_process_start(&p, sleep_for_ever, NULL,
		MPROC_OPTS(mproc_process_opts, .method = MPROC_FORK)), 0);
	assert_int_equal(mproc_pipe(&ends[0], &ends[1], NULL), 0);
	assert_int_equal(mproc_listener_open(&l, "unix:@mpt-all-kinds", NULL), 0);
	assert_int_equal(mproc_connect(&client, "unix:@mpt-all-kinds", NULL,
				       MPROC_FOREVER), 0);
	assert_int_equal(mproc_listener_accept(l, &server, MPROC_FOREVER), 0);
	assert_int_equal(mproc_waitset_create(&w), 0);
	{
		struct mproc_waitable items[] = {
			QUEUE(q), CONN(ends[0]), CONN(server), LISTENER(l),
			PROCESS(p), EVENT(&e), FUTURE(submit_int(b, linger, 3)),
			READABLE(never[0]),
		};
		const int n = sizeof(items) / sizeof(items[0]);

		for (int i = 0; i < n; i++)
			assert_int_equal(mproc_waitset_add(w, &items[i]), 0);
		assert_int_equal(mproc_wait(items, n, MPROC_NOWAIT), -EAGAIN);
		assert_int_equal(mproc_wait(items, n, mproc_ms(1)), -ETIMEDOUT);
		put_byte(q);
		assert_int_equal(mproc_wait(items, n, MPROC_FOREVER), 1);
		assert_int_equal(mproc_conn_send(ends[1], "", 0, MPROC_NOWAIT), 0);
		assert_int_equal(mproc_conn_send(client, "", 0, MPROC_NOWAIT), 0);
		assert_int_equal(mproc_connect(&other, "unix:@mpt-all-kinds",
					       NULL, MPROC_FOREVER), 0);
		assert_int_equal(mproc_event_set(&e), 0);
		assert_int_equal(write(never[1], "x", 1), 1);
		assert_int_equal(mproc_wait(items, n, MPROC_FOREVER), 6);
		assert_int_equal(mproc_process_kill(p), 0);
		atomic_store(&b->go_on, true);
		expect_all(w, items, n);
		assert_int_equal(take_int(b, items[6].object), 3);
	}
	mproc_waitset_close(w);
	mproc_process_close(p);
	mproc_conn_close(ends[0]);
	mproc_conn_close(ends[1]);
	mproc_conn_close(client);
	mproc_conn_close(other);
	mproc_conn_close(server);
	mproc_listener_close(l);
	mproc_queue_destroy(q);
	close_never();
	close_and_join(b);
}

static int64_t let_go_at;

/* Lets the task end once the test sleeps. */
static void *
let_go(void *arg)
{
	struct board *b = arg;

	mpt_until(b->t, mpt_task_state(getpid()) == 'S');
	let_go_at = mproc_now();
	atomic_store(&b->go_on, true);
	return NULL;
}

static int64_t
time_of_wake_up(struct board *b, enum way way)
{
	mproc_future *f;
	pthread_t thread;
	int64_t now;

	atomic_store(&b->begun, 0);
	atomic_store(&b->go_on, false);
	f = submit_int(b, linger, way);
	await_begun(b, 1);
	assert_int_equal(pthread_create(&thread, NULL, let_go, b), 0);
	assert_true(wait_in(way, f, MPROC_FOREVER));
	now = mproc_now();
	pthread_join(thread, NULL);
	assert_int_equal(take_int(b, f), way);
	return now - let_go_at;
}

static void
who_sleeps_is_woken(void **state)
{
	struct board *b = pool_of(*state, 1);

	open_never();
	for (int way = 0; way < WAYS; way++) {
		struct mpt_times spent = { 0 };

		for (int i = 0; i < ROUNDS; i++)
			mpt_times_add(&spent, time_of_wake_up(b, way));
		/* The end of a slice is 50 ms away. */
		assert_true(mpt_times_median(&spent) < 15 * MS);
	}
	close_never();
	close_and_join(b);
}

static int
die(const void *in, size_t len, struct mproc_result *out)
{
	(void)in;
	(void)len;
	(void)out;
	raise(SIGKILL);
	return 0;
}

static int
fail_it(const void *in, size_t len, struct mproc_result *out)
{
	(void)in;
	(void)len;
	(void)out;
	return -ENOTTY;
}

/* However it is done. */
static void
what_fails_is_done(void **state)
{
	struct board *b = pool_of(*state, 2);
	mproc_future *f;

	open_never();
	for (int way = 0; way < WAYS; way++) {
		f = submit(b, fail_it, NULL, 0);
		assert_true(wait_in(way, f, MPROC_FOREVER));
		expect_error(b, f, -ENOTTY);
		f = submit(b, die, NULL, 0);
		assert_true(wait_in(way, f, MPROC_FOREVER));
		expect_death(b, f, SIGKILL, 0);
		f = submit_int(b, linger, 0);
		assert_int_equal(mproc_future_cancel(f, MPROC_CANCEL_RUNNING),
				 0);
		assert_true(wait_in(way, f, MPROC_FOREVER));
		expect_error(b, f, -ECANCELED);
	}
	f = submit_int(b, linger, 0);
	assert_int_equal(mproc_pool_terminate(b->pool), 0);
	assert_true(wait_in(WITH_EVENT, f, MPROC_FOREVER));
	expect_error(b, f, -ESHUTDOWN);
	close_never();
	mproc_pool_free(b->pool);
}

/* Kills the keeper once the test sleeps, which starts another one. */
static void *
kill_keeper(void *arg)
{
	struct board *b = arg;
	uint64_t keepers = pool_stat(b).keepers;

	mpt_until(b->t, mpt_task_state(getpid()) == 'S');
	kill(pool_stat(b).keeper, SIGKILL);
	mpt_until(b->t, pool_stat(b).keepers > keepers);
	atomic_store(&b->go_on, true);
	return NULL;
}

/* The task dies with the keeper, and is run again by the next one's workers. */
static void
who_waits_starts_another_keeper(void **state)
{
	struct board *b = new_pool(*state, MPROC_OPTS(
		mproc_pool_opts, .workers = 1, .retries = 3));

	open_never();
	for (int way = 0; way < WAYS; way++) {
		mproc_future *f;
		pthread_t thread;

		atomic_store(&b->begun, 0);
		f = submit_int(b, linger, way);
		await_begun(b, 1);
		assert_int_equal(pthread_create(&thread, NULL, kill_keeper, b),
				 0);
		assert_true(wait_in(way, f, MPROC_FOREVER));
		pthread_join(thread, NULL);
		assert_int_equal(take_int(b, f), way);
		assert_int_equal(pool_stat(b).keepers, way + 2);
		atomic_store(&b->go_on, false);
	}
	close_never();
	close_and_join(b);
	mpt_reap_orphans(b->t);
}

/* A task that waits for another one of the only worker. */
static int
nested(const void *in, size_t len, struct mproc_result *out)
{
	struct board *b = the_board();
	struct mproc_waitable items[3] = { EVENT(never_set),
					   READABLE(never[0]) };
	mproc_future *f[3];
	int sum = 0;

	(void)in;
	(void)len;
	for (int i = 0; i < 3; i++)
		f[i] = submit_int(b, square, i + 1);
	for (int i = 0; i < 3; i++) {
		items[2] = (struct mproc_waitable)FUTURE(f[i]);
		/* Alone, and with others in both ways to sleep. */
		mpt_check_int(b->t, mproc_wait(items + 2 - i, 1 + i,
					       MPROC_FOREVER), 1);
		sum += take_int(b, f[i]);
	}
	return mproc_result_set(out, &sum, sizeof(sum));
}

static void
a_task_may_wait_for_others(void **state)
{
	struct board *b;

	open_never();
	b = pool_of(*state, 1);
	assert_int_equal(take_int(b, submit(b, nested, NULL, 0)), 1 + 4 + 9);
	close_and_join(b);
	close_never();
}

static int
take_as_they_come(const void *in, size_t len, struct mproc_result *out)
{
	struct board *b = the_board();
	struct mproc_waitable items[4] = { EVENT(never_set) };
	int sum = 0, n = int_of(in);

	(void)len;
	for (int i = 0; i < n; i++)
		items[i + 1] = (struct mproc_waitable)FUTURE(
			submit_int(b, square, i + 1));
	while (n) {
		mpt_check_int(b->t, mproc_wait(items, n + 1, MPROC_FOREVER), 1);
		for (int i = 1; i <= n; i++) {
			if (!items[i].ret_events)
				continue;
			sum += take_int(b, items[i].object);
			items[i] = items[n--];
			break;
		}
	}
	return mproc_result_set(out, &sum, sizeof(sum));
}

/* What it runs itself is ready then, and is enough. */
static void
a_task_runs_no_more_than_it_waits_for(void **state)
{
	struct board *b;

	open_never();
	b = pool_of(*state, 1);
	assert_int_equal(take_int(b, submit_int(b, take_as_they_come, 3)),
			 1 + 4 + 9);
	close_and_join(b);
	close_never();
}

/* A worker's, for all its tasks. */
static mproc_waitset *set;

static int
take_by_set(struct board *b, mproc_future *f)
{
	struct mproc_waitable item = FUTURE(f), ready;

	mpt_check_int(b->t, mproc_waitset_add(set, &item), 0);
	mpt_check_int(b->t, mproc_waitset_wait(set, &ready, 1, MPROC_FOREVER), 1);
	mpt_check(b->t, ready.object == f);
	mpt_check_int(b->t, mproc_waitset_remove(set, &item), 0);
	return take_int(b, f);
}

static int
sum_up_by_set(const void *in, size_t len, struct mproc_result *out)
{
	struct board *b = the_board();
	int i = int_of(in), sum = i;

	(void)len;
	if (!set)
		mpt_check_int(b->t, mproc_waitset_create(&set), 0);
	if (i > 1)
		sum += take_by_set(b, submit_int(b, sum_up_by_set, i - 1));
	if (i == 5)
		mproc_waitset_close(set);
	return mproc_result_set(out, &sum, sizeof(sum));
}

/* By what it waits for, which runs in its wait, and takes things in and out. */
static void
a_set_may_be_used_inside_its_wait(void **state)
{
	struct board *b = pool_of(*state, 1);

	assert_int_equal(take_int(b, submit_int(b, sum_up_by_set, 5)), 15);
	close_and_join(b);
}

/* Returns what the wait of another thread does, which is none of a worker's. */
static void *
wait_a_little(void *arg)
{
	struct mproc_waitable ready;

	return (void *)(intptr_t)mproc_waitset_wait(arg, &ready, 1, mproc_ms(20));
}

static void *
add_it(void *arg)
{
	const struct mproc_waitable item = FUTURE(arg);

	return (void *)(intptr_t)mproc_waitset_add(set, &item);
}

static int
in_thread(struct board *b, void *(*fn)(void *), void *arg)
{
	pthread_t thread;
	void *r = NULL;

	mpt_check_int(b->t, pthread_create(&thread, NULL, fn, arg), 0);
	pthread_join(thread, &r);
	return (int)(intptr_t)r;
}

static int
share_set(const void *in, size_t len, struct mproc_result *out)
{
	struct board *b = the_board();
	struct mproc_waitable end = READABLE(never[0]), ready;
	mproc_future *f = submit_int(b, square, 3);
	int r;

	(void)len;
	mpt_check_int(b->t, mproc_waitset_create(&set), 0);
	/* By whomever it was added. */
	r = int_of(in) ? in_thread(b, add_it, f) : (int)(intptr_t)add_it(f);
	mpt_check_int(b->t, r, 0);
	mpt_check_int(b->t, in_thread(b, wait_a_little, set), -ETIMEDOUT);
	mpt_check_int(b->t, mproc_waitset_add(set, &end), 0);
	mpt_check_int(b->t, write(never[1], "", 1), 1);
	mpt_check_int(b->t, in_thread(b, wait_a_little, set), 1);
	mpt_check_int(b->t, mproc_waitset_remove(set, &end), 0);
	mpt_check_int(b->t, mproc_waitset_wait(set, &ready, 1, MPROC_FOREVER), 1);
	mproc_waitset_close(set);
	r = take_int(b, f);
	return mproc_result_set(out, &r, sizeof(r));
}

/* Only the worker's own thread runs what nobody has begun. Others wait. */
static void
a_set_may_be_shared_by_a_worker_and_its_threads(void **state)
{
	struct board *b;
	char c;

	open_never();
	b = pool_of(*state, 1);
	/* Of threads it is who adds it that counts. */
	for (int i = 0; i < (are_processes() ? 2 : 1); i++) {
		assert_int_equal(take_int(b, submit_int(b, share_set, i)), 9);
		assert_int_equal(read(never[0], &c, 1), 1);
	}
	close_and_join(b);
	close_never();
}

static void
a_set_tells_each_of_many(void **state)
{
	struct board *b = pool_of(*state, 2);
	struct mproc_waitable items[MANY / 4];
	mproc_future *f[MANY];
	mproc_waitset *w;
	int left = MANY, n;

	assert_int_equal(mproc_waitset_create(&w), 0);
	for (int i = 0; i < MANY; i++) {
		f[i] = submit_int(b, square, i);
		items[0] = (struct mproc_waitable)FUTURE(f[i]);
		assert_int_equal(mproc_waitset_add(w, &items[0]), 0);
	}
	while (left) {
		n = mproc_waitset_wait(w, items, MANY / 4, MPROC_FOREVER);
		assert_in_range(n, 1, MANY / 4);
		for (int k = 0; k < n; k++) {
			assert_int_equal(items[k].kind, MPROC_WAIT_FUTURE);
			assert_int_equal(mproc_future_ready(items[k].object),
					 1);
			assert_int_equal(mproc_waitset_remove(w, &items[k]),
					 0);
		}
		left -= n;
	}
	mproc_waitset_close(w);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(take_int(b, f[i]), i * i);
	close_and_join(b);
}

/* One that another thread closes, and whose memory is used again. */
static void *
close_it(void *arg)
{
	struct board *b = the_board();

	mpt_until(b->t, mpt_task_state(getpid()) == 'S');
	mproc_future_close(arg);
	atomic_store(&b->go_on, true);
	return NULL;
}

static void
one_that_is_closed_meanwhile_is_ready(void **state)
{
	struct board *b = pool_of(*state, 1);

	open_never();
	for (int way = 0; way < WAYS; way++) {
		mproc_future *f, *other;
		pthread_t thread;

		atomic_store(&b->begun, 0);
		f = submit_int(b, linger, 0);
		await_begun(b, 1);
		other = submit_int(b, linger, 1);
		assert_int_equal(pthread_create(&thread, NULL, close_it, f), 0);
		assert_true(wait_in(way, f, MPROC_FOREVER));
		pthread_join(thread, NULL);
		assert_int_equal(take_int(b, other), 1);
		atomic_store(&b->go_on, false);
	}
	close_never();
	close_and_join(b);
}

/* Which runs, where one was that is closed: that is ready all the same. */
static void
another_one_in_the_same_place_is_another(void **state)
{
	struct board *b = pool_of(*state, 1);
	mproc_future *f = submit_int(b, linger, 0);
	struct mproc_waitable item = FUTURE(f), ready;
	mproc_waitset *w;
	int n = 0;

	assert_int_equal(mproc_waitset_create(&w), 0);
	assert_int_equal(mproc_waitset_add(w, &item), 0);
	atomic_store(&b->go_on, true);
	assert_int_equal(take_int(b, f), 0);
	atomic_store(&b->go_on, false);
	do
		b->futures[n] = submit_int(b, linger, n);
	while (b->futures[n++] != f && n < 4096);
	assert_ptr_equal(b->futures[n - 1], f);
	assert_int_equal(mproc_waitset_wait(w, &ready, 1, MPROC_FOREVER), 1);
	assert_ptr_equal(ready.object, f);
	/* It can be in the set itself, once. */
	assert_int_equal(mproc_waitset_add(w, &item), 0);
	assert_int_equal(mproc_waitset_wait(w, &ready, 1, mproc_ms(1)),
			 -ETIMEDOUT);
	assert_int_equal(mproc_waitset_add(w, &item), -EEXIST);
	atomic_store(&b->go_on, true);
	assert_int_equal(mproc_waitset_wait(w, &ready, 1, MPROC_FOREVER), 1);
	mproc_waitset_close(w);
	for (int i = 0; i < n; i++)
		assert_int_equal(take_int(b, b->futures[i]), i);
	close_and_join(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(what_is_no_future_is_refused),
		mpt_test(a_future_is_ready_once_its_task_is_done),
		mpt_test(all_kinds_are_waited_for_in_one_call),
		mpt_test(who_sleeps_is_woken),
		test_of_processes(what_fails_is_done),
		test_of_processes(who_waits_starts_another_keeper),
		test_of_copies(a_task_may_wait_for_others),
		test_of_copies(a_task_runs_no_more_than_it_waits_for),
		mpt_test(a_set_may_be_used_inside_its_wait),
		test_of_copies(a_set_may_be_shared_by_a_worker_and_its_threads),
		mpt_test(a_set_tells_each_of_many),
		mpt_test(one_that_is_closed_meanwhile_is_ready),
		mpt_test(another_one_in_the_same_place_is_another),
	};

	return cmocka_run_group_tests(tests, with_pool, NULL);
}
