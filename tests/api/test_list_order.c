/* SPDX-License-Identifier: MIT */
/*
 * list.h: the order of values, and which are equal.
 */
#include <math.h>
#include <stdio.h>

#include "list.h"
#include "mpt_rand.h"

static const char long_text[] = "a text that is long";

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
		mpt_test(any_order_can_be_had),
		mpt_test(many_are_sorted_and_stay_in_order),
		mpt_test(equals_are_found_counted_and_removed),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
