/* SPDX-License-Identifier: MIT */
/*
 * process.h: supervisors - who is restarted, in which order, how often and how
 * soon. How they are stopped, and whose they are, is in
 * test_supervisor_end.c.
 */
#include "supervisor.h"

#include "mpt_times.h"

static int
return_0(void *arg)
{
	(void)arg;
	return 0;
}

static void
options_that_make_no_sense_are_refused(void **state)
{
	struct mproc_supervisor_opts o = { .struct_size = 3 };
	struct {
		struct mproc_supervisor_opts o;
		int more;
	} longer = { { .struct_size = sizeof(longer) }, 1 };
	mproc_supervisor *s = NULL;

	(void)state;
	assert_int_equal(mproc_supervisor_create(NULL, NULL), -EINVAL);
	assert_int_equal(mproc_supervisor_create(&s, &o), -EINVAL);
	assert_int_equal(mproc_supervisor_create(&s, &longer.o), -E2BIG);
	mproc_opts_init(&o, sizeof(o));
	o.strategy = 4;
	assert_int_equal(mproc_supervisor_create(&s, &o), -EINVAL);
	assert_true(detail_has("strategy 4"));
	o.strategy = -1;
	assert_int_equal(mproc_supervisor_create(&s, &o), -EINVAL);
	o.strategy = 0;
	o.max_restarts = -2;
	assert_int_equal(mproc_supervisor_create(&s, &o), -EINVAL);
	assert_true(detail_has("max_restarts is -2"));
	o.max_restarts = 1000001;
	assert_int_equal(mproc_supervisor_create(&s, &o), -EINVAL);
	assert_true(detail_has("max_restarts is 1000001"));
	o.max_restarts = 1000000;
	assert_int_equal(mproc_supervisor_create(&s, &o), 0);
	mproc_supervisor_close(s);
	s = NULL;
	o.max_restarts = 0;
	o.period = mproc_until(1);
	assert_int_equal(mproc_supervisor_create(&s, &o), -EINVAL);
	o.period = MPROC_NOWAIT;
	o.backoff = mproc_until(1);
	assert_int_equal(mproc_supervisor_create(&s, &o), -EINVAL);
	o.backoff = MPROC_NOWAIT;
	o.backoff_max = mproc_until(1);
	assert_int_equal(mproc_supervisor_create(&s, &o), -EINVAL);
	assert_null(s);
}

static void
children_that_make_no_sense_are_refused(void **state)
{
	struct mproc_child_opts o = { .struct_size = 3 };
	struct mproc_process_opts p = { .struct_size = 3 };
	struct {
		struct mproc_child_opts o;
		int more;
	} longer = { { .struct_size = sizeof(longer) }, 1 };
	mproc_supervisor *s;

	(void)state;
	assert_int_equal(mproc_supervisor_create(&s, NULL), 0);
	assert_int_equal(mproc_supervisor_add(NULL, return_0, NULL, NULL),
			 -EINVAL);
	assert_int_equal(mproc_supervisor_add(s, NULL, NULL, NULL), -EINVAL);
	assert_int_equal(mproc_supervisor_add(s, return_0, NULL, &o), -EINVAL);
	assert_int_equal(mproc_supervisor_add(s, return_0, NULL, &longer.o),
			 -E2BIG);
	mproc_opts_init(&o, sizeof(o));
	o.restart = 4;
	assert_int_equal(mproc_supervisor_add(s, return_0, NULL, &o), -EINVAL);
	o.restart = -1;
	assert_int_equal(mproc_supervisor_add(s, return_0, NULL, &o), -EINVAL);
	o.restart = 0;
	o.grace = mproc_until(1);
	assert_int_equal(mproc_supervisor_add(s, return_0, NULL, &o), -EINVAL);
	o.grace = MPROC_NOWAIT;
	o.process = &p;
	assert_int_equal(mproc_supervisor_add(s, return_0, NULL, &o), -EINVAL);
	mproc_opts_init(&p, sizeof(p));
	p.arg_size = 4;
	assert_int_equal(mproc_supervisor_add(s, return_0, NULL, &o), -EINVAL);
	/* None was added. */
	assert_int_equal(mproc_supervisor_run(s, MPROC_FOREVER), 0);
	assert_int_equal(mproc_supervisor_add(s, return_0, NULL, NULL), 0);
	mproc_supervisor_close(s);

	assert_int_equal(mproc_supervisor_run(NULL, MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_supervisor_stop(NULL), -EINVAL);
	mproc_supervisor_close(NULL);
}

static int
check_name_and_argument(void *arg)
{
	struct child *c = arg;

	mpt_check(c->b->t, strcmp(mproc_self_name(), "worker") == 0);
	mpt_check_int(c->b->t, c->index, 7);
	c->index = 8;
	c->b->seat[0].begun++;
	return 1;
}

static void
name_and_argument_are_kept_for_each_start(void **state)
{
	struct board *b = new_board(*state);
	mproc_supervisor *s = new_supervisor(b, 0, 3);
	struct child c = { b, 7 };
	char name[] = "worker";

	assert_int_equal(mproc_supervisor_add(
		s, check_name_and_argument, &c,
		MPROC_OPTS(mproc_child_opts, .process = MPROC_OPTS(
			mproc_process_opts, .name = name,
			.arg_size = sizeof(c)))), 0);
	memset(&c, 0, sizeof(c));
	memset(name, 0, sizeof(name));
	assert_int_equal(mproc_supervisor_run(s, MPROC_FOREVER),
			 MPROC_SUPERVISOR_GAVE_UP);
	assert_true(detail_has("code 1"));
	assert_true(detail_has("\"worker\""));
	assert_int_equal(b->seat[0].begun, 4);
	mproc_supervisor_close(s);
}

static void
children_are_started_in_order_and_stopped_in_reverse(void **state)
{
	static const unsigned once[] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
	struct board *b = new_board(*state);
	mproc_supervisor *s = new_supervisor(b, 0, 0);

	for (int i = 0; i < 10; i++)
		add(s, b, STAY, 0, 0);
	assert_int_equal(mproc_children(NULL, 0), 0);
	assert_int_equal(mproc_supervisor_run(s, MPROC_NOWAIT), -EAGAIN);
	expect_order(b, "ABCDEFGHIJ");
	run_until_all_begun(s, b, once);
	stop_and_close(s);
	expect_journal(b, "jihgfedcba");
	assert_int_equal(mproc_children(NULL, 0), 0);
}

static void
run_returns_when_nobody_is_left_to_restart(void **state)
{
	struct board *b = new_board(*state);
	mproc_supervisor *s = new_supervisor(b, MPROC_ONE_FOR_ALL, -1);

	add(s, b, EXIT, 0, MPROC_RESTART_ON_FAILURE);
	add(s, b, EXIT, 3, MPROC_RESTART_NEVER);
	add(s, b, CRASH, 0, MPROC_RESTART_NEVER);
	assert_int_equal(mproc_supervisor_run(s, MPROC_FOREVER), 0);
	/* That is not the end of it. */
	assert_int_equal(mproc_supervisor_run(s, MPROC_FOREVER), 0);
	add(s, b, EXIT, 0, MPROC_RESTART_ON_FAILURE);
	assert_int_equal(mproc_supervisor_run(s, MPROC_FOREVER), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(b->seat[i].begun, 1);
	mproc_supervisor_close(s);
}

static void
each_policy_restarts_what_it_says(void **state)
{
	static const struct {
		int restart, code;
		bool again;
	} cases[] = {
		{ 0, 0, true },
		{ MPROC_RESTART_ALWAYS, 0, true },
		{ MPROC_RESTART_ALWAYS, 3, true },
		{ MPROC_RESTART_ALWAYS, -SIGKILL, true },
		{ MPROC_RESTART_ON_FAILURE, 3, true },
		{ MPROC_RESTART_ON_FAILURE, -SIGKILL, true },
		{ MPROC_RESTART_ON_FAILURE, -SIGUSR1, true },
		{ MPROC_RESTART_ON_FAILURE, 0, false },
		{ MPROC_RESTART_NEVER, 0, false },
		{ MPROC_RESTART_NEVER, 3, false },
		{ MPROC_RESTART_NEVER, -SIGKILL, false },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct board *b = new_board(*state);
		mproc_supervisor *s = new_supervisor(b, 0, 0);
		int code = cases[i].code;

		add(s, b, code < 0 ? STAY : FALL, code, cases[i].restart);
		run_until_begun(s, b, 0, 1);
		if (code < 0) {
			/* Nobody asked for that one. */
			assert_int_equal(kill(b->seat[0].pid, -code), 0);
		} else {
			b->seat[0].fall = true;
		}
		if (cases[i].again) {
			run_until_begun(s, b, 0, 2);
			stop_and_close(s);
		} else {
			assert_int_equal(mproc_supervisor_run(
				s, MPROC_FOREVER), 0);
			assert_int_equal(b->seat[0].begun, 1);
			mproc_supervisor_close(s);
		}
	}
}

/* Four children, of which the second is killed. */
static void
kill_the_second(struct board *b, int strategy, const unsigned *begun,
		const char *journal, const char *order)
{
	static const unsigned once[] = { 1, 1, 1, 1 };
	mproc_supervisor *s = new_supervisor(b, strategy, 0);

	for (int i = 0; i < 4; i++)
		add(s, b, STAY, 0, 0);
	run_until_all_begun(s, b, once);
	kill_child(b, 1);
	run_until_all_begun(s, b, begun);
	expect_journal(b, journal);
	expect_order(b, order);
	stop_and_close(s);
}

static void
one_for_one_restarts_that_one(void **state)
{
	static const unsigned begun[] = { 1, 2, 1, 1 };

	kill_the_second(new_board(*state), 0, begun, "", "ACDB");
	kill_the_second(new_board(*state), MPROC_ONE_FOR_ONE, begun, "",
			"ACDB");
}

static void
one_for_all_restarts_all(void **state)
{
	static const unsigned begun[] = { 2, 2, 2, 2 };

	kill_the_second(new_board(*state), MPROC_ONE_FOR_ALL, begun, "dca",
			"ABCD");
}

static void
rest_for_one_restarts_those_added_after_it(void **state)
{
	static const unsigned begun[] = { 1, 2, 2, 2 };

	kill_the_second(new_board(*state), MPROC_REST_FOR_ONE, begun, "dc",
			"ABCD");
}

static void
with_the_others_those_are_restarted_that_may_be(void **state)
{
	static const unsigned before[] = { 1, 1, 1, 1 };
	static const unsigned after[] = { 2, 2, 1, 2 };
	struct board *b = new_board(*state);
	mproc_supervisor *s = new_supervisor(b, MPROC_ONE_FOR_ALL, 0);

	add(s, b, STAY, 0, MPROC_RESTART_ON_FAILURE);
	/* One that has done its work does it again. */
	add(s, b, EXIT, 0, MPROC_RESTART_ON_FAILURE);
	add(s, b, STAY, 0, MPROC_RESTART_NEVER);
	add(s, b, STAY, 0, MPROC_RESTART_ALWAYS);
	run_until_all_begun(s, b, before);
	kill_child(b, 3);
	run_until_all_begun(s, b, after);
	expect_journal(b, "ca");
	stop_and_close(s);
}

static void
several_that_end_at_once_count_once_where_all_are_restarted(void **state)
{
	static const unsigned before[] = { 1, 1, 1 }, after[] = { 2, 2, 2 };
	struct board *b = new_board(*state);
	mproc_supervisor *s = new_supervisor(b, MPROC_ONE_FOR_ALL, 1);

	for (int i = 0; i < 3; i++)
		add(s, b, STAY, 0, 0);
	run_until_all_begun(s, b, before);
	for (unsigned i = 0; i < 3; i++) {
		kill_child(b, i);
		await_zombie(b->t, b->seat[i].pid);
	}
	run_until_all_begun(s, b, after);
	expect_journal(b, "");
	expect_order(b, "ABC");
	stop_and_close(s);
}

static void
too_many_restarts_make_it_give_up(void **state)
{
	struct board *b = new_board(*state);
	mproc_supervisor *s;

	for (int limit = -1; limit < 4; limit++) {
		unsigned restarts = limit < 0 ? 0 : limit ? (unsigned)limit : 1;

		b = new_board(*state);
		s = new_supervisor(b, 0, limit);
		add(s, b, STAY, 0, 0);
		add(s, b, FALL, 9, 0);
		add(s, b, STAY, 0, 0);
		run_until_begun(s, b, 0, 1);
		run_until_begun(s, b, 2, 1);
		for (unsigned i = 0; i < restarts; i++) {
			run_until_begun(s, b, 1, i + 1);
			b->seat[1].fall = true;
		}
		run_until_begun(s, b, 1, restarts + 1);
		b->seat[1].fall = true;
		assert_int_equal(mproc_supervisor_run(s, MPROC_FOREVER),
				 MPROC_SUPERVISOR_GAVE_UP);
		assert_true(detail_has("child 1"));
		assert_true(detail_has("\"child-1\""));
		assert_true(detail_has("code 9"));
		assert_true(detail_has("in 5000 ms"));
		expect_journal(b, "ca");
		assert_int_equal(mproc_children(NULL, 0), 0);
		assert_int_equal(b->seat[1].begun, restarts + 1);
		assert_int_equal(mproc_supervisor_run(s, MPROC_FOREVER),
				 -ESHUTDOWN);
		assert_int_equal(mproc_supervisor_add(s, return_0, NULL, NULL),
				 -ESHUTDOWN);
		mproc_supervisor_close(s);
	}
}

static void
a_crash_is_told_by_the_name_of_its_signal(void **state)
{
	struct board *b = new_board(*state);
	mproc_supervisor *s = new_supervisor(b, MPROC_REST_FOR_ONE, 3);

	add(s, b, CRASH, 0, MPROC_RESTART_ON_FAILURE);
	assert_int_equal(mproc_supervisor_run(s, MPROC_FOREVER),
			 MPROC_SUPERVISOR_GAVE_UP);
	assert_true(detail_has("SIGSEGV"));
	assert_true(detail_has("the limit is 3 restarts"));
	assert_int_equal(b->seat[0].begun, 4);
	mproc_supervisor_close(s);
}

static void
restarts_that_are_long_ago_do_not_count(void **state)
{
	struct board *b = new_board(*state);
	mproc_supervisor *s;

	assert_int_equal(mproc_supervisor_create(
		&s, MPROC_OPTS(mproc_supervisor_opts, .max_restarts = 1,
			       .period = mproc_ms(30))), 0);
	add(s, b, STAY, 0, 0);
	for (unsigned i = 1; i <= 5; i++) {
		run_until_begun(s, b, 0, i);
		mpt_until(b->t, mproc_now() - b->seat[0].begun_at[i - 1] >
				31 * MS);
		kill_child(b, 0);
	}
	run_until_begun(s, b, 0, 6);
	stop_and_close(s);
}

/* The last delay that the log has spoken of. */
static long long delay;

static void
note_delay(void *ctx, int level, const char *text)
{
	const char *at = strstr(text, "starts again in ");

	(void)level;
	(void)ctx;
	if (at)
		delay = atoll(at + strlen("starts again in "));
}

static void
restarts_wait_twice_as_long_each_time(void **state)
{
	struct board *b = new_board(*state);
	struct seat *seat;
	mproc_supervisor *s;
	int64_t gap;

	assert_int_equal(mproc_supervisor_create(
		&s, MPROC_OPTS(mproc_supervisor_opts, .max_restarts = 6,
			       .backoff = mproc_ms(10),
			       .backoff_max = mproc_ms(50))), 0);
	mproc_log_set(MPROC_LOG_WARNING, note_delay, NULL);
	seat = add(s, b, FALL, 1, 0);
	for (unsigned i = 1; i <= 6; i++) {
		int64_t expected = i < 4 ? 5 << i : 50;

		run_until_begun(s, b, 0, i);
		seat->fall = true;
		run_until_begun(s, b, 0, i + 1);
		assert_int_equal(delay, expected);
		gap = seat->begun_at[i] - seat->begun_at[i - 1];
		assert_true(gap >= expected * MS);
	}
	mproc_log_set(MPROC_LOG_OFF, NULL, NULL);
	stop_and_close(s);
}

static void
a_run_wakes_up_for_each_restart(void **state)
{
	struct mpt_times spent = { 0 };

	for (int i = 0; i < 5; i++) {
		struct board *b = new_board(*state);
		int64_t began = mproc_now();
		mproc_supervisor *s;

		assert_int_equal(mproc_supervisor_create(
			&s, MPROC_OPTS(mproc_supervisor_opts, .max_restarts = 4,
				       .backoff = mproc_ms(5))), 0);
		add(s, b, EXIT, 1, 0);
		assert_int_equal(mproc_supervisor_run(s, MPROC_FOREVER),
				 MPROC_SUPERVISOR_GAVE_UP);
		assert_true(mproc_now() - began >= (5 + 10 + 20 + 40) * MS);
		mpt_times_add(&spent, mproc_now() - began);
		assert_int_equal(b->seat[0].begun, 5);
		mproc_supervisor_close(s);
	}
	/* Not with the slices of a second in which a wait looks around. */
	assert_true(mpt_times_median(&spent) < 4 * 800 * MS);
}

static void
one_that_has_run_for_the_period_is_restarted_soon_again(void **state)
{
	struct board *b = new_board(*state);
	struct seat *seat;
	mproc_supervisor *s;

	assert_int_equal(mproc_supervisor_create(
		&s, MPROC_OPTS(mproc_supervisor_opts, .max_restarts = 10,
			       .period = mproc_ms(2000),
			       .backoff = mproc_ms(4))), 0);
	mproc_log_set(MPROC_LOG_WARNING, note_delay, NULL);
	seat = add(s, b, FALL, 1, 0);
	for (unsigned i = 1; i <= 4; i++) {
		run_until_begun(s, b, 0, i);
		if (i == 4)
			mpt_until(b->t, mproc_now() - seat->begun_at[3] >
					2050 * MS);
		seat->fall = true;
		run_until_begun(s, b, 0, i + 1);
		assert_int_equal(delay, i < 4 ? 2 << i : 4);
	}
	mproc_log_set(MPROC_LOG_OFF, NULL, NULL);
	stop_and_close(s);
}

static void
nobody_is_started_before_one_that_was_added_before(void **state)
{
	static const unsigned before[] = { 1, 1 }, after[] = { 2, 2, 1 };
	struct board *b = new_board(*state);
	mproc_supervisor *s;

	assert_int_equal(mproc_supervisor_create(
		&s, MPROC_OPTS(mproc_supervisor_opts,
			       .strategy = MPROC_REST_FOR_ONE,
			       .backoff = mproc_ms(60))), 0);
	add(s, b, STAY, 0, 0);
	add(s, b, STAY, 0, 0);
	run_until_all_begun(s, b, before);
	kill_child(b, 0);
	while (mproc_children(NULL, 0) != 0)
		assert_int_equal(mproc_supervisor_run(s, mproc_ms(1)),
				 -ETIMEDOUT);
	/* It could be started at once, were it not for the others. */
	add(s, b, STAY, 0, 0);
	run_until_all_begun(s, b, after);
	expect_order(b, "ABC");
	stop_and_close(s);
}

static void
one_that_waits_does_not_keep_another_from_its_restart(void **state)
{
	struct board *b = new_board(*state);
	mproc_supervisor *s;

	assert_int_equal(mproc_supervisor_create(
		&s, MPROC_OPTS(mproc_supervisor_opts, .max_restarts = 4,
			       .backoff = mproc_ms(100))), 0);
	add(s, b, STAY, 0, 0);
	add(s, b, STAY, 0, 0);
	run_until_begun(s, b, 1, 1);
	for (unsigned i = 1; i <= 3; i++) {
		run_until_begun(s, b, 0, i);
		kill_child(b, 0);
	}
	/* It waits four times as long as the other one will. */
	while (mproc_children(NULL, 0) == 2)
		assert_int_equal(mproc_supervisor_run(s, mproc_ms(1)),
				 -ETIMEDOUT);
	kill_child(b, 1);
	run_until_begun(s, b, 0, 4);
	run_until_begun(s, b, 1, 2);
	expect_order(b, "BA");
	stop_and_close(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(options_that_make_no_sense_are_refused),
		mpt_test(children_that_make_no_sense_are_refused),
		mpt_test(name_and_argument_are_kept_for_each_start),
		mpt_test(children_are_started_in_order_and_stopped_in_reverse),
		mpt_test(run_returns_when_nobody_is_left_to_restart),
		mpt_test(each_policy_restarts_what_it_says),
		mpt_test(one_for_one_restarts_that_one),
		mpt_test(one_for_all_restarts_all),
		mpt_test(rest_for_one_restarts_those_added_after_it),
		mpt_test(with_the_others_those_are_restarted_that_may_be),
		mpt_test(several_that_end_at_once_count_once_where_all_are_restarted),
		mpt_test(too_many_restarts_make_it_give_up),
		mpt_test(a_crash_is_told_by_the_name_of_its_signal),
		mpt_test(restarts_that_are_long_ago_do_not_count),
		mpt_test(restarts_wait_twice_as_long_each_time),
		mpt_test(a_run_wakes_up_for_each_restart),
		mpt_test(one_that_has_run_for_the_period_is_restarted_soon_again),
		mpt_test(nobody_is_started_before_one_that_was_added_before),
		mpt_test(one_that_waits_does_not_keep_another_from_its_restart),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
