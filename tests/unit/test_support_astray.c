/* SPDX-License-Identifier: MIT */
/*
 * The stepper, see mpt_step.h: victims that go another way than that of the dry run.
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
#include "mpt_step.h"

enum {
	SEEN = 100,
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(who_goes_another_way_is_killed_on_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
