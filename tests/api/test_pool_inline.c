/* SPDX-License-Identifier: MIT */
/*
 * pool.h: inline pools, as far as they are not as others: what runs where and when, and
 * how they end; and pools within pools. What they have in common is in the other tests of pools, which run with
 * MPT_BACKEND=inline, too.
 */
#include <poll.h>
#include <pthread.h>
#include <sys/wait.h>

#include <mproc/testing.h>

#include "pool.h"

static struct board *
inline_pool(struct mpt *t)
{
	return new_pool(t, MPROC_OPTS(mproc_pool_opts, .workers = 2,
				      .backend = MPROC_POOL_INLINE));
}

/* The arena without what earlier tests' processes have left. */
static struct mproc_arena_stat
recovered(void)
{
	assert_true(mproc_arena_recover(NULL) >= 0);
	return stat_now();
}

static int here; /* of this process alone */

/* Leaves how many have run here before. */
static int
count(const void *in, size_t len, struct mproc_result *out)
{
	struct board *b = the_board();

	(void)in;
	(void)len;
	atomic_store(&b->pid, getpid());
	atomic_fetch_add(&b->begun, 1);
	here++;
	return mproc_result_set(out, &here, sizeof(here));
}

static void
tasks_run_where_they_are_submitted(void **state)
{
	struct board *b = inline_pool(*state);
	struct mproc_pool_stat stat;

	here = 0;
	for (int i = 1; i <= 20; i++) {
		mproc_future *f = submit(b, count, NULL, 0);

		assert_int_equal(here, i);
		assert_int_equal(atomic_load(&b->pid), getpid());
		assert_int_equal(mproc_future_ready(f), 1);
		assert_int_equal(mproc_future_cancel(f, 0), -EALREADY);
		assert_int_equal(mproc_future_cancel(f, MPROC_CANCEL_RUNNING),
				 -EALREADY);
		assert_int_equal(take_int(b, f), i);
	}
	stat = pool_stat(b);
	assert_int_equal(stat.phase, MPROC_POOL_OPEN);
	assert_int_equal(stat.done, 20);
	assert_int_equal(stat.workers, 0);
	assert_int_equal(stat.keeper, 0);
	assert_int_equal(stat.keepers, 0);
	/* There is nobody to wait for. */
	assert_int_equal(mproc_pool_close(b->pool), 0);
	assert_int_equal(pool_stat(b).phase, MPROC_POOL_ENDED);
	assert_int_equal(mproc_pool_join(b->pool, MPROC_NOWAIT), 0);
	mproc_pool_free(b->pool);
}

static int
note_item(const void *in, void *out, void *ctx)
{
	int *order = ctx;

	order[++order[0]] = int_of(in);
	memcpy(out, in, sizeof(int));
	return 0;
}

static void
tell(size_t done, size_t n, void *ctx)
{
	assert_int_equal(done, n);
	++*(int *)ctx;
}

static void
items_run_in_their_order(void **state)
{
	struct board *b = inline_pool(*state);
	int in[100], out[100], order[101], told = 0;

	for (int i = 0; i < 100; i++)
		in[i] = i;
	for (size_t chunk = 0; chunk <= 100; chunk += 30) {
		mproc_future *f;

		/* What it is given is where it is: nothing else is needed. */
		order[0] = 0;
		assert_int_equal(mproc_pool_map(b->pool, note_item, order, in,
						sizeof(int), out, sizeof(int), 100,
						MPROC_OPTS(mproc_map_opts,
							   .chunk = chunk,
							   .timeout = mproc_us(1),
							   .progress = tell,
							   .progress_ctx = &told)),
				 0);
		for (int i = 0; i < 100; i++) {
			assert_int_equal(order[i + 1], i);
			assert_int_equal(out[i], i);
		}
		order[0] = 0;
		assert_int_equal(mproc_pool_map_async(b->pool, note_item, order,
						      in, sizeof(int), NULL,
						      sizeof(int), 100, NULL, &f),
				 0);
		assert_int_equal(order[0], 100);
		assert_int_equal(mproc_future_ready(f), 1);
		mproc_future_close(f);
	}
	assert_int_equal(told, 4);
	close_and_join(b);
}

static void
note_done(mproc_future *f, void *ctx)
{
	++*(int *)ctx;
	mproc_future_close(f);
}

static void
a_future_is_done_for_all_who_ask(void **state)
{
	struct board *b = inline_pool(*state);
	mproc_future *f[2] = { submit_int(b, square, 2), submit_int(b, square, 3) };
	struct mproc_waitable items[] = { { .kind = MPROC_WAIT_FUTURE,
					    .object = f[0] } };
	struct pollfd p = { .events = POLLIN };
	int told = 0;

	assert_int_equal(mproc_future_wait_many(f, 2, MPROC_ALL, MPROC_NOWAIT),
			 2);
	assert_int_equal(mproc_wait(items, 1, MPROC_NOWAIT), 1);
	p.fd = mproc_future_fd(f[0]);
	assert_true(p.fd > 2);
	assert_int_equal(poll(&p, 1, -1), 1);
	assert_int_equal(take_int(b, f[0]), 4);
	assert_int_equal(mproc_future_on_done(f[1], note_done, &told), 0);
	assert_int_equal(told, 1);
	assert_int_equal(pool_stat(b).futures, 0);
	close_and_join(b);
}

static int initialized;

static int
initialize(void *arg)
{
	initialized += *(int *)arg;
	return *(int *)arg == 77 ? 77 : 0;
}

static void
the_initializer_runs_once(void **state)
{
	struct mproc_pool_opts o = {
		.struct_size = sizeof(o), .workers = 3,
		.backend = MPROC_POOL_INLINE, .initializer = initialize,
	};
	int arg = 5;
	struct board *b;
	mproc_future *f;

	o.init_arg = &arg;
	initialized = 0;
	b = new_pool(*state, &o);
	assert_int_equal(initialized, 5);
	assert_int_equal(take_int(b, submit_int(b, square, 2)), 4);
	assert_int_equal(initialized, 5);
	close_and_join(b);
	arg = 77;
	o.init_size = sizeof(arg);
	b = new_pool(*state, &o);
	assert_int_equal(pool_stat(b).phase, MPROC_POOL_ENDED);
	assert_int_equal(pool_stat(b).initializer, 77);
	assert_int_equal(mproc_pool_submit(b->pool, square, &arg, sizeof(arg), &f),
			 -ESHUTDOWN);
	mproc_pool_free(b->pool);
}

/* Ends the pool that it is a task of, by as much as its input says. */
static int
end_own_pool(const void *in, size_t len, struct mproc_result *out)
{
	struct board *b = the_board();
	int how = int_of(in);

	(void)out;
	if (how == 1)
		mpt_check_int(b->t, mproc_pool_close(b->pool), 0);
	else if (how == 2)
		mpt_check_int(b->t, mproc_pool_terminate(b->pool), 0);
	if (how)
		mpt_check_int(b->t, mproc_pool_join(b->pool, MPROC_FOREVER),
			      -EDEADLK);
	mproc_pool_free(b->pool);
	mpt_check_int(b->t, pool_stat(b).workers, 1);
	return mproc_result_set(out, in, len);
}

static void
a_task_may_end_its_pool(void **state)
{
	struct board *b;
	mproc_future *f;

	for (int how = 0; how <= 2; how++) {
		b = inline_pool(*state);
		f = submit_int(b, end_own_pool, how);
		if (how == 2)
			expect_error(b, f, -ESHUTDOWN);
		else
			assert_int_equal(take_int(b, f), how);
		assert_int_equal(pool_stat(b).phase,
				 how ? MPROC_POOL_ENDED : MPROC_POOL_OPEN);
		mproc_pool_free(b->pool);
	}
}

static int
map_others(struct mpt *t, void *arg)
{
	struct board *b = arg;
	int in[10] = { 0 }, out[10], errors[10];

	mpt_check_int(t, mproc_pool_map(b->pool, linger_over, NULL, in, sizeof(int),
					out, sizeof(int), 10,
					MPROC_OPTS(mproc_map_opts, .chunk = 2,
						   .errors = errors)),
		      MPROC_TASK_FAILED);
	/* To the end of its chunk. */
	for (int i = 0; i < 10; i++)
		mpt_check_int(t, errors[i], i < 2 ? 0 : -ESHUTDOWN);
	return 0;
}

static int
submit_other(struct mpt *t, void *arg)
{
	struct board *b = arg;

	(void)t;
	expect_error(b, submit_int(b, linger, 1), -ESHUTDOWN);
	return 0;
}

static void
what_runs_elsewhere_ends_first(void **state)
{
	struct board *b;
	int ids[4];

	for (int forked = 0; forked < 2; forked++) {
		b = inline_pool(*state);
		atomic_store(&b->go_on, false);
		atomic_store(&b->begun, 0);
		mpt_use_threads(b->t, !forked);
		for (int i = 0; i < 4; i++)
			ids[i] = (forked ? mpt_fork : mpt_spawn)(
				b->t, "other", i % 2 ? map_others : submit_other, b);
		await_begun(b, 4);
		assert_int_equal(pool_stat(b).workers, 4);
		assert_int_equal(pool_stat(b).running, 4);
		assert_int_equal(mproc_pool_terminate(b->pool), 0);
		assert_int_equal(mproc_pool_join(b->pool, MPROC_NOWAIT), -EAGAIN);
		assert_int_equal(mproc_pool_join(b->pool, mproc_ms(1)),
				 -ETIMEDOUT);
		atomic_store(&b->go_on, true);
		assert_int_equal(mproc_pool_join(b->pool, MPROC_FOREVER), 0);
		for (int i = 0; i < 4; i++)
			mpt_expect_exit(b->t, ids[i], 0);
		mproc_pool_free(b->pool);
	}
}

static int
die(const void *in, size_t len, struct mproc_result *out)
{
	(void)len;
	(void)out;
	if (int_of(in) == 1)
		pthread_exit(NULL);
	raise(SIGKILL);
	return 0;
}

static int
submit_death(struct mpt *t, void *arg)
{
	(void)t;
	(void)submit_int(arg, die, 0);
	return 1;
}

static void *
end_in_task(void *arg)
{
	(void)submit_int(arg, die, 1);
	return NULL;
}

/* Nobody has their futures, and the pool ends all the same. */
static void
who_dies_in_a_task_holds_up_nobody(void **state)
{
	struct mproc_arena_stat before;
	pthread_t thread;
	struct board *b;

	/* A thread that works for pools may still be resting. */
	mpt_until(*state, recovered().participants == 1);
	before = stat_now();
	b = inline_pool(*state);
	for (int i = 0; i < 2; i++)
		mpt_expect_signal(b->t, mpt_fork(b->t, "dead", submit_death, b),
				  SIGKILL);
	assert_int_equal(pthread_create(&thread, NULL, end_in_task, b), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(take_int(b, submit_int(b, square, 3)), 9);
	assert_int_equal(mproc_pool_close(b->pool), 0);
	assert_int_equal(mproc_pool_join(b->pool, MPROC_FOREVER), 0);
	assert_int_equal(pool_stat(b).deaths, 3);
	assert_int_equal(pool_stat(b).running, 0);
	mproc_pool_free(b->pool);
	expect_stat(&before);
}

static int
fork_and_return(const void *in, size_t len, struct mproc_result *out)
{
	pid_t pid = fork();

	if (pid == 0)
		return mproc_result_set(out, in, len) == -ECHILD ? 0 : -EIO;
	return mproc_result_set(out, &pid, sizeof(pid));
}

static void
a_child_of_a_task_has_nothing_of_it(void **state)
{
	struct board *b = inline_pool(*state);
	pid_t pid = getpid(), child;
	mproc_future *f;
	int r, status;

	r = mproc_pool_submit(b->pool, fork_and_return, &pid, sizeof(pid), &f);
	if (getpid() != pid)
		_exit(r == -ECHILD ? 7 : 1);
	assert_int_equal(r, 0);
	child = take_int(b, f);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 7 << 8);
	close_and_join(b);
}

static int
leave(const void *in, size_t len, struct mproc_result *out)
{
	(void)in;
	(void)len;
	(void)out;
	exit(9);
}

static int
exit_in_task(void *arg)
{
	mproc_pool *p;
	mproc_future *f;

	(void)arg;
	return mproc_pool_create(&p, MPROC_OPTS(mproc_pool_opts,
						.backend = MPROC_POOL_INLINE)) < 0 ||
	       mproc_pool_submit(p, leave, NULL, 0, &f) < 0;
}

static void
a_task_that_exits_ends_the_process(void **state)
{
	struct mproc_arena_stat before = recovered();
	struct mproc_exit end;
	mproc_process *p;

	(void)state;
	assert_int_equal(mproc_process_start(&p, exit_in_task, NULL, NULL), 0);
	assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
	assert_int_equal(mproc_process_exit_info(p, &end), 0);
	assert_int_equal(end.code, 9);
	mproc_process_close(p);
	/* Who makes the next pool gives back what is left of it. */
	close_and_join(inline_pool(*state));
	expect_stat(&before);
}

static void
tests_have_all_pools_inline(void **state)
{
	struct board *b;

	assert_int_equal(mproc_test_inline(true), 0);
	b = new_pool(*state, MPROC_OPTS(mproc_pool_opts,
					.backend = MPROC_POOL_PROCESSES,
					.task_timeout = mproc_us(1),
					.idle_timeout = mproc_us(1),
					.max_tasks_per_worker = 1,
					.retries = 5));
	assert_int_equal(mproc_test_inline(false), 1);
	for (int i = 0; i < 3; i++) {
		mproc_future_close(submit(b, count, NULL, 0));
		assert_int_equal(atomic_load(&b->pid), getpid());
	}
	close_and_join(b);
	b = new_pool(*state, MPROC_OPTS(mproc_pool_opts, .workers = 1,
					.backend = MPROC_POOL_PROCESSES));
	assert_int_equal(take_int(b, submit_int(b, square, 2)), 4);
	assert_true(pool_stat(b).keeper > 0);
	close_and_join(b);
}

static int
use_inner_pool(const void *in, size_t len, struct mproc_result *out)
{
	struct board *b = the_board();
	mproc_pool *outer = b->pool, *inner;
	int i;

	(void)len;
	mpt_check_int(b->t, mproc_pool_create(&inner, MPROC_OPTS(mproc_pool_opts,
						.workers = 1,
						.backend = int_of(in))), 0);
	b->pool = inner;
	i = take_int(b, submit_int(b, square, 3));
	b->pool = outer;
	mproc_pool_free(inner);
	/* It is a worker of the outer one as before. */
	i += take_int(b, submit_int(b, square, 4));
	return mproc_result_set(out, &i, sizeof(i));
}

static void
pools_may_have_pools(void **state)
{
	for (int outer = MPROC_POOL_PROCESSES; outer <= MPROC_POOL_THREADS; outer++)
		for (int inner = MPROC_POOL_PROCESSES;
		     inner <= MPROC_POOL_INLINE; inner++) {
			struct board *b = new_pool(
				*state, MPROC_OPTS(mproc_pool_opts, .workers = 1,
						   .backend = outer));

			assert_int_equal(take_int(b, submit_int(
						 b, use_inner_pool, inner)), 25);
			close_and_join(b);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(tasks_run_where_they_are_submitted),
		mpt_test(items_run_in_their_order),
		mpt_test(a_future_is_done_for_all_who_ask),
		mpt_test(the_initializer_runs_once),
		mpt_test(a_task_may_end_its_pool),
		mpt_test(what_runs_elsewhere_ends_first),
		mpt_test(who_dies_in_a_task_holds_up_nobody),
		mpt_test(a_child_of_a_task_has_nothing_of_it),
		mpt_test(a_task_that_exits_ends_the_process),
		mpt_test(tests_have_all_pools_inline),
		test_of_children(pools_may_have_pools),
	};

	return cmocka_run_group_tests(tests, with_pool, NULL);
}
