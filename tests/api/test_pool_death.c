/* SPDX-License-Identifier: MIT */
/*
 * pool.h: workers, keepers, creators and submitters that die, and tasks that are ended.
 * Every future completes, once.
 */
#include <fcntl.h>
#include <stdio.h>

#include "mpt_times.h"
#include "pool.h"

enum way {
	BY_KILL,
	BY_SEGV,
	BY_ABORT,
	BY_EXIT,
	BY_QUICK_EXIT,
	BY_OVERFLOW,
	WAYS
};

enum place {
	AT_ONCE,
	WITH_SMALL_RESULT,
	WITH_LARGE_RESULT,
	IN_A_NESTED_TASK,
	PLACES
};

struct death {
	enum way way;
	enum place place;
};

static const int signals[WAYS] = { SIGKILL, SIGSEGV, SIGABRT, 0, 0, SIGSEGV };

static volatile int never;

static int
overflow(int n)
{
	volatile char here[4096];

	here[0] = (char)n;
	return n == never - 1 ? 0 : overflow(n + 1) + here[0];
}

static void
die(enum way way)
{
	switch (way) {
	case BY_KILL:
		kill(getpid(), SIGKILL);
		break;
	case BY_SEGV:
		raise(SIGSEGV);
		break;
	case BY_ABORT:
		abort();
	case BY_EXIT:
		exit(3);
	case BY_QUICK_EXIT:
		_exit(3);
	case BY_OVERFLOW:
		overflow(0);
		break;
	case WAYS:
		break;
	}
}

static int
be_killed(const void *in, size_t len, struct mproc_result *out)
{
	static char large[100000];
	struct death d;

	memcpy(&d, in, sizeof(d));
	(void)len;
	if (d.place == IN_A_NESTED_TASK) {
		struct death inner = { d.way, AT_ONCE };

		return mproc_future_wait(submit(the_board(), be_killed, &inner,
						sizeof(inner)),
					 MPROC_FOREVER);
	}
	if (d.place == WITH_SMALL_RESULT &&
	    mproc_result_set(out, large, 10) < 0)
		return -ENOMEM;
	if (d.place == WITH_LARGE_RESULT &&
	    mproc_result_set(out, large, sizeof(large)) < 0)
		return -ENOMEM;
	die(d.way);
	return -ENOTRECOVERABLE;
}

static void
die_beside_others(struct board *b, struct death d)
{
	mproc_future *others[8], *f;

	for (int i = 0; i < 4; i++)
		others[i] = submit_int(b, square, i);
	f = submit(b, be_killed, &d, sizeof(d));
	for (int i = 4; i < 8; i++)
		others[i] = submit_int(b, square, i);
	if (d.place == IN_A_NESTED_TASK) {
		/* Another worker may have taken the inner one: then that is dead,
		 * and the outer task has seen it. */
		assert_true(mproc_future_wait(f, MPROC_FOREVER) == 0);
		mproc_future_close(f);
	} else {
		assert_int_equal(expect_death(b, f, signals[d.way], 3), 1);
	}
	for (int i = 0; i < 8; i++)
		assert_int_equal(take_int(b, others[i]), i * i);
}

static void
a_death_fails_its_task_and_no_other(void **state)
{
	static const int workers[] = { 1, 2, 8 };
	struct mpt *t = *state;

	mpt_watchdog(t, 60);
	let_workers_crash();
	for (int i = 0; i < 3; i++) {
		struct board *b = pool_of(t, workers[i]);

		for (int way = 0; way < WAYS; way++)
			for (int place = 0; place < PLACES; place++)
				die_beside_others(b, (struct death){
						  (enum way)way,
						  (enum place)place });
		/* It keeps its size. */
		mpt_until(t, pool_stat(b).workers == (unsigned)workers[i]);
		assert_true(pool_stat(b).deaths >= WAYS * PLACES);
		close_and_join(b);
	}
}

/* Nobody looks for the death: the keeper is told, and tells who waits. */
static void
a_death_is_told_within_100_ms(void **state)
{
	struct board *b = pool_of(*state, 2);
	struct mpt_times spent = { 0 };

	for (unsigned i = 1; i <= 9; i++) {
		mproc_future *f = submit_int(b, linger, 1);
		struct mproc_exit end;
		int64_t began;
		pid_t pid;

		await_begun(b, i);
		pid = atomic_load(&b->pid);
		began = mproc_now();
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(mproc_future_wait(f, MPROC_FOREVER), 0);
		mpt_times_add(&spent, mproc_now() - began);
		assert_int_equal(mproc_future_exit_info(f, &end), 0);
		assert_int_equal(end.pid, pid);
		assert_int_equal(expect_death(b, f, SIGKILL, 0), 1);
		assert_int_equal(pool_stat(b).given_up, i);
	}
	assert_true(mpt_times_median(&spent) < 100 * MS);
	close_and_join(b);
}

static void
a_crash_leaves_its_report(void **state)
{
	struct board *b = new_board(*state);
	struct death d = { BY_ABORT, WITH_LARGE_RESULT };
	struct mproc_task_error e;
	struct mproc_exit end;
	mproc_future *f;

	let_workers_crash();
	new_pool(*state, MPROC_OPTS(mproc_pool_opts, .workers = 1));
	f = submit(b, be_killed, &d, sizeof(d));
	assert_int_equal(mproc_future_wait(f, MPROC_FOREVER), 0);
	assert_int_equal(mproc_future_error(f, &e), 0);
	assert_string_equal(e.text, "");
	assert_int_equal(mproc_future_exit_info(f, &end), 0);
	assert_non_null(end.report);
	assert_non_null(strstr(end.report, "SIGABRT"));
	assert_int_equal(mproc_future_get(f, NULL, 0, NULL, MPROC_NOWAIT),
			 MPROC_TASK_FAILED);
	mproc_future_close(f);
	close_and_join(b);
}

/* Of task number @in the first so many attempts are killed. */
static int
be_killed_at_first(const void *in, size_t len, struct mproc_result *out)
{
	struct board *b = the_board();

	(void)len;
	if (atomic_fetch_add(&b->counts[int_of(in)], 1) <
	    (unsigned)int_of(in))
		die(BY_KILL);
	return mproc_result_set(out, in, len);
}

static void
a_task_is_run_again(void **state)
{
	struct board *b = new_pool(*state, MPROC_OPTS(mproc_pool_opts,
						      .workers = 2,
						      .retries = 3));

	for (int i = 0; i < 6; i++)
		b->futures[i] = submit_int(b, be_killed_at_first, i);
	for (int i = 0; i <= 3; i++)
		assert_int_equal(take_int(b, b->futures[i]), i);
	assert_int_equal(expect_death(b, b->futures[4], SIGKILL, 0), 4);
	assert_int_equal(expect_death(b, b->futures[5], SIGKILL, 0), 4);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(atomic_load(&b->counts[i]),
				 i <= 3 ? i + 1 : 4);
	assert_int_equal(pool_stat(b).retried, 1 + 2 + 3 + 3 + 3);
	assert_int_equal(pool_stat(b).given_up, 2);
	close_and_join(b);
}

static int
name_worker(const void *in, size_t len, struct mproc_result *out)
{
	int pid = getpid();

	(void)in;
	(void)len;
	return mproc_result_set(out, &pid, sizeof(pid));
}

static void
a_worker_that_is_idle_is_replaced(void **state)
{
	struct board *b = pool_of(*state, 2);

	for (unsigned i = 1; i <= 10; i++) {
		int pid = take_int(b, submit_int(b, name_worker, 0));

		assert_int_equal(kill(pid, SIGKILL), 0);
		mpt_until(b->t, pool_stat(b).deaths == i &&
					pool_stat(b).workers == 2);
	}
	assert_int_equal(take_int(b, submit_int(b, square, 2)), 4);
	close_and_join(b);
}

static void
a_pool_that_is_closed_does_its_tasks_in_spite_of_deaths(void **state)
{
	struct board *b = new_pool(*state, MPROC_OPTS(mproc_pool_opts,
						      .workers = 2,
						      .retries = 3));

	for (int i = 0; i < 40; i++)
		b->futures[i] = submit_int(b, i % 2 ? linger : be_killed_at_first,
					   i % 4);
	assert_int_equal(mproc_pool_close(b->pool), 0);
	atomic_store(&b->go_on, true);
	assert_int_equal(mproc_pool_join(b->pool, MPROC_FOREVER), 0);
	for (int i = 0; i < 40; i++)
		assert_int_equal(take_int(b, b->futures[i]), i % 4);
	mproc_pool_free(b->pool);
}

static void
what_takes_too_long_is_ended(void **state)
{
	struct board *b = new_pool(*state, MPROC_OPTS(mproc_pool_opts,
						      .workers = 1,
						      .retries = 5,
						      .task_timeout = mproc_ms(20)));
	mproc_future *f = submit_int(b, linger, 1);
	struct mproc_exit end;

	assert_int_equal(mproc_future_wait(f, MPROC_FOREVER), 0);
	assert_int_equal(mproc_future_exit_info(f, &end), 0);
	assert_int_equal(end.signal, SIGKILL);
	expect_error(b, f, -ETIMEDOUT);
	/* Once, if it came to that in time. */
	assert_true(atomic_load(&b->begun) <= 1);
	assert_int_equal(take_in_time(b, submit_int(b, square, 2), square, 2), 4);
	close_and_join(b);
}

/* Tells its worker, once there are two of them. */
static int
meet(const void *in, size_t len, struct mproc_result *out)
{
	struct board *b = the_board();

	atomic_fetch_add(&b->counts[0], 1);
	mpt_until(b->t, atomic_load(&b->counts[0]) >= 2);
	return name_worker(in, len, out);
}

/* Of two workers that are there now. Returns false if it takes too long. */
static bool
is_one_of_two(struct board *b, pid_t pid)
{
	mproc_future *fs[2];
	int found = 0, r = 0;
	pid_t worker = 0;

	for (int i = 0; i < 2; i++)
		fs[i] = submit_int(b, meet, 0);
	for (int i = 0; i < 2; i++) {
		r |= mproc_future_get(fs[i], &worker, sizeof(worker), NULL,
				      MPROC_FOREVER);
		found += worker == pid;
		mproc_future_close(fs[i]);
	}
	assert_int_equal(r ? 1 : found, 1);
	return r == 0;
}

/* Returns false if another task has taken too long as well. */
static bool
end_one_of_two(struct mpt *t, mproc_timeout limit)
{
	struct board *b = new_pool(t, MPROC_OPTS(mproc_pool_opts, .workers = 2,
						 .task_timeout = limit));
	mproc_future *f, *named;
	pid_t other = 0;
	bool well;

	atomic_store(&b->begun, 0);
	f = submit_int(b, linger, 1);
	mpt_until(t, atomic_load(&b->begun) || mproc_future_ready(f));
	named = submit_int(b, name_worker, 0);
	well = mproc_future_get(named, &other, sizeof(other), NULL,
				MPROC_FOREVER) == 0;
	mproc_future_close(named);
	assert_int_equal(mproc_future_wait(f, MPROC_FOREVER), 0);
	well = well && atomic_load(&b->begun);
	atomic_store(&b->counts[0], 0);
	well = well && is_one_of_two(b, other);
	if (well) {
		assert_int_equal(kill(atomic_load(&b->pid), 0), -1);
		assert_int_equal(pool_stat(b).deaths, 1);
	}
	expect_error(b, f, -ETIMEDOUT);
	close_and_join(b);
	return well;
}

static void
who_takes_too_long_is_ended_alone(void **state)
{
	mproc_timeout limit = mproc_ms(50);

	/* On a busy machine anything may take too long, but not for any limit. */
	while (!end_one_of_two(*state, limit))
		limit.ns *= 2;
}

static void
what_may_take_for_ever_is_not_ended(void **state)
{
	const mproc_timeout long_time = { .ns = INT64_MAX - 1 };
	struct board *b = new_pool(*state, MPROC_OPTS(mproc_pool_opts,
						      .workers = 2,
						      .task_timeout = long_time));
	mproc_future *f = submit_int(b, linger, 1);

	await_begun(b, 1);
	/* The keeper has come round since. */
	for (unsigned i = 1; i <= 2; i++) {
		int pid = take_int(b, submit_int(b, name_worker, 0));

		assert_int_equal(kill(pid, SIGKILL), 0);
		mpt_until(b->t, pool_stat(b).deaths == i &&
					pool_stat(b).workers == 2);
	}
	atomic_store(&b->go_on, true);
	assert_int_equal(take_int(b, f), 1);
	close_and_join(b);
}

static void
what_runs_can_be_canceled(void **state)
{
	struct board *b = new_pool(*state, MPROC_OPTS(mproc_pool_opts,
						      .workers = 2,
						      .retries = 5));
	mproc_future *f = submit_int(b, linger, 1), *other;
	pid_t pid;

	await_begun(b, 1);
	pid = atomic_load(&b->pid);
	other = submit_int(b, linger, 2);
	await_begun(b, 2);
	/* Also one that is stopped. */
	assert_int_equal(kill(pid, SIGSTOP), 0);
	assert_int_equal(mproc_future_cancel(f, MPROC_CANCEL_RUNNING), 0);
	expect_error(b, f, -ECANCELED);
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(mproc_future_ready(other), 0);
	atomic_store(&b->go_on, true);
	assert_int_equal(take_int(b, other), 2);
	assert_int_equal(pool_stat(b).deaths, 1);
	close_and_join(b);
}

/* Sees the end of one that is not our child, or was not reaped. */
static void
kill_and_await(struct mpt *t, pid_t pid)
{
	int state;

	mpt_check_int(t, kill(pid, SIGKILL), 0);
	mpt_until(t, (state = mpt_task_state(pid)) == 0 || state == 'Z');
}

static void
without_a_keeper_whoever_waits_starts_another(void **state)
{
	struct board *b = new_pool(*state, MPROC_OPTS(mproc_pool_opts,
						      .workers = 2,
						      .retries = 1));
	mproc_future *waiting, *running;

	running = submit_int(b, linger, 1);
	await_begun(b, 1);
	kill_and_await(b->t, pool_stat(b).keeper);
	assert_int_equal(pool_stat(b).keeper, 0);
	waiting = submit_int(b, square, 3);
	atomic_store(&b->go_on, true);
	assert_int_equal(take_int(b, waiting), 9);
	assert_int_equal(take_int(b, running), 1);
	assert_int_equal(atomic_load(&b->begun), 2);
	assert_int_equal(pool_stat(b).keepers, 2);
	mpt_until(b->t, pool_stat(b).workers == 2);
	/* While nobody has anything to do, and while it is joined. */
	kill_and_await(b->t, pool_stat(b).keeper);
	assert_int_equal(mproc_pool_close(b->pool), 0);
	assert_int_equal(mproc_pool_join(b->pool, MPROC_FOREVER), 0);
	assert_int_equal(pool_stat(b).keepers, 3);
	mproc_pool_free(b->pool);
	mpt_reap_orphans(b->t);
}

static void
tasks_that_die_with_the_keeper_fail(void **state)
{
	struct board *b = pool_of(*state, 2);
	struct mproc_task_error e;
	struct mproc_exit end;
	mproc_future *f = submit_int(b, linger, 1);

	await_begun(b, 1);
	kill_and_await(b->t, pool_stat(b).keeper);
	assert_int_equal(mproc_future_wait(f, MPROC_FOREVER), 0);
	assert_int_equal(mproc_future_error(f, &e), 0);
	assert_int_equal(e.error, -EOWNERDEAD);
	assert_int_equal(e.pid, atomic_load(&b->pid));
	assert_int_equal(mproc_future_exit_info(f, &end), -ENODATA);
	mproc_future_close(f);
	close_and_join(b);
	mpt_reap_orphans(b->t);
}

static void
a_keeper_that_is_asked_to_end_terminates_the_pool(void **state)
{
	struct board *b = pool_of(*state, 2);

	for (int i = 0; i < 5; i++)
		b->futures[i] = submit_int(b, linger, i);
	await_begun(b, 2);
	assert_int_equal(kill(pool_stat(b).keeper, SIGTERM), 0);
	for (int i = 0; i < 5; i++)
		expect_error(b, b->futures[i], -ESHUTDOWN);
	assert_int_equal(mproc_pool_join(b->pool, MPROC_FOREVER), 0);
	assert_int_equal(pool_stat(b).keepers, 1);
	mproc_pool_free(b->pool);
}

static int
wait_for_one(struct mpt *t, void *arg)
{
	struct board *b = arg;
	mproc_future *f = b->futures[0];

	mpt_step(t, 0);
	mpt_check_int(t, mproc_future_wait(f, MPROC_FOREVER), 0);
	return 0;
}

static void
somebody_who_waits_already_starts_another_keeper(void **state)
{
	struct board *b = new_pool(*state, MPROC_OPTS(mproc_pool_opts,
						      .workers = 1,
						      .retries = 1));
	int id;

	b->futures[0] = submit_int(b, linger, 1);
	await_begun(b, 1);
	id = mpt_fork(b->t, "waiter", wait_for_one, b);
	mpt_reach(b->t, 1);
	mpt_until(b->t, mpt_task_state(mpt_pid(b->t, id)) == 'S');
	atomic_store(&b->go_on, true);
	kill_and_await(b->t, pool_stat(b).keeper);
	mpt_expect_exit(b->t, id, 0);
	/* The next keeper was its child: once more. */
	assert_int_equal(take_int(b, b->futures[0]), 1);
	assert_int_equal(take_int(b, submit_int(b, square, 3)), 9);
	close_and_join(b);
	mpt_reap_orphans(b->t);
}

static int
create_and_be_killed(struct mpt *t, void *arg)
{
	struct board *b = arg;

	mpt_check_int(t, mproc_pool_create(&b->pool,
					   MPROC_OPTS(mproc_pool_opts,
						      .workers = 2)), 0);
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

static void
a_pool_ends_with_its_creator(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	int id = mpt_fork(t, "creator", create_and_be_killed, b);
	struct mproc_task_error e;
	struct mproc_pool_stat stat;
	mproc_future *f;

	mpt_reach(t, 1);
	for (int i = 0; i < 10; i++)
		b->futures[i] = submit_int(b, linger, i);
	await_begun(b, 2);
	mpt_kill(t, id);
	/* Whoever waits for one of its tasks sees its end. */
	for (int i = 0; i < 10; i++) {
		assert_int_equal(mproc_future_wait(b->futures[i], MPROC_FOREVER),
				 0);
		assert_int_equal(mproc_future_error(b->futures[i], &e), 0);
		assert_true(e.error == (e.deaths ? -EOWNERDEAD : -ESHUTDOWN));
		if (i < 9)
			mproc_future_close(b->futures[i]);
	}
	mpt_until(t, pool_stat(b).phase == MPROC_POOL_ENDED);
	f = b->futures[9];
	assert_int_equal(mproc_pool_submit(b->pool, square, NULL, 0, &f),
			 -ESHUTDOWN);
	mproc_future_close(b->futures[9]);
	/* Without futures it is freed. */
	mpt_until(t, mproc_pool_stat(b->pool, &stat) == -ESTALE);
	mpt_reap_orphans(t);
	/* Reaps the keeper that this process has started. */
	pool_of(t, 1);
	close_and_join(b);
}

static int
create_and_return(struct mpt *t, void *arg)
{
	struct board *b = arg;

	mpt_check_int(t, mproc_pool_create(&b->pool,
					   MPROC_OPTS(mproc_pool_opts,
						      .workers = 2)), 0);
	b->futures[0] = submit_int(b, linger, 1);
	await_begun(b, 1);
	exit(0);
}

static void
a_creator_that_ends_in_order_ends_its_pool_first(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	int id = mpt_fork(t, "creator", create_and_return, b);
	struct mproc_pool_stat stat;

	mpt_expect_exit(t, id, 0);
	/* Nothing is left of it, and nobody. */
	assert_int_equal(mproc_pool_stat(b->pool, &stat), -ESTALE);
	assert_int_equal(mpt_reap_orphans(t), 0);
}

static int
submit_and_be_killed(struct mpt *t, void *arg)
{
	struct board *b = arg;

	submit_int(b, linger, 1);
	submit_int(b, linger, 2);
	submit_int(b, square, 3);
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

static void
what_a_dead_submitter_has_left_is_done_and_closed(void **state)
{
	struct board *b = pool_of(*state, 1);
	int id = mpt_fork(b->t, "submitter", submit_and_be_killed, b);

	mpt_reach(b->t, 1);
	await_begun(b, 1);
	mpt_kill(b->t, id);
	atomic_store(&b->go_on, true);
	mpt_until(b->t, pool_stat(b).futures == 0);
	assert_int_equal(atomic_load(&b->ended), 2);
	close_and_join(b);
}

static void
free_is_bounded_where_the_keeper_is_stopped(void **state)
{
	struct board *b = pool_of(*state, 2);
	pid_t keeper = pool_stat(b).keeper;

	submit_int(b, linger, 1);
	await_begun(b, 1);
	assert_int_equal(kill(keeper, SIGSTOP), 0);
	mpt_until(b->t, mpt_task_state(keeper) == 'T');
	mproc_pool_free(b->pool);
	assert_int_equal(kill(keeper, 0), -1);
	mpt_reap_orphans(b->t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_death_fails_its_task_and_no_other),
		mpt_test(a_death_is_told_within_100_ms),
		mpt_test(a_crash_leaves_its_report),
		mpt_test(a_task_is_run_again),
		mpt_test(a_worker_that_is_idle_is_replaced),
		mpt_test(a_pool_that_is_closed_does_its_tasks_in_spite_of_deaths),
		mpt_test(what_takes_too_long_is_ended),
		mpt_test(who_takes_too_long_is_ended_alone),
		mpt_test(what_may_take_for_ever_is_not_ended),
		mpt_test(what_runs_can_be_canceled),
		mpt_test(without_a_keeper_whoever_waits_starts_another),
		mpt_test(tasks_that_die_with_the_keeper_fail),
		mpt_test(a_keeper_that_is_asked_to_end_terminates_the_pool),
		mpt_test(somebody_who_waits_already_starts_another_keeper),
		mpt_test(a_pool_ends_with_its_creator),
		mpt_test(a_creator_that_ends_in_order_ends_its_pool_first),
		mpt_test(what_a_dead_submitter_has_left_is_done_and_closed),
		mpt_test(free_is_bounded_where_the_keeper_is_stopped),
	};

	return cmocka_run_group_tests(tests, with_pool, NULL);
}
