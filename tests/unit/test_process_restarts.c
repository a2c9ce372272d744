/* SPDX-License-Identifier: MIT */
/*
 * How often and how soon: windows that slide, delays that double.
 */
#include <errno.h>

#include "base/fault.h"
#include "common.h"
#include "process/restarts.h"

static void
the_window_slides(void **state)
{
	struct mpr_restarts r;

	(void)state;
	assert_int_equal(mpr_restarts_init(&r, 3, 100), 0);
	assert_true(mpr_restarts_note(&r, 1000));
	assert_true(mpr_restarts_note(&r, 1050));
	assert_true(mpr_restarts_note(&r, 1100));
	/* The fourth within 100, ends included. */
	assert_false(mpr_restarts_note(&r, 1100));
	assert_true(mpr_restarts_note(&r, 1101));
	/* Of 1050, 1100, 1101. */
	assert_false(mpr_restarts_note(&r, 1150));
	assert_true(mpr_restarts_note(&r, 1151));
	assert_false(mpr_restarts_note(&r, 1200));
	/* All are long ago. */
	for (int i = 0; i < 3; i++)
		assert_true(mpr_restarts_note(&r, 5000));
	assert_false(mpr_restarts_note(&r, 5000));
	mpr_restarts_free(&r);
}

static void
a_limit_may_be_none_or_hold_for_ever(void **state)
{
	struct mpr_restarts r;

	(void)state;
	assert_int_equal(mpr_restarts_init(&r, 0, 100), 0);
	assert_false(mpr_restarts_note(&r, 1000));
	mpr_restarts_free(&r);
	assert_int_equal(mpr_restarts_init(&r, 1, INT64_MAX), 0);
	assert_true(mpr_restarts_note(&r, 0));
	assert_false(mpr_restarts_note(&r, INT64_MAX));
	mpr_restarts_free(&r);
	mpr_fault_set("malloc:1");
	assert_int_equal(mpr_restarts_init(&r, 1, 1), -ENOMEM);
	mpr_fault_set(NULL);
	mpr_restarts_free(&r);
}

static void
delays_double_up_to_a_limit(void **state)
{
	static const int64_t expected[] = { 10, 20, 40, 80, 100, 100 };

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(mpr_backoff(10, 100, i + 1), expected[i]);
	assert_int_equal(mpr_backoff(10, 100, 4000000000), 100);
	assert_int_equal(mpr_backoff(500, 100, 1), 100);
	assert_int_equal(mpr_backoff(0, 100, 4000000000), 0);
	assert_int_equal(mpr_backoff(1, INT64_MAX, 63), INT64_C(1) << 62);
	assert_int_equal(mpr_backoff(1, INT64_MAX, 64), INT64_MAX);
	assert_int_equal(mpr_backoff(1, INT64_MAX, 1000), INT64_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(the_window_slides),
		mpt_test(a_limit_may_be_none_or_hold_for_ever),
		mpt_test(delays_double_up_to_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
