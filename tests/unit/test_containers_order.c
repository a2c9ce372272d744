/* SPDX-License-Identifier: MIT */
/*
 * Which of two values comes first, as Python says it: each line was asked of it.
 */
#include <errno.h>
#include <math.h>

#include <mproc/mproc.h>

#include "common.h"
#include "containers/order.h"

static bool
is_less(struct mproc_any a, struct mproc_any b)
{
	bool less;

	assert_int_equal(mpr_any_is_less(&a, &b, &less), 0);
	return less;
}

static void
expect_less(struct mproc_any a, struct mproc_any b)
{
	assert_true(is_less(a, b));
	assert_false(is_less(b, a));
}

static void
expect_neither(struct mproc_any a, struct mproc_any b)
{
	assert_false(is_less(a, b));
	assert_false(is_less(b, a));
}

static void
numbers_are_compared_exactly(void **state)
{
	const double two_63 = 9223372036854775808.0;
	const double two_53 = 9007199254740992.0;

	(void)state;
	expect_less(mproc_int(-1), mproc_int(1));
	expect_less(mproc_int(INT64_MIN), mproc_int(INT64_MAX));
	expect_less(mproc_float(-0.5), mproc_float(0.5));
	expect_neither(mproc_float(0.0), mproc_float(-0.0));
	expect_less(mproc_int(1), mproc_float(1.5));
	expect_less(mproc_float(1.5), mproc_int(2));
	expect_less(mproc_float(-1.5), mproc_int(-1));
	expect_less(mproc_int(-2), mproc_float(-1.5));
	expect_less(mproc_float(0.5), mproc_bool(true));
	expect_less(mproc_bool(false), mproc_bool(true));
	expect_neither(mproc_int(1), mproc_float(1.0));
	expect_neither(mproc_int(1), mproc_bool(true));
	expect_less(mproc_float(two_53), mproc_int(9007199254740993));
	expect_less(mproc_int(9007199254740991), mproc_float(two_53));
	expect_less(mproc_int(INT64_MAX), mproc_float(two_63));
	expect_neither(mproc_int(INT64_MIN), mproc_float(-two_63));
	expect_less(mproc_float(-two_63 * 2), mproc_int(INT64_MIN));
	expect_less(mproc_int(INT64_MAX), mproc_float(HUGE_VAL));
	expect_less(mproc_float(-HUGE_VAL), mproc_int(INT64_MIN));
}

static void
what_is_no_number_has_no_place(void **state)
{
	(void)state;
	expect_neither(mproc_float(NAN), mproc_float(1.5));
	expect_neither(mproc_float(NAN), mproc_int(1));
	expect_neither(mproc_float(NAN), mproc_int(INT64_MIN));
	expect_neither(mproc_float(NAN), mproc_float(HUGE_VAL));
	expect_neither(mproc_float(NAN), mproc_float(NAN));
}

static void
texts_are_compared_by_their_bytes(void **state)
{
	(void)state;
	expect_less(mproc_str(""), mproc_str("a"));
	expect_less(mproc_str("a"), mproc_str("ab"));
	expect_less(mproc_str("Z"), mproc_str("a"));
	expect_less(mproc_str("z"), mproc_str("\xc3\xa4")); /* an umlaut */
	expect_neither(mproc_str("a"), mproc_str("a"));
	expect_less(mproc_bytes("\x7f", 1), mproc_bytes("\x80", 1));
	expect_less(mproc_bytes("a", 1), mproc_bytes("a\0", 2));
	expect_neither(mproc_bytes(NULL, 0), mproc_bytes("", 0));
}

static void
between_other_kinds_there_is_no_order(void **state)
{
	const struct mproc_any all[] = {
		mproc_nil(), mproc_int(1), mproc_str("a"), mproc_bytes("a", 1),
		mproc_ref(state),
	};
	bool less;

	for (int i = 0; i < 5; i++)
		for (int k = 0; k < 5; k++)
			if (i != k || all[i].kind == MPROC_NIL ||
			    all[i].kind == MPROC_REF)
				assert_int_equal(mpr_any_is_less(
					&all[i], &all[k], &less), -EPROTOTYPE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_compared_exactly),
		cmocka_unit_test(what_is_no_number_has_no_place),
		cmocka_unit_test(texts_are_compared_by_their_bytes),
		cmocka_unit_test(between_other_kinds_there_is_no_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
