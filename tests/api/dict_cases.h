/* SPDX-License-Identifier: MIT */
/*
 * What a dict does wherever it is: in the family, where test_dict.c runs these, and with
 * a manager that one is connected to, test_manager_dict.c.
 */
#ifndef API_DICT_CASES_H
#define API_DICT_CASES_H

#include <limits.h>
#include <math.h>

#include "dict.h"

static void
what_is_set_is_there_until_it_is_taken(void **state)
{
	mproc_dict *d = new_dict();
	struct mproc_any got;

	(void)state;
	assert_int_equal(mproc_dict_len(d), 0);
	expect_none(d, mproc_str("a"));
	assert_int_equal(mproc_dict_set(d, mproc_str("a"), mproc_int(1)), 0);
	assert_int_equal(mproc_dict_set(d, mproc_int(7), mproc_str("seven")), 0);
	assert_int_equal(mproc_dict_len(d), 2);
	expect_there(d, mproc_str("a"), mproc_int(1));
	expect_there(d, mproc_int(7), mproc_str("seven"));
	assert_int_equal(mproc_dict_has(d, mproc_int(7)), 1);
	expect_none(d, mproc_int(8));

	assert_int_equal(mproc_dict_set(d, mproc_str("a"), mproc_int(2)), 0);
	assert_int_equal(mproc_dict_len(d), 2);
	expect_there(d, mproc_str("a"), mproc_int(2));

	assert_int_equal(mproc_dict_pop(d, mproc_int(7), &got), 0);
	assert_true(got.kind == MPROC_STR && strcmp(got.ptr, "seven") == 0);
	mproc_any_clear(&got);
	expect_none(d, mproc_int(7));
	assert_int_equal(mproc_dict_pop(d, mproc_int(7), &got), -ENOENT);
	assert_int_equal(got.kind, MPROC_NIL);
	assert_int_equal(mproc_dict_pop(d, mproc_str("a"), NULL), 0);
	assert_int_equal(mproc_dict_len(d), 0);
	mproc_dict_destroy(d);
}

static void
keys_are_equal_as_in_python(void **state)
{
	mproc_dict *d = new_dict();
	struct mproc_cursor c = { { 0 } };
	struct mproc_any key;

	(void)state;
	assert_int_equal(mproc_dict_set(d, mproc_float(1.0), mproc_str("x")), 0);
	assert_int_equal(mproc_dict_set(d, mproc_bool(true), mproc_str("y")), 0);
	assert_int_equal(mproc_dict_len(d), 1);
	expect_there(d, mproc_int(1), mproc_str("y"));
	assert_int_equal(mproc_dict_next(d, &c, &key, NULL), 0);
	assert_true(key.kind == MPROC_INT && key.i64 == 1);
	assert_int_equal(mproc_dict_next(d, &c, &key, NULL), -ENODATA);
	assert_int_equal(mproc_dict_set(d, mproc_float(-0.0), mproc_nil()), 0);
	assert_int_equal(mproc_dict_has(d, mproc_bool(false)), 1);
	assert_int_equal(mproc_dict_has(d, mproc_nil()), 0);
	assert_int_equal(mproc_dict_set(d, mproc_float(NAN), mproc_nil()),
			 -EINVAL);
	assert_int_equal(mproc_dict_has(d, mproc_float(NAN)), -EINVAL);
	mproc_dict_destroy(d);
}

static void
typed_gets_say_when_it_is_something_else(void **state)
{
	mproc_dict *d = new_dict();
	char buf[6] = "";
	size_t len = 0;
	int64_t i = 0;
	double f = 0;

	(void)state;
	assert_int_equal(mproc_dict_set(d, mproc_str("i"), mproc_int(-3)), 0);
	assert_int_equal(mproc_dict_set(d, mproc_str("f"), mproc_float(0.5)), 0);
	assert_int_equal(mproc_dict_set(d, mproc_str("b"), mproc_bool(true)), 0);
	assert_int_equal(mproc_dict_set(d, mproc_str("s"), mproc_str("hello")),
			 0);
	assert_int_equal(mproc_dict_set(d, mproc_str("y"),
					mproc_bytes("hello", 5)), 0);

	assert_int_equal(mproc_dict_get_int(d, mproc_str("i"), &i), 0);
	assert_int_equal(i, -3);
	assert_int_equal(mproc_dict_get_int(d, mproc_str("b"), &i), 0);
	assert_int_equal(i, 1);
	assert_int_equal(mproc_dict_get_int(d, mproc_str("f"), &i), -EPROTOTYPE);
	assert_int_equal(mproc_dict_get_int(d, mproc_str("s"), &i), -EPROTOTYPE);
	assert_int_equal(mproc_dict_get_int(d, mproc_str("none"), &i), -ENOENT);
	assert_int_equal(i, 1);

	assert_int_equal(mproc_dict_get_float(d, mproc_str("f"), &f), 0);
	assert_true(f > 0.4 && f < 0.6);
	assert_int_equal(mproc_dict_get_float(d, mproc_str("i"), &f), 0);
	assert_true(f > -3.1 && f < -2.9);
	assert_int_equal(mproc_dict_get_float(d, mproc_str("s"), &f),
			 -EPROTOTYPE);

	assert_int_equal(mproc_dict_get_str(d, mproc_str("s"), buf, 6, &len), 0);
	assert_string_equal(buf, "hello");
	assert_int_equal(len, 5);
	len = 0;
	assert_int_equal(mproc_dict_get_str(d, mproc_str("s"), buf, 5, &len),
			 -EMSGSIZE);
	assert_int_equal(len, 5);
	assert_int_equal(mproc_dict_get_str(d, mproc_str("s"), NULL, 0, NULL),
			 -EMSGSIZE);
	assert_int_equal(mproc_dict_get_str(d, mproc_str("y"), buf, 6, NULL),
			 -EPROTOTYPE);
	assert_int_equal(mproc_dict_get_str(d, mproc_str("i"), buf, 6, NULL),
			 -EPROTOTYPE);
	mproc_dict_destroy(d);
}

static void
many_keys_are_read_and_set_in_one_call(void **state)
{
	enum { N = 2500 };
	static struct mproc_dict_item items[N];
	static struct mproc_any keys[2 * N], values[2 * N];
	static char texts[N][300];
	static bool there[2 * N];
	mproc_dict *d = new_dict();

	(void)state;
	for (int i = 0; i < N; i++) {
		snprintf(texts[i], sizeof(texts[i]), "%0*d", i % 299 + 1, i);
		items[i].key = i % 2 ? mproc_int(i) : mproc_str(texts[i]);
		items[i].value = i % 3 ? mproc_str(texts[i]) :
			   i % 2       ? mproc_nil() : mproc_int(-i);
	}
	assert_int_equal(mproc_dict_set_many(d, items, N), N);
	for (int i = 0; i < N; i++)
		expect_there(d, items[i].key, items[i].value);
	/* Between those that are there lie some that are not. */
	for (int i = 0; i < N; i++) {
		keys[2 * i] = items[i].key;
		keys[2 * i + 1] = mproc_float(i + 0.5);
	}
	assert_int_equal(mproc_dict_get_many(d, keys, 2 * N, values, there), N);
	for (int i = 0; i < 2 * N; i++) {
		assert_int_equal(there[i], i % 2 == 0);
		if (there[i])
			assert_true(same(&values[i], &items[i / 2].value));
		else
			assert_int_equal(values[i].kind, MPROC_NIL);
		mproc_any_clear(&values[i]);
	}
	/* The same key several times; and none. */
	items[1].key = items[0].key;
	assert_int_equal(mproc_dict_set_many(d, items, 2), 2);
	keys[0] = keys[1] = keys[2] = items[0].key;
	assert_int_equal(mproc_dict_get_many(d, keys, 3, values, there), 3);
	for (int i = 0; i < 3; i++) {
		assert_true(same(&values[i], &items[1].value));
		mproc_any_clear(&values[i]);
	}
	assert_int_equal(mproc_dict_set_many(d, NULL, 0), 0);
	assert_int_equal(mproc_dict_get_many(d, NULL, 0, NULL, NULL), 0);
	mproc_dict_destroy(d);
}

static void
many_keys_end_before_one_that_cannot_be(void **state)
{
	enum { N = 1500 };
	static struct mproc_dict_item items[N];
	static struct mproc_any keys[N], values[N];
	static bool there[N];
	const int bad[] = { 0, 1, 7, 1023, 1024, N - 1 };
	const struct mproc_any odd[] = { mproc_float(NAN), mproc_str(NULL) };
	mproc_dict *d = new_dict();

	(void)state;
	for (int i = 0; i < N; i++) {
		items[i].key = keys[i] = mproc_int(i);
		items[i].value = mproc_str("some");
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int at = bad[i];

		for (int k = 0; k < 2; k++) {
			items[at].key = keys[at] = odd[k];
			assert_int_equal(mproc_dict_clear(d), 0);
			assert_int_equal(mproc_dict_set_many(d, items, N),
					 at ? at : -EINVAL);
			assert_int_equal(mproc_dict_len(d), at);
			assert_int_equal(mproc_dict_set_many(d, items + at, 1),
					 -EINVAL);
			memset(there, 1, sizeof(there));
			assert_int_equal(mproc_dict_get_many(d, keys, N, values,
							     there), -EINVAL);
			for (int j = 0; j < N; j++)
				assert_true(values[j].kind == MPROC_NIL &&
					    !values[j].owned && !there[j]);
		}
		items[at].key = keys[at] = mproc_int(at);
	}
	assert_int_equal(mproc_dict_set_many(d, NULL, 1), -EINVAL);
	assert_int_equal(mproc_dict_get_many(d, keys, 1, NULL, there), -EINVAL);
	assert_int_equal(mproc_dict_get_many(d, keys, 1, values, NULL), -EINVAL);
	assert_int_equal(mproc_dict_get_many(d, NULL, 1, values, there), -EINVAL);
	assert_int_equal(mproc_dict_set_many(d, items, (size_t)INT_MAX + 1),
			 -EINVAL);
	mproc_dict_destroy(d);
	assert_int_equal(mproc_dict_set_many(d, items, N), -ESTALE);
	assert_int_equal(mproc_dict_set_many(d, NULL, 0), -ESTALE);
	assert_int_equal(mproc_dict_get_many(d, keys, N, values, there), -ESTALE);
	assert_int_equal(mproc_dict_get_many(d, NULL, 0, NULL, NULL), -ESTALE);
}

static void
one_that_was_destroyed_says_so(void **state)
{
	struct mproc_cursor c = { { 0 } };
	mproc_dict *d = new_dict(), *other;
	struct mproc_any got;

	(void)state;
	assert_int_equal(mproc_dict_set(d, mproc_str("a"), mproc_int(1)), 0);
	mproc_dict_destroy(d);
	assert_int_equal(mproc_dict_set(d, mproc_str("a"), mproc_int(1)),
			 -ESTALE);
	assert_int_equal(mproc_dict_get(d, mproc_str("a"), &got), -ESTALE);
	assert_int_equal(mproc_dict_pop(d, mproc_str("a"), &got), -ESTALE);
	assert_int_equal(mproc_dict_has(d, mproc_str("a")), -ESTALE);
	assert_int_equal(mproc_dict_next(d, &c, &got, NULL), -ESTALE);
	assert_int_equal(mproc_dict_clear(d), -ESTALE);
	assert_int_equal(mproc_dict_len(d), 0);
	mproc_dict_destroy(d);
	/* In its place is another one, which is empty. */
	other = new_dict();
	assert_int_equal(mproc_dict_len(other), 0);
	expect_none(other, mproc_str("a"));
	mproc_dict_destroy(other);
}

static void
sums_are_as_in_python(void **state)
{
	mproc_dict *d = new_dict();
	struct mproc_any key = mproc_str("n"), sum;

	(void)state;
	assert_int_equal(mproc_dict_add(d, key, mproc_int(5), &sum), 0);
	assert_true(sum.kind == MPROC_INT && sum.i64 == 5);
	assert_int_equal(mproc_dict_add(d, key, mproc_bool(true), NULL), 0);
	expect_there(d, key, mproc_int(6));
	assert_int_equal(mproc_dict_add(d, key, mproc_float(0.5), &sum), 0);
	expect_there(d, key, mproc_float(6.5));
	assert_true(sum.kind == MPROC_FLOAT && sum.f64 > 6.4);
	assert_int_equal(mproc_dict_add(d, key, mproc_int(-1), NULL), 0);
	expect_there(d, key, mproc_float(5.5));

	assert_int_equal(mproc_dict_set(d, key, mproc_int(INT64_MAX)), 0);
	assert_int_equal(mproc_dict_add(d, key, mproc_int(1), &sum), -EOVERFLOW);
	expect_there(d, key, mproc_int(INT64_MAX));
	assert_int_equal(mproc_dict_add(d, key, mproc_str("1"), NULL),
			 -EPROTOTYPE);
	assert_int_equal(mproc_dict_set(d, key, mproc_str("1")), 0);
	assert_int_equal(mproc_dict_add(d, key, mproc_int(1), NULL),
			 -EPROTOTYPE);
	expect_there(d, key, mproc_str("1"));
	assert_int_equal(mproc_dict_add(d, mproc_int(1), mproc_nil(), NULL),
			 -EPROTOTYPE);
	expect_none(d, mproc_int(1));
	mproc_dict_destroy(d);
}

static void
a_value_is_exchanged_if_it_is_what_is_expected(void **state)
{
	mproc_dict *d = new_dict();
	struct mproc_any key = mproc_int(3), one = mproc_int(1),
			 text = mproc_str("a text"), other = mproc_str("text"),
			 same_one = mproc_float(1.0), odd = mproc_str(NULL);

	(void)state;
	assert_int_equal(mproc_dict_compare_exchange(d, key, &one, &text), 0);
	expect_none(d, key);
	assert_int_equal(mproc_dict_compare_exchange(d, key, NULL, NULL), 1);
	expect_none(d, key);
	assert_int_equal(mproc_dict_compare_exchange(d, key, NULL, &one), 1);
	expect_there(d, key, one);
	assert_int_equal(mproc_dict_compare_exchange(d, key, NULL, &text), 0);
	assert_int_equal(mproc_dict_compare_exchange(d, key, &text, &one), 0);
	expect_there(d, key, one);
	assert_int_equal(mproc_dict_compare_exchange(d, key, &same_one, &text),
			 1);
	expect_there(d, key, text);
	assert_int_equal(mproc_dict_compare_exchange(d, key, &other, &one), 0);
	assert_int_equal(mproc_dict_compare_exchange(d, key, &odd, &one),
			 -EINVAL);
	assert_int_equal(mproc_dict_compare_exchange(d, key, &text, &odd),
			 -EINVAL);
	expect_there(d, key, text);
	assert_int_equal(mproc_dict_compare_exchange(d, key, &text, NULL), 1);
	expect_none(d, key);
	assert_int_equal(mproc_dict_len(d), 0);
	mproc_dict_destroy(d);
}

static void
a_default_is_set_once(void **state)
{
	mproc_dict *d = new_dict();
	struct mproc_any key = mproc_str("k"), got;

	(void)state;
	assert_int_equal(mproc_dict_set_default(d, key, mproc_str("first"),
						&got), 1);
	assert_true(got.kind == MPROC_STR && strcmp(got.ptr, "first") == 0);
	mproc_any_clear(&got);
	assert_int_equal(mproc_dict_set_default(d, key, mproc_int(2), &got), 0);
	assert_true(got.kind == MPROC_STR && strcmp(got.ptr, "first") == 0);
	mproc_any_clear(&got);
	assert_int_equal(mproc_dict_set_default(d, key, mproc_int(2), NULL), 0);
	assert_int_equal(mproc_dict_set_default(d, mproc_int(1), mproc_ref(&d),
						&got), -EFAULT);
	expect_none(d, mproc_int(1));
	mproc_dict_destroy(d);
}

#define DICT_CASES                                               \
	mpt_test(what_is_set_is_there_until_it_is_taken),  \
	mpt_test(keys_are_equal_as_in_python),  \
	mpt_test(typed_gets_say_when_it_is_something_else),  \
	mpt_test(one_that_was_destroyed_says_so),  \
	mpt_test(sums_are_as_in_python),  \
	mpt_test(a_value_is_exchanged_if_it_is_what_is_expected),  \
	mpt_test(a_default_is_set_once),  \
	mpt_test(many_keys_are_read_and_set_in_one_call),  \
	mpt_test(many_keys_end_before_one_that_cannot_be)

#endif
