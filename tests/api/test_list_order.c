/* SPDX-License-Identifier: MIT */
/*
 * list.h: the order of values, and which are equal.
 */
#include <math.h>
#include <stdio.h>

#include "list.h"
#include "mpt_rand.h"

static const char long_text[] = "a text that is long";

static void
add_all(mproc_list *l, const struct mproc_any *values, size_t n)
{
	assert_int_equal(mproc_list_extend(l, values, n), 0);
}

#define ADD(l, ...)                                                           \
	do {                                                                  \
		const struct mproc_any values_[] = { __VA_ARGS__ };           \
                                                                              \
		add_all(l, values_, sizeof(values_) / sizeof(values_[0]));    \
	} while (0)

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

struct seen {
	mproc_list *list;
	unsigned calls;
	int r; /* of a call in the list */
};

/* By the last digit, the larger one first. */
static int
by_last_digit(const struct mproc_any *a, const struct mproc_any *b, void *ctx)
{
	struct seen *seen = ctx;

	seen->calls++;
	seen->r = mproc_list_append(seen->list, mproc_nil());
	return (int)(b->i64 % 10 - a->i64 % 10);
}

static void
any_order_can_be_had(void **state)
{
	struct seen seen = { .list = new_list() };
	mproc_list *l = seen.list;

	(void)state;
	ADD(l, mproc_int(10), mproc_int(21), mproc_int(31), mproc_int(19),
	    mproc_int(20), mproc_int(29));
	assert_int_equal(mproc_list_sort(l, by_last_digit, &seen), 0);
	expect_list(l, mproc_int(19), mproc_int(29), mproc_int(21),
		    mproc_int(31), mproc_int(10), mproc_int(20));
	assert_in_range(seen.calls, 5, 6 * 6);
	/* The list was ours meanwhile. */
	assert_int_equal(seen.r, -EDEADLK);
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

/* Each is as far from the others as it was among its equals. */
static void
many_are_sorted_and_stay_in_order(void **state)
{
	struct mproc_arena_stat before = stat_now();
	unsigned n = amount(1000);
	mproc_list *l = new_list();
	struct mproc_any last, any;
	struct mpt_rand rand;
	char text[64];
	size_t i = 0;

	(void)state;
	mpt_rand_init(&rand, mpt_seed());
	for (unsigned k = 0; k < n; k++) {
		snprintf(text, sizeof(text), "%02u%*s",
			 (unsigned)mpt_rand_below(&rand, 100),
			 (int)mpt_rand_below(&rand, 30), "");
		assert_int_equal(mproc_list_append(l, mproc_str(text)), 0);
	}
	assert_int_equal(mproc_list_sort(l, NULL, NULL), 0);
	assert_int_equal(mproc_list_len(l), n);
	assert_int_equal(mproc_list_next(l, &i, &last), 0);
	while (mproc_list_next(l, &i, &any) == 0) {
		assert_true(strcmp(last.ptr, any.ptr) <= 0);
		mproc_any_clear(&last);
		last = any;
	}
	mproc_any_clear(&last);
	assert_int_equal(i, n);
	mproc_list_destroy(l);
	expect_stat(&before);
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

static void
equals_are_found_counted_and_removed(void **state)
{
	struct mproc_arena_stat before = stat_now();
	mproc_list *l = new_list();
	size_t at = 77, n = 77;

	(void)state;
	assert_int_equal(mproc_list_index(l, mproc_int(1), &at), -ENOENT);
	assert_int_equal(at, 77);
	assert_int_equal(mproc_list_count(l, mproc_int(1), &n), 0);
	assert_int_equal(n, 0);
	ADD(l, mproc_int(1), mproc_int(1), mproc_int(1));
	assert_int_equal(mproc_list_count(l, mproc_int(1), &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(mproc_list_clear(l), 0);
	ADD(l, mproc_int(0), mproc_float(1.0), mproc_str(long_text),
	    mproc_bool(true), mproc_str("1"), mproc_int(1),
	    mproc_float(NAN), mproc_bytes(long_text, sizeof(long_text) - 1),
	    mproc_ref(l), mproc_str(long_text));

	assert_int_equal(mproc_list_index(l, mproc_int(1), &at), 0);
	assert_int_equal(at, 1);
	assert_int_equal(mproc_list_index(l, mproc_str(long_text), &at), 0);
	assert_int_equal(at, 2);
	assert_int_equal(mproc_list_index(l, mproc_bytes(
		long_text, sizeof(long_text) - 1), &at), 0);
	assert_int_equal(at, 7);
	assert_int_equal(mproc_list_index(l, mproc_ref(l), NULL), 0);
	assert_int_equal(mproc_list_index(l, mproc_float(NAN), NULL), -ENOENT);
	assert_int_equal(mproc_list_index(l, mproc_nil(), NULL), -ENOENT);

	assert_int_equal(mproc_list_count(l, mproc_bool(true), &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(mproc_list_count(l, mproc_str(long_text), &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(mproc_list_count(l, mproc_float(NAN), &n), 0);
	assert_int_equal(n, 0);

	assert_int_equal(mproc_list_remove(l, mproc_str(long_text)), 0);
	assert_int_equal(mproc_list_remove(l, mproc_str(long_text)), 0);
	assert_int_equal(mproc_list_remove(l, mproc_str(long_text)), -ENOENT);
	assert_int_equal(mproc_list_remove(l, mproc_int(1)), 0);
	assert_int_equal(mproc_list_len(l), 7);
	assert_true(has_at(l, 0, mproc_int(0)));
	assert_true(has_at(l, 1, mproc_bool(true)));
	assert_true(has_at(l, -1, mproc_ref(l)));

	assert_int_equal(mproc_list_index(l, mproc_str(NULL), NULL), -EINVAL);
	assert_int_equal(mproc_list_index(l, mproc_ref(&n), NULL), -EFAULT);
	assert_int_equal(mproc_list_count(l, mproc_int(1), NULL), -EINVAL);
	mproc_list_destroy(l);
	assert_int_equal(mproc_list_index(l, mproc_int(0), NULL), -ESTALE);
	assert_int_equal(mproc_list_count(l, mproc_int(0), &n), -ESTALE);
	assert_int_equal(mproc_list_remove(l, mproc_int(0)), -ESTALE);
	assert_int_equal(mproc_list_sort(l, NULL, NULL), -ESTALE);
	assert_int_equal(mproc_list_reverse(l), -ESTALE);
	expect_stat(&before);
}

static int
setup(void **state)
{
	(void)state;
	/* The cells stay. */
	mproc_list_destroy(new_list());
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(pythons_order_is_the_usual_one),
		mpt_test(what_has_no_order_stays_as_it_was),
		mpt_test(any_order_can_be_had),
		mpt_test(texts_are_ended_when_they_are_compared),
		mpt_test(many_are_sorted_and_stay_in_order),
		mpt_test(it_is_turned_round),
		mpt_test(equals_are_found_counted_and_removed),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
