/* SPDX-License-Identifier: MIT */
/*
 * Text without printf.
 */
#include "base/text.h"
#include "common.h"

static char buffer[64];
static struct mpr_text text;

/* Begins anew, in @size bytes of the buffer. */
static void
begin(size_t size)
{
	memset(buffer, '~', sizeof(buffer));
	text = (struct mpr_text){ .to = buffer, .size = size };
}

static void
expect(const char *expected)
{
	assert_int_equal(text.length, strlen(expected));
	assert_memory_equal(buffer, expected, text.length);
	/* Nothing behind it. */
	for (size_t i = text.length; i < sizeof(buffer); i++)
		assert_int_equal(buffer[i], '~');
}

static void
numbers_are_written_in_full(void **state)
{
	(void)state;
	begin(sizeof(buffer));
	mpr_text_add_number(&text, 0);
	mpr_text_add(&text, " ");
	mpr_text_add_number(&text, -17);
	mpr_text_add(&text, " ");
	mpr_text_add_number(&text, INT64_MIN);
	mpr_text_add(&text, " ");
	mpr_text_add_number(&text, INT64_MAX);
	expect("0 -17 -9223372036854775808 9223372036854775807");
	assert_false(text.full);
}

static void
hexadecimal_has_the_zeros_asked_for(void **state)
{
	(void)state;
	begin(sizeof(buffer));
	mpr_text_add_hex(&text, 0, 1);
	mpr_text_add(&text, " ");
	mpr_text_add_hex(&text, 0xabc, 8);
	mpr_text_add(&text, " ");
	mpr_text_add_hex(&text, UINT64_MAX, 1);
	expect("0x0 0x00000abc 0xffffffffffffffff");
}

static void
what_does_not_fit_is_dropped(void **state)
{
	(void)state;
	for (size_t size = 0; size <= 5; size++) {
		begin(size);
		mpr_text_add(&text, "abc");
		mpr_text_add_number(&text, 123);
		assert_int_equal(text.length, size);
		assert_true(text.full);
		/* For good, even if there were room again. */
		text.length = 0;
		mpr_text_add(&text, "d");
		assert_int_equal(text.length, 0);
	}
	begin(6);
	mpr_text_add(&text, "abc");
	mpr_text_add_number(&text, 123);
	expect("abc123");
	assert_false(text.full);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_written_in_full),
		cmocka_unit_test(hexadecimal_has_the_zeros_asked_for),
		cmocka_unit_test(what_does_not_fit_is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
