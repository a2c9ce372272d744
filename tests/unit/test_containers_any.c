/* SPDX-License-Identifier: MIT */
/*
 * Values of any kind: what they are as words, which are equal, what is refused.
 */
#include <errno.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include <mproc/mproc.h>

#include "base/fault.h"
#include "common.h"
#include "containers/any.h"

static mproc_arena *
arena(void)
{
	mproc_arena *a;

	assert_int_equal(mpr_arena_get(&a), 0);
	return a;
}

/* Into shared memory and out of it. */
static struct mproc_any
through(const struct mproc_any *any)
{
	struct mproc_any ret;

	assert_int_equal(mpr_any_check(arena(), any), 0);
	assert_int_equal(mpr_any_copy(arena(), mpr_any_meta(any),
				      mpr_any_word(arena(), any), any->ptr,
				      &ret), 0);
	return ret;
}

static void
each_kind_comes_out_as_it_went_in(void **state)
{
	void *block = mproc_alloc(64);
	const struct mproc_any all[] = {
		mproc_nil(), mproc_int(INT64_MIN), mproc_int(-1),
		mproc_float(-0.5), mproc_float(DBL_MAX), mproc_bool(true),
		mproc_bool(false), mproc_str(""), mproc_str("text"),
		mproc_bytes("a\0b", 4), mproc_bytes(NULL, 0), mproc_ref(block),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct mproc_any any = through(&all[i]);

		assert_int_equal(any.kind, all[i].kind);
		assert_true(mpr_any_equal(&any, &all[i]));
		assert_int_equal(any.owned, any.kind == MPROC_STR ||
					    any.kind == MPROC_BYTES);
		if (any.owned) {
			assert_ptr_not_equal(any.ptr, all[i].ptr);
			assert_int_equal(((const char *)any.ptr)[any.len], 0);
		}
		mproc_any_clear(&any);
		assert_int_equal(any.kind, MPROC_NIL);
	}
	mproc_free(block);
}

static void
what_is_not_owned_is_not_freed(void **state)
{
	struct mproc_any text = mproc_str("constant");

	(void)state;
	mproc_any_clear(&text);
	assert_int_equal(text.kind, MPROC_NIL);
	mproc_any_clear(&text);
	mproc_any_clear(NULL);
}

static void
python_takes_them_for_equal_or_not(void **state)
{
	const double big = 9223372036854775808.0;
	const struct {
		struct mproc_any a, b;
		bool equal;
	} cases[] = {
		{ mproc_int(1), mproc_float(1.0), true },
		{ mproc_int(1), mproc_bool(true), true },
		{ mproc_float(0.0), mproc_bool(false), true },
		{ mproc_float(-0.0), mproc_int(0), true },
		{ mproc_float(-0.0), mproc_float(0.0), true },
		{ mproc_float(-big), mproc_int(INT64_MIN), true },
		{ mproc_float(big), mproc_int(INT64_MAX), false },
		{ mproc_int(INT64_MAX), mproc_float((double)INT64_MAX), false },
		{ mproc_float(0.5), mproc_float(0.5), true },
		{ mproc_float(0.5), mproc_int(0), false },
		{ mproc_float(INFINITY), mproc_float(INFINITY), true },
		{ mproc_float(INFINITY), mproc_float(-INFINITY), false },
		{ mproc_float(NAN), mproc_float(NAN), false },
		{ mproc_nil(), mproc_nil(), true },
		{ mproc_nil(), mproc_int(0), false },
		{ mproc_nil(), mproc_bool(false), false },
		{ mproc_str("a"), mproc_str("a"), true },
		{ mproc_str("a"), mproc_str("b"), false },
		{ mproc_str("a"), mproc_str("ab"), false },
		{ mproc_str("a"), mproc_bytes("a", 1), false },
		{ mproc_bytes(NULL, 0), mproc_bytes("", 0), true },
		{ mproc_ref(cases), mproc_ref(cases), true },
		{ mproc_ref(cases), mproc_ref(&big), false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(mpr_any_equal(&cases[i].a, &cases[i].b),
				 cases[i].equal);
		assert_int_equal(mpr_any_equal(&cases[i].b, &cases[i].a),
				 cases[i].equal);
	}
}

static void
equal_ones_become_the_same(void **state)
{
	struct mproc_any any[] = { mproc_bool(true), mproc_float(1.0),
				   mproc_int(1) };

	(void)state;
	for (int i = 0; i < 3; i++) {
		mpr_any_normalise(&any[i]);
		assert_int_equal(any[i].kind, MPROC_INT);
		assert_int_equal(any[i].i64, 1);
	}
	any[0] = mproc_float(1.5);
	mpr_any_normalise(&any[0]);
	assert_int_equal(any[0].kind, MPROC_FLOAT);
}

static void
bad_values_are_refused(void **state)
{
	struct mproc_any odd = mproc_int(1), ret;
	const struct mproc_any bad[] = {
		mproc_str(NULL), mproc_bytes(NULL, 1), mproc_ref(&odd),
		mproc_ref(NULL), mproc_ref(arena()->shm),
		mproc_bytes("", (size_t)1 << 40),
	};
	static const int r[] = { -EINVAL, -EINVAL, -EFAULT, -EFAULT, -EFAULT,
				 -ENOMEM };
	const uint64_t metas[] = { mpr_meta(MPROC_INT, 1), 7, 0xff,
				   mpr_meta(MPROC_NIL, 5) };

	(void)state;
	for (size_t i = 0; i < sizeof(r) / sizeof(r[0]); i++)
		assert_int_equal(mpr_any_check(arena(), &bad[i]), r[i]);
	assert_int_equal(mpr_any_check(arena(), NULL), -EINVAL);
	memset(&odd.kind, 0x7f, sizeof(odd.kind));
	assert_int_equal(mpr_any_check(arena(), &odd), -EINVAL);
	for (int i = 0; i < 4; i++)
		assert_int_equal(mpr_any_copy(arena(), metas[i], 0, NULL, &ret),
				 -EBADMSG);
	assert_int_equal(mpr_any_copy(arena(), MPROC_REF, 8, NULL, &ret),
			 -EBADMSG);
	assert_int_equal(mpr_any_copy(arena(), MPROC_REF, UINT64_MAX, NULL,
				      &ret), -EBADMSG);
}

static void
a_copy_that_there_is_no_memory_for_is_an_error(void **state)
{
	struct mproc_any ret;

	(void)state;
	assert_int_equal(mpr_fault_set("malloc:1"), 0);
	assert_int_equal(mpr_any_copy(arena(), mpr_meta(MPROC_STR, 1), 0, "a",
				      &ret), -ENOMEM);
	assert_int_equal(mpr_fault_set(NULL), 0);
}

static int
setup(void **state)
{
	(void)state;
	return mproc_arena_default() ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(each_kind_comes_out_as_it_went_in),
		mpt_test(what_is_not_owned_is_not_freed),
		mpt_test(python_takes_them_for_equal_or_not),
		mpt_test(equal_ones_become_the_same),
		mpt_test(bad_values_are_refused),
		mpt_test(a_copy_that_there_is_no_memory_for_is_an_error),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
