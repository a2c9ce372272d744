/* SPDX-License-Identifier: MIT */
/*
 * From a timeout to a deadline.
 */
#include "common.h"
#include "os/clock.h"

static void
the_clock_never_goes_back(void **state)
{
	int64_t last = mproc_now(), now;

	(void)state;
	for (int i = 0; i < 10000; i++, last = now) {
		now = mproc_now();
		assert_true(now >= last);
	}
}

static void
a_relative_timeout_ends_that_much_later(void **state)
{
	static const int64_t waits[] = { 0, 1, 1000, INT64_C(3600000000000) };

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		int64_t before = mproc_now();
		int64_t deadline = mpr_deadline((mproc_timeout){ waits[i] });

		assert_true(deadline >= before + waits[i]);
		assert_true(deadline <= mproc_now() + waits[i]);
	}
}

static void
for_ever_never_comes(void **state)
{
	(void)state;
	assert_true(mpr_deadline(MPROC_FOREVER) == MPR_NEVER);
}

static void
a_time_beyond_64_bits_never_comes(void **state)
{
	(void)state;
	assert_true(mpr_deadline((mproc_timeout){ INT64_MAX - 1 }) ==
		    MPR_NEVER);
	assert_true(mpr_deadline((mproc_timeout){
			    INT64_MAX - mproc_now() / 2 }) == MPR_NEVER);
	assert_true(mpr_deadline((mproc_timeout){ INT64_MIN }) == MPR_NEVER);
}

static void
an_absolute_timeout_is_its_own_deadline(void **state)
{
	(void)state;
	assert_true(mpr_deadline(mproc_until(1)) == 1);
	assert_true(mpr_deadline(mproc_until(123456789)) == 123456789);
	assert_true(mpr_deadline(mproc_until(INT64_MAX)) == MPR_NEVER);
	assert_true(mpr_deadline(mproc_until(0)) == 1);
	assert_true(mpr_deadline(mproc_until(-5)) == 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_clock_never_goes_back),
		cmocka_unit_test(a_relative_timeout_ends_that_much_later),
		cmocka_unit_test(for_ever_never_comes),
		cmocka_unit_test(a_time_beyond_64_bits_never_comes),
		cmocka_unit_test(an_absolute_timeout_is_its_own_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
