/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction that changes what is shared, and after
 * many others, while it submits a task, runs one, cancels one, and closes a future.
 */
#include <poll.h>

#include "pool.h"
#include "waiters.h"

#define MS INT64_C(1000000) /* in nanoseconds */

static void
submit_victim(void *arg)
{
	struct scene *s = arg;

	mproc_free(mproc_alloc(64));
	mpt_step_begin();
	submit(s);
	mpt_step_end();
}

/* The pool goes on, and what the dead one has submitted is done and closed. */
static void
after_submit(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	recover();
	if (finished)
		assert_int_equal(count_futures(s), 2);
	expect_result(s, s->f);
	mproc_future_close(s->f);
	mpt_until(s->t, count_futures(s) == 0);
	assert_in_range(atomic_load(runs()), finished ? 2 : 1, 2);
	end(s);
}

static void
run_victim(void *arg)
{
	struct scene *s = arg;
	struct mpr_worker me = play_worker(s, 0);

	mpt_step_begin();
	run_task(&me, s->f);
	mpt_step_end();
}

/* It is done, by the victim or by another one; once by each at most. */
static void
after_run(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	recover();
	if (finished)
		assert_int_equal(mproc_future_ready(s->f), 1);
	expect_result(s, s->f);
	assert_in_range(atomic_load(runs()), 1, finished ? 1 : 2);
	mproc_future_close(s->f);
	end(s);
}

/* The same for one that nobody waits for. */
static void
run_abandoned_victim(void *arg)
{
	struct scene *s = arg;
	struct mpr_worker me = play_worker(s, 0);

	mproc_future_close(s->f);
	mpt_step_begin();
	run_task(&me, s->f);
	mpt_step_end();
}

static void
after_run_abandoned(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	recover();
	if (finished)
		assert_int_equal(count_futures(s), 0);
	assert_int_equal(mpr_keeping_ensure(&s->use), 0);
	mpt_until(s->t, count_futures(s) == 0);
	assert_in_range(atomic_load(runs()), 1, finished ? 1 : 2);
	end(s);
}

static void
cancel_victim(void *arg)
{
	struct scene *s = arg;

	mproc_free(mproc_alloc(64));
	mpt_step_begin();
	may_fail(mproc_future_cancel(s->f, 0));
	mpt_step_end();
}

static void
after_cancel(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	struct mproc_task_error e;

	(void)victim;
	(void)n;
	recover();
	assert_true(!finished || mproc_future_ready(s->f));
	if (mproc_future_ready(s->f)) {
		assert_int_equal(mproc_future_error(s->f, &e), 0);
		assert_int_equal(e.error, -ECANCELED);
	} else {
		expect_result(s, s->f);
	}
	mproc_future_close(s->f);
	end(s);
}

static void
close_victim(void *arg)
{
	struct scene *s = arg;

	mproc_free(mproc_alloc(64));
	mpt_step_begin();
	mproc_future_close(s->f);
	mpt_step_end();
}

/* It is closed or not, and the keeper frees what is half freed. */
static void
after_close(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	recover();
	if (finished)
		assert_int_equal(count_futures(s), 0);
	mproc_future_close(s->f);
	assert_int_equal(mpr_keeping_ensure(&s->use), 0);
	mpt_until(s->t, count_futures(s) == 0);
	end(s);
}

/* Another process waits for the task and an event at once. */
static void
wait_for_many(struct scene *s)
{
	struct mproc_waitable items[] = {
		{ .kind = MPROC_WAIT_FUTURE, .object = s->f },
		{ .kind = MPROC_WAIT_EVENT, .object = s->never },
	};

	if (mproc_wait(items, 2, mproc_sec(60)) != 1 || !items[0].ret_events ||
	    mproc_future_ready(s->f) != 1)
		_exit(1);
	_exit(0);
}

/* Or polls a descriptor. */
static void
poll_for_it(struct scene *s)
{
	struct pollfd pfd = { .fd = mproc_future_fd(s->f), .events = POLLIN };
	int r = pfd.fd < 0 ? pfd.fd : -EAGAIN;

	while (r == -EAGAIN && poll(&pfd, 1, 60000) == 1)
		r = mproc_future_wait(s->f, MPROC_NOWAIT);
	_exit(r ? 1 : 0);
}

/* The test is the pool's keeper, so that who waits does not start one. */
static void
begin_with(struct scene *s, void (*wait)(struct scene *))
{
	begin(s);
	atomic_store(&s->use.root->keeper, mpr_holder(s->self));
	s->waiter = fork();
	assert_true(s->waiter >= 0);
	if (s->waiter == 0)
		wait(s);
	mpt_until(s->t, waiters_for_many() == 1 &&
			mpt_task_state(s->waiter) == 'S');
}

static void
begin_waited(void *arg)
{
	begin_with(arg, wait_for_many);
}

static void
begin_polled(void *arg)
{
	begin_with(arg, poll_for_it);
}

static void
after_run_waited(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	int64_t began = mproc_now();

	(void)victim;
	(void)n;
	recover();
	atomic_store(&s->use.root->keeper, mpr_keeper_none(s->use.generation));
	if (!finished)
		assert_int_equal(mpr_keeping_ensure(&s->use), 0);
	wait_for_exit(s->waiter);
	mpt_times_add(&s->spent, mproc_now() - began);
	expect_result(s, s->f);
	mproc_future_close(s->f);
	end(s);
}

static void
step(struct mpt *t, const struct mpt_stepper_opts *how, size_t len, bool done)
{
	struct scene s = { .t = t, .len = len, .done = done };
	struct mpt_stepper_opts o = *how;

	warm_up(&s);
	o.before = begin;
	o.fingerprint = pool_state;
	o.every = 50;
	o.budget = 50;
	o.max_cases = 250;
	o.arg = &s;
	mpt_stepper_run(t, &o, NULL);
}

static void
killed_while_it_submits(void **state)
{
	step(*state, &(struct mpt_stepper_opts){ .name = "submit",
						 .victim = submit_victim,
						 .survivor = after_submit },
	     40, false);
}

static void
killed_while_it_runs_a_task(void **state)
{
	step(*state, &(struct mpt_stepper_opts){ .name = "run, small result",
						 .victim = run_victim,
						 .survivor = after_run },
	     40, false);
	step(*state, &(struct mpt_stepper_opts){ .name = "run, large result",
						 .victim = run_victim,
						 .survivor = after_run },
	     LARGE, false);
}

static void
run_waited(struct mpt *t, const char *name, void (*before)(void *))
{
	struct scene s = { .t = t, .len = 40 };

	assert_int_equal(mproc_event_create(&s.never), 0);
	warm_up(&s);
	mpt_watchdog(s.t, 60);
	mpt_stepper_run(s.t, &(struct mpt_stepper_opts){
		.name = name,
		.before = before,
		.victim = run_victim,
		.survivor = after_run_waited,
		.fingerprint = pool_state,
		.every = 50,
		.budget = 50,
		.max_cases = 250,
		.arg = &s,
	}, NULL);
	mproc_event_destroy(s.never);
	/* The end of a slice is 50 ms away. */
	assert_true(mpt_times_median(&s.spent) < 25 * MS);
}

static void
killed_while_it_runs_what_is_waited_for_with_others(void **state)
{
	run_waited(*state, "run, waited for with others", begin_waited);
}

static void
killed_while_it_runs_what_is_polled_for(void **state)
{
	run_waited(*state, "run, polled for", begin_polled);
}

static void
killed_while_it_runs_what_nobody_waits_for(void **state)
{
	step(*state, &(struct mpt_stepper_opts){
		.name = "run, abandoned",
		.victim = run_abandoned_victim,
		.survivor = after_run_abandoned }, LARGE, false);
}

static void
killed_while_it_cancels(void **state)
{
	step(*state, &(struct mpt_stepper_opts){ .name = "cancel",
						 .victim = cancel_victim,
						 .survivor = after_cancel },
	     40, false);
}

static void
killed_while_it_closes(void **state)
{
	step(*state, &(struct mpt_stepper_opts){ .name = "close",
						 .victim = close_victim,
						 .survivor = after_close },
	     LARGE, true);
}

static int
setup(void **state)
{
	(void)state;
	make_spare_slots();
	return mproc_arena_recover(NULL) < 0 ? -1 : 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_while_it_submits),
		mpt_test(killed_while_it_runs_a_task),
		mpt_test(killed_while_it_runs_what_is_waited_for_with_others),
		mpt_test(killed_while_it_runs_what_is_polled_for),
		mpt_test(killed_while_it_runs_what_nobody_waits_for),
		mpt_test(killed_while_it_cancels),
		mpt_test(killed_while_it_closes),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
