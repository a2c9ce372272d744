/* SPDX-License-Identifier: MIT */
/*
 * sync.h: what is done once, between processes and between threads.
 */
#include "mpt_times.h"
#include "sync.h"

/* In the scratch bytes. */
struct board {
	mproc_once *once;
	_Atomic pid_t tid; /* of who waits or runs */
	_Atomic unsigned runs;
	_Atomic unsigned done; /* callers that got 0 */
	_Atomic unsigned go;
	uint64_t data; /* written by who runs it */
};

static struct board *
new_board(struct mpt *t)
{
	struct board *b = mpt_scratch(t);

	*b = (struct board){ 0 };
	assert_int_equal(mproc_once_create(&b->once), 0);
	return b;
}

static void
end(struct mpt *t, struct board *b)
{
	mpt_join_all(t);
	mproc_once_destroy(b->once);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

/* These are run once; @arg is the board. */
static int
succeed(void *arg)
{
	struct board *b = arg;

	b->runs++;
	b->data = 42;
	return 0;
}

static int
fail_it(void *arg)
{
	struct board *b = arg;

	b->runs++;
	return -EIO;
}

/* Of who is in one of those that follow. */
static _Thread_local struct mpt *scenario;

static int
stay(void *arg)
{
	struct board *b = arg;

	b->runs++;
	b->tid = gettid();
	wait_to_be_killed(scenario);
	return 0;
}

static int
succeed_when_told(void *arg)
{
	struct board *b = arg;

	b->tid = gettid();
	mpt_until(scenario, b->go);
	return succeed(b);
}

static int
fail_when_told(void *arg)
{
	struct board *b = arg;

	b->tid = gettid();
	mpt_until(scenario, b->go);
	return fail_it(b);
}

/* Roles. */
static int
run_it(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	b->tid = gettid();
	mpt_check_int(t, mproc_once_run(b->once, succeed, b), 0);
	mpt_check_int(t, b->data, 42);
	b->done++;
	return 0;
}

/* Begins to run it, and stays there. */
static int
spawn_runner(struct mpt *t, struct board *b, mpt_fn *fn)
{
	int id;

	b->tid = 0;
	b->go = 0;
	id = mpt_spawn(t, "runner", fn, NULL);
	mpt_until(t, b->tid);
	return id;
}

static int
stay_in_it(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	scenario = t;
	return mproc_once_run(b->once, stay, b);
}

static int
run_when_told(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	scenario = t;
	mpt_check_int(t, mproc_once_run(b->once, succeed_when_told, b), 0);
	b->done++;
	return 0;
}

static int
be_failed_when_told(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	scenario = t;
	mpt_check_int(t, mproc_once_run(b->once, fail_when_told, b), -EIO);
	return 0;
}

static int
run_from_the_start(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	mpt_until(t, b->go);
	return run_it(t, arg);
}

enum { PEERS = 6, SLEEPERS = 3 };

static void
of_many_one_runs_it(struct mpt *t)
{
	for (unsigned i = 0; i < amount(30); i++) {
		struct board *b = new_board(t);

		for (int k = 0; k < PEERS; k++)
			mpt_spawn(t, "peer", run_from_the_start, NULL);
		b->go = 1;
		mpt_join_all(t);
		assert_int_equal(b->runs, 1);
		assert_int_equal(b->done, PEERS);
		assert_int_equal(mproc_once_run(b->once, fail_it, b), 0);
		end(t, b);
	}
}

static int
return_seven(void *arg)
{
	(void)arg;
	return 7;
}

static void
misuse_is_an_error(void **state)
{
	mproc_once once = { { 0 } };
	struct board b = { 0 };

	(void)state;
	assert_int_equal(mproc_once_run(NULL, succeed, &b), -EINVAL);
	assert_int_equal(mproc_once_run(&once, NULL, &b), -EINVAL);
	assert_int_equal(mproc_once_create(NULL), -EINVAL);
	mproc_once_destroy(NULL);
	mproc_once_destroy(&once); /* refused */
	assert_int_equal(mproc_once_run(&once, return_seven, NULL), 0);
	assert_int_equal(mproc_once_run(&once, succeed, &b), 0);
	assert_int_equal(b.runs, 0);
}

static void
a_failure_is_its_callers_own(void **state)
{
	mproc_once once = { { 0 } };
	struct board b = { 0 };

	(void)state;
	assert_int_equal(mproc_once_run(&once, fail_it, &b), -EIO);
	assert_int_equal(mproc_once_run(&once, fail_it, &b), -EIO);
	assert_int_equal(mproc_once_run(&once, succeed, &b), 0);
	assert_int_equal(mproc_once_run(&once, fail_it, &b), 0);
	assert_int_equal(b.runs, 3);
}

static void
those_who_wait_are_woken(struct mpt *t)
{
	unsigned rounds = amount(30);
	int64_t began;
	struct mpt_times spent = { 0 };

	for (unsigned i = 0; i < rounds; i++) {
		struct board *b = new_board(t);

		spawn_runner(t, b, run_when_told);
		for (int k = 0; k < SLEEPERS; k++)
			spawn_sleeper(t, &b->tid, run_it);
		began = mproc_now();
		b->go = 1;
		mpt_until(t, b->done == SLEEPERS + 1);
		mpt_times_add(&spent, mproc_now() - began);
		assert_int_equal(b->runs, 1);
		end(t, b);
	}
	/* A lost wake-up costs 50 ms. */
	assert_true(mpt_times_median(&spent) < 20 * MS);
}

static void
after_a_failure_one_who_waits_runs_it(struct mpt *t)
{
	unsigned rounds = amount(30);
	int64_t began;
	struct mpt_times spent = { 0 };

	for (unsigned i = 0; i < rounds; i++) {
		struct board *b = new_board(t);

		spawn_runner(t, b, be_failed_when_told);
		for (int k = 0; k < SLEEPERS; k++)
			spawn_sleeper(t, &b->tid, run_it);
		began = mproc_now();
		b->go = 1;
		mpt_until(t, b->done == SLEEPERS);
		mpt_times_add(&spent, mproc_now() - began);
		assert_int_equal(b->runs, 2);
		end(t, b);
	}
	assert_true(mpt_times_median(&spent) < 20 * MS);
}

/* Returns how long it takes. */
static int64_t
outlive_a_runner(struct mpt *t, bool recover)
{
	struct board *b = new_board(t);
	int id = spawn_runner(t, b, stay_in_it);
	int64_t began;

	for (int k = 0; k < SLEEPERS; k++)
		spawn_sleeper(t, &b->tid, run_it);
	began = mproc_now();
	mpt_kill(t, id);
	if (recover)
		assert_true(mproc_arena_recover(NULL) >= 0);
	mpt_until(t, b->done == SLEEPERS);
	began = mproc_now() - began;
	assert_int_equal(b->runs, 2);
	end(t, b);
	return began;
}

static void
when_the_runner_is_killed_another_one_runs_it(void **state)
{
	struct mpt *t = *state;
	struct mpt_times spent = { 0 }, told = { 0 };
	unsigned rounds = amount(20);

	for (unsigned i = 0; i < rounds; i++) {
		mpt_times_add(&spent, outlive_a_runner(t, false));
		mpt_times_add(&told, outlive_a_runner(t, true));
	}
	/* 100 ms each, and what a busy machine adds; at once, if somebody has
	 * noticed it. */
	assert_true(mpt_times_median(&spent) < 150 * MS);
	assert_true(mpt_times_median(&told) < 20 * MS);
}

static void
who_comes_after_a_death_runs_it(void **state)
{
	struct mpt *t = *state;

	for (int recovered = 0; recovered < 2; recovered++) {
		struct board *b = new_board(t);

		mpt_kill(t, spawn_runner(t, b, stay_in_it));
		if (recovered)
			assert_true(mproc_arena_recover(NULL) >= 1);
		assert_int_equal(mproc_once_run(b->once, succeed, b), 0);
		assert_int_equal(b->runs, 2);
		end(t, b);
	}
}

static int
end_the_thread(void *arg)
{
	struct board *b = arg;

	b->runs++;
	pthread_exit(NULL);
}

static void *
end_in_it(void *arg)
{
	struct board *b = arg;

	mproc_once_run(b->once, end_the_thread, b);
	return NULL;
}

static void
when_the_runners_thread_ends_another_one_runs_it(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, end_in_it, b), 0);
	pthread_join(thread, NULL);
	assert_int_equal(mproc_once_run(b->once, succeed, b), 0);
	assert_int_equal(b->runs, 2);
	end(t, b);
}

static int
give_up(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	signal(SIGUSR1, interrupt);
	b->tid = gettid();
	mpt_check_int(t, mproc_once_run(b->once, succeed, b), -EINTR);
	return 0;
}

/* It waits for it, and for nothing else. */
static void
a_stopped_runner_runs_it_still(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	int runner = spawn_runner(t, b, run_when_told), id;

	mpt_pause(t, runner);
	id = spawn_sleeper(t, &b->tid, give_up);
	assert_true(mproc_arena_recover(NULL) >= 0);
	assert_int_equal(b->runs, 0);
	signal_and_expect_exit(t, id);
	mpt_resume(t, runner);
	b->go = 1;
	mpt_expect_exit(t, runner, 0);
	assert_int_equal(b->runs, 1);
	end(t, b);
}

static int
run_it_inside(void *arg)
{
	struct board *b = arg;
	int r = mproc_once_run(b->once, succeed, b);

	return r == -EDEADLK && detail_has("this thread runs") ? 0 : -EIO;
}

static void
who_runs_it_cannot_wait_for_it(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);

	assert_int_equal(mproc_once_run(b->once, run_it_inside, b), 0);
	assert_int_equal(b->runs, 0);
	end(t, b);
}

static pid_t forked;
static bool takes_part;

static int
fork_inside(void *arg)
{
	struct board *b = arg;

	b->runs++;
	forked = fork();
	if (forked == 0 && takes_part)
		mproc_free(mproc_alloc(1));
	return forked < 0 ? -EIO : 0;
}

/* The child neither has it done nor waits for its parent, who waits for it. */
static void
a_child_forked_inside_does_not_run_it(void **state)
{
	struct mpt *t = *state;
	int r, status;

	for (int i = 0; i < 2; i++) {
		struct board *b = new_board(t);

		takes_part = i;
		r = mproc_once_run(b->once, fork_inside, b);
		if (forked == 0)
			_exit(r == -ECHILD ? 0 : 1);
		assert_int_equal(r, 0);
		assert_int_equal(waitpid(forked, &status, 0), forked);
		assert_int_equal(status, 0);
		assert_int_equal(mproc_once_run(b->once, fail_it, b), 0);
		assert_int_equal(b->runs, 1);
		end(t, b);
	}
}

static mproc_once private_once;

static int
run_private(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	scenario = t;
	mpt_check_int(t, mproc_once_run(&private_once, arg ? succeed :
						succeed_when_told, b), 0);
	return 0;
}

/* A thread of ours runs our own meanwhile. */
static void
in_private_memory_each_process_has_its_own(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);

	mpt_use_threads(t, true);
	spawn_runner(t, b, run_private);
	mpt_use_threads(t, false);
	mpt_expect_exit(t, mpt_spawn(t, "child", run_private, b), 0);
	assert_int_equal(b->runs, 1);
	b->go = 1;
	mpt_join_all(t);
	assert_int_equal(b->runs, 2);
	assert_int_equal(mproc_once_run(&private_once, fail_it, b), 0);
	end(t, b);
}

static int
wait_until_destroyed(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	b->tid = gettid();
	mpt_check_int(t, mproc_once_run(b->once, succeed, b), -ESHUTDOWN);
	return 0;
}

static int
run_until_destroyed(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	scenario = t;
	mpt_check_int(t, mproc_once_run(b->once, succeed_when_told, b),
		      -ESTALE);
	return 0;
}

static void
destroy_wakes_those_who_wait(struct mpt *t)
{
	struct board *b = new_board(t);

	spawn_runner(t, b, run_until_destroyed);
	for (int k = 0; k < SLEEPERS; k++)
		spawn_sleeper(t, &b->tid, wait_until_destroyed);
	mproc_once_destroy(b->once);
	b->go = 1;
	mpt_join_all(t);
	assert_int_equal(b->runs, 1);
	assert_int_equal(mproc_once_run(b->once, succeed, b), -ESTALE);
	mproc_once_destroy(b->once);
	end(t, b);
}

static void *
make_once(unsigned i)
{
	struct board b = { 0 };
	mproc_once *once;

	(void)i;
	assert_int_equal(mproc_once_create(&once), 0);
	assert_int_equal(mproc_once_run(once, succeed, &b), 0);
	assert_int_equal(b.runs, 1);
	return once;
}

static void
destroy_once(void *once)
{
	mproc_once_destroy(once);
}

static void
they_come_and_go_without_growth(void **state)
{
	(void)state;
	come_and_go_without_growth(make_once, destroy_once, 50, 1);
}

both(of_many_one_runs_it)
both(those_who_wait_are_woken)
both(after_a_failure_one_who_waits_runs_it)
both(destroy_wakes_those_who_wait)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		both_tests(of_many_one_runs_it),
		mpt_test(misuse_is_an_error),
		mpt_test(a_failure_is_its_callers_own),
		both_tests(those_who_wait_are_woken),
		both_tests(after_a_failure_one_who_waits_runs_it),
		mpt_test(when_the_runner_is_killed_another_one_runs_it),
		mpt_test(who_comes_after_a_death_runs_it),
		mpt_test(when_the_runners_thread_ends_another_one_runs_it),
		mpt_test(a_stopped_runner_runs_it_still),
		mpt_test(who_runs_it_cannot_wait_for_it),
		mpt_test(a_child_forked_inside_does_not_run_it),
		mpt_test(in_private_memory_each_process_has_its_own),
		both_tests(destroy_wakes_those_who_wait),
		mpt_test(they_come_and_go_without_growth),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
