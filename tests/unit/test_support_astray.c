/* SPDX-License-Identifier: MIT */
/*
 * The stepper, see mpt_step.h: victims that go another way than that of the dry run, and
 * some that come to no end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mpt.h"
#include "mpt_self.h"
#include "mpt_step.h"

enum {
	SEEN = 100,
	LIMIT = 300,
};

static unsigned n_starts;
static bool was_counted_to[2 * SEEN + 1];

static void begin_at_zero(void *arg)
{
	_Atomic(uint32_t) *count = arg;

	atomic_store(count, 0);
	n_starts++;
}

/* The first one goes a way that nobody else goes. */
static void go_the_usual_way_but_once(void *arg)
{
	_Atomic(uint32_t) *count = arg;
	volatile unsigned i;

	mpt_step_begin();
	if (n_starts == 1)
		for (i = 0; i < SEEN; i++)
			;
	else
		for (i = 0; i < 2 * SEEN; i++)
			atomic_fetch_add(count, 1);
	mpt_step_end();
}

static void note_count(void *arg, pid_t victim, unsigned long n, bool finished)
{
	_Atomic(uint32_t) *count = arg;

	(void)victim;
	(void)n;
	(void)finished;
	was_counted_to[atomic_load(count)] = true;
}

/* They are stepped from where they part from it. */
static void who_goes_another_way_is_killed_on_it(void **state)
{
	struct mpt_stepper_result r;
	struct mpt_stepper_opts o = {
		.name = "the usual way",
		.victim = go_the_usual_way_but_once,
		.before = begin_at_zero,
		.survivor = note_count,
		.arg = mpt_scratch(*state),
	};

	setenv("MPT_STEP", "full", 1);
	mpt_stepper_run(*state, &o, &r);
	unsetenv("MPT_STEP");
	assert_true(r.astray > 0);
	for (unsigned i = 0; i < SEEN / 2; i++)
		assert_true(was_counted_to[i]);
}

/* As who sleeps until a time that is over each time it gets there. */
static void go_on_for_ever(void *arg)
{
	_Atomic(uint32_t) *count = arg;

	mpt_step_begin();
	for (;;)
		atomic_fetch_add(count, 1);
}

static bool was_killed_at[LIMIT + 1];

static void note_where(void *arg, pid_t victim, unsigned long n, bool finished)
{
	(void)arg;
	(void)victim;
	assert_false(finished);
	assert_in_range(n, 0, LIMIT);
	was_killed_at[n] = true;
}

static void what_goes_on_is_over_at_its_limit(void **state)
{
	struct mpt_stepper_result r;
	const struct mpt_stepper_opts o = {
		.name = "on and on",
		.victim = go_on_for_ever,
		.before = begin_at_zero,
		.survivor = note_where,
		.arg = mpt_scratch(*state),
		.limit = LIMIT,
	};

	mpt_stepper_run(*state, &o, &r);
	assert_int_equal(r.instructions, LIMIT);
	assert_int_equal(r.cases, 1 + LIMIT + 1);
	assert_int_equal(r.asleep, 0);
	assert_int_equal(r.astray, 0);
	for (unsigned n = 0; n <= LIMIT; n++)
		assert_true(was_killed_at[n]);
}

/* In a second instance of this program. */
static void inner_goes_on(void **state)
{
	const struct mpt_stepper_opts o = {
		.name = "on and on",
		.victim = go_on_for_ever,
		.survivor = note_where,
		.arg = mpt_scratch(*state),
	};

	mpt_watchdog(*state, 1);
	mpt_stepper_run(*state, &o, NULL);
}

static void a_hang_between_kills_is_explained(void **state)
{
	mpt_self_fails("inner_goes_on", "inner_goes_on: not over after ",
		       "in step on and on: dry run");
	mpt_reap_orphans(*state); /* its victim */
}

int main(int argc, char **argv)
{
	const struct CMUnitTest inner_tests[] = {
		mpt_test(inner_goes_on),
	};
	const struct CMUnitTest tests[] = {
		mpt_test(who_goes_another_way_is_killed_on_it),
		mpt_test(what_goes_on_is_over_at_its_limit),
		mpt_test(a_hang_between_kills_is_explained),
	};

	/* The numbers here are those of the options, whatever was asked. */
	unsetenv("MPT_STEP");
	if (argc > 1) {
		cmocka_set_test_filter(argv[1]);
		return cmocka_run_group_tests(inner_tests, NULL, NULL);
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
