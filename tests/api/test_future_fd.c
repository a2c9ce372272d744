/* SPDX-License-Identifier: MIT */
/*
 * future.h: descriptors to poll for the end of a task.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mproc/testing.h>

#include "mpt_times.h"
#include "pool.h"

#define ROUNDS 9
#define MANY 100
#define PLACES 20000
#define MS INT64_C(1000000) /* in nanoseconds */

static int
ask(struct board *b, mproc_future *f)
{
	int fd = mproc_future_fd(f);

	mpt_check(b->t, fd > 2);
	return fd;
}

static bool
is_readable(int fd, int ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, ms) == 1 && pfd.revents == POLLIN;
}

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static int
try_get(mproc_future *f)
{
	return mproc_future_get(f, NULL, 0, NULL, MPROC_NOWAIT);
}

static void
what_is_no_future_is_refused(void **state)
{
	mproc_future *f = NULL;

	(void)state;
	assert_int_equal(mproc_future_fd(NULL), -EINVAL);
	assert_int_equal(mproc_future_fd((mproc_future *)&f), -EFAULT);
}

static void
it_is_readable_once_the_task_is_done(void **state)
{
	struct board *b = pool_of(*state, 2);
	mproc_future *f = submit_int(b, linger, 7);
	int fd = ask(b, f);

	await_begun(b, 1);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_false(is_readable(fd, 0));
	/* The same for all. */
	assert_int_equal(ask(b, f), fd);
	assert_int_equal(try_get(f), -EAGAIN);
	assert_int_equal(mproc_future_wait(f, mproc_ms(1)), -ETIMEDOUT);
	assert_false(is_readable(fd, 0));
	atomic_store(&b->go_on, true);
	assert_true(is_readable(fd, 20000));
	assert_int_equal(mproc_future_wait(f, MPROC_NOWAIT), 0);
	assert_true(is_readable(fd, 0));
	assert_int_equal(take_int(b, f), 7);
	assert_false(is_open(fd));
	/* One that is done already. */
	f = submit_int(b, square, 3);
	assert_int_equal(mproc_future_wait(f, MPROC_FOREVER), 0);
	fd = ask(b, f);
	assert_true(is_readable(fd, 20000));
	assert_int_equal(take_int(b, f), 9);
	assert_int_equal(mproc_future_fd(f), -ESTALE);
	close_and_join(b);
}

static int64_t
time_of_wake_up(struct board *b)
{
	mproc_future *f;
	int64_t began;
	int fd;

	atomic_store(&b->begun, 0);
	atomic_store(&b->go_on, false);
	f = submit_int(b, linger, 1);
	fd = ask(b, f);
	await_begun(b, 1);
	began = mproc_now();
	atomic_store(&b->go_on, true);
	assert_true(is_readable(fd, 20000));
	began = mproc_now() - began;
	assert_int_equal(take_int(b, f), 1);
	return began;
}

static void
who_polls_is_woken(void **state)
{
	struct board *b = pool_of(*state, 1);
	struct mpt_times spent = { 0 };

	for (int i = 0; i < ROUNDS; i++)
		mpt_times_add(&spent, time_of_wake_up(b));
	/* The watcher looks at all after 50 ms. */
	assert_true(mpt_times_median(&spent) < 25 * MS);
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

/* However it is done. */
static void
what_fails_is_done(void **state)
{
	struct board *b = pool_of(*state, 2);
	mproc_future *f = submit(b, die, NULL, 0);

	assert_true(is_readable(ask(b, f), 20000));
	expect_death(b, f, SIGKILL, 0);
	f = submit_int(b, linger, 0);
	ask(b, f);
	assert_int_equal(mproc_future_cancel(f, MPROC_CANCEL_RUNNING), 0);
	assert_true(is_readable(ask(b, f), 20000));
	expect_error(b, f, -ECANCELED);
	f = submit_int(b, linger, 0);
	ask(b, f);
	assert_int_equal(mproc_pool_terminate(b->pool), 0);
	assert_true(is_readable(ask(b, f), 20000));
	expect_error(b, f, -ESHUTDOWN);
	mproc_pool_free(b->pool);
}

/* Who polls is told, and its get starts another one. */
static void
a_dead_keeper_is_replaced_by_who_polls(void **state)
{
	struct board *b = new_pool(*state, MPROC_OPTS(mproc_pool_opts,
						      .workers = 1,
						      .retries = 1));
	mproc_future *f = submit_int(b, linger, 5);
	int fd = ask(b, f);

	await_begun(b, 1);
	assert_int_equal(kill(pool_stat(b).keeper, SIGKILL), 0);
	assert_true(is_readable(fd, 20000));
	mpt_until(b->t, try_get(f) == -EAGAIN && pool_stat(b).keepers == 2);
	await_begun(b, 2);
	assert_int_equal(try_get(f), -EAGAIN);
	assert_false(is_readable(fd, 0));
	atomic_store(&b->go_on, true);
	assert_true(is_readable(fd, 20000));
	assert_int_equal(take_int(b, f), 5);
	close_and_join(b);
	mpt_reap_orphans(b->t);
}

/* Its end closes what is left of them. */
static void
a_pool_that_is_freed_takes_them_with_it(void **state)
{
	struct board *b = pool_of(*state, 1);
	int fds[4];

	for (int i = 0; i < 4; i++) {
		b->futures[i] = submit_int(b, linger, i);
		fds[i] = ask(b, b->futures[i]);
	}
	mproc_pool_free(b->pool);
	for (int i = 0; i < 4; i++) {
		assert_false(is_open(fds[i]));
		assert_int_equal(mproc_future_fd(b->futures[i]), -ESTALE);
		mproc_future_close(b->futures[i]);
	}
}

static int
close_it(struct mpt *t, void *arg)
{
	struct board *b = arg;

	(void)t;
	mproc_future_close(b->futures[0]);
	return 0;
}

/* Then the descriptor's process has that to close, and not what lies there by then. */
static void
one_that_another_process_closes_is_readable(void **state)
{
	struct board *b = pool_of(*state, 1);
	mproc_future *f = submit_int(b, linger, 1), *next = NULL;
	int fd = ask(b, f);

	await_begun(b, 1);
	b->futures[0] = f;
	mpt_fork(b->t, "closer", close_it, b);
	mpt_join_all(b->t);
	atomic_store(&b->go_on, true);
	assert_true(is_readable(fd, 20000));
	assert_int_equal(try_get(f), -ESTALE);
	/* Another one at the same place; the heap goes round. */
	for (int n = 0; next != f && n < PLACES; n++) {
		if (next)
			assert_int_equal(take_int(b, next), 9);
		next = submit_int(b, square, 3);
	}
	assert_ptr_equal(next, f);
	mproc_future_close(f);
	assert_false(is_open(fd));
	/* Which has one of its own. */
	assert_true(is_readable(ask(b, next), 20000));
	assert_int_equal(take_int(b, next), 9);
	close_and_join(b);
}

static int
ask_for_its_own(struct mpt *t, void *arg)
{
	struct board *b = arg;
	int fd = mproc_future_fd(b->futures[0]);

	mpt_check(t, fd > 2);
	mpt_check(t, !is_readable(fd, 0));
	atomic_fetch_add(&b->counts[0], 1);
	mpt_check(t, is_readable(fd, 20000));
	mpt_check_int(t, mproc_future_wait(b->futures[0], MPROC_NOWAIT), 0);
	return 0;
}

/* A child's is another one, and its parent's goes on. */
static void
each_process_has_its_own(void **state)
{
	struct board *b = pool_of(*state, 1);
	mproc_future *f = submit_int(b, linger, 1);
	int fd = ask(b, f);

	await_begun(b, 1);
	b->futures[0] = f;
	for (int i = 0; i < 3; i++)
		mpt_fork(b->t, "asker", ask_for_its_own, b);
	mpt_until(b->t, atomic_load(&b->counts[0]) == 3);
	assert_false(is_readable(fd, 0));
	atomic_store(&b->go_on, true);
	assert_true(is_readable(fd, 20000));
	mpt_join_all(b->t);
	assert_int_equal(take_int(b, f), 1);
	close_and_join(b);
}

/* The only worker, which waits as event loops do: for what nobody else can run. */
static int
poll_for_others(const void *in, size_t len, struct mproc_result *out)
{
	struct board *b = the_board();
	int sum = 0, n = 0, i, r;

	(void)in;
	(void)len;
	for (i = 0; i < 3; i++) {
		mproc_future *f = submit_int(b, square, i + 1);
		int fd = ask(b, f);

		do {
			mpt_check(b->t, is_readable(fd, 20000));
			r = mproc_future_get(f, &n, sizeof(n), NULL,
					     MPROC_NOWAIT);
		} while (r == -EAGAIN);
		mpt_check_int(b->t, r, 0);
		mproc_future_close(f);
		sum += n;
	}
	return mproc_result_set(out, &sum, sizeof(sum));
}

static void
a_task_polls_for_others(void **state)
{
	struct board *b = pool_of(*state, 1);

	assert_int_equal(take_int(b, submit(b, poll_for_others, NULL, 0)),
			 1 + 4 + 9);
	close_and_join(b);
}

/* Threads ask for many, and close them. They submit nothing: a message's block that
 * comes back from a worker ThreadSanitizer would take for one that was shared. */
static void *
poll_for_many(void *arg)
{
	struct board *b = the_board();
	mproc_future **fs = arg;

	for (int i = 0; i < MANY; i++) {
		int fd = ask(b, fs[i]);

		while (try_get(fs[i]) == -EAGAIN)
			mpt_check(b->t, is_readable(fd, 20000));
		mpt_check_int(b->t, take_int(b, fs[i]), i * i);
	}
	return NULL;
}

static void
threads_poll_for_many(void **state)
{
	struct board *b = pool_of(*state, 2);
	pthread_t threads[3];

	for (int i = 0; i < 3 * MANY; i++)
		b->futures[i] = submit_int(b, square, i % MANY);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, poll_for_many,
						b->futures + i * MANY), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	close_and_join(b);
}

static void
descriptors_may_run_out(void **state)
{
	struct board *b = pool_of(*state, 1);
	mproc_future *f = submit_int(b, square, 4);
	int fd;

	assert_int_equal(mproc_test_fault("eventfd:1+=EMFILE"), 0);
	assert_int_equal(mproc_future_fd(f), -EMFILE);
	assert_int_equal(mproc_test_fault(NULL), 0);
	fd = ask(b, f);
	assert_true(is_readable(fd, 20000));
	assert_int_equal(take_int(b, f), 16);
	close_and_join(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(what_is_no_future_is_refused),
		mpt_test(it_is_readable_once_the_task_is_done),
		mpt_test(who_polls_is_woken),
		test_of_processes(what_fails_is_done),
		test_of_processes(a_dead_keeper_is_replaced_by_who_polls),
		test_of_processes(a_pool_that_is_freed_takes_them_with_it),
		mpt_test(one_that_another_process_closes_is_readable),
		mpt_test(each_process_has_its_own),
		mpt_test(a_task_polls_for_others),
		mpt_test(threads_poll_for_many),
		mpt_test(descriptors_may_run_out),
	};

	return cmocka_run_group_tests(tests, with_pool, NULL);
}
