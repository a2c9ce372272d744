/* SPDX-License-Identifier: MIT */
/*
 * What a list does wherever it is: in the family, where test_list.c and the others of lists
 * run these, and with a manager that one is connected to, test_manager_list.c.
 */
#ifndef API_LIST_CASES_H
#define API_LIST_CASES_H

#include <math.h>

#include "list.h"

/* It does not fit the two words of a slot. */
static const char long_text[] = "a text that is long";

static void
indices_count_from_both_ends(void **state)
{
	mproc_list *l = new_list();
	struct mproc_any any;

	(void)state;
	assert_int_equal(mproc_list_get(l, 0, &any), -ERANGE);
	assert_int_equal(mproc_list_get(l, -1, &any), -ERANGE);
	for (int i = 0; i < 3; i++)
		assert_int_equal(mproc_list_append(l, mproc_int(i)), 0);
	for (int i = 0; i < 3; i++) {
		assert_true(has_at(l, i, mproc_int(i)));
		assert_true(has_at(l, i - 3, mproc_int(i)));
	}
	assert_int_equal(mproc_list_get(l, 3, &any), -ERANGE);
	assert_true(detail_has("index 3 in a list of 3"));
	assert_int_equal(mproc_list_get(l, -4, &any), -ERANGE);
	assert_int_equal(mproc_list_get(l, INT64_MIN, &any), -ERANGE);
	assert_int_equal(mproc_list_get(l, INT64_MAX, &any), -ERANGE);
	mproc_list_destroy(l);
}

static void
values_take_the_place_of_others(void **state)
{
	struct mproc_arena_stat before = stat_now();
	mproc_list *l = new_list();
	const struct mproc_any all[] = {
		mproc_int(1), mproc_int(2), mproc_str("short"),
		mproc_str("other"), mproc_bytes("other", 5),
		mproc_str(long_text), mproc_str("a text that lies elsewhere"),
		mproc_float(1.5), mproc_nil(), mproc_str(long_text),
		mproc_bool(true),
	};
	struct mproc_any any;

	(void)state;
	assert_int_equal(mproc_list_set(l, 0, all[0]), -ERANGE);
	for (int i = 0; i < 3; i++)
		assert_int_equal(mproc_list_append(l, mproc_int(i)), 0);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		assert_int_equal(mproc_list_set(l, i % 2 ? 1 : -2, all[i]), 0);
		expect_list(l, mproc_int(0), all[i], mproc_int(2));
	}
	assert_int_equal(mproc_list_set(l, 3, all[0]), -ERANGE);
	assert_int_equal(mproc_list_set(l, -4, mproc_str(long_text)), -ERANGE);
	assert_int_equal(mproc_list_set(l, 0, mproc_ref(&any)), -EFAULT);
	mproc_list_destroy(l);
	expect_stat(&before);
}

static void
values_go_in_between(void **state)
{
	mproc_list *l = new_list();

	(void)state;
	assert_int_equal(mproc_list_insert(l, 5, mproc_int(3)), 0);
	assert_int_equal(mproc_list_insert(l, 0, mproc_int(1)), 0);
	assert_int_equal(mproc_list_insert(l, 1, mproc_str(long_text)), 0);
	expect_list(l, mproc_int(1), mproc_str(long_text), mproc_int(3));
	assert_int_equal(mproc_list_insert(l, -1, mproc_bool(true)), 0);
	assert_int_equal(mproc_list_insert(l, 100, mproc_int(4)), 0);
	assert_int_equal(mproc_list_insert(l, -100, mproc_int(0)), 0);
	assert_int_equal(mproc_list_insert(l, INT64_MIN, mproc_int(-1)), 0);
	assert_int_equal(mproc_list_insert(l, INT64_MAX, mproc_int(5)), 0);
	expect_list(l, mproc_int(-1), mproc_int(0), mproc_int(1),
		    mproc_str(long_text), mproc_bool(true), mproc_int(3),
		    mproc_int(4), mproc_int(5));
	mproc_list_destroy(l);
}

static void
values_are_taken_out(void **state)
{
	struct mproc_arena_stat before = stat_now();
	mproc_list *l = new_list();
	const struct mproc_any all[] = {
		mproc_int(0), mproc_str(long_text), mproc_int(2), mproc_int(3),
		mproc_str(long_text),
	};
	struct mproc_any any;

	(void)state;
	assert_int_equal(mproc_list_pop(l, -1, &any), -ERANGE);
	assert_int_equal(mproc_list_pop(l, 0, NULL), -ERANGE);
	assert_int_equal(mproc_list_extend(l, all, 5), 0);
	assert_int_equal(mproc_list_pop(l, -1, &any), 0);
	assert_true(is_same(&any, &all[4]));
	mproc_any_clear(&any);
	assert_int_equal(mproc_list_pop(l, 1, &any), 0);
	assert_true(is_same(&any, &all[1]));
	mproc_any_clear(&any);
	expect_list(l, all[0], all[2], all[3]);
	assert_int_equal(mproc_list_pop(l, 0, NULL), 0);
	expect_list(l, all[2], all[3]);
	assert_int_equal(mproc_list_pop(l, 2, &any), -ERANGE);
	assert_int_equal(mproc_list_pop(l, -3, &any), -ERANGE);
	assert_int_equal(mproc_list_clear(l), 0);
	assert_int_equal(mproc_list_clear(l), 0);
	assert_int_equal(mproc_list_len(l), 0);
	mproc_list_destroy(l);
	expect_stat(&before);
}

static void
several_are_added_or_none(void **state)
{
	mproc_list *l = new_list();
	const struct mproc_any good[] = {
		mproc_int(0), mproc_str(long_text), mproc_str("b"),
	};
	const struct mproc_any bad[] = {
		mproc_int(0), mproc_str(long_text), mproc_str(NULL),
	};

	(void)state;
	assert_int_equal(mproc_list_extend(l, NULL, 0), 0);
	assert_int_equal(mproc_list_extend(l, NULL, 1), -EINVAL);
	assert_int_equal(mproc_list_extend(l, good, 3), 0);
	assert_int_equal(mproc_list_extend(l, bad, 3), -EINVAL);
	expect_list(l, good[0], good[1], good[2]);
	mproc_list_destroy(l);
}

static void
a_cursor_goes_through(void **state)
{
	mproc_list *l = new_list();
	struct mproc_any any;
	size_t i = 0, n = 0;

	(void)state;
	assert_int_equal(mproc_list_next(l, &i, &any), -ENODATA);
	assert_int_equal(i, 0);
	for (int k = 0; k < 10; k++)
		assert_int_equal(mproc_list_append(l, k % 2 ? mproc_int(k) :
						   mproc_str(long_text)), 0);
	for (; mproc_list_next(l, &i, &any) == 0; mproc_any_clear(&any)) {
		assert_int_equal(i, ++n);
		assert_int_equal(any.kind, n % 2 ? MPROC_STR : MPROC_INT);
	}
	assert_int_equal(n, 10);
	assert_int_equal(mproc_list_next(l, &i, &any), -ENODATA);
	/* It sees what has come since. */
	assert_int_equal(mproc_list_append(l, mproc_nil()), 0);
	assert_int_equal(mproc_list_next(l, &i, &any), 0);
	assert_int_equal(any.kind, MPROC_NIL);
	assert_int_equal(mproc_list_clear(l), 0);
	assert_int_equal(mproc_list_next(l, &i, &any), -ENODATA);
	assert_int_equal(mproc_list_next(l, NULL, &any), -EINVAL);
	assert_int_equal(mproc_list_next(l, &i, NULL), -EINVAL);
	mproc_list_destroy(l);
}

static void
what_was_destroyed_is_stale(void **state)
{
	mproc_list *l = new_list();
	struct mproc_any any;
	size_t i = 0;

	(void)state;
	assert_int_equal(mproc_list_append(l, mproc_str(long_text)), 0);
	mproc_list_destroy(l);
	assert_int_equal(mproc_list_append(l, mproc_nil()), -ESTALE);
	assert_true(detail_has("was destroyed"));
	assert_int_equal(mproc_list_get(l, 0, &any), -ESTALE);
	assert_int_equal(mproc_list_set(l, 0, mproc_nil()), -ESTALE);
	assert_int_equal(mproc_list_insert(l, 0, mproc_nil()), -ESTALE);
	assert_int_equal(mproc_list_extend(l, NULL, 0), -ESTALE);
	assert_int_equal(mproc_list_pop(l, 0, &any), -ESTALE);
	assert_int_equal(mproc_list_clear(l), -ESTALE);
	assert_int_equal(mproc_list_next(l, &i, &any), -ESTALE);
	assert_int_equal(mproc_list_len(l), 0);
	mproc_list_destroy(l);
}

static const struct mproc_any *
new_values(void)
{
	static struct mproc_any values[3];

	values[0] = mproc_str("the first of the texts that come in");
	values[1] = mproc_int(-1);
	values[2] = mproc_str("the third of the texts that come in");
	return values;
}

/* As Python has it. */
static int
end_of(int64_t index, int n)
{
	if (index < 0)
		index += n;
	return index < 0 ? 0 : index > n ? n : (int)index;
}

static void
expect_slice(mproc_list *l, int n, int64_t from, int64_t to)
{
	struct mproc_any got[2 * MIXED];
	int first = end_of(from, n), last = end_of(to, n);
	size_t len = first < last ? (size_t)(last - first) : 0, is = 99;

	assert_int_equal(mproc_list_slice(l, from, to, got, 2 * MIXED, &is), 0);
	assert_int_equal(is, len);
	for (size_t i = 0; i < len; i++) {
		struct mproc_any value = old_value(first + (int)i);

		assert_true(is_same(&got[i], &value));
		mproc_any_clear(&got[i]);
	}
	if (len) {
		is = 99;
		got[0] = mproc_int(7);
		assert_int_equal(mproc_list_slice(l, from, to, got, len - 1,
						  &is), -EMSGSIZE);
		assert_int_equal(is, len);
		assert_int_equal(got[0].i64, 7);
	}
	assert_int_equal(mproc_list_slice(l, from, to, NULL, 0, &is),
			 len ? -EMSGSIZE : 0);
	assert_int_equal(is, len);
}

static void
expect_next(struct mproc_any *got, size_t *at, struct mproc_any value)
{
	assert_true(is_same(&got[*at], &value));
	mproc_any_clear(&got[(*at)++]);
}

static void
expect_replaced(int n, int64_t from, int64_t to, size_t values)
{
	mproc_list *l = list_of(n);
	int first = end_of(from, n), last = end_of(to, n);
	struct mproc_any got[2 * MIXED];
	size_t at = 0, len;

	if (last < first)
		last = first;
	if (values || from % 2)
		assert_int_equal(mproc_list_replace(l, from, to, new_values(),
						    values), 0);
	else
		assert_int_equal(mproc_list_delete(l, from, to), 0);
	assert_int_equal(mproc_list_slice(l, 0, INT64_MAX, got, 2 * MIXED, &len),
			 0);
	for (int i = 0; i < first; i++)
		expect_next(got, &at, old_value(i));
	for (size_t i = 0; i < values; i++)
		expect_next(got, &at, new_values()[i]);
	for (int i = last; i < n; i++)
		expect_next(got, &at, old_value(i));
	assert_int_equal(len, at);
	/* It is a list like others. */
	assert_int_equal(mproc_list_insert(l, 0, old_value(0)), 0);
	assert_int_equal(mproc_list_pop(l, -1, NULL), 0);
	mproc_list_destroy(l);
}

static void
any_two_ends(void **state)
{
	static const int64_t ends[] = { INT64_MIN, -MIXED - 1, -MIXED, -2, -1, 0, 1, 3,
					MIXED - 1, MIXED, MIXED + 1, INT64_MAX };
	const size_t n_ends = sizeof(ends) / sizeof(ends[0]);
	struct mproc_arena_stat before = stat_now();

	(void)state;
	for (int n = 0; n <= MIXED; n += MIXED) {
		mproc_list *l = list_of(n);

		/* Of those that are elsewhere some will do. */
		for (size_t i = 0; i < n_ends * n_ends; i += make_list ? 5 : 1) {
			int64_t from = ends[i / n_ends], to = ends[i % n_ends];

			expect_slice(l, n, from, to);
			for (size_t values = 0; values <= 3; values++)
				expect_replaced(n, from, to, values);
		}
		mproc_list_destroy(l);
	}
	expect_stat(&before);
}

static void
typed_gets_say_when_it_is_something_else(void **state)
{
	mproc_list *l = LIST(mproc_int(-5), mproc_bool(true), mproc_float(0.5),
			     mproc_str("short"), mproc_str(long_text), mproc_nil(),
			     mproc_bytes("bytes", 5), mproc_str(""));
	char text[sizeof(long_text)];
	size_t len = 99;
	int64_t i = 99;
	double d = 99;

	(void)state;
	assert_int_equal(mproc_list_get_int(l, 0, &i), 0);
	assert_int_equal(i, -5);
	assert_int_equal(mproc_list_get_int(l, 1, &i), 0);
	assert_int_equal(i, 1);
	assert_int_equal(mproc_list_get_int(l, 2, &i), -EPROTOTYPE);
	assert_int_equal(mproc_list_get_int(l, 4, &i), -EPROTOTYPE);
	assert_int_equal(mproc_list_get_int(l, 8, &i), -ERANGE);
	assert_int_equal(i, 1);
	assert_int_equal(mproc_list_get_float(l, 2, &d), 0);
	assert_true(d == 0.5);
	assert_int_equal(mproc_list_get_float(l, -8, &d), 0);
	assert_true(d == -5);
	assert_int_equal(mproc_list_get_float(l, 1, &d), -EPROTOTYPE);
	assert_int_equal(mproc_list_get_float(l, -9, &d), -ERANGE);

	assert_int_equal(mproc_list_get_str(l, 3, text, 6, &len), 0);
	assert_string_equal(text, "short");
	assert_int_equal(len, 5);
	text[5] = 'x';
	assert_int_equal(mproc_list_get_str(l, 3, text, 5, &len), -EMSGSIZE);
	assert_int_equal(text[5], 'x');
	assert_int_equal(mproc_list_get_str(l, 4, text, sizeof(long_text), NULL), 0);
	assert_string_equal(text, long_text);
	assert_int_equal(mproc_list_get_str(l, 4, text, sizeof(long_text) - 1, &len),
			 -EMSGSIZE);
	assert_int_equal(len, sizeof(long_text) - 1);
	assert_int_equal(mproc_list_get_str(l, 4, NULL, 0, &len), -EMSGSIZE);
	assert_int_equal(mproc_list_get_str(l, 7, text, 1, &len), 0);
	assert_true(text[0] == '\0' && len == 0);
	assert_int_equal(mproc_list_get_str(l, 6, text, 40, &len),
			 -EPROTOTYPE);
	assert_int_equal(mproc_list_get_str(l, 5, text, 40, &len),
			 -EPROTOTYPE);
	assert_int_equal(mproc_list_get_str(l, 99, text, 40, &len), -ERANGE);
	mproc_list_destroy(l);
	assert_int_equal(mproc_list_get_str(l, 3, text, 40, &len), -ESTALE);
	assert_int_equal(mproc_list_get_int(l, 0, &i), -ESTALE);
}

static void
sums_are_as_in_python(void **state)
{
	mproc_list *l = LIST(mproc_int(1), mproc_bool(true), mproc_float(0.5),
			     mproc_str(long_text), mproc_int(INT64_MAX));
	struct mproc_any sum = mproc_nil();

	(void)state;
	assert_int_equal(mproc_list_add(l, 0, mproc_int(2), &sum), 0);
	assert_true(sum.kind == MPROC_INT && sum.i64 == 3);
	assert_int_equal(mproc_list_add(l, 1, mproc_bool(true), &sum), 0);
	assert_true(sum.kind == MPROC_INT && sum.i64 == 2);
	assert_int_equal(mproc_list_add(l, 2, mproc_int(1), NULL), 0);
	assert_int_equal(mproc_list_add(l, 3, mproc_int(1), &sum),
			 -EPROTOTYPE);
	assert_int_equal(mproc_list_add(l, 0, mproc_str("1"), &sum),
			 -EPROTOTYPE);
	assert_int_equal(mproc_list_add(l, -1, mproc_int(1), &sum),
			 -EOVERFLOW);
	assert_int_equal(mproc_list_add(l, 5, mproc_int(1), &sum), -ERANGE);
	assert_true(sum.kind == MPROC_INT && sum.i64 == 2);
	assert_int_equal(mproc_list_add(l, 0, mproc_float(0.5), &sum), 0);
	assert_true(sum.kind == MPROC_FLOAT && sum.f64 == 3.5);
	expect_list(l, mproc_float(3.5), mproc_int(2), mproc_float(1.5),
		    mproc_str(long_text), mproc_int(INT64_MAX));
	mproc_list_destroy(l);
	assert_int_equal(mproc_list_add(l, 0, mproc_int(1), NULL), -ESTALE);
}

static void
pythons_order_is_the_usual_one(void **state)
{
	struct mproc_arena_stat before = stat_now();
	mproc_list *l = new_list();

	(void)state;
	assert_int_equal(mproc_list_sort(l, NULL, NULL), 0);
	ADD(l, mproc_int(3), mproc_float(1.0), mproc_float(-2.5), mproc_int(1),
	    mproc_bool(true), mproc_bool(false));
	assert_int_equal(mproc_list_sort(l, NULL, NULL), 0);
	/* Equals as they were. */
	expect_list(l, mproc_float(-2.5), mproc_bool(false), mproc_float(1.0),
		    mproc_int(1), mproc_bool(true), mproc_int(3));
	assert_int_equal(mproc_list_sort(l, NULL, NULL), 0);
	assert_true(has_at(l, 5, mproc_int(3)));

	assert_int_equal(mproc_list_clear(l), 0);
	ADD(l, mproc_str("b"), mproc_str(long_text), mproc_str(""),
	    mproc_str("a text that is longer"), mproc_str("B"));
	assert_int_equal(mproc_list_sort(l, NULL, NULL), 0);
	expect_list(l, mproc_str(""), mproc_str("B"), mproc_str(long_text),
		    mproc_str("a text that is longer"), mproc_str("b"));
	mproc_list_destroy(l);
	expect_stat(&before);
}

static void
what_has_no_order_stays_as_it_was(void **state)
{
	mproc_list *l = new_list();

	(void)state;
	ADD(l, mproc_int(2), mproc_str("a"), mproc_int(1));
	assert_int_equal(mproc_list_sort(l, NULL, NULL), -EPROTOTYPE);
	expect_list(l, mproc_int(2), mproc_str("a"), mproc_int(1));
	mproc_list_destroy(l);
}

static int
ends_with_zero(const struct mproc_any *a, const struct mproc_any *b, void *ctx)
{
	const char *x = a->ptr, *y = b->ptr;

	*(bool *)ctx &= x[a->len] == '\0' && y[b->len] == '\0';
	return strcmp(x, y);
}

static void
texts_are_ended_when_they_are_compared(void **state)
{
	mproc_list *l = new_list();
	bool all = true;

	(void)state;
	ADD(l, mproc_str("12345678"), mproc_str(long_text), mproc_str("123"));
	assert_int_equal(mproc_list_sort(l, ends_with_zero, &all), 0);
	assert_true(all);
	expect_list(l, mproc_str("123"), mproc_str("12345678"),
		    mproc_str(long_text));
	mproc_list_destroy(l);
}

static void
it_is_turned_round(void **state)
{
	struct mproc_arena_stat before = stat_now();
	mproc_list *l = new_list();

	(void)state;
	assert_int_equal(mproc_list_reverse(l), 0);
	ADD(l, mproc_int(1), mproc_str(long_text), mproc_int(3));
	assert_int_equal(mproc_list_reverse(l), 0);
	expect_list(l, mproc_int(3), mproc_str(long_text), mproc_int(1));
	assert_int_equal(mproc_list_append(l, mproc_int(0)), 0);
	assert_int_equal(mproc_list_reverse(l), 0);
	expect_list(l, mproc_int(0), mproc_int(1), mproc_str(long_text),
		    mproc_int(3));
	mproc_list_destroy(l);
	expect_stat(&before);
}

#define LIST_CASES \
	mpt_test(indices_count_from_both_ends), \
	mpt_test(values_take_the_place_of_others), \
	mpt_test(values_go_in_between), \
	mpt_test(values_are_taken_out), \
	mpt_test(several_are_added_or_none), \
	mpt_test(a_cursor_goes_through), \
	mpt_test(what_was_destroyed_is_stale), \
	mpt_test(any_two_ends), \
	mpt_test(typed_gets_say_when_it_is_something_else), \
	mpt_test(sums_are_as_in_python), \
	mpt_test(pythons_order_is_the_usual_one), \
	mpt_test(what_has_no_order_stays_as_it_was), \
	mpt_test(texts_are_ended_when_they_are_compared), \
	mpt_test(it_is_turned_round)

#endif
