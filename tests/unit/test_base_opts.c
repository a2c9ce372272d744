/* SPDX-License-Identifier: MIT */
/*
 * Options structures of callers that were built with another header.
 */
#include <errno.h>
#include <stdio.h>

#include <mproc/core.h>

#include "base/opts.h"
#include "common.h"

/* What the library knows, and what callers of other versions pass. */
struct options {
	size_t struct_size;
	uint64_t a;
	uint64_t b;
};

struct older {
	size_t struct_size;
	uint64_t a;
};

struct newer {
	size_t struct_size;
	uint64_t a;
	uint64_t b;
	unsigned char more[24];
};

static void
no_options_are_all_defaults(void **state)
{
	struct options o = { 1, 2, 3 };

	(void)state;
	assert_int_equal(mpr_opts_read(&o, sizeof(o), NULL), 0);
	assert_int_equal(o.struct_size, 0);
	assert_int_equal(o.a, 0);
	assert_int_equal(o.b, 0);
}

static void
options_of_the_same_version_are_copied(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(mpr_opts_read(&o, sizeof(o),
				       MPROC_OPTS(options, .a = 7, .b = 8)), 0);
	assert_int_equal(o.a, 7);
	assert_int_equal(o.b, 8);
}

static void
an_older_structure_leaves_new_fields_at_their_default(void **state)
{
	struct options o = { .b = 99 };

	(void)state;
	assert_int_equal(mpr_opts_read(&o, sizeof(o),
				       MPROC_OPTS(older, .a = 7)), 0);
	assert_int_equal(o.a, 7);
	assert_int_equal(o.b, 0);
}

static void
a_structure_of_only_its_size_is_all_defaults(void **state)
{
	struct options o = { .a = 99, .b = 99 };
	size_t only = sizeof(only);

	(void)state;
	assert_int_equal(mpr_opts_read(&o, sizeof(o), &only), 0);
	assert_int_equal(o.a, 0);
	assert_int_equal(o.b, 0);
}

static void
a_newer_structure_whose_tail_is_zero_is_accepted(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(mpr_opts_read(&o, sizeof(o),
				       MPROC_OPTS(newer, .a = 7, .b = 8)), 0);
	assert_int_equal(o.b, 8);
}

static void
each_set_byte_of_an_unknown_tail_is_too_big(void **state)
{
	struct newer n = { .struct_size = sizeof(n) };
	struct options o;
	char at[32];

	(void)state;
	for (unsigned i = 0; i < sizeof(n.more); i++) {
		memset(n.more, 0, sizeof(n.more));
		n.more[i] = 0x80;
		assert_int_equal(mpr_opts_read(&o, sizeof(o), &n), -E2BIG);
		snprintf(at, sizeof(at), "at byte %u ",
			 (unsigned)offsetof(struct newer, more) + i);
		assert_non_null(strstr(mproc_error_detail(), at));
	}
}

static void
a_size_that_makes_no_sense_is_invalid(void **state)
{
	static const size_t sizes[] = { 0, 1, sizeof(size_t) - 1, 4097,
					SIZE_MAX };
	struct options o, given = { .a = 7 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		given.struct_size = sizes[i];
		assert_int_equal(mpr_opts_read(&o, sizeof(o), &given),
				 -EINVAL);
		assert_non_null(strstr(mproc_error_detail(), "struct_size"));
	}
}

static void
opts_init_zeroes_all_and_notes_the_size(void **state)
{
	struct options o = { 1, 2, 3 };

	(void)state;
	mproc_opts_init(&o, sizeof(o));
	assert_int_equal(o.struct_size, sizeof(o));
	assert_int_equal(o.a, 0);
	assert_int_equal(o.b, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_options_are_all_defaults),
		cmocka_unit_test(options_of_the_same_version_are_copied),
		cmocka_unit_test(
			an_older_structure_leaves_new_fields_at_their_default),
		cmocka_unit_test(a_structure_of_only_its_size_is_all_defaults),
		cmocka_unit_test(
			a_newer_structure_whose_tail_is_zero_is_accepted),
		cmocka_unit_test(each_set_byte_of_an_unknown_tail_is_too_big),
		cmocka_unit_test(a_size_that_makes_no_sense_is_invalid),
		cmocka_unit_test(opts_init_zeroes_all_and_notes_the_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
